//! The rules that a path's four nodes keep, strongest first, and who may stand beside whom.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, Destination};

/// A rule about the nodes of a path. The order is the order of strength, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Rule {
    /// Guard, middle, exit and destination are four nodes. Never dropped.
    DistinctNodes,
    /// The guard, which knows the client, is not in the swarm that is asked.
    GuardOutsideDestinationSwarm,
    /// No two of the four nodes name the same family.
    DistinctFamilies,
    /// Neither middle nor exit is in the swarm that is asked.
    MiddleAndExitOutsideDestinationSwarm,
    /// No two of the four addresses share a prefix.
    DistinctPrefixes,
}

impl Rule {
    /// The rules that can be dropped, strongest first.
    pub(super) const DROPPABLE: [Self; 4] = [
        Self::GuardOutsideDestinationSwarm,
        Self::DistinctFamilies,
        Self::MiddleAndExitOutsideDestinationSwarm,
        Self::DistinctPrefixes,
    ];

    /// The stable name, as in `"relaxed":[…]`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DistinctNodes => "distinct-nodes",
            Self::GuardOutsideDestinationSwarm => "guard-outside-destination-swarm",
            Self::DistinctFamilies => "distinct-families",
            Self::MiddleAndExitOutsideDestinationSwarm => {
                "middle-and-exit-outside-destination-swarm"
            }
            Self::DistinctPrefixes => "distinct-prefixes",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A hop's place on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hop {
    /// The first: knows the client.
    Guard,
    /// The second: knows guard and exit.
    Middle,
    /// The third: knows which node is asked.
    Exit,
    /// The node that is asked.
    Destination,
}

/// The rules a draw keeps; four distinct nodes are always among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RuleSet(u8);

impl RuleSet {
    pub(super) const fn has(self, rule: Rule) -> bool {
        matches!(rule, Rule::DistinctNodes) || self.0 & (1 << rule as u8) != 0
    }

    #[must_use]
    pub(super) const fn with(self, rule: Rule) -> Self {
        Self(self.0 | 1 << rule as u8)
    }

    /// The rules left out, strongest first.
    pub(super) fn dropped(self) -> Vec<Rule> {
        Rule::DROPPABLE.into_iter().filter(|rule| !self.has(*rule)).collect()
    }

    /// Whether `relay` may be this hop of a path to `destination`, other hops aside.
    pub(super) fn fits(self, hop: Hop, relay: &Candidate, destination: &Destination) -> bool {
        let outside = match hop {
            Hop::Guard => Rule::GuardOutsideDestinationSwarm,
            Hop::Middle | Hop::Exit | Hop::Destination => {
                Rule::MiddleAndExitOutsideDestinationSwarm
            }
        };
        let same_swarm = relay.swarm.is_some() && relay.swarm == destination.swarm;
        let same_family = relay.family.is_some() && relay.family == destination.family;
        relay.node != destination.node
            && !(self.has(outside) && same_swarm)
            && !(self.has(Rule::DistinctFamilies) && same_family)
            && !(self.has(Rule::DistinctPrefixes)
                && relay.prefix.is_shared_with(destination.prefix))
    }

    /// Whether two relays clash by family under these rules.
    pub(super) fn clash_by_family(self, a: &Candidate, b: &Candidate) -> bool {
        self.has(Rule::DistinctFamilies) && a.family.is_some() && a.family == b.family
    }

    /// Whether two relays clash by prefix under these rules.
    pub(super) fn clash_by_prefix(self, a: &Candidate, b: &Candidate) -> bool {
        self.has(Rule::DistinctPrefixes) && a.prefix.is_shared_with(b.prefix)
    }

    /// Whether two relays may be hops of one path.
    pub(super) fn apart(self, a: &Candidate, b: &Candidate) -> bool {
        a.node != b.node && !self.clash_by_family(a, b) && !self.clash_by_prefix(a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_names_are_stable_and_the_same_in_json() {
        let names: Vec<_> = Rule::DROPPABLE.into_iter().map(Rule::as_str).collect();
        let expected = [
            "guard-outside-destination-swarm",
            "distinct-families",
            "middle-and-exit-outside-destination-swarm",
            "distinct-prefixes",
        ];
        assert_eq!(names, expected);
        for rule in Rule::DROPPABLE.into_iter().chain([Rule::DistinctNodes]) {
            let json = serde_json::to_string(&rule).unwrap_or_default();
            assert_eq!(json, format!("\"{rule}\""));
        }
    }

    #[test]
    fn dropped_rules_are_named_strongest_first_and_distinct_nodes_never() {
        assert_eq!(RuleSet::default().dropped(), Rule::DROPPABLE);
        assert!(RuleSet::default().has(Rule::DistinctNodes));
        let all = Rule::DROPPABLE.into_iter().fold(RuleSet::default(), RuleSet::with);
        assert_eq!(all.dropped(), []);
    }
}
