//! Acceptance: when a swarm took a record, by the signature of the member that took it.
//!
//! Clients' clocks are not trusted and public records carry no time of their sender. The member
//! that a client reached stamps the time and the expiry that follows from the lifetime. Specified
//! in 06 mailbox, section 5.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crypto::{self, BadSignature, PublicKey, SecretKey, Signature};
use crate::id::{NetworkId, NodeId};
use crate::identity::AccountId;
use crate::limits::CLOCK_WINDOW;
use crate::mailbox::{MessageHash, Namespace};
use crate::time::Timestamp;

const STAMP_LABEL: &str = "enjambre/mailbox-stamp/1";

/// When a record was accepted and until when it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// When the member took it, by the member's clock.
    pub accepted_at: Timestamp,
    /// When it goes, unless the owner says otherwise.
    pub expiry: Timestamp,
    /// The member.
    pub by: NodeId,
    /// Over account (33), namespace (2), hash (32), accepted-at (8), expiry (8), times in ms,
    /// integers little-endian.
    pub signature: Signature,
}

/// The record a stamp is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey {
    /// The mailbox.
    pub account: AccountId,
    /// The drawer.
    pub namespace: Namespace,
    /// The record.
    pub hash: MessageHash,
}

impl RecordKey {
    fn stamp_body(&self, accepted_at: Timestamp, expiry: Timestamp) -> Vec<u8> {
        let mut body = Vec::with_capacity(83);
        body.extend_from_slice(&self.account.to_bytes());
        body.extend_from_slice(&self.namespace.to_le_bytes());
        body.extend_from_slice(self.hash.as_bytes());
        body.extend_from_slice(&accepted_at.as_millis().to_le_bytes());
        body.extend_from_slice(&expiry.as_millis().to_le_bytes());
        body
    }
}

impl Stamp {
    /// Stamps `record` as accepted at `accepted_at`.
    pub fn new(
        member: &SecretKey,
        network: &NetworkId,
        record: &RecordKey,
        accepted_at: Timestamp,
        expiry: Timestamp,
    ) -> Self {
        let signature = member.sign(STAMP_LABEL, network, &record.stamp_body(accepted_at, expiry));
        let by = NodeId::from_bytes(*member.public().as_bytes());
        Self { accepted_at, expiry, by, signature }
    }

    /// Checks the signature of the member that the stamp names. Whether that node is or was a
    /// member of the swarm is the caller's to judge.
    pub fn verify(&self, network: &NetworkId, record: &RecordKey) -> Result<(), BadSignature> {
        let key = PublicKey::from_bytes(*self.by.as_bytes());
        let body = record.stamp_body(self.accepted_at, self.expiry);
        crypto::verify(&key, STAMP_LABEL, network, &body, &self.signature)
    }

    /// The time of this stamp, moved into the window around a member's clock.
    pub fn clamped(&self, now: Timestamp) -> Timestamp {
        let earliest = now.saturating_sub(CLOCK_WINDOW);
        let latest = now.saturating_add(CLOCK_WINDOW);
        self.accepted_at.clamp(earliest, latest)
    }

    /// How long the record is kept.
    pub const fn lifetime(&self) -> Duration {
        self.expiry.saturating_since(self.accepted_at)
    }
}
