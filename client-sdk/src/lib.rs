//! Enjambre's client SDK: an account, its contacts and its messages, over the network of swarms.
//!
//! [`Client`] is what apps and the `enjambre` command use. Below it stand the home directory with
//! its lock and key ([`home`]), the encrypted store ([`store`]), the account's keys ([`account`])
//! and QR codes ([`qr`]). Formats and rules are the protocol crate's.
#![forbid(unsafe_code)]

pub mod account;
mod client;
mod deadline;
mod error;
pub mod home;
mod mailbox;
pub mod names;
mod net;
mod online;
#[cfg(feature = "probe")]
pub mod probe;
pub mod qr;
mod receive;
mod send;
mod status;
pub mod store;
mod system;
pub mod types;

pub use client::{Client, DEADLINE, JoinedNetwork};
pub use error::{Error, ErrorKind};
