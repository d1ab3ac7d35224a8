//! The types that the Malachite driver asks of its user, over ours.

use core::fmt;

use arc_malachitebft_core_types as malachite;
use malachite::{LinearTimeouts, NilOrVal, Round, SignedExtension, VoteType, VotingPower};

use crate::crypto::{PublicKey, Secret, Signature};
use crate::directory::ValueId;
use crate::id;

/// Which types the driver runs over, and who proposes in which round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context;

/// An authority's place in the genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u8);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl malachite::Address for Place {}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Height(pub(super) u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl malachite::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

/// The driver handles values by their ids only; lists and documents stay on our side of the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value(pub(super) ValueId);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.digest().short())
    }
}

impl malachite::Value for Value {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) height: Height,
    pub(super) round: Round,
    pub(super) value: Value,
    pub(super) pol_round: Round,
    pub(super) proposer: Place,
}

impl malachite::Proposal<Context> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Place {
        &self.proposer
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vote {
    pub(super) height: Height,
    pub(super) round: Round,
    pub(super) value: NilOrVal<Value>,
    pub(super) kind: VoteType,
    pub(super) voter: Place,
}

impl malachite::Vote<Context> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<Value> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<Value> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Place {
        &self.voter
    }

    fn extension(&self) -> Option<&SignedExtension<Context>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Context>> {
        None
    }

    fn extend(self, _: SignedExtension<Context>) -> Self {
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) place: Place,
    pub(super) key: PublicKey,
}

impl malachite::Validator<Context> for Authority {
    fn address(&self) -> &Place {
        &self.place
    }

    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn voting_power(&self) -> VotingPower {
        1
    }
}

/// The authorities in the order of the genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorities(pub(super) Vec<Authority>);

impl malachite::ValidatorSet<Context> for Authorities {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.0.len() as u64
    }

    fn get_by_address(&self, place: &Place) -> Option<&Authority> {
        self.0.get(usize::from(place.0))
    }

    fn get_by_index(&self, index: usize) -> Option<&Authority> {
        self.0.get(index)
    }
}

/// Values are not cut into parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoPart;

impl malachite::ProposalPart<Context> for NoPart {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}

/// Names the types; signing and checking are done before the driver sees anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ed25519;

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], id::IdError> {
    let error = id::IdError::Length { expected: 2 * N, found: 2 * bytes.len() };
    bytes.try_into().map_err(|_| error)
}

impl malachite::SigningScheme for Ed25519 {
    type DecodingError = id::IdError;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = Secret<32>;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, id::IdError> {
        fixed(bytes).map(Signature::from_bytes)
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.as_bytes().to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, id::IdError> {
        fixed(bytes).map(PublicKey::from_bytes)
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.as_bytes().to_vec()
    }
}

impl malachite::Context for Context {
    type Address = Place;
    type Height = Height;
    type ProposalPart = NoPart;
    type Proposal = Proposal;
    type Validator = Authority;
    type ValidatorSet = Authorities;
    type Timeouts = LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(
        &self,
        authorities: &'a Authorities,
        height: Height,
        round: Round,
    ) -> &'a Authority {
        let place = super::proposer(authorities.0.len(), height.0, round.as_u32().unwrap_or(0));
        &authorities.0[usize::from(place)]
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: Value,
        pol_round: Round,
        proposer: Place,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, proposer }
    }

    fn new_prevote(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<Value>,
        voter: Place,
    ) -> Vote {
        Vote { height, round, value, kind: VoteType::Prevote, voter }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<Value>,
        voter: Place,
    ) -> Vote {
        Vote { height, round, value, kind: VoteType::Precommit, voter }
    }
}
