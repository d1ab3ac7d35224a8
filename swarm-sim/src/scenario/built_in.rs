//! The scenarios that can be run by name from any folder.

/// A scenario that is part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// What it is called.
    pub name: &'static str,
    /// The file's text.
    pub text: &'static str,
}

/// All of them, by name.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn { name: "churn", text: include_str!("../../scenarios/churn.toml") },
    BuiltIn { name: "churn-deployed", text: include_str!("../../scenarios/churn-deployed.toml") },
    BuiltIn {
        name: "deployed-or-ours",
        text: include_str!("../../scenarios/deployed-or-ours.toml"),
    },
    BuiltIn { name: "disclosure", text: include_str!("../../scenarios/disclosure.toml") },
    BuiltIn { name: "guard-count", text: include_str!("../../scenarios/guard-count.toml") },
    BuiltIn { name: "guard-life", text: include_str!("../../scenarios/guard-life.toml") },
    BuiltIn { name: "guards", text: include_str!("../../scenarios/guards.toml") },
    BuiltIn { name: "mixes", text: include_str!("../../scenarios/mixes.toml") },
    BuiltIn { name: "onion", text: include_str!("../../scenarios/onion.toml") },
    BuiltIn { name: "paths", text: include_str!("../../scenarios/paths.toml") },
    BuiltIn { name: "quickstart", text: include_str!("../../scenarios/quickstart.toml") },
    BuiltIn { name: "swarm-rules", text: include_str!("../../scenarios/swarm-rules.toml") },
    BuiltIn { name: "swarm-size", text: include_str!("../../scenarios/swarm-size.toml") },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn built_in_scenarios_are_valid_and_named_as_their_files() {
        for built_in in BUILT_IN {
            let scenario = Scenario::load(built_in.name);
            assert_eq!(scenario.map(|s| s.name).ok().as_deref(), Some(built_in.name));
        }
    }
}
