//! The wall around Malachite's Tendermint driver: our types outside, its types inside.
//!
//! The driver (`arc-malachitebft-core-driver`, Apache-2.0, no I/O) holds the state of one height:
//! rounds, steps, locked and valid value, tallies. It brings `async-trait`, `bs58`, `bytes`,
//! `derive-where`, `multihash` and `tracing`; none draws randomness or reads a clock. It panics when
//! a caller breaks its rules, so what must hold is checked before it is called: the height is this
//! one, a proposal is by its round's proposer and its earlier round lies before its round.

mod context;

use arc_malachitebft_core_driver::{Driver, Input as DriverInput, Output as DriverOutput};
use arc_malachitebft_core_driver::{Step, ThresholdParams};
use arc_malachitebft_core_types as malachite;
use malachite::{
    NilOrVal, PolkaCertificate, PolkaSignature, Round, SignedMessage, Timeout, TimeoutKind,
    Validity, VoteType,
};
use serde::{Deserialize, Serialize};

use self::context::{Authorities, Authority, Context, Height, Place, Value};
use super::message::{Polka, SignedVote, Vote, VoteKind};
use crate::crypto::{PublicKey, Signature};
use crate::directory::{Genesis, ValueId};

/// Rounds whose votes are kept behind the current one; older ones can matter only through a
/// certificate, which travels whole.
const ROUNDS_KEPT: u32 = 16;

/// The place of the authority that proposes in a round.
pub(super) fn proposer(authorities: usize, height: u64, round: u32) -> u8 {
    let count = u64::try_from(authorities.max(1)).unwrap_or(1);
    u8::try_from(height.wrapping_add(u64::from(round)) % count).unwrap_or(0)
}

/// Which wait of a round has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Wait {
    /// For the proposal.
    Propose,
    /// For more prevotes after k of them disagree.
    Prevote,
    /// For more precommits after k of them disagree.
    Precommit,
}

/// What the driver is told.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// A round begins.
    Round(u32),
    /// Our value for a round in which we propose.
    Value { round: u32, value: ValueId },
    /// A proposal by its round's proposer.
    Proposal { round: u32, value: ValueId, earlier: Option<u32>, signature: Signature, valid: bool },
    /// A checked vote.
    Vote(SignedVote),
    /// A checked certificate of k prevotes.
    Polka(Polka),
    /// A wait is over.
    Timeout { wait: Wait, round: u32 },
}

/// What the driver asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Begin a round.
    Round(u32),
    /// Sign and send a proposal.
    Propose { round: u32, value: ValueId, earlier: Option<u32> },
    /// Sign and send a vote.
    Vote(Vote),
    /// Final.
    Decide { round: u32, value: ValueId },
    /// Tell it when this wait is over.
    Schedule { wait: Wait, round: u32 },
    /// Find a value to propose.
    NeedValue { round: u32 },
}

/// Tendermint for one height.
pub(super) struct Engine {
    driver: Driver<Context>,
    height: u64,
    authorities: usize,
}

impl core::fmt::Debug for Engine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Engine").field("height", &self.height).finish_non_exhaustive()
    }
}

impl Engine {
    pub(super) fn new(genesis: &Genesis, height: u64, me: u8) -> Self {
        let authorities: Vec<Authority> = (0u8..)
            .zip(&genesis.authorities)
            .map(|(place, entry)| Authority {
                place: Place(place),
                key: PublicKey::from_bytes(*entry.id.as_bytes()),
            })
            .collect();
        let count = authorities.len();
        // The defaults are more than two thirds and more than one third: k and f + 1.
        let thresholds = ThresholdParams::default();
        let set = Authorities(authorities);
        let driver = Driver::new(Context, Height(height), set, Place(me), thresholds);
        Self { driver, height, authorities: count }
    }

    /// The current round.
    pub(super) fn round(&self) -> u32 {
        self.driver.round().as_u32().unwrap_or(0)
    }

    /// Whether a proposal by us for `round` would still be taken.
    pub(super) fn awaits_value(&self, round: u32) -> bool {
        self.round() == round && self.driver.step() == Step::Propose
    }

    /// The value that k prevotes named last, and their round.
    pub(super) fn valid(&self) -> Option<(u32, ValueId)> {
        let valid = self.driver.valid_value()?;
        Some((valid.round.as_u32()?, valid.value.0))
    }

    /// The value we are locked on.
    pub(super) fn locked(&self) -> Option<ValueId> {
        self.driver.round_state().locked.as_ref().map(|locked| locked.value.0)
    }

    /// Tells the driver what happened.
    pub(super) fn process(&mut self, input: Input) -> Vec<Output> {
        if let Input::Round(round) = input {
            self.prune(round);
        }
        let input = self.inward(input);
        let outputs = self.driver.process(input);
        // Its errors name what the callers of this module rule out.
        debug_assert!(outputs.is_ok(), "{outputs:?}");
        outputs.unwrap_or_default().into_iter().filter_map(outward).collect()
    }

    fn prune(&mut self, round: u32) {
        let kept = round.saturating_sub(ROUNDS_KEPT);
        let kept = self.valid().map_or(kept, |(valid, _)| kept.min(valid));
        self.driver.prune_votes_and_certificates(Round::new(kept));
    }

    fn inward(&self, input: Input) -> DriverInput<Context> {
        let height = Height(self.height);
        match input {
            Input::Round(round) => {
                let place = Place(proposer(self.authorities, self.height, round));
                DriverInput::NewRound(height, Round::new(round), place)
            }
            Input::Value { round, value } => {
                DriverInput::ProposeValue(Round::new(round), Value(value))
            }
            Input::Proposal { round, value, earlier, signature, valid } => {
                let proposal = context::Proposal {
                    height,
                    round: Round::new(round),
                    value: Value(value),
                    pol_round: Round::from(earlier),
                    proposer: Place(proposer(self.authorities, self.height, round)),
                };
                let signed = SignedMessage::new(proposal, signature);
                DriverInput::Proposal(signed, Validity::from_bool(valid))
            }
            Input::Vote(vote) => DriverInput::Vote(inward_vote(&vote)),
            Input::Polka(polka) => DriverInput::PolkaCertificate(PolkaCertificate {
                height,
                round: Round::new(polka.round),
                value_id: Value(polka.value),
                polka_signatures: polka
                    .signatures
                    .iter()
                    .map(|entry| PolkaSignature::new(Place(entry.authority), entry.signature))
                    .collect(),
            }),
            Input::Timeout { wait, round } => {
                let kind = match wait {
                    Wait::Propose => TimeoutKind::Propose,
                    Wait::Prevote => TimeoutKind::Prevote,
                    Wait::Precommit => TimeoutKind::Precommit,
                };
                DriverInput::TimeoutElapsed(Timeout::new(Round::new(round), kind))
            }
        }
    }

    /// The vote of this kind that an authority is known to have cast in a round.
    pub(super) fn vote_of(&self, author: u8, round: u32, kind: VoteKind) -> Option<SignedVote> {
        let votes = self.driver.votes().per_round(Round::new(round))?;
        votes.get_vote(inward_kind(kind), &Place(author)).and_then(outward_vote)
    }

    /// All votes known of a round.
    pub(super) fn votes(&self, round: u32) -> Vec<SignedVote> {
        let votes = self.driver.votes().per_round(Round::new(round));
        votes.map_or_else(Vec::new, |votes| {
            votes.received_votes().iter().filter_map(outward_vote).collect()
        })
    }

    /// The votes that made us enter the current round.
    pub(super) fn entry_votes(&self) -> Vec<SignedVote> {
        let Some(entry) = self.driver.round_certificate() else { return Vec::new() };
        entry.certificate.votes(&Context).filter_map(|vote| outward_vote(&vote)).collect()
    }

    /// The certificate of k prevotes for a value in a round.
    pub(super) fn polka(&self, round: u32, value: &ValueId) -> Option<Polka> {
        let found = self.driver.polka_certificate(Round::new(round), &Value(*value))?;
        let signatures = found.polka_signatures.iter();
        Some(Polka::new(
            self.height,
            round,
            *value,
            signatures.map(|entry| (entry.address.0, entry.signature)),
        ))
    }

    /// The rounds and values of all certificates of k prevotes.
    pub(super) fn polkas(&self) -> impl Iterator<Item = (u32, ValueId)> + '_ {
        self.driver
            .polka_certificates()
            .iter()
            .filter_map(|polka| Some((polka.round.as_u32()?, polka.value_id.0)))
    }

    /// The signatures for a decided value.
    pub(super) fn precommits(&self, round: u32, value: &ValueId) -> Vec<(u8, Signature)> {
        let votes = self.driver.restore_precommits(Round::new(round), &Value(*value));
        votes.into_iter().map(|vote| (vote.message.voter.0, vote.signature)).collect()
    }
}

fn outward(output: DriverOutput<Context>) -> Option<Output> {
    Some(match output {
        DriverOutput::NewRound(_, round) => Output::Round(round.as_u32()?),
        DriverOutput::Propose(proposal) => Output::Propose {
            round: proposal.round.as_u32()?,
            value: proposal.value.0,
            earlier: proposal.pol_round.as_u32(),
        },
        DriverOutput::Vote(vote) => Output::Vote(outward_bare_vote(&vote)?),
        // The first field is the round we are in; the votes were cast in the proposal's.
        DriverOutput::Decide(_, proposal) => {
            Output::Decide { round: proposal.round.as_u32()?, value: proposal.value.0 }
        }
        DriverOutput::ScheduleTimeout(timeout) => {
            let wait = match timeout.kind {
                TimeoutKind::Propose => Wait::Propose,
                TimeoutKind::Prevote => Wait::Prevote,
                TimeoutKind::Precommit => Wait::Precommit,
                TimeoutKind::Rebroadcast | TimeoutKind::FinalizeHeight(_) => return None,
            };
            Output::Schedule { wait, round: timeout.round.as_u32()? }
        }
        DriverOutput::GetValue(_, round, _) => Output::NeedValue { round: round.as_u32()? },
    })
}

const fn inward_kind(kind: VoteKind) -> VoteType {
    match kind {
        VoteKind::Prevote => VoteType::Prevote,
        VoteKind::Precommit => VoteType::Precommit,
    }
}

fn inward_vote(signed: &SignedVote) -> malachite::SignedVote<Context> {
    let vote = &signed.vote;
    let vote = context::Vote {
        height: Height(vote.height),
        round: Round::new(vote.round),
        value: vote.value.map_or(NilOrVal::Nil, |value| NilOrVal::Val(Value(value))),
        kind: inward_kind(vote.kind),
        voter: Place(signed.author),
    };
    SignedMessage::new(vote, signed.signature)
}

fn outward_bare_vote(vote: &context::Vote) -> Option<Vote> {
    Some(Vote {
        height: vote.height.0,
        round: vote.round.as_u32()?,
        kind: match vote.kind {
            VoteType::Prevote => VoteKind::Prevote,
            VoteType::Precommit => VoteKind::Precommit,
        },
        value: match vote.value {
            NilOrVal::Nil => None,
            NilOrVal::Val(value) => Some(value.0),
        },
    })
}

fn outward_vote(signed: &malachite::SignedVote<Context>) -> Option<SignedVote> {
    Some(SignedVote {
        author: signed.message.voter.0,
        vote: outward_bare_vote(&signed.message)?,
        signature: signed.signature,
    })
}
