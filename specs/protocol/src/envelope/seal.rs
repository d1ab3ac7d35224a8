//! Sealing a message for the devices of one account, and opening it.
//!
//! Record: format (1), suite (1), slots, body. Specified in 07 end to end, section 4.

use core::time::Duration;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::content::{CheckedContent, Content, ContentError, SignedContent};
use super::hpke_slot::{self, SLOT_LEN, SLOT_PLAINTEXT, SlotOpener, SlotPlaintext};
use super::padding::{Bucket, HEADER_LEN, LENGTH_LEN};
use crate::crypto::{self, PublicKey, Secret, digest};
use crate::id::{Digest, NetworkId};
use crate::identity::{AccountId, Bundle, BundleError, BundleSecret, DeviceList};
use crate::retry::Retry;
use crate::time::Timestamp;
use crate::wire;

const SLOT_LABEL: &str = "enjambre/envelope-slot/1";
const BODY_LABEL: &str = "enjambre/envelope-body/1";
const BODY_DIGEST_LABEL: &str = "enjambre/envelope-body-digest/1";

/// The first byte of a record.
const FORMAT: u8 = 1;

/// X-Wing, HKDF-SHA256, AES-256-GCM.
const SUITE: u8 = 1;

/// A slot that carries the body key itself. 1 and 2 are kept for the ratchet's two kinds of message.
const MODE_KEY: u8 = 0;

/// Payload in that mode: body key (32), digest of the sealed body (32).
const KEY_PAYLOAD: usize = 64;

/// A message may wait so long in its mailbox, and its sender's list may run out meanwhile.
const WAIT_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Where a record is kept; sealed for one place, it does not open in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The network.
    pub network: NetworkId,
    /// The mailbox's account.
    pub account: AccountId,
    /// The mailbox's namespace.
    pub namespace: i16,
}

impl Address {
    /// What every part of a record is bound to: format, suite, account, namespace.
    fn associated(&self) -> [u8; HEADER_LEN + AccountId::LEN + 2] {
        let mut bytes = [0; HEADER_LEN + AccountId::LEN + 2];
        bytes[..2].copy_from_slice(&[FORMAT, SUITE]);
        bytes[2..35].copy_from_slice(&self.account.to_bytes());
        bytes[35..].copy_from_slice(&self.namespace.to_le_bytes());
        bytes
    }

    /// Label, network, suite, device, generation of its keys.
    fn slot_info(&self, device: &PublicKey, version: u32) -> Vec<u8> {
        let mut info = Vec::with_capacity(SLOT_LABEL.len() + 70);
        info.extend_from_slice(SLOT_LABEL.as_bytes());
        info.extend_from_slice(self.network.as_bytes());
        info.push(SUITE);
        info.extend_from_slice(device.as_bytes());
        info.extend_from_slice(&version.to_le_bytes());
        info
    }

    fn body_cipher(&self, key: &[u8]) -> Aes256Gcm {
        let key = crypto::derive::<32>(BODY_LABEL, key, &[self.network.as_bytes()]);
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.expose()))
    }

    fn body_digest(&self, body: &[u8]) -> Digest {
        digest(BODY_DIGEST_LABEL, &[self.network.as_bytes(), body])
    }
}

/// A body key serves one body, so its nonce is fixed.
const BODY_NONCE: [u8; 12] = [0; 12];

/// Why a message cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No device to seal for, or more than the largest bucket has slots.
    #[error("{found} devices, one record serves 1 to 8: split them over records")]
    Recipients {
        /// Devices given.
        found: usize,
    },
    /// A bundle of another account than the mailbox's, or two of one device.
    #[error("key bundle does not belong to the addressed account")]
    WrongBundle,
    /// A bundle too old or from the future: the message waits for a fresh one.
    #[error("no usable key bundle yet")]
    Bundle(#[from] BundleError),
    /// The content was written to somebody else, or is against the rules.
    #[error("content is refused")]
    Content(#[from] ContentError),
    /// More than the largest bucket carries.
    #[error("message has {len} bytes, which fits no record")]
    TooLong {
        /// Bytes of the signed content.
        len: usize,
    },
    /// A primitive refused its input.
    #[error("sealing failed")]
    Primitive,
}

impl SealError {
    /// Only a bundle can become better by waiting.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Bundle(error) => error.retry(),
            Self::Recipients { .. }
            | Self::WrongBundle
            | Self::Content(_)
            | Self::TooLong { .. }
            | Self::Primitive => Retry::Never,
        }
    }
}

/// Seals `content` for the devices of the addressed account, given by their bundles.
///
/// The bytes are what is stored; every retry sends these same bytes.
pub fn seal(
    rng: &mut impl CryptoRng,
    address: &Address,
    content: &SignedContent,
    recipients: &[Bundle],
    now: Timestamp,
) -> Result<Vec<u8>, SealError> {
    check_recipients(address, recipients, now)?;
    content.check(&address.network, &address.account)?;
    let content = Zeroizing::new(wire::encode(content));
    let len = content.len();
    let bucket = Bucket::fitting(recipients.len(), len).ok_or(SealError::TooLong { len })?;

    let key = Secret::<32>::generate(rng);
    let associated = address.associated();
    let body = seal_body(address, &key, &content, bucket)?;
    let plaintext = key_plaintext(&key, &address.body_digest(&body));

    let mut record = Vec::with_capacity(bucket.data);
    record.extend_from_slice(&[FORMAT, SUITE]);
    for recipient in shuffled(rng, recipients, bucket.slots) {
        let wrapped = match recipient {
            Some(bundle) => {
                let info = address.slot_info(&bundle.device(), bundle.version());
                let plaintext = plaintext.clone();
                hpke_slot::wrap(rng, bundle.kem(), &info, &associated, plaintext, &mut record)
            }
            None => hpke_slot::decoy(rng, &mut record),
        };
        wrapped.map_err(|_| SealError::Primitive)?;
    }
    record.extend_from_slice(&body);
    debug_assert_eq!(record.len(), bucket.data, "a record fills its bucket");
    Ok(record)
}

fn check_recipients(
    address: &Address,
    recipients: &[Bundle],
    now: Timestamp,
) -> Result<(), SealError> {
    let found = recipients.len();
    if found == 0 || Bucket::fitting(found, 0).is_none() {
        return Err(SealError::Recipients { found });
    }
    for (i, bundle) in recipients.iter().enumerate() {
        let is_double = recipients[..i].iter().any(|other| other.device() == bundle.device());
        if is_double || bundle.account() != address.account {
            return Err(SealError::WrongBundle);
        }
        bundle.check_age(now)?;
    }
    Ok(())
}

fn seal_body(
    address: &Address,
    key: &Secret<32>,
    content: &[u8],
    bucket: Bucket,
) -> Result<Vec<u8>, SealError> {
    let len = u32::try_from(content.len()).map_err(|_| SealError::Primitive)?;
    let mut padded = Zeroizing::new(vec![0; LENGTH_LEN + bucket.content_max()]);
    padded[..LENGTH_LEN].copy_from_slice(&len.to_le_bytes());
    padded[LENGTH_LEN..LENGTH_LEN + content.len()].copy_from_slice(content);
    let payload = Payload { msg: &padded, aad: &address.associated() };
    let cipher = address.body_cipher(key.expose());
    cipher.encrypt(&Nonce::from(BODY_NONCE), payload).map_err(|_| SealError::Primitive)
}

fn key_plaintext(key: &Secret<32>, body: &Digest) -> SlotPlaintext {
    let mut plaintext = Zeroizing::new([0; SLOT_PLAINTEXT]);
    plaintext[0] = MODE_KEY;
    plaintext[1] = const { KEY_PAYLOAD.to_le_bytes()[0] };
    plaintext[3..35].copy_from_slice(key.expose());
    plaintext[35..67].copy_from_slice(body.as_bytes());
    plaintext
}

/// The recipients in random slots, so that a slot's place tells nothing of its device.
fn shuffled<'a>(
    rng: &mut impl CryptoRng,
    recipients: &'a [Bundle],
    slots: usize,
) -> Vec<Option<&'a Bundle>> {
    let mut places: Vec<Option<&Bundle>> = recipients.iter().map(Some).collect();
    places.resize(slots, None);
    for i in (1..slots).rev() {
        let bound = i as u64 + 1;
        // 64 bits over at most 8 places: the bias is below 2⁻⁶¹.
        let j = usize::try_from(rng.next_u64() % bound).unwrap_or(0);
        places.swap(i, j);
    }
    places
}

/// Why a record does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No record has this length.
    #[error("not a sealed message: {len} bytes is no size of one")]
    Length {
        /// Bytes of the record.
        len: usize,
    },
    /// A format or suite this build does not speak.
    #[error("sealed message of format {format}, suite {suite}, which is not spoken here")]
    Unspoken {
        /// The format byte.
        format: u8,
        /// The suite byte.
        suite: u8,
    },
    /// No slot opens with these keys at this address: not for this device, its keys are gone, or
    /// the slot was changed.
    #[error("no slot opens with this device's keys")]
    NotForThisDevice,
    /// A slot opens, but carries a mode this build does not speak.
    #[error("message in mode {mode}, which is not spoken here")]
    Mode {
        /// The mode byte.
        mode: u8,
    },
    /// The body was changed, exchanged, or padded against the rules.
    #[error("message body was changed")]
    Body,
    /// The content's checks failed.
    #[error("message content is refused")]
    Content(#[from] ContentError),
}

impl OpenError {
    /// A newer build may speak what this one does not; bytes themselves do not change. Only what
    /// was judged by the clock may open later.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Content(error) => error.retry(),
            Self::Length { .. }
            | Self::Unspoken { .. }
            | Self::NotForThisDevice
            | Self::Mode { .. }
            | Self::Body => Retry::Never,
        }
    }
}

/// One device's keys to open with: the present generation and those before it that still live.
#[derive(Clone, Copy, Debug)]
pub struct DeviceOpener<'a> {
    /// The device, by its signing key.
    pub device: PublicKey,
    /// Its generations of keys, the newest first for speed.
    pub bundles: &'a [BundleSecret],
}

/// A message after all its checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The sender's device list, checked: account, full key and devices. The caller holds it
    /// against the pinned one before anything is shown.
    pub sender: DeviceList,
    /// What was said.
    pub content: Content,
    /// What the sender's next message names as the one before.
    pub digest: Digest,
    /// The generation of this device's keys it was sealed for.
    pub bundle_version: u32,
}

/// Opens a record found at `address`.
pub fn open(
    address: &Address,
    opener: &DeviceOpener<'_>,
    record: &[u8],
    now: Timestamp,
) -> Result<Opened, OpenError> {
    let len = record.len();
    let bucket = Bucket::of_record(len).ok_or(OpenError::Length { len })?;
    let (header, rest) = record.split_at(HEADER_LEN);
    if header != [FORMAT, SUITE] {
        return Err(OpenError::Unspoken { format: header[0], suite: header[1] });
    }
    let (slots, body) = rest.split_at(bucket.slots * SLOT_LEN);
    let (plaintext, bundle_version) =
        find_slot(address, opener, slots).ok_or(OpenError::NotForThisDevice)?;
    let content = open_body(address, &plaintext, body)?;
    let checked = SignedContent::decode(&content)?.check(&address.network, &address.account)?;
    let CheckedContent { list, content, digest } = checked;
    list.check_age(now.saturating_sub(WAIT_MAX)).map_err(ContentError::List)?;
    Ok(Opened { sender: list, content, digest, bundle_version })
}

fn find_slot(
    address: &Address,
    opener: &DeviceOpener<'_>,
    slots: &[u8],
) -> Option<(SlotPlaintext, u32)> {
    let associated = address.associated();
    opener.bundles.iter().find_map(|bundle| {
        let key = SlotOpener::new(&bundle.kem).ok()?;
        let info = address.slot_info(&opener.device, bundle.version);
        let (slots, _) = slots.as_chunks::<SLOT_LEN>();
        let plaintext = slots.iter().find_map(|s| key.unwrap_slot(&info, &associated, s))?;
        Some((plaintext, bundle.version))
    })
}

fn open_body(
    address: &Address,
    plaintext: &SlotPlaintext,
    body: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let [mode, low, high, payload @ ..] = plaintext.as_slice() else {
        return Err(OpenError::Body);
    };
    if *mode != MODE_KEY {
        return Err(OpenError::Mode { mode: *mode });
    }
    let len = usize::from(u16::from_le_bytes([*low, *high]));
    let (payload, unused) = payload.split_at_checked(len).ok_or(OpenError::Body)?;
    if len != KEY_PAYLOAD || unused.iter().any(|byte| *byte != 0) {
        return Err(OpenError::Body);
    }
    let (key, named) = payload.split_at(32);
    if named != address.body_digest(body).as_bytes() {
        return Err(OpenError::Body);
    }
    let payload = Payload { msg: body, aad: &address.associated() };
    let padded = address.body_cipher(key).decrypt(&Nonce::from(BODY_NONCE), payload);
    unpad(Zeroizing::new(padded.map_err(|_| OpenError::Body)?))
}

fn unpad(mut padded: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (len, rest) = padded.split_first_chunk::<LENGTH_LEN>().ok_or(OpenError::Body)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| OpenError::Body)?;
    let padding = rest.get(len..).ok_or(OpenError::Body)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(OpenError::Body);
    }
    padded.truncate(LENGTH_LEN + len);
    padded.drain(..LENGTH_LEN);
    Ok(padded)
}
