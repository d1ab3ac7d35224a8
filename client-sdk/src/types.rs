//! What the SDK is asked for and what it answers: requests, reports, and the states of a message.
//!
//! Reports serialise to the JSON that the command prints; their field names are a contract. Times
//! are milliseconds since 1970, ids are hex strings.

mod receiving;

use std::path::PathBuf;

use enjambre_protocol::envelope::MessageId;
use enjambre_protocol::id::{NetworkId, NodeId, SwarmId};
use enjambre_protocol::identity::{AccountId, RecoveryPhrase};
use enjambre_protocol::time::Timestamp;
use serde::Serialize;

use crate::error::ErrorKind;

pub use receiving::{
    FetchedFile, FilesCome, ReceiveMode, ReceiveOptions, ReceiveSummary, Received, ReceivedFile,
    ReceivedMessage, Warning,
};

/// Where to open a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The home directory. Made if it is not there.
    pub home: PathBuf,
    /// A `network.toml`, for a home that has not joined a network. Must be that of a home that has.
    pub network: Option<PathBuf>,
}

/// How far an outgoing message came. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Kept here, not under way; the reason says why.
    Queued,
    /// Handed to a path; no majority has confirmed it yet.
    OnItsWay,
    /// A majority of the recipient's swarm has it on disk.
    Stored,
    /// A device of the recipient opened it.
    Received,
    /// The recipient saw it.
    Read,
    /// It expired before a majority had it. Not reached from [`Self::Stored`] on.
    Failed,
}

/// A [`DeliveryState`] with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutgoingState {
    /// Kept here.
    Queued {
        /// Why it does not leave.
        reason: String,
    },
    /// Handed to a path.
    OnItsWay,
    /// On disk in the swarm.
    Stored {
        /// Members that signed a receipt.
        copies: u32,
        /// Members of the swarm.
        members: u32,
    },
    /// Opened by a device of the recipient.
    Received,
    /// Seen by the recipient.
    Read,
    /// Expired before it was stored.
    Failed {
        /// Why it never left.
        reason: String,
    },
}

impl OutgoingState {
    /// The state alone.
    pub const fn state(&self) -> DeliveryState {
        match self {
            Self::Queued { .. } => DeliveryState::Queued,
            Self::OnItsWay => DeliveryState::OnItsWay,
            Self::Stored { .. } => DeliveryState::Stored,
            Self::Received => DeliveryState::Received,
            Self::Read => DeliveryState::Read,
            Self::Failed { .. } => DeliveryState::Failed,
        }
    }

    /// The reason, where the state has one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Queued { reason } | Self::Failed { reason } => Some(reason),
            Self::OnItsWay | Self::Stored { .. } | Self::Received | Self::Read => None,
        }
    }

    /// Whether `next` may follow: forwards only, but between queued and on its way both ways, and
    /// stored again when more members confirm it.
    pub fn may_become(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Failed { .. }, _) => false,
            (Self::Queued { .. } | Self::OnItsWay, _) => true,
            (Self::Stored { copies: before, .. }, Self::Stored { copies, .. }) => copies > before,
            (_, Self::Failed { .. }) => false,
            _ => next.state() > self.state(),
        }
    }
}

/// Up to which state a sender waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitFor {
    /// Until a majority of the recipient's swarm has it on disk.
    #[default]
    Stored,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendRequest {
    /// A contact's name, or an account id.
    pub to: String,
    /// Words, if any.
    pub text: Option<String>,
    /// Files, if any.
    pub files: Vec<PathBuf>,
    /// Up to which state to wait.
    pub wait: WaitFor,
}

/// What became of a message by the time the sender stopped waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SendReport {
    /// The message.
    pub id: MessageId,
    /// How far it came.
    pub state: DeliveryState,
    /// Why it came no further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What kind of error the last try ended in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_kind: Option<ErrorKind>,
    /// Members that have it on disk.
    pub copies: u32,
    /// Members of the recipient's swarm.
    pub members: u32,
    /// The recipient's swarm.
    pub swarm: Option<SwarmId>,
    /// The path without its guard: middle, exit, destination.
    pub hops: Vec<NodeId>,
    /// The guard, for who debugs a path; the command shows it on demand only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<NodeId>,
    /// The path rules that no draw could satisfy, by name.
    pub relaxed: Vec<String>,
    /// From the request to the report, milliseconds.
    pub ms: u64,
}

/// An account just made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// The words to write down; the SDK does not show them again.
    pub phrase: RecoveryPhrase,
}

/// An account that was brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Its id.
    pub id: AccountId,
    /// Whether its swarm had keys of it. Where it had none, the account was away for longer than they
    /// are kept, or the words are those of another.
    pub was_known: bool,
}

/// The account of a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountInfo {
    /// Its id.
    pub id: AccountId,
    /// The name on its card.
    pub name: Option<String>,
    /// Its contact card as a link.
    pub card: String,
    /// The tag of this device.
    pub device: String,
    /// The network it lives in.
    pub network: NetworkId,
    /// When its keys were published.
    pub published: Option<Timestamp>,
}

/// The network of a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkInfo {
    /// Its id.
    pub network: NetworkId,
    /// Its authorities.
    pub authority_count: usize,
    /// How many of them must sign a document.
    pub threshold: usize,
}

/// A contact as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContactInfo {
    /// The contact.
    pub id: AccountId,
    /// The name it is listed under.
    pub name: Option<String>,
    /// When it was added.
    pub added: Timestamp,
}

/// One step of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateChange {
    /// The state reached.
    pub state: DeliveryState,
    /// When.
    pub at: Timestamp,
    /// Why, where the state has a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An outgoing message and its states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessageStatus {
    /// The message.
    pub id: MessageId,
    /// Its recipient.
    pub to: AccountId,
    /// How far it came.
    pub state: DeliveryState,
    /// Why it came no further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Members that have it on disk.
    pub copies: u32,
    /// Members of the recipient's swarm.
    pub members: u32,
    /// The recipient's swarm.
    pub swarm: Option<SwarmId>,
    /// Tries so far, a count.
    pub attempts: u32,
    /// When it is tried again.
    pub next_try: Option<Timestamp>,
    /// Every state so far, oldest first.
    pub history: Vec<StateChange>,
}

/// What a home knows without asking the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HomeStatus {
    /// Its account.
    pub account: Option<AccountId>,
    /// When the account's keys were published.
    pub published: Option<Timestamp>,
    /// Its network.
    pub network: Option<NetworkId>,
    /// The newest directory it has.
    pub directory: Option<DirectoryStatus>,
    /// The swarm that keeps the account's mailbox, by that directory.
    pub swarm: Option<SwarmStatus>,
    /// What its paths are drawn from; none before the first.
    pub paths: Option<PathsStatus>,
    /// Its contacts.
    pub contact_count: u64,
    /// Messages that wait to be stored.
    pub outgoing_count: u64,
    /// Messages received and not shown yet.
    pub unread_count: u64,
    /// Files of contacts that were not fetched yet.
    pub file_count: u64,
    /// Files of others, which are not fetched before their senders are contacts.
    pub stranger_file_count: u64,
}

/// A directory document as a home holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DirectoryStatus {
    /// Its height.
    pub height: u64,
    /// When the authorities made it.
    pub time: Timestamp,
    /// Its age, milliseconds.
    pub age_ms: u64,
    /// Whether it may be used if no newer one can be had.
    pub usable: bool,
    /// Nodes that it lists.
    pub node_count: usize,
}

/// The swarm of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SwarmStatus {
    /// The swarm.
    pub id: SwarmId,
    /// Its members.
    pub member_count: usize,
}

/// What a home's paths are drawn from. Whoever reads it knows the guards: it is the user's own to
/// see, and nobody else's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PathsStatus {
    /// The height of the document that relays are drawn from.
    pub anchor_height: Option<u64>,
    /// Relays that it lists.
    pub relay_count: usize,
    /// The guards, in their order: paths begin at the first that answer.
    pub guards: Vec<LongHop>,
    /// The second layer.
    pub middles: Vec<LongHop>,
}

/// A node that was chosen to be used for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LongHop {
    /// The node.
    pub node: NodeId,
    /// When it was chosen.
    pub since: Timestamp,
    /// When it is replaced, whatever happens.
    pub expires: Timestamp,
    /// Whether the directory lists it at present.
    pub listed: bool,
    /// Whether it did not answer when it was last called, minutes ago: paths go round it.
    pub silent: bool,
}

/// The answer to `status`, with an id and without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum StatusReport {
    /// Of one message.
    Message(MessageStatus),
    /// Of the home.
    Home(HomeStatus),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [OutgoingState; 6] {
        let reason = || "no keys yet".to_owned();
        [
            OutgoingState::Queued { reason: reason() },
            OutgoingState::OnItsWay,
            OutgoingState::Stored { copies: 4, members: 6 },
            OutgoingState::Received,
            OutgoingState::Read,
            OutgoingState::Failed { reason: reason() },
        ]
    }

    #[test]
    fn stored_is_never_unsaid() {
        for before in &all()[2..5] {
            for next in [&all()[0], &all()[1], &all()[5]] {
                assert!(!before.may_become(next), "{before:?} to {next:?}");
            }
        }
    }

    #[test]
    fn failed_is_final_and_waiting_is_not() {
        let [queued, on_its_way, .., failed] = all();
        assert!(all().iter().all(|next| !failed.may_become(next)));
        assert!(all().iter().all(|next| queued.may_become(next) && on_its_way.may_become(next)));
    }

    #[test]
    fn copies_only_grow() {
        let stored = |copies| OutgoingState::Stored { copies, members: 6 };
        assert!(stored(4).may_become(&stored(5)));
        assert!(!stored(4).may_become(&stored(4)));
        assert!(!stored(4).may_become(&stored(3)));
    }
}
