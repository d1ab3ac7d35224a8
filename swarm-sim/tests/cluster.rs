//! The examples for clusters, run as a cluster would run them, on one machine.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_swarm-sim");

fn example(name: &str) -> String {
    format!("{}/cluster/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A command that finds the program by its name.
fn command(name: &str, folder: &Path) -> Command {
    let programs = Path::new(PROGRAM).parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(name);
    command.current_dir(folder).env("PATH", format!("{programs}:{path}"));
    command
}

fn done(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The digest over all points that a sweep or a merge prints.
fn digest(output: &Output) -> String {
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    line["digest"].as_str().unwrap().to_owned()
}

const SMALL: &str = r#"
version = 1
engine = "paths"
name = "small"
about = "a sweep that ends soon"
replicates = 2
span = "20 d"
network = { nodes = 100 }
adversary = { owns = "nodes", share = "10 %" }
clients = { count = 5, contacts = 2, every = "1 d" }
paths = { selection = "sampler" }

[sweep]
"paths.guards" = [1, 2, 3]
"paths.second_layer" = ["pairs", "none"]
"#;

/// The digest of the whole sweep, of the shards merged, and that of one shard as it stands alone.
fn whole_and_merged(folder: &Path, shards: &[String]) -> [String; 2] {
    let mut whole = command(PROGRAM, folder);
    whole.args(["sweep", "small.toml", "--seed", "9", "--out", "whole", "--json"]);
    let mut merge = command(PROGRAM, folder);
    merge.arg("merge").args(shards).args(["--out", "merged", "--json"]);
    [digest(&done(whole)), digest(&done(merge))]
}

#[test]
fn tasks_of_a_slurm_array_make_the_whole_sweep() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.toml"), SMALL).unwrap();
    for task in ["1", "2", "3"] {
        let mut command = command("bash", folder.path());
        command.arg(example("slurm.sh")).args(["small.toml", "runs/s", "--seed", "9"]);
        command.env("SLURM_ARRAY_TASK_COUNT", "3").env("SLURM_ARRAY_TASK_ID", task);
        done(command);
    }
    let shards = [1, 2, 3].map(|shard| format!("runs/s-{shard}-of-3"));
    let [whole, merged] = whole_and_merged(folder.path(), &shards);
    assert_eq!(whole, merged);
    // Outside of an array it says what to do.
    let mut alone = command("bash", folder.path());
    alone.arg(example("slurm.sh")).args(["small.toml", "runs/s"]);
    let output = alone.output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("sbatch --array=1-16"));
}

#[test]
fn pods_of_an_indexed_job_make_the_whole_sweep() {
    let text = std::fs::read_to_string(example("kubernetes.yaml")).unwrap();
    let job: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!((&job["apiVersion"], &job["kind"]), (&"batch/v1".into(), &"Job".into()));
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"], "Indexed");
    let container = &spec["template"]["spec"]["containers"][0];
    let settings = container["env"].as_array().unwrap();
    let set =
        |name: &str| settings.iter().find(|set| set["name"] == name).unwrap()["value"].clone();
    assert_eq!(set("SHARDS"), spec["completions"].to_string());
    // The mount is where the container works.
    assert_eq!(container["volumeMounts"][0]["mountPath"], container["workingDir"]);
    let words = |key: &str| {
        let words = container[key].as_array().unwrap().iter();
        words.map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (program, arguments) = (words("command"), words("args"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.toml"), SMALL).unwrap();
    for index in ["0", "1"] {
        let mut command = command(&program[0], folder.path());
        command.args(&program[1..]).args(&arguments).env("JOB_COMPLETION_INDEX", index);
        command.env("SCENARIO", "small.toml").env("SHARDS", "2").env("SEED", "9");
        done(command);
    }
    let shards = [1, 2].map(|shard| format!("small.toml-{shard}-of-2"));
    let [whole, merged] = whole_and_merged(folder.path(), &shards);
    assert_eq!(whole, merged);
}
