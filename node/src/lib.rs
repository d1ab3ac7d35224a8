//! The service node and the directory authority of an Enjambre network.
//!
//! The rules are in `enjambre-protocol`; this crate gives them sockets, a database, threads and
//! commands. Chapters 02 to 06 of `specs/` say what a node does.
#![forbid(unsafe_code)]

pub mod authority;
pub mod cli;
pub mod clock;
pub mod config;
pub mod devnet;
pub mod directory;
pub mod family;
pub mod files;
pub mod home;
pub mod http;
pub mod metrics;
pub mod node;
pub mod run;
pub mod sealed_key;
pub mod server;
pub mod sockets;
pub mod store;
