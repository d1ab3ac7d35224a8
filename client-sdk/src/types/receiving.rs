//! How to receive, and what a receiver is given.

use std::path::PathBuf;
use std::time::Duration;

use enjambre_protocol::envelope::MessageId;
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::time::Timestamp;
use serde::Serialize;

/// How long [`ReceiveOptions`] last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveMode {
    /// What waits; if nothing does, up to this long for the first message.
    Once {
        /// How long to wait for the first.
        timeout: Duration,
    },
    /// What waits and what comes, until the future is dropped.
    Follow,
}

/// How to receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveOptions {
    /// How long.
    pub mode: ReceiveMode,
    /// Where to put files of contacts; without it they are named, not fetched. Files of others are
    /// never fetched.
    pub save: Option<PathBuf>,
    /// When files are fetched.
    pub files: FilesCome,
}

/// When files are fetched that are to be saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilesCome {
    /// When everything that waits was shown: nobody waits for a text until a file is there.
    #[default]
    AfterTexts,
    /// Before the message they belong to, which tells where they are.
    WithTheirMessage,
}

/// A file of a received message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceivedFile {
    /// Its name as its sender gave it, made safe.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Where it was saved; none if it was not fetched.
    pub path: Option<PathBuf>,
    /// Why it was not fetched, if there is a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a file of a message that was shown before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FetchedFile {
    /// The message.
    pub message: MessageId,
    /// Its sender.
    pub from: AccountId,
    /// The file.
    pub file: ReceivedFile,
}

/// What a receiver is given, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A message.
    Message(&'a ReceivedMessage),
    /// A file that was saved, or not, after its message.
    File(&'a FetchedFile),
}

/// Why a message of a contact is to be doubted although its signatures hold.
///
/// It is kept and shown, for it may be true: one that was written before its sender took up the
/// account on a new device, and came after. It may as well be the work of a thief of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Warning {
    /// Its device list is below the highest one seen of the contact: the device that wrote it may
    /// have been taken off since.
    #[serde(rename = "older device list")]
    OlderDeviceList,
    /// Its device list or key contradicts those remembered: two histories, of which one is false.
    #[serde(rename = "contact's keys changed")]
    KeysChanged,
}

impl Warning {
    /// What to tell a person.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::OlderDeviceList => {
                "OLDER DEVICE LIST: written on a device that this contact may have given up; do not \
                 trust it before you have asked"
            }
            Self::KeysChanged => {
                "THE KEYS OF THIS CONTACT CHANGED: somebody may be pretending; compare ids with \
                 your contact by another way before you trust it"
            }
        }
    }
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceivedMessage {
    /// The message.
    pub id: MessageId,
    /// Its sender.
    pub from: AccountId,
    /// Why it is to be doubted; to be shown loudly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<Warning>,
    /// The name under which the sender is a contact; none for a stranger.
    pub name: Option<String>,
    /// What it says.
    pub text: String,
    /// Its files.
    pub files: Vec<ReceivedFile>,
    /// When it was written, by the sender's clock.
    pub sent: Timestamp,
    /// When it came, by ours.
    pub received: Timestamp,
}

/// How trustworthy the end of a [`ReceivedMessage`] series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveSummary {
    /// Whether enough members answered to say that nothing else waits.
    pub complete: bool,
    /// Members that answered.
    pub answered: usize,
    /// Members of our swarm.
    pub members: usize,
    /// Records that came and could not be opened.
    pub unreadable: usize,
    /// Those of them that are kept and tried again, since time may mend what is wrong with them;
    /// the others are not asked for again.
    pub kept: usize,
}
