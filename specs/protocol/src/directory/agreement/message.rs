//! What authorities say to each other, and under which labels they sign it.

use serde::{Deserialize, Serialize};

use crate::crypto::{self, BadSignature, PublicKey, SecretKey, Signature, Signed};
use crate::directory::{CertificateEntry, Genesis, PrecommitVote, ValueId};
use crate::id::{AuthorityId, Digest, NetworkId};
use crate::limits::AGREEMENT_MAX;
use crate::wire;

const PREVOTE_LABEL: &str = "enjambre/prevote/1";
const NIL_LABEL: &str = "enjambre/precommit-nil/1";
const PROPOSAL_LABEL: &str = "enjambre/proposal/1";

/// Bytes of a proposal's signed head: two digests, three numbers.
const HEAD_MAX: usize = 128;

/// The first or the second vote of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VoteKind {
    /// "This proposal is acceptable to me."
    Prevote,
    /// "k authorities find it acceptable": final when k say so.
    Precommit,
}

/// A vote for a value, or for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Vote {
    /// The height.
    pub height: u64,
    /// The round of that height.
    pub round: u32,
    /// Which of the two votes.
    pub kind: VoteKind,
    /// The value; `None` is a vote to go on to the next round.
    pub value: Option<ValueId>,
}

impl Vote {
    /// Signs the vote. A precommit for a value is signed as a [`PrecommitVote`], so that k of them
    /// are the document's certificate.
    pub fn sign(&self, key: &SecretKey, network: &NetworkId) -> Signature {
        match self.precommit() {
            Some(precommit) => precommit.sign(key, network),
            None => key.sign(self.label(), network, &self.body()),
        }
    }

    /// Checks an authority's signature over the vote.
    pub fn verify(
        &self,
        author: &AuthorityId,
        network: &NetworkId,
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        if let Some(precommit) = self.precommit() {
            return precommit.verify(author, network, signature);
        }
        let key = PublicKey::from_bytes(*author.as_bytes());
        crypto::verify(&key, self.label(), network, &self.body(), signature)
    }

    fn precommit(&self) -> Option<PrecommitVote> {
        match (self.kind, self.value) {
            (VoteKind::Precommit, Some(value)) => {
                Some(PrecommitVote { height: self.height, round: self.round, value })
            }
            (VoteKind::Prevote, _) | (VoteKind::Precommit, None) => None,
        }
    }

    const fn label(&self) -> &'static str {
        match self.kind {
            VoteKind::Prevote => PREVOTE_LABEL,
            VoteKind::Precommit => NIL_LABEL,
        }
    }

    fn body(&self) -> Vec<u8> {
        match self.kind {
            VoteKind::Prevote => wire::encode(&(self.height, self.round, self.value)),
            VoteKind::Precommit => wire::encode(&(self.height, self.round)),
        }
    }
}

/// A vote with its author's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedVote {
    /// The author's place in the genesis.
    pub author: u8,
    /// The vote.
    pub vote: Vote,
    /// The signature; see [`Vote::sign`].
    pub signature: Signature,
}

impl SignedVote {
    /// Checks author and signature.
    pub(super) fn verify(
        &self,
        genesis: &Genesis,
        network: &NetworkId,
    ) -> Result<(), BadSignature> {
        let author = genesis.authorities.get(usize::from(self.author)).ok_or(BadSignature)?;
        self.vote.verify(&author.id, network, &self.signature)
    }
}

/// k prevotes for one value in one round: the reason to vote for what was locked elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Polka {
    /// The height.
    pub height: u64,
    /// The round in which they were cast.
    pub round: u32,
    /// The value.
    pub value: ValueId,
    /// The signatures, ascending by authority.
    pub signatures: Vec<CertificateEntry>,
}

impl Polka {
    pub(super) fn new(
        height: u64,
        round: u32,
        value: ValueId,
        signatures: impl IntoIterator<Item = (u8, Signature)>,
    ) -> Self {
        let mut signatures: Vec<_> = signatures
            .into_iter()
            .map(|(authority, signature)| CertificateEntry { authority, signature })
            .collect();
        signatures.sort_by_key(|entry| entry.authority);
        Self { height, round, value, signatures }
    }

    /// Checks that k different authorities signed, and nothing else is in it.
    pub(super) fn verify(
        &self,
        genesis: &Genesis,
        network: &NetworkId,
    ) -> Result<(), BadSignature> {
        let ascending =
            self.signatures.windows(2).all(|pair| pair[0].authority < pair[1].authority);
        if !ascending || self.signatures.len() < genesis.threshold() {
            return Err(BadSignature);
        }
        let (height, round) = (self.height, self.round);
        let vote = Vote { height, round, kind: VoteKind::Prevote, value: Some(self.value) };
        self.signatures.iter().try_for_each(|&CertificateEntry { authority, signature }| {
            SignedVote { author: authority, vote, signature }.verify(genesis, network)
        })
    }
}

/// What a proposer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalHead {
    /// The height.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The value.
    pub value: ValueId,
    /// The digest of the report list, so that the list can be checked before the value is derived.
    pub list: Digest,
    /// The earlier round in which k authorities prevoted this value, if it is proposed again.
    pub earlier: Option<u32>,
}

impl ProposalHead {
    pub(super) fn sign(&self, key: &SecretKey, network: &NetworkId) -> Signed {
        Signed::new(key, PROPOSAL_LABEL, network, wire::encode(self))
    }

    pub(super) fn read(signed: &Signed) -> Result<Self, wire::DecodeError> {
        wire::decode(&signed.bytes, HEAD_MAX)
    }

    pub(super) fn verify(
        signed: &Signed,
        proposer: &AuthorityId,
        network: &NetworkId,
    ) -> Result<(), BadSignature> {
        signed.verify(&PublicKey::from_bytes(*proposer.as_bytes()), PROPOSAL_LABEL, network)
    }
}

/// A list of reports to decide on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The signed [`ProposalHead`].
    pub head: Signed,
    /// The signed reports.
    pub list: Vec<Signed>,
    /// The prevotes of the earlier round, if the head names one.
    pub polka: Option<Polka>,
}

/// A proposal that the sender of a [`Status`] lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lack {
    /// Its round.
    pub round: u32,
    /// Its value; `None`: any.
    pub value: Option<ValueId>,
}

/// Where an authority stands: sent now and then while a height is undecided, so that lost messages
/// are made good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The height it works on.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The authorities whose reports it has: bit i for place i of the genesis.
    pub reports: u32,
    /// The votes it knows of its round, and those that made it enter that round.
    pub votes: Vec<SignedVote>,
    /// The prevotes for the value it holds valid.
    pub polka: Option<Polka>,
    /// The proposals it lacks.
    pub lacks: Vec<Lack>,
}

/// A message between two authorities. Who sent it is known from the link; what an authority
/// vouches for carries its own signature and may come by way of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgreementMessage {
    /// A signed report.
    Report(Signed),
    /// A proposal.
    Proposal(Proposal),
    /// A vote.
    Vote(SignedVote),
    /// Where the sender stands.
    Status(Status),
    /// "Send me these descriptors."
    Fetch(Vec<Digest>),
    /// Signed descriptors that were asked for.
    Descriptors(Vec<Signed>),
}

impl AgreementMessage {
    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads received bytes, at most [`AGREEMENT_MAX`] of them.
    pub fn decode(bytes: &[u8]) -> Result<Self, wire::DecodeError> {
        wire::decode(bytes, AGREEMENT_MAX)
    }
}
