//! What a message says, signed by the device that says it.
//!
//! Until the ratchet comes, a signature stands for the sender: it proves the message to anybody who
//! is shown it (not deniable), which is said in the chapter. Specified in 07 end to end, section 5.

use serde::{Deserialize, Serialize};

use super::file::FileRef;
use crate::crypto::{PublicKey, Signed, digest};
use crate::id::{Digest, NetworkId, byte_id};
use crate::identity::{AccountId, DeviceKeys, DeviceList, DeviceListError};
use crate::retry::Retry;
use crate::time::Timestamp;
use crate::wire::{self, DecodeError};

const LABEL: &str = "enjambre/content/1";
const DIGEST_LABEL: &str = "enjambre/content-digest/1";

/// Bytes of text in one message: what the largest record holds beside a full device list, rounded
/// down.
pub const TEXT_MAX: usize = 60_000;

/// Files named in one message: a screenful.
pub const FILES_MAX: usize = 16;

/// Messages one receipt can name: what waits after a day away, in the smallest record.
pub const RECEIPT_MAX: usize = 32;

byte_id!(
    /// A message, by 16 random bytes: the same in every copy and every retry.
    MessageId, 16
);
byte_id!(
    /// A conversation, by 16 random bytes of whoever began it.
    ConversationId, 16
);

/// Why content is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Not an encoding of content.
    #[error("message content is malformed")]
    Malformed(#[source] DecodeError),
    /// The sender's device list does not hold.
    #[error("sender's device list does not hold")]
    List(#[from] DeviceListError),
    /// It names another device list than the one that came with it.
    #[error("message names another device list than it brings")]
    OtherList,
    /// Its device is not in the sender's list.
    #[error("message is from a device its account does not list")]
    DeviceNotListed,
    /// The device did not sign it, or not for this network.
    #[error("message is not signed by its device")]
    Signature,
    /// It was written to somebody else.
    #[error("message was written to another account")]
    WrongRecipient,
    /// More text than [`TEXT_MAX`].
    #[error("text has {len} bytes, at most {TEXT_MAX} fit")]
    TextTooLong {
        /// Bytes of the text.
        len: usize,
    },
    /// More entries than [`FILES_MAX`] or [`RECEIPT_MAX`], or none.
    #[error("message lists {found} entries, which is not allowed")]
    Entries {
        /// Entries found.
        found: usize,
    },
    /// A file reference against the rules.
    #[error("message names a file against the rules")]
    File,
}

impl ContentError {
    /// The same bytes are refused for ever, but for a list whose age was judged by a clock that
    /// may be wrong.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::List(DeviceListError::Expired) => Retry::Later,
            Self::Malformed(_)
            | Self::List(_)
            | Self::OtherList
            | Self::DeviceNotListed
            | Self::Signature
            | Self::WrongRecipient
            | Self::TextTooLong { .. }
            | Self::Entries { .. }
            | Self::File => Retry::Never,
        }
    }
}

/// How far a message came at its recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiptState {
    /// A device opened it.
    Received,
    /// A person saw it.
    Read,
}

/// What a message is for. New kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Words, files, or both.
    Message {
        /// Text, possibly empty.
        text: String,
        /// Files, possibly none.
        files: Vec<FileRef>,
    },
    /// Word of earlier messages.
    Receipt {
        /// How far they came.
        state: ReceiptState,
        /// Which.
        messages: Vec<MessageId>,
    },
}

impl Kind {
    fn check(&self) -> Result<(), ContentError> {
        match self {
            Self::Message { text, files } => {
                if text.len() > TEXT_MAX {
                    return Err(ContentError::TextTooLong { len: text.len() });
                }
                let found = files.len();
                if found > FILES_MAX || (found == 0 && text.is_empty()) {
                    return Err(ContentError::Entries { found });
                }
                files.iter().all(FileRef::is_valid).then_some(()).ok_or(ContentError::File)
            }
            Self::Receipt { messages, .. } => {
                let found = messages.len();
                let is_fit = (1..=RECEIPT_MAX).contains(&found);
                is_fit.then_some(()).ok_or(ContentError::Entries { found })
            }
        }
    }
}

/// A message before it is sealed and after it was opened.
///
/// The device's list is named by version and digest; [`SignedContent`] brings it along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The message.
    pub id: MessageId,
    /// Whom it is for. Opened by anybody else, it is refused.
    pub recipient: AccountId,
    /// The sending device, by its signing key.
    pub device: PublicKey,
    /// The version of the sender's device list.
    pub list_version: u64,
    /// The digest of that list.
    pub list_digest: Digest,
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// Its number among this device's messages in the conversation, from 0.
    pub counter: u64,
    /// The digest of the message before it in that count; zero for the first.
    pub previous: Digest,
    /// When it was written, by the sender's clock.
    pub sent: Timestamp,
    /// What it says.
    pub kind: Kind,
}

/// Content with the sending device's signature and the list that vouches for the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedContent {
    list: Signed,
    content: Signed,
}

/// Content and the list its sender was checked by.
pub(super) struct CheckedContent {
    pub(super) list: DeviceList,
    pub(super) content: Content,
    pub(super) digest: Digest,
}

impl SignedContent {
    /// Signs `content` with the keys of its device, after the checks its recipient will make.
    pub fn sign(
        device: &DeviceKeys,
        list: &DeviceList,
        network: &NetworkId,
        content: &Content,
    ) -> Result<Self, ContentError> {
        let body = wire::encode(content);
        let signed = Signed::new(device.signer(), LABEL, network, body);
        let signed = Self { list: list.signed().clone(), content: signed };
        signed.check(network, &content.recipient)?;
        Ok(signed)
    }

    /// What the next message of this device names as the one before.
    pub fn digest(&self, network: &NetworkId) -> Digest {
        digest(DIGEST_LABEL, &[network.as_bytes(), &self.content.bytes])
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        wire::decode(bytes, bytes.len()).map_err(ContentError::Malformed)
    }

    /// Checks the whole chain: account key over list, list over device, device over content,
    /// content's own rules and recipient.
    pub(super) fn check(
        &self,
        network: &NetworkId,
        recipient: &AccountId,
    ) -> Result<CheckedContent, ContentError> {
        let list = DeviceList::verify_any(self.list.clone(), network)?;
        let bytes = &self.content.bytes;
        let content: Content = wire::decode(bytes, bytes.len()).map_err(ContentError::Malformed)?;
        if content.list_version != list.version() || content.list_digest != list.digest() {
            return Err(ContentError::OtherList);
        }
        let device = list.device(&content.device).ok_or(ContentError::DeviceNotListed)?;
        self.content.verify(&device.key, LABEL, network).map_err(|_| ContentError::Signature)?;
        if content.recipient != *recipient {
            return Err(ContentError::WrongRecipient);
        }
        content.kind.check()?;
        Ok(CheckedContent { list, content, digest: self.digest(network) })
    }
}
