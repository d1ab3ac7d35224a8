//! The program as people and scripts run it: a line in a folder, and what it says and leaves there.
// Each file of tests is a crate of its own and uses a part of this.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use swarm_sim::output::manifest::RunManifest;
use swarm_sim::scenario::BUILT_IN;

/// The program with the words of a line, in a folder.
pub(crate) fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-sim"));
    command.args(line.split_whitespace()).current_dir(folder);
    command
}

/// Exit code, standard output, standard error.
pub(crate) fn said(folder: &Path, line: &str) -> (Option<i32>, String, String) {
    let output = command(folder, line).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What a line that does what it should prints.
#[track_caller]
pub(crate) fn done(folder: &Path, line: &str) -> String {
    let (code, out, error) = said(folder, line);
    assert_eq!((code, error.as_str()), (Some(0), ""), "swarm-sim {line}");
    out
}

/// Holds that a line is refused in one sentence, which has this part and is given.
#[track_caller]
pub(crate) fn refused(folder: &Path, line: &str, part: &str) -> String {
    let (code, out, error) = said(folder, line);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{line}: {error}");
    let is_sentence = error.starts_with("swarm-sim: ") && error.lines().count() == 1;
    assert!(is_sentence && error.contains(part), "{line}: {error}");
    error
}

/// A file's text.
#[track_caller]
pub(crate) fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Writes a file, and gives its path.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// All files of a folder and of the folders in it, with their bytes.
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let inner = contents(&entry.path()).into_iter();
            all.extend(inner.map(|(of, bytes)| (format!("{name}/{of}"), bytes)));
        } else {
            all.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    all
}

/// Names of all files in a folder and in the folders in it.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    contents(folder).into_keys().collect()
}

/// Makes the files of a run pass for what it wrote.
pub(crate) fn reseal(folder: &Path, run: &str) {
    let folder = folder.join(run);
    let manifest = RunManifest::parse(&std::fs::read(folder.join("manifest.json")).unwrap());
    let manifest = manifest.unwrap();
    let names = manifest.files.clone().into_keys();
    let files: Vec<(String, String)> = names.map(|name| (read(&folder, &name), name)).collect();
    let results: Value = serde_json::from_str(&read(&folder, "results.json")).unwrap_or_default();
    let digest = results["digest"].as_str().unwrap_or(&manifest.digest).to_owned();
    let files = files.iter().map(|(text, name)| (name.as_str(), text.as_bytes()));
    let text = RunManifest { digest, ..manifest }.beside(files).to_text();
    write(&folder, "manifest.json", &text);
}

/// The text of a built-in scenario.
pub(crate) fn built_in(name: &str) -> &'static str {
    BUILT_IN.iter().find(|built_in| built_in.name == name).unwrap().text
}

/// A scenario of the paths engine that ends soon, two replicates of 30 clients, without a grid.
pub(crate) fn small() -> String {
    let (base, _) = built_in("guards").split_once("[sweep]").unwrap();
    let few = base.replacen("count = 500", "count = 30", 1);
    few.replacen("replicates = 8", "replicates = 2", 1)
}
