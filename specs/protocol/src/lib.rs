//! Enjambre's protocol, without I/O.
//!
//! Everything that nodes, clients and the simulator must agree on: identities, the directory,
//! swarms, onion packets and paths, mailboxes, end-to-end envelopes. Time, randomness, disk and
//! network are inputs. What has no state is a pure function; what has state is a machine that is
//! told what happened by `handle_*` and says what to do by `poll_*`. The same code runs under
//! tokio in a node, in virtual time in the simulator, and in a property test.
//!
//! Not here: sockets (`enjambre-link`), the database (`enjambre-node`), the ratchet and the local
//! store of a client (`enjambre-sdk`). The chapters of `specs/` say in prose what this crate says
//! in code; each module names its chapter.
#![forbid(unsafe_code)]

pub mod crypto;
pub mod directory;
pub mod envelope;
pub mod id;
pub mod identity;
pub mod limits;
pub mod link;
pub mod mailbox;
pub mod onion;
pub mod path;
pub mod retry;
pub mod service;
pub mod swarm;
pub mod time;
pub mod wire;

pub use retry::Retry;
