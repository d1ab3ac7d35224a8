//! Whole swarms of member machines in virtual time.

#![allow(clippy::unwrap_used)]

mod accounts;
mod clocks;
mod coordinator;
mod crdt;
mod faults;
mod net;
mod order;
mod ranges;
mod shares;
mod swarm;
mod vectors;
