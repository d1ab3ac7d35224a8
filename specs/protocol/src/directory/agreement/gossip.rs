//! Making good what was lost: status messages, what they lead to, and missing descriptors.
//!
//! Links lose messages when they break, and Tendermint needs that what one honest authority knows
//! the others come to know. Each authority says now and then where it stands; what it lacks is sent
//! to it alone.

use std::collections::{BTreeMap, BTreeSet};

use super::message::{AgreementMessage, Lack, Status};
use super::running::{ReportSlot, Running, Scene};
use super::{AgreementMachine, MessageError};
use crate::crypto::Signed;
use crate::directory::{Descriptor, ValueId, VerifiedDocument};
use crate::id::Digest;

/// Descriptors in one answer: at 2 KiB each, half a megabyte.
const FETCH_MAX: usize = 256;

/// Proposals asked for at once.
const LACKS_MAX: usize = 8;

impl Status {
    /// Of an authority that has nothing to say of its height yet.
    pub(super) fn idle(height: u64) -> Self {
        let (votes, lacks) = (Vec::new(), Vec::new());
        Self { height, round: 0, reports: u32::MAX, votes, polka: None, lacks }
    }
}

impl AgreementMachine {
    pub(super) fn answer_fetch(
        &mut self,
        from: u8,
        digests: &[Digest],
    ) -> Result<(), MessageError> {
        if digests.len() > FETCH_MAX {
            return Err(MessageError::TooMany);
        }
        let found = digests.iter().filter_map(|digest| self.pool.get(digest));
        let found: Vec<Signed> = found.map(|descriptor| descriptor.signed().clone()).collect();
        if !found.is_empty() {
            self.out.send(self.home.id_of(from), AgreementMessage::Descriptors(found));
        }
        Ok(())
    }
}

impl Running {
    /// Says where we stand, and asks others for the descriptors that one did not send.
    pub(super) fn send_again(&mut self, scene: &mut Scene<'_>) {
        self.asked.clear();
        self.turn = self.turn.wrapping_add(1);
        let status = self.status();
        scene.out.broadcast(AgreementMessage::Status(status));
    }

    fn status(&self) -> Status {
        let round = self.round();
        let mut votes = self.engine.votes(round);
        votes.extend(self.engine.entry_votes().iter().filter(|vote| vote.vote.round != round));
        Status {
            height: self.height,
            round,
            reports: self.reports.keys().fold(0, |bits, place| bits | 1 << place),
            votes,
            polka: self.engine.valid().and_then(|(round, value)| self.engine.polka(round, &value)),
            lacks: self.lacks(),
        }
    }

    /// The proposal of this round, and those that so many voted for that it may matter.
    fn lacks(&self) -> Vec<Lack> {
        let round = self.round();
        let mut lacks = BTreeSet::new();
        if !self.proposals.contains_key(&round) {
            lacks.insert(Lack { round, value: None });
        }
        let voted = self.engine.votes(round);
        let voted = voted.iter().filter_map(|vote| Some((round, vote.vote.value?)));
        for (round, value) in voted.chain(self.engine.polkas()) {
            let held = self.proposals.get(&round).map_or(&[][..], Vec::as_slice);
            if held.iter().all(|held| held.head.value != value) {
                lacks.insert(Lack { round, value: Some(value) });
            }
        }
        lacks.into_iter().rev().take(LACKS_MAX).collect()
    }

    pub(super) fn handle_status(
        &mut self,
        scene: &mut Scene<'_>,
        from: u8,
        status: Status,
    ) -> Result<(), MessageError> {
        let votes_max = 4 * scene.home.genesis.authorities.len();
        if status.votes.len() > votes_max || status.lacks.len() > LACKS_MAX {
            return Err(MessageError::TooMany);
        }
        for vote in status.votes {
            self.handle_vote(scene, vote)?;
        }
        if let Some(polka) = status.polka {
            self.handle_polka(scene, polka)?;
        }
        let pace = scene.home.timing.resend / 2;
        let last = self.answered.get(&from);
        if last.is_none_or(|last| scene.now.saturating_since(*last) >= pace) {
            self.answered.insert(from, scene.now);
            self.send_lacking(scene, from, status.reports, &status.lacks);
        }
        Ok(())
    }

    fn send_lacking(&self, scene: &mut Scene<'_>, to: u8, has: u32, lacks: &[Lack]) {
        let to = scene.home.id_of(to);
        for (place, slot) in &self.reports {
            if let ReportSlot::One(report) = slot
                && has & 1 << place == 0
            {
                scene.out.send(to, AgreementMessage::Report(report.0.clone()));
            }
        }
        for lack in lacks {
            let wanted = |value: ValueId| lack.value.is_none_or(|wanted| wanted == value);
            let mut held = self.proposals.get(&lack.round).into_iter().flatten();
            if let Some(held) = held.find(|held| wanted(held.head.value)) {
                scene.out.send(to, AgreementMessage::Proposal(held.proposal.clone()));
            }
        }
    }

    /// Asks for descriptors: each of one authority that names it, one question open to each.
    pub(super) fn fetch(&mut self, scene: &mut Scene<'_>) {
        self.wanted.retain(|digest, _| scene.pool.get(digest).is_none());
        let mut questions: BTreeMap<u8, Vec<Digest>> = BTreeMap::new();
        for (digest, namers) in &self.wanted {
            let others = namers & !(1 << scene.home.me);
            let Some(place) = nth_bit(others, self.turn) else { continue };
            let question = questions.entry(place).or_default();
            if !self.asked.contains(&place) && question.len() < FETCH_MAX {
                question.push(*digest);
            }
        }
        for (place, question) in questions.into_iter().filter(|(_, asked)| !asked.is_empty()) {
            self.asked.insert(place);
            scene.out.send(scene.home.id_of(place), AgreementMessage::Fetch(question));
        }
    }

    pub(super) fn handle_descriptors(
        &mut self,
        scene: &mut Scene<'_>,
        from: u8,
        list: Vec<Signed>,
    ) -> Result<(), MessageError> {
        if list.len() > FETCH_MAX {
            return Err(MessageError::TooMany);
        }
        for signed in list {
            let Ok(descriptor) = Descriptor::verify(signed, &scene.home.network) else {
                return Err(MessageError::Inconsistent);
            };
            let digest = descriptor.digest();
            if self.wanted.remove(&digest).is_some() {
                let document = scene.previous.map(VerifiedDocument::document);
                scene.pool.hold(document, digest, descriptor);
            }
        }
        self.asked.remove(&from);
        self.stirred = true;
        Ok(())
    }

    pub(super) fn handle_new_descriptors(&mut self, _: &mut Scene<'_>) {
        self.stirred = true;
    }
}

/// The place of one of the bits that are set, another at each turn.
fn nth_bit(bits: u32, turn: u32) -> Option<u8> {
    let turn = turn.checked_rem(bits.count_ones())?;
    let mut places = (0..32u8).filter(|place| bits & 1 << place != 0);
    places.nth(usize::try_from(turn).unwrap_or(0))
}
