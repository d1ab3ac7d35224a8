//! Built-in scenarios with parts replaced, and where they stop being taken.
// Each file of tests is a crate of its own and uses a part of this.
#![allow(dead_code, clippy::unwrap_used)]

use swarm_sim::scenario::{BUILT_IN, Scenario};

/// The built-in file `name` with parts replaced, read.
pub(crate) fn read(name: &str, change: &[(&str, &str)]) -> Result<Scenario, String> {
    let mut text = BUILT_IN.iter().find(|b| b.name == name).unwrap().text.to_owned();
    for (from, to) in change {
        assert!(text.contains(from), "{name} has no {from:?}");
        text = text.replacen(from, to, 1);
    }
    Scenario::parse("x.toml", &text).map_err(|error| error.to_string())
}

/// The file is taken with the first changes, and refused for this key once the last is made too.
#[track_caller]
pub(crate) fn edge(name: &str, fits: &[(&str, &str)], beyond: (&str, &str), key: &str, why: &str) {
    assert_eq!(read(name, fits).err(), None, "{fits:?}");
    let error = read(name, &[fits, &[beyond]].concat()).err().unwrap_or_default();
    let is_there = error.starts_with("x.toml, line ") && error.contains(&format!(", {key}: "));
    assert!(is_there && error.contains(why), "{beyond:?}: {error:?}");
}
