//! What scenarios there are, and what one says.

use serde_json::json;
use swarm_sim::explain;
use swarm_sim::output::explain as show;
use swarm_sim::scenario::{BUILT_IN, Scenario};

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

pub(crate) fn explain(scenario: &str, as_json: bool) -> Result<String, CommandError> {
    let explanation = explain::explain(&Scenario::load(scenario)?);
    let print = if as_json { show::to_json } else { show::to_text };
    Ok(print(&explanation))
}
