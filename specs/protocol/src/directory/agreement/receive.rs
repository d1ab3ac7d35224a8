//! What other authorities send, checked before it counts.

use super::candidate::{Evaluation, evaluate, namers, report_share};
use super::engine::proposer;
use super::log::{Body, Entry};
use super::message::{AgreementMessage, Polka, Proposal, ProposalHead, SignedVote};
use super::running::{Held, ReportSlot, Running, Scene};
use super::{AgreementEvent, Evidence, MessageError};
use crate::crypto::Signed;
use crate::directory::Report;
use crate::directory::derive::often_named;

/// Rounds ahead of ours whose messages are taken at once. Of authors farther ahead the highest
/// round is kept, and entered when more than f of them are in it.
const ROUNDS_AHEAD: u32 = 8;

/// Rounds of one height: no honest authority gets there in a year of one-minute rounds.
const ROUNDS_MAX: u32 = 1 << 19;

/// Proposals kept of one round: a second one is proof against the proposer and may be the one
/// that the others saw.
const PROPOSALS_PER_ROUND: usize = 2;

impl AgreementMessage {
    /// The height a message is about: `current` if it does not depend on one.
    pub(super) fn height(&self, current: u64) -> Result<u64, MessageError> {
        Ok(match self {
            Self::Report(signed) => Report::peek(signed)?.height,
            Self::Proposal(proposal) => ProposalHead::read(&proposal.head)?.height,
            Self::Vote(vote) => vote.vote.height,
            Self::Status(status) => status.height,
            Self::Fetch(_) | Self::Descriptors(_) => current,
        })
    }
}

impl Running {
    pub(super) fn handle(
        &mut self,
        scene: &mut Scene<'_>,
        from: u8,
        message: AgreementMessage,
    ) -> Result<(), MessageError> {
        match message {
            AgreementMessage::Report(signed) => self.handle_report(scene, signed),
            AgreementMessage::Proposal(proposal) => self.handle_proposal(scene, proposal),
            AgreementMessage::Vote(vote) => self.handle_vote(scene, vote),
            AgreementMessage::Status(status) => self.handle_status(scene, from, status),
            AgreementMessage::Descriptors(list) => self.handle_descriptors(scene, from, list),
            AgreementMessage::Fetch(_) => Ok(()),
        }
    }

    fn handle_report(&mut self, scene: &mut Scene<'_>, signed: Signed) -> Result<(), MessageError> {
        let genesis = &scene.home.genesis;
        if signed.bytes.len() > report_share(genesis.authorities.len()) {
            return Err(MessageError::TooMany);
        }
        let report = Report::verify(&signed, genesis)?;
        if !self.fits(&report) {
            return Err(MessageError::Inconsistent);
        }
        let author = genesis.index(&report.author).ok_or(MessageError::Stranger)?;
        match self.reports.get(&author) {
            None => {
                self.reports.insert(author, ReportSlot::One(Box::new((signed, report))));
            }
            // The signature is no part of what was said.
            Some(ReportSlot::One(known)) if known.0.bytes != signed.bytes => {
                let evidence = Evidence::Reports(known.0.clone(), signed);
                self.reports.insert(author, ReportSlot::Void);
                self.accuse(scene, author, evidence);
            }
            Some(_) => return Ok(()),
        }
        self.want_what_reports_name(scene);
        Ok(())
    }

    /// Begins to fetch before a proposal needs it what more than f reports name.
    fn want_what_reports_name(&mut self, scene: &Scene<'_>) {
        let genesis = &scene.home.genesis;
        let reports: Vec<&Report> = self.lone_reports().map(|(_, report)| report).collect();
        let missing: Vec<_> = often_named(genesis, reports.iter().copied())
            .into_iter()
            .filter(|digest| scene.pool.get(digest).is_none())
            .map(|digest| (digest, namers(genesis, reports.iter().copied(), &digest)))
            .collect();
        self.wanted.extend(missing);
    }

    pub(super) fn handle_vote(
        &mut self,
        scene: &mut Scene<'_>,
        vote: SignedVote,
    ) -> Result<(), MessageError> {
        let round = vote.vote.round;
        if vote.vote.height != self.height || round > ROUNDS_MAX {
            return Err(MessageError::Inconsistent);
        }
        let known = self.engine.vote_of(vote.author, round, vote.vote.kind);
        if known.is_some_and(|known| known.vote == vote.vote) {
            return Ok(());
        }
        vote.verify(&scene.home.genesis, &scene.home.network)?;
        if let Some(known) = known {
            self.accuse(scene, vote.author, Evidence::Votes(known, vote));
        } else if round > self.round().saturating_add(ROUNDS_AHEAD) {
            self.handle_far_vote(scene, vote);
        } else {
            self.record(scene, Entry::Vote(vote));
        }
        Ok(())
    }

    /// Keeps the highest round of an author that is far ahead, and gives the engine the votes of a
    /// round in which there are more than f.
    fn handle_far_vote(&mut self, scene: &mut Scene<'_>, vote: SignedVote) {
        let round = vote.vote.round;
        let (highest, votes) = self.ahead.entry(vote.author).or_insert_with(|| (round, Vec::new()));
        if round > *highest {
            *highest = round;
            votes.clear();
        }
        // Two votes a round: one of each kind.
        if round == *highest && votes.iter().all(|known| known.vote.kind != vote.vote.kind) {
            votes.push(vote);
        }
        let there = |(of, _): &&(u32, Vec<SignedVote>)| *of == round;
        if self.ahead.values().filter(there).count() > scene.home.genesis.faulty() {
            let arrived = self.ahead.extract_if(.., |_, (of, _)| *of == round);
            for vote in arrived.flat_map(|(_, (_, votes))| votes).collect::<Vec<_>>() {
                self.record(scene, Entry::Vote(vote));
            }
        }
    }

    pub(super) fn handle_polka(
        &mut self,
        scene: &mut Scene<'_>,
        polka: Polka,
    ) -> Result<(), MessageError> {
        if polka.height != self.height || polka.round > ROUNDS_MAX {
            return Err(MessageError::Inconsistent);
        }
        if self.engine.polka(polka.round, &polka.value).is_none() {
            polka.verify(&scene.home.genesis, &scene.home.network)?;
            self.record(scene, Entry::Polka(polka));
        }
        Ok(())
    }

    pub(super) fn handle_proposal(
        &mut self,
        scene: &mut Scene<'_>,
        proposal: Proposal,
    ) -> Result<(), MessageError> {
        let head = ProposalHead::read(&proposal.head)?;
        let place = proposer(scene.home.genesis.authorities.len(), self.height, head.round);
        let before = head.earlier.is_none_or(|earlier| earlier < head.round);
        if head.height != self.height || !before || head.round > ROUNDS_MAX {
            return Err(MessageError::Inconsistent);
        }
        if head.round > self.round().saturating_add(ROUNDS_AHEAD) {
            return Ok(());
        }
        let held = self.proposals.get(&head.round).map_or(&[][..], Vec::as_slice);
        let again = held.iter().any(|held| held.proposal.head.bytes == proposal.head.bytes);
        if !again {
            let id = scene.home.id_of(place);
            ProposalHead::verify(&proposal.head, &id, &scene.home.network)?;
            if crate::directory::list_digest(&proposal.list) != head.list {
                return Err(MessageError::Inconsistent);
            }
            if held.len() >= PROPOSALS_PER_ROUND {
                return Err(MessageError::TooMany);
            }
            let other = held.first().map(|held| held.proposal.head.clone());
            if let Some(other) = other {
                self.accuse(scene, place, Evidence::Proposals(other, proposal.head.clone()));
            }
        }
        if let Some(polka) = proposal.polka.clone() {
            self.handle_polka(scene, polka)?;
        }
        if !again {
            let held = Held { head, proposal, fed: false };
            self.proposals.entry(head.round).or_default().push(held);
            self.stirred = true;
        }
        Ok(())
    }

    /// Evaluates the proposals that wait for it, as far as their descriptors are at hand.
    pub(super) fn evaluate_proposals(&mut self, scene: &mut Scene<'_>) {
        let waiting: Vec<(ProposalHead, Signed, Vec<Signed>)> = self
            .proposals
            .values()
            .flatten()
            .filter(|held| !held.fed)
            .map(|held| (held.head, held.proposal.head.clone(), held.proposal.list.clone()))
            .collect();
        for (head, signed, list) in waiting {
            let known = self.values.get(&head.value).map(|known| known.list_digest);
            let body = if known == Some(head.list) {
                Body::Known
            } else {
                match evaluate(&scene.home.genesis, scene.previous, &list, scene.pool) {
                    Evaluation::Valid(found) if found.value == head.value => {
                        Body::New { list: found.list, document: found.document }
                    }
                    Evaluation::Valid(_) | Evaluation::Invalid => Body::Invalid,
                    Evaluation::Missing(missing) => {
                        self.wanted.extend(missing);
                        continue;
                    }
                }
            };
            self.record(scene, Entry::Proposal { head: signed, body });
        }
    }

    /// Tells of the first contradiction of an authority in this height.
    fn accuse(&mut self, scene: &mut Scene<'_>, author: u8, evidence: Evidence) {
        if self.accused.insert(author) {
            let authority = scene.home.id_of(author);
            let evidence = Box::new(evidence);
            scene.out.events.push_back(AgreementEvent::Misbehaviour { authority, evidence });
        }
    }
}
