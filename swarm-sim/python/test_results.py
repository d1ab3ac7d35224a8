"""Checks reader and notebook on a run of `churn`, whose folder is the only argument: python3 test_results.py runs/churn"""

import json
import os
import shutil
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from swarm_sim_results import ResultsError, read_run  # noqa: E402

RUN = Path(sys.argv.pop())


class Reader(unittest.TestCase):
    def test_run_is_read_as_the_files_say(self) -> None:
        run = read_run(RUN)
        found = json.loads((RUN / "results.json").read_text(encoding="utf-8"))
        self.assertEqual((run.seed, run.digest), (found["seed"], found["digest"]))
        self.assertEqual(set(run.metrics), set(found["metrics"]))
        for name, metric in run.metrics.items():
            self.assertEqual(metric.value, found["metrics"][name]["value"])
            self.assertEqual(list(metric.by_replicate), found["metrics"][name].get("by_replicate", []))
        lines = (RUN / "steps.csv").read_text(encoding="utf-8").splitlines()
        nodes = lines[0].split(",").index("nodes")
        expected = [float(line.split(",")[nodes]) for line in lines[1:]]
        self.assertEqual(run.tables["steps"].column("nodes"), expected)
        with self.assertRaisesRegex(KeyError, "no column odd: replicate, step"):
            run.tables["steps"].column("odd")

    def test_files_that_are_not_whole_are_named_with_the_line(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            with self.assertRaisesRegex(ResultsError, "holds no results.json"):
                read_run(name)
            copy = Path(shutil.copytree(RUN, Path(name) / "copy"))
            with (copy / "steps.csv").open("a", encoding="utf-8") as file:
                file.write("1,2\n")
            count = len((copy / "steps.csv").read_text(encoding="utf-8").splitlines())
            with self.assertRaisesRegex(ResultsError, f"steps.csv, line {count}: expected"):
                read_run(copy)
            for wrong in ("{", "[]", '{"metrics": {}}'):
                (copy / "results.json").write_text(wrong, encoding="utf-8")
                with self.assertRaisesRegex(ResultsError, "results.json"):
                    read_run(copy)


class Notebook(unittest.TestCase):
    def test_every_code_cell_runs_and_the_last_draws_the_figure(self) -> None:
        notebook = json.loads((HERE / "steps.ipynb").read_text(encoding="utf-8"))
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for cell in cells:
            self.assertEqual((cell["outputs"], cell["execution_count"]), ([], None))
        os.environ["RUN"] = str(RUN)
        names: dict = {}
        for number, cell in enumerate(cells):
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
        drawing = ElementTree.fromstring(names["figure"]._repr_svg_())
        line = drawing.find("{http://www.w3.org/2000/svg}polyline")
        steps = {row[1] for row in read_run(RUN).tables["steps"].rows}
        self.assertEqual(len(line.attrib["points"].split()), len(steps))


if __name__ == "__main__":
    unittest.main()
