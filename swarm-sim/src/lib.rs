//! A simulator of Enjambre networks, for choosing parameters and measuring what they cost.
//!
//! It runs the protocol's own code (the swarm map, path selection, onion packets) over networks
//! that are described by a [`scenario`] file. The engines: [`churn`] computes one directory step after the other while nodes
//! come and go; [`swarms`] finds how probable rare events are on maps of swarms; [`paths`] follows clients' guards and paths
//! over months; [`onion`] sends real packets through real nodes in virtual time; [`mixes`] and [`disclosure`] show messages
//! to an adversary who wants to know which is which, and who writes to whom (an [`adversary`] is a plug-in).
//!
//! A run has replicates that share nothing but the scenario; they run on as many threads as wanted, and their results and
//! digests are merged in their order.
//!
//! A [`sweep`](mod@sweep) runs a scenario at every point of a grid, over threads and machines.
//!
//! Beside them stands [`theory`]: metrics that have a closed form, each with a Monte Carlo estimate
//! of the same quantity, and a check of one against the other.
//!
//! Not here: mailboxes and directory voting. The crate depends on the protocol crate only.
//!
//! # Invariants
//!
//! - *Repeatable*: a run is a function of scenario, seed and number of replicates. Neither the
//!   number of threads nor the order in which they finish shows in its results or its digest.
//! - *Own streams*: each entity draws from random streams of its own, so adding one shifts no
//!   other's draws.
//! - *Whole numbers*: virtual time is in nanoseconds; events are ordered by time, kind, source and
//!   the source's own counter.
#![forbid(unsafe_code)]

pub mod adversary;
pub mod alias;
pub mod churn;
pub mod compare;
pub mod decimal;
pub mod disclosure;
pub mod explain;
pub mod html;
pub mod metric;
pub mod mixes;
pub mod net;
pub mod onion;
pub mod output;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod paths;
pub mod population;
pub mod queue;
pub mod results;
pub mod run;
pub mod scenario;
pub mod special;
pub mod stats;
pub mod stream;
pub mod swarms;
pub mod sweep;
pub mod theory;
pub mod trace;
