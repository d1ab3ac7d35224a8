//! Every bound of the protocol, in one place, with unit and reason.

use core::time::Duration;

/// Data of one message, bytes. The deployed network's limit, kept so that existing clients fit.
pub const MESSAGE_MAX: usize = 76_800;

/// Sub-requests of one `batch`. The deployed network's limit.
pub const BATCH_MAX: usize = 20;

/// How far a signed time may lie from a member's clock, either way.
pub const CLOCK_WINDOW: Duration = Duration::from_secs(60);

/// Payload of one `retrieve`, bytes: four frames of the largest class and a quarter of what a
/// client may be asked to hold, so that one call cannot occupy a path for long.
pub const RETRIEVE_MAX: usize = 1 << 20;

/// Service nodes of one network. The swarm ring and the directory are sized for a few thousand;
/// a document beyond this is refused before it is decoded.
pub const NODES_MAX: usize = 10_000;

/// Authorities of one network: signatures are checked one by one by every client.
pub const AUTHORITIES_MAX: usize = 31;

/// A signed directory document with its certificate, bytes: 160 a node at [`NODES_MAX`], rounded up.
pub const DIRECTORY_MAX: usize = 4 << 20;

/// A message between authorities, bytes. The largest is a proposal with the reports it is made
/// of: 32 bytes for each new descriptor in each report. What does not fit waits for the next height.
pub const AGREEMENT_MAX: usize = 1 << 20;

/// A node's descriptor, bytes: keys and a handful of addresses.
pub const DESCRIPTOR_MAX: usize = 2048;

/// Addresses in one descriptor: one or two families, a few interfaces.
pub const ADDRESSES_MAX: usize = 4;

/// Ephemeral keys a relay remembers against replay: 16 bytes each, 64 MB before the tree's own
/// overhead. Over the twelve minutes that can come at once this is 5 500 packets a second.
pub const REPLAY_ENTRIES_MAX: usize = 4_000_000;
