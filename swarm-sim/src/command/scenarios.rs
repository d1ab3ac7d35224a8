//! What scenarios there are, and what one says.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::json;
use swarm_sim::explain;
use swarm_sim::output::explain as show;
use swarm_sim::output::folder::FolderError;
use swarm_sim::scenario::{BUILT_IN, Scenario, ScenarioError};

use super::CommandError;

pub(crate) fn list(as_json: bool) -> Result<String, CommandError> {
    let mut text = String::new();
    for built_in in BUILT_IN {
        let scenario = Scenario::load(built_in.name)?;
        let (name, engine, about) = (&scenario.name, scenario.engine.name(), &scenario.about);
        let line = if as_json {
            let replicates = scenario.replicates;
            json!({"name": name, "engine": engine, "about": about, "replicates": replicates})
                .to_string()
        } else {
            format!("{name:14} {about}")
        };
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

pub(crate) const NEW_HELP: &str = "\
The file's name, without ending, becomes the scenario's: it keys the random streams.

Example: swarm-sim new mine.toml && swarm-sim run mine.toml";

/// Writes a commented scenario to start from.
pub(crate) fn new(file: &Path, from: &str, as_json: bool) -> Result<String, CommandError> {
    let refused = |what: String| CommandError::New { what };
    let Some(built_in) = BUILT_IN.iter().find(|built_in| built_in.name == from) else {
        return Err(ScenarioError::Unknown { name: from.to_owned() }.into());
    };
    let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_toml = file.extension().is_some_and(|ending| ending == "toml");
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) || !is_toml {
        let what = "expected a file such as mine.toml, of 1 to 64 lower-case letters, digits and dashes, and .toml";
        return Err(refused(format!("{}: {what}", file.display())));
    }
    let text =
        built_in.text.replacen(&format!("name = \"{from}\""), &format!("name = \"{name}\""), 1);
    let written = OpenOptions::new().write(true).create_new(true).open(file);
    match written.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(refused(format!("{} exists: give another name", file.display())));
        }
        Err(source) => {
            let folder = file.display().to_string();
            return Err(FolderError::Write { folder, source }.into());
        }
    }
    let shown = file.display();
    if as_json {
        return Ok(format!("{}\n", json!({"file": shown.to_string(), "from": from})));
    }
    Ok(format!("{shown} is {from} under another name; run it with: swarm-sim run {shown}\n"))
}

pub(crate) fn explain(scenario: &str, as_json: bool) -> Result<String, CommandError> {
    let explanation = explain::explain(&Scenario::load(scenario)?);
    let print = if as_json { show::to_json } else { show::to_text };
    Ok(print(&explanation))
}
