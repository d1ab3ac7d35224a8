"""Checks reader and notebook on the folders of a run of `churn`, a run of `guards` and a sweep of `guards`, in this order:
python3 test_results.py runs/churn runs/guards runs/g"""

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

from swarm_sim_results import ResultsError, read_run, read_sweep  # noqa: E402

RUN, CURVES, SWEEP = (Path(name) for name in sys.argv[1:4])
del sys.argv[1:4]


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


    def test_curves_are_read_as_the_file_says(self) -> None:
        run = read_run(CURVES)
        self.assertEqual(set(run.curves), {"guard_malicious", "both_ends_seen", "guard_seen"})
        lines = (CURVES / "curves.csv").read_text(encoding="utf-8").splitlines()
        self.assertEqual(lines[0], "curve,time,unit,share,ci_low,ci_high")
        curve = run.curves["both_ends_seen"]
        rows = [line.split(",") for line in lines if line.startswith("both_ends_seen,")]
        self.assertEqual(curve.times, tuple(float(row[1]) for row in rows))
        self.assertEqual(curve.shares, tuple(float(row[3]) for row in rows))
        self.assertEqual(curve.ci_low, tuple(float(row[4]) if row[4] else None for row in rows))
        self.assertEqual(curve.unit, "d")

    def test_sweep_is_read_as_the_table_says(self) -> None:
        sweep = read_sweep(SWEEP)
        found = json.loads((SWEEP / "manifest.json").read_text(encoding="utf-8"))
        self.assertEqual((sweep.digest, list(sweep.axes)), (found["digest"], found["axes"]))
        rows = sweep.of("requests_both_ends")
        self.assertEqual(len(rows), found["points"])
        lines = (SWEEP / "sweep.csv").read_text(encoding="utf-8").splitlines()
        cells = [line.split(",") for line in lines if ",requests_both_ends," in line]
        shown = [(row.point, row.values["adversary.share"], row.metric.value) for row in rows]
        self.assertEqual(shown, [(int(row[0]), row[1], float(row[4])) for row in cells])
        with self.assertRaisesRegex(KeyError, "no figure odd: "):
            sweep.of("odd")
        with tempfile.TemporaryDirectory() as name:
            with self.assertRaisesRegex(ResultsError, "holds no manifest.json"):
                read_sweep(name)
            copy = Path(shutil.copytree(SWEEP, Path(name) / "copy"))
            with (copy / "sweep.csv").open("a", encoding="utf-8") as file:
                file.write("1,2\n")
            with self.assertRaisesRegex(ResultsError, f"sweep.csv, line {len(lines) + 1}: expected"):
                read_sweep(copy)
            found["digest"] = None
            (copy / "manifest.json").write_text(json.dumps(found), encoding="utf-8")
            with self.assertRaisesRegex(ResultsError, "was stopped"):
                read_sweep(copy)


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
