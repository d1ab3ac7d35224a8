//! Adversaries as plug-ins: what they watch, what they are shown, and whom they suspect.
//!
//! An adversary tries to learn to whom one user, the target, writes. It names its [`Vantage`] once; round after round it is
//! shown an [`Observation`], which the [`disclosure`](crate::disclosure) engine cuts out of what happened and which holds
//! nothing that this vantage does not cover; whenever asked it answers with a [`Posterior`] over the candidate mailboxes.
//! It knows the system but for who writes to whom: that is its [`Briefing`].
//!
//! Built in are [`Intersection`], [`Statistical`], [`Predecessor`] and [`Matcher`]; `examples/adversary.rs` is one to start from.
//!
//! # Invariants
//!
//! - *Vantage only*: what is not watched is not in an observation, and who watches nothing is shown nothing.
//! - *Sums to one*: a posterior does, also after candidates are ruled out.

mod intersection;
mod matcher;
mod posterior;
mod predecessor;
mod statistical;

use core::fmt::Debug;

pub use intersection::{Intersection, Sets};
pub use matcher::Matcher;
pub use posterior::{PARTNERS_MAX, Posterior};
pub use predecessor::Predecessor;
pub use statistical::{Background, Statistical};

use crate::scenario::Share;

/// Someone who wants to know to whom the target writes.
pub trait Adversary: Debug {
    /// What it watches. It is asked once, before the first round.
    fn vantage(&self) -> Vantage;

    /// It is shown one round, as far as its vantage covers it. Nobody who watches nothing is shown anything.
    fn observe(&mut self, seen: &Observation<'_>);

    /// How likely each candidate is whom the target writes to, given all that was observed.
    fn posterior(&self) -> Posterior;
}

/// What an adversary knows before it looks: the system, but not who writes to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Briefing {
    /// Mailboxes that the target may write to, numbered from 0.
    pub candidates: u32,
    /// How many of them it does write to, each equally often.
    pub partners: u32,
    /// Messages of a round in which the target sends, its own included.
    pub batch: u32,
    /// Share of rounds in which the target has a message.
    pub sends: Share,
    /// Share of the other rounds in which it sends a dummy to a random mailbox.
    pub cover: Share,
}

impl Briefing {
    /// The share of the rounds in which the target is seen to send that hold a message of its own, not a dummy.
    pub fn genuine(&self, sends: Sends) -> f64 {
        let share = |share: Share| share.parts() as f64 / Share::WHOLE as f64;
        let (message, cover) = (share(self.sends), share(self.cover));
        match sends {
            Sends::Receipts => 1.0,
            Sends::Copies if message <= 0.0 => 0.0,
            Sends::Copies => message / (message + (1.0 - message) * cover),
        }
    }
}

/// What an adversary watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vantage {
    /// The target's own swarm, in which it shows when the target sends.
    pub sends: Option<Sends>,
    /// Mailboxes, at which stores show.
    pub stores: Stores,
    /// Who is online.
    pub presence: bool,
    /// Nodes that serve as first and last of paths.
    pub ends: Option<Ends>,
    /// A program that tells which of the watched stores might be the target's, in rounds in which it is seen to send.
    pub matching: Option<Matching>,
}

impl Vantage {
    /// Nothing is watched.
    pub const NOTHING: Self =
        Self { sends: None, stores: Stores::None, presence: false, ends: None, matching: None };
}

/// By what a member of the target's swarm tells that the target sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    /// The copy that a client leaves in its own mailbox for its other devices: of dummies as of messages.
    Copies,
    /// The receipt that comes back from whoever reads: of messages only, as nobody reads a dummy.
    Receipts,
}

/// Whose stores are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stores {
    /// Nobody's.
    None,
    /// Those of all mailboxes.
    All,
    /// Those of the mailboxes in some swarms: the target's, and others that are drawn.
    Swarms {
        /// Swarms that mailboxes are spread over.
        swarms: u32,
        /// Share of the others with a member that works for the adversary.
        seen: Share,
    },
}

/// Nodes that the target's paths begin and end at, anew each round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Nodes of the network.
    pub nodes: u32,
    /// How many of them work for the adversary.
    pub malicious: u32,
    /// How the two ends are drawn.
    pub draw: Draw,
}

/// How the two ends of a path are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Without regard to each other: one node can be both.
    Independent,
    /// As two different nodes.
    Distinct,
}

/// How well flows are matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matching {
    /// Probability that the target's own flow is declared a match.
    pub tpr: Share,
    /// Probability that another flow is.
    pub fpr: Share,
}

/// One round, as far as a vantage covers it. What is not watched is `None`, or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation<'a> {
    /// Its number, from 0.
    pub round: u32,
    /// Whether the target was seen to send.
    pub sent: Option<bool>,
    /// What was stored.
    pub stores: Option<Stored<'a>>,
    /// Candidates that were online, ascending.
    pub online: Option<&'a [u32]>,
    /// Where a message of the target went whose path began and ended at the adversary's nodes.
    pub followed: Option<u32>,
    /// Candidates that left for good before this round, of those that are watched; ascending.
    pub gone: &'a [u32],
}

/// Stores at watched mailboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The mailbox of each message, ascending.
    pub mailboxes: &'a [u32],
    /// Those of them that are declared to be the target's, ascending; empty without a matching.
    pub declared: &'a [u32],
    /// Of each candidate: whether its mailbox is watched.
    pub watched: &'a [bool],
}
