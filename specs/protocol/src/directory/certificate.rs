//! What makes a document valid: the signatures of k authorities over its value id.

use serde::{Deserialize, Serialize};

use crate::crypto::{self, PublicKey, SecretKey, Signature, Signed};
use crate::directory::{Document, DocumentError, Genesis};
use crate::id::{AuthorityId, Digest, NetworkId};
use crate::wire;

const VALUE_LABEL: &str = "enjambre/value/1";
const LIST_LABEL: &str = "enjambre/report-list/1";
const VOTE_LABEL: &str = "enjambre/precommit/1";

/// What the authorities vote on: binds network, height, predecessor, document and report list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueId(Digest);

impl ValueId {
    /// The value id of a decided height.
    pub fn new(
        network: &NetworkId,
        height: u64,
        previous: &Digest,
        document: &Digest,
        list: &Digest,
    ) -> Self {
        Self(crypto::digest(
            VALUE_LABEL,
            &[
                network.as_bytes(),
                &height.to_le_bytes(),
                previous.as_bytes(),
                document.as_bytes(),
                list.as_bytes(),
            ],
        ))
    }

    /// The digest itself.
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

/// The digest of a decided list of signed reports, in the order of the list.
pub fn list_digest(reports: &[Signed]) -> Digest {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(2 * reports.len());
    for report in reports {
        parts.push(&report.bytes);
        parts.push(report.signature.as_bytes());
    }
    crypto::digest(LIST_LABEL, &parts)
}

/// The final vote of an authority for one value in one round of one height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrecommitVote {
    /// The height.
    pub height: u64,
    /// The round of that height.
    pub round: u32,
    /// The value voted for.
    pub value: ValueId,
}

impl PrecommitVote {
    /// Signs the vote.
    pub fn sign(&self, key: &SecretKey, network: &NetworkId) -> Signature {
        key.sign(VOTE_LABEL, network, &wire::encode(self))
    }

    /// Checks an authority's signature over the vote.
    pub fn verify(
        &self,
        author: &AuthorityId,
        network: &NetworkId,
        signature: &Signature,
    ) -> Result<(), crypto::BadSignature> {
        let key = PublicKey::from_bytes(*author.as_bytes());
        crypto::verify(&key, VOTE_LABEL, network, &wire::encode(self), signature)
    }
}

/// One authority's signature in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateEntry {
    /// The authority's place in the genesis.
    pub authority: u8,
    /// Its signature over the [`PrecommitVote`].
    pub signature: Signature,
}

/// The commit certificate of one height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The round in which the height was decided.
    pub round: u32,
    /// The digest of the decided report list.
    pub list: Digest,
    /// The signatures, ascending by authority.
    pub signatures: Vec<CertificateEntry>,
}

impl Certificate {
    /// Collects signatures; the caller verified them.
    pub fn new(
        round: u32,
        list: Digest,
        signatures: impl IntoIterator<Item = (u8, Signature)>,
    ) -> Self {
        let mut signatures: Vec<_> = signatures
            .into_iter()
            .map(|(authority, signature)| CertificateEntry { authority, signature })
            .collect();
        signatures.sort_by_key(|entry| entry.authority);
        signatures.dedup_by_key(|entry| entry.authority);
        Self { round, list, signatures }
    }
}

/// A document's bytes with the certificate, as it travels and rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedDocument {
    /// The document's bytes, as they were signed.
    pub document: Vec<u8>,
    /// The signatures.
    pub certificate: Certificate,
}

/// Why a signed document is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Not a document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Made for another network.
    #[error("the document belongs to network {found}")]
    Network {
        /// The network it names.
        found: NetworkId,
    },
    /// Fewer signatures than the threshold.
    #[error("{found} signatures where {needed} are needed")]
    Signatures {
        /// Signatures in the certificate.
        found: usize,
        /// The threshold.
        needed: usize,
    },
    /// The signatures are not in ascending order of their authorities, or one comes twice.
    #[error("the signatures are not in ascending order of the authorities")]
    Order,
    /// A signature does not hold, or is of no authority of the genesis.
    #[error("the signature of authority {authority} does not hold")]
    Signature {
        /// The place in the genesis that it names.
        authority: u8,
    },
}

/// A document that k authorities signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDocument {
    document: Document,
    digest: Digest,
    signed: SignedDocument,
}

impl SignedDocument {
    /// Checks everything that the document and the genesis alone allow.
    pub fn verify(self, genesis: &Genesis) -> Result<VerifiedDocument, VerifyError> {
        let network = genesis.network();
        let document = Document::decode(&self.document)?;
        if document.network != network {
            return Err(VerifyError::Network { found: document.network });
        }
        let digest = Document::digest(&self.document);
        let value = ValueId::new(
            &network,
            document.height,
            &document.previous,
            &digest,
            &self.certificate.list,
        );
        let vote = PrecommitVote { height: document.height, round: self.certificate.round, value };
        self.certificate.check(genesis, &vote)?;
        Ok(VerifiedDocument { document, digest, signed: self })
    }
}

impl Certificate {
    /// At least k authorities of the genesis, in ascending order, and each signature holds: nothing
    /// stands in a certificate unread, to be passed on by all who believe the rest.
    fn check(&self, genesis: &Genesis, vote: &PrecommitVote) -> Result<(), VerifyError> {
        let needed = genesis.threshold();
        let found = self.signatures.len();
        if found < needed {
            return Err(VerifyError::Signatures { found, needed });
        }
        if !self.signatures.is_sorted_by(|a, b| a.authority < b.authority) {
            return Err(VerifyError::Order);
        }
        let network = genesis.network();
        for CertificateEntry { authority, signature } in &self.signatures {
            let author = genesis.authorities.get(usize::from(*authority));
            author
                .filter(|author| vote.verify(&author.id, &network, signature).is_ok())
                .ok_or(VerifyError::Signature { authority: *authority })?;
        }
        Ok(())
    }
}

impl VerifiedDocument {
    /// The document.
    pub const fn document(&self) -> &Document {
        &self.document
    }

    /// The digest of its bytes.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The bytes and certificate to pass on.
    pub const fn signed(&self) -> &SignedDocument {
        &self.signed
    }
}
