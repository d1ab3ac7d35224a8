//! What one authority contributes to a height.

use serde::{Deserialize, Serialize};

use crate::crypto::{BadSignature, PublicKey, SecretKey, Signed};
use crate::directory::Genesis;
use crate::id::{AuthorityId, Digest, NetworkId};
use crate::limits::NODES_MAX;
use crate::time::Timestamp;
use crate::wire;

const LABEL: &str = "enjambre/report/1";

/// Bytes of one encoded report: a digest for every node there may be, and the fixed fields.
const REPORT_MAX: usize = NODES_MAX * Digest::LEN + 1024;

/// Why bytes are not an acceptable report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Not a report.
    #[error(transparent)]
    Decode(#[from] wire::DecodeError),
    /// Not signed by the authority it names.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// Its author is no authority of this network.
    #[error("{author} is no authority of this network")]
    Stranger {
        /// Who signed it.
        author: AuthorityId,
    },
    /// Too many descriptors, or not in ascending order.
    #[error("the descriptor list is too long or out of order")]
    Descriptors,
}

/// One authority's signed contribution to one height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who reports.
    pub author: AuthorityId,
    /// The height it is for.
    pub height: u64,
    /// The digest of the document before.
    pub previous: Digest,
    /// The author's clock.
    pub time: Timestamp,
    /// A fresh random value: the beacon is the digest of the previous one and of these.
    pub share: [u8; 32],
    /// The descriptors the author accepts that differ from the document before, by digest,
    /// ascending.
    pub descriptors: Vec<Digest>,
}

impl Report {
    /// Signs the report.
    pub fn sign(&self, key: &SecretKey, network: &NetworkId) -> Signed {
        Signed::new(key, LABEL, network, wire::encode(self))
    }

    /// Reads a report without checking whose it is.
    pub(super) fn peek(signed: &Signed) -> Result<Self, wire::DecodeError> {
        wire::decode(&signed.bytes, REPORT_MAX)
    }

    /// Checks received bytes: encoding, author, signature, bounds.
    pub fn verify(signed: &Signed, genesis: &Genesis) -> Result<Self, ReportError> {
        let report: Self = wire::decode(&signed.bytes, REPORT_MAX)?;
        if genesis.index(&report.author).is_none() {
            return Err(ReportError::Stranger { author: report.author });
        }
        let key = PublicKey::from_bytes(*report.author.as_bytes());
        signed.verify(&key, LABEL, &genesis.network())?;
        let ascending = report.descriptors.windows(2).all(|pair| pair[0] < pair[1]);
        if report.descriptors.len() > NODES_MAX || !ascending {
            return Err(ReportError::Descriptors);
        }
        Ok(report)
    }
}
