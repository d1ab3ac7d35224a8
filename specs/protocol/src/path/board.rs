//! Which rules can be kept at all, found without trying every triple of nodes.
//!
//! Two relays clash when they share a family or a prefix: lines of two kinds, of which each relay
//! lies on at most one each. For the question "is there a relay in this set that clashes with
//! neither of two others?" a small part of the set is enough, its *kernel*: at most three relays
//! a line, one for each pair of lines, [`KERNEL`] in all. Three on a family line stand on three
//! different prefixes, of which two relays can block two; and two relays lie on four lines, which
//! hold at most 12 of the kernel, so a thirteenth is free. By replacing one hop after the other,
//! a path exists over whole sets exactly when one exists over their kernels.

use super::candidate::{Candidate, Destination};
use super::rule::{Hop, Rule, RuleSet};

/// Relays in a kernel: 2 relays × 2 lines × 3 relays a line can be blocked, and one more.
const KERNEL: usize = 13;

/// The smallest part of `relays` that answers for all of it; see the module.
fn kernel<'a>(rules: RuleSet, relays: impl Iterator<Item = &'a Candidate>) -> Vec<&'a Candidate> {
    let mut kernel: Vec<&Candidate> = Vec::with_capacity(KERNEL);
    for relay in relays {
        let (mut on_family, mut on_prefix, mut on_both) = (0, 0, false);
        for kept in &kernel {
            let family = rules.clash_by_family(kept, relay);
            let prefix = rules.clash_by_prefix(kept, relay);
            on_family += u8::from(family);
            on_prefix += u8::from(prefix);
            on_both |= family && prefix;
        }
        if on_both || on_family >= 3 || on_prefix >= 3 {
            continue;
        }
        kernel.push(relay);
        if kernel.len() == KERNEL {
            break;
        }
    }
    kernel
}

/// One destination, one set of rules, and the middles and exits that can serve them.
#[derive(Debug)]
pub(super) struct Board<'a> {
    pub(super) rules: RuleSet,
    destination: &'a Destination,
    middles: Vec<&'a Candidate>,
    exits: Vec<&'a Candidate>,
}

impl<'a> Board<'a> {
    fn new(
        rules: RuleSet,
        destination: &'a Destination,
        middles: impl Iterator<Item = &'a Candidate>,
        exits: &'a [Candidate],
    ) -> Self {
        let fits = |hop, relay: &&Candidate| rules.fits(hop, relay, destination);
        let middles = middles.filter(|relay| fits(Hop::Middle, relay));
        let exits = exits.iter().filter(|relay| fits(Hop::Exit, relay));
        Self { rules, destination, middles: kernel(rules, middles), exits: kernel(rules, exits) }
    }

    /// The strongest rules that leave a path over these sets. `None` if not even four distinct
    /// nodes can be had.
    ///
    /// Going from the strongest rule down, each is kept if it can be kept beside those already
    /// kept. So a rule that is dropped could not be kept, and costs no stronger one.
    pub(super) fn strongest(
        destination: &'a Destination,
        guards: &(impl Iterator<Item = &'a Candidate> + Clone),
        middles: &(impl Iterator<Item = &'a Candidate> + Clone),
        exits: &'a [Candidate],
    ) -> Option<Self> {
        let at = |rules| {
            let board = Self::new(rules, destination, middles.clone(), exits);
            guards.clone().any(|guard| board.allows_guard(guard)).then_some(board)
        };
        let all = Rule::DROPPABLE.into_iter().fold(RuleSet::default(), RuleSet::with);
        if let Some(board) = at(all) {
            return Some(board);
        }
        let mut best = at(RuleSet::default())?;
        for rule in Rule::DROPPABLE {
            if let Some(board) = at(best.rules.with(rule)) {
                best = board;
            }
        }
        Some(best)
    }

    /// Whether some middle and exit complete a path that starts at `guard`.
    pub(super) fn allows_guard(&self, guard: &Candidate) -> bool {
        self.rules.fits(Hop::Guard, guard, self.destination)
            && self.middles.iter().any(|middle| self.allows_middle(guard, middle))
    }

    /// Whether `middle` may follow `guard` and some exit completes the path.
    pub(super) fn allows_middle(&self, guard: &Candidate, middle: &Candidate) -> bool {
        self.rules.fits(Hop::Middle, middle, self.destination)
            && self.rules.apart(guard, middle)
            && self.exits.iter().any(|exit| self.allows_exit(guard, middle, exit))
    }

    /// Whether `exit` may end a path that starts with `guard` and `middle`.
    pub(super) fn allows_exit(
        &self,
        guard: &Candidate,
        middle: &Candidate,
        exit: &Candidate,
    ) -> bool {
        self.rules.fits(Hop::Exit, exit, self.destination)
            && self.rules.apart(guard, exit)
            && self.rules.apart(middle, exit)
    }

    /// Whether three given hops keep the rules.
    pub(super) fn allows(&self, hops: [&Candidate; 3]) -> bool {
        let [guard, middle, exit] = hops;
        self.rules.fits(Hop::Guard, guard, self.destination)
            && self.rules.fits(Hop::Middle, middle, self.destination)
            && self.rules.apart(guard, middle)
            && self.allows_exit(guard, middle, exit)
    }
}
