//! A height that is being decided: its reports, proposals, engine and timers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::candidate::{Candidate, Evaluation, evaluate};
use super::engine::{Engine, Input, Output, Wait};
use super::log::{Body, Entry};
use super::message::{AgreementMessage, Proposal, ProposalHead, SignedVote, Vote, VoteKind};
use super::pool::DescriptorPool;
use super::{AgreementEvent, AgreementTransmit, Home, LogEntry, Recipient};
use crate::crypto::Signed;
use crate::directory::{Certificate, Document, Report, SignedDocument, ValueId, VerifiedDocument};
use crate::id::{AuthorityId, Digest};
use crate::time::Instant;

/// Rounds whose proposals are kept behind the current one, beside that of the valid value.
const PROPOSALS_KEPT: u32 = 8;

/// What waits to be polled.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) entries: VecDeque<LogEntry>,
    pub(super) transmits: VecDeque<AgreementTransmit>,
    pub(super) events: VecDeque<AgreementEvent>,
    /// While the log is replayed nothing is sent: the others ask for what they lack.
    mute: bool,
}

impl Outbox {
    pub(super) fn broadcast(&mut self, message: AgreementMessage) {
        self.transmit(Recipient::Others, message);
    }

    pub(super) fn send(&mut self, to: AuthorityId, message: AgreementMessage) {
        self.transmit(Recipient::One(to), message);
    }

    fn transmit(&mut self, to: Recipient, message: AgreementMessage) {
        if !self.mute {
            self.transmits.push_back(AgreementTransmit { to, message });
        }
    }
}

/// What a running height works with.
pub(super) struct Scene<'a> {
    pub(super) now: Instant,
    pub(super) home: &'a Home,
    pub(super) previous: Option<&'a VerifiedDocument>,
    pub(super) pool: &'a mut DescriptorPool,
    pub(super) out: &'a mut Outbox,
}

/// What is known of an authority's report.
#[derive(Debug)]
pub(super) enum ReportSlot {
    One(Box<(Signed, Report)>),
    /// There were two different ones.
    Void,
}

/// A proposal whose head is in order.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) head: ProposalHead,
    pub(super) proposal: Proposal,
    /// Whether it was evaluated and given to the engine.
    pub(super) fed: bool,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) height: u64,
    pub(super) before: Digest,
    pub(super) engine: Engine,
    pub(super) reports: BTreeMap<u8, ReportSlot>,
    pub(super) values: BTreeMap<ValueId, Candidate>,
    pub(super) proposals: BTreeMap<u32, Vec<Held>>,
    timers: Vec<(Instant, Wait, u32)>,
    /// Until when the first proposer waits for more than k reports; `None` once it is over.
    collect: Option<Instant>,
    pub(super) resend: Instant,
    /// The round for which the engine asked for a value.
    need_value: Option<u32>,
    /// What we signed, whatever the engine thinks.
    signed: BTreeMap<(u32, VoteKind), Option<ValueId>>,
    /// Of each author far ahead: its highest round and votes there.
    pub(super) ahead: BTreeMap<u8, (u32, Vec<SignedVote>)>,
    /// Whose misbehaviour was told.
    pub(super) accused: BTreeSet<u8>,
    /// Descriptors to fetch, with the authors that name each.
    pub(super) wanted: BTreeMap<Digest, u32>,
    /// Whom we asked and who has not answered.
    pub(super) asked: BTreeSet<u8>,
    pub(super) turn: u32,
    /// When each authority's status was last answered.
    pub(super) answered: BTreeMap<u8, Instant>,
    /// Whether there is something new that may make a proposal valid.
    pub(super) stirred: bool,
    decided: bool,
}

impl Running {
    /// Begins a height with our report.
    pub(super) fn begin(
        scene: &mut Scene<'_>,
        height: u64,
        before: Digest,
        report: Report,
    ) -> Self {
        for descriptor in report.descriptors.iter().filter_map(|digest| scene.pool.get(digest)) {
            let entry = Entry::Descriptor(descriptor.signed().clone());
            scene.out.entries.push_back(LogEntry(entry));
        }
        let signed = report.sign(&scene.home.key, &scene.home.network);
        let entry = Entry::Start { height, previous: before, report: signed.clone() };
        scene.out.entries.push_back(LogEntry(entry));
        scene.out.broadcast(AgreementMessage::Report(signed.clone()));
        let mut running = Self::with_report(scene, height, signed, report);
        running.feed(scene, Input::Round(0));
        running.go_on(scene);
        running
    }

    /// Replays what was logged since the height began.
    pub(super) fn restore(
        scene: &mut Scene<'_>,
        height: u64,
        signed: Signed,
        entries: Vec<Entry>,
    ) -> Option<Self> {
        let report = Report::verify(&signed, &scene.home.genesis).ok()?;
        let mut running = Self::with_report(scene, height, signed, report);
        for entry in &entries {
            if let Entry::Signed(vote) = entry {
                running.signed.insert((vote.round, vote.kind), vote.value);
            }
        }
        scene.out.mute = true;
        running.feed(scene, Input::Round(0));
        for entry in entries {
            running.apply(scene, entry);
        }
        scene.out.mute = false;
        running.resend = scene.now;
        Some(running)
    }

    fn with_report(scene: &Scene<'_>, height: u64, signed: Signed, report: Report) -> Self {
        let home = scene.home;
        let before = report.previous;
        Self {
            height,
            before,
            engine: Engine::new(&home.genesis, height, home.me),
            reports: BTreeMap::from([(home.me, ReportSlot::One(Box::new((signed, report))))]),
            values: BTreeMap::new(),
            proposals: BTreeMap::new(),
            timers: Vec::new(),
            collect: Some(scene.now.saturating_add(home.timing.collect)),
            resend: scene.now.saturating_add(home.timing.resend),
            need_value: None,
            signed: BTreeMap::new(),
            ahead: BTreeMap::new(),
            accused: BTreeSet::new(),
            wanted: BTreeMap::new(),
            asked: BTreeSet::new(),
            turn: 0,
            answered: BTreeMap::new(),
            stirred: false,
            decided: false,
        }
    }

    pub(super) fn round(&self) -> u32 {
        self.engine.round()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.decided {
            return None;
        }
        let timers = self.timers.iter().map(|(at, ..)| *at);
        timers.chain(self.collect).chain([self.resend]).min()
    }

    pub(super) fn handle_timeout(&mut self, scene: &mut Scene<'_>) {
        if self.collect.is_some_and(|at| at <= scene.now) {
            self.collect = None;
        }
        // One at a time: what follows from one may end the others' round.
        while let Some(&(_, wait, round)) =
            self.timers.iter().filter(|(at, ..)| *at <= scene.now).min()
        {
            self.record(scene, Entry::Timeout { wait, round });
        }
        if self.resend <= scene.now && !self.decided {
            self.resend = scene.now.saturating_add(scene.home.timing.resend);
            self.send_again(scene);
        }
    }

    /// Logs what comes from outside and tells the engine.
    pub(super) fn record(&mut self, scene: &mut Scene<'_>, entry: Entry) {
        if !self.decided {
            scene.out.entries.push_back(LogEntry(entry.clone()));
        }
        self.apply(scene, entry);
    }

    fn apply(&mut self, scene: &mut Scene<'_>, entry: Entry) {
        let input = match entry {
            Entry::Descriptor(_) | Entry::Start { .. } | Entry::Signed(_) => return,
            Entry::Value { round, list, document } => {
                self.need_value = None;
                Input::Value { round, value: self.keep_value(scene, list, document) }
            }
            Entry::Proposal { head: signed, body } => {
                let Ok(head) = ProposalHead::read(&signed) else { return };
                let valid = !matches!(body, Body::Invalid);
                if let Body::New { list, document } = body {
                    self.keep_value(scene, list, document);
                }
                let ProposalHead { round, value, earlier, .. } = head;
                let signature = signed.signature;
                self.keep_proposal(head, signed);
                Input::Proposal { round, value, earlier, signature, valid }
            }
            Entry::Vote(vote) => Input::Vote(vote),
            Entry::Polka(polka) => Input::Polka(polka),
            Entry::Timeout { wait, round } => {
                self.timers.retain(|&(_, of, at)| (of, at) != (wait, round));
                Input::Timeout { wait, round }
            }
        };
        self.feed(scene, input);
    }

    fn keep_value(&mut self, scene: &Scene<'_>, list: Vec<Signed>, document: Vec<u8>) -> ValueId {
        let network = &scene.home.network;
        let candidate = Candidate::new(network, self.height, &self.before, list, document);
        let value = candidate.value;
        self.values.insert(value, candidate);
        value
    }

    /// Notes that a proposal was evaluated; during a replay it comes back here.
    fn keep_proposal(&mut self, head: ProposalHead, signed: Signed) {
        let round = self.proposals.entry(head.round).or_default();
        if let Some(held) = round.iter_mut().find(|held| held.proposal.head.bytes == signed.bytes) {
            held.fed = true;
            return;
        }
        let list = self.values.get(&head.value).map_or_else(Vec::new, |known| known.list.clone());
        round.push(Held {
            head,
            proposal: Proposal { head: signed, list, polka: None },
            fed: true,
        });
    }

    /// Tells the engine, and does what it asks for until it asks for nothing more.
    fn feed(&mut self, scene: &mut Scene<'_>, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            if self.decided {
                return;
            }
            if let Input::Round(round) = input {
                self.timers.clear();
                self.prune(round);
            }
            for output in self.engine.process(input) {
                match output {
                    Output::Round(round) => inputs.push_back(Input::Round(round)),
                    Output::Propose { round, value, earlier } => {
                        inputs.extend(self.propose(scene, round, value, earlier));
                    }
                    Output::Vote(vote) => inputs.push_back(Input::Vote(self.sign(scene, vote))),
                    Output::Decide { round, value } => self.decide(scene, round, &value),
                    Output::Schedule { wait, round } => {
                        let at = scene.now.saturating_add(scene.home.timing.wait(wait, round));
                        self.timers.push((at, wait, round));
                    }
                    Output::NeedValue { round } => self.need_value = Some(round),
                }
            }
        }
    }

    fn prune(&mut self, round: u32) {
        let from = round.saturating_sub(PROPOSALS_KEPT);
        let valid = self.engine.valid();
        self.proposals.retain(|&of, _| of >= from || valid.is_some_and(|(valid, _)| of == valid));
        let locked = self.engine.locked();
        let heads = self.proposals.values().flatten().map(|held| held.head.value);
        let kept: BTreeSet<ValueId> =
            heads.chain(locked).chain(valid.map(|(_, value)| value)).collect();
        self.values.retain(|value, _| kept.contains(value));
    }

    fn sign(&mut self, scene: &mut Scene<'_>, mut vote: Vote) -> SignedVote {
        let place = (vote.round, vote.kind);
        if let Some(signed) = self.signed.get(&place) {
            vote.value = *signed;
        } else {
            self.signed.insert(place, vote.value);
            scene.out.entries.push_back(LogEntry(Entry::Signed(vote)));
        }
        let signature = vote.sign(&scene.home.key, &scene.home.network);
        let signed = SignedVote { author: scene.home.me, vote, signature };
        scene.out.broadcast(AgreementMessage::Vote(signed));
        signed
    }

    fn propose(
        &mut self,
        scene: &mut Scene<'_>,
        round: u32,
        value: ValueId,
        earlier: Option<u32>,
    ) -> Option<Input> {
        let candidate = self.values.get(&value)?;
        let list = candidate.list_digest;
        let head = ProposalHead { height: self.height, round, value, list, earlier };
        let signed = head.sign(&scene.home.key, &scene.home.network);
        let signature = signed.signature;
        let polka = earlier.and_then(|earlier| self.engine.polka(earlier, &value));
        let proposal = Proposal { head: signed, list: candidate.list.clone(), polka };
        scene.out.broadcast(AgreementMessage::Proposal(proposal.clone()));
        self.proposals.entry(round).or_default().push(Held { head, proposal, fed: true });
        Some(Input::Proposal { round, value, earlier, signature, valid: true })
    }

    fn decide(&mut self, scene: &mut Scene<'_>, round: u32, value: &ValueId) {
        self.decided = true;
        // Gone only if this round was left long ago; then the others' document is fetched.
        let Some(candidate) = self.values.remove(value) else { return };
        let signatures = self.engine.precommits(round, value);
        let certificate = Certificate::new(round, candidate.list_digest, signatures);
        let document = SignedDocument { document: candidate.document, certificate };
        let reports = candidate.list;
        scene.out.events.push_back(AgreementEvent::Decided { document, reports });
    }

    /// What may have become possible: evaluate proposals, propose, ask for descriptors.
    pub(super) fn go_on(&mut self, scene: &mut Scene<'_>) {
        if self.decided {
            return;
        }
        if core::mem::take(&mut self.stirred) {
            self.evaluate_proposals(scene);
        }
        self.propose_if_ready(scene);
        self.fetch(scene);
    }

    fn propose_if_ready(&mut self, scene: &mut Scene<'_>) {
        let Some(round) = self.need_value.filter(|round| self.engine.awaits_value(*round)) else {
            return;
        };
        let genesis = &scene.home.genesis;
        let list: Vec<Signed> = self.lone_reports().map(|(signed, _)| signed.clone()).collect();
        let complete = list.len() == genesis.authorities.len();
        if list.len() < genesis.threshold() || (self.collect.is_some() && !complete) {
            return;
        }
        match evaluate(genesis, scene.previous, &list, scene.pool) {
            Evaluation::Valid(Candidate { list, document, .. }) => {
                self.record(scene, Entry::Value { round, list, document });
            }
            Evaluation::Missing(missing) => self.wanted.extend(missing),
            Evaluation::Invalid => {}
        }
    }

    /// The reports of authors that sent only one, in the authors' order.
    pub(super) fn lone_reports(&self) -> impl Iterator<Item = (&Signed, &Report)> {
        self.reports.values().filter_map(|slot| match slot {
            ReportSlot::One(both) => Some((&both.0, &both.1)),
            ReportSlot::Void => None,
        })
    }

    /// Whether the chain says the same of what a report builds on.
    pub(super) fn fits(&self, report: &Report) -> bool {
        debug_assert!(self.height > 1 || self.before == Document::NO_PREDECESSOR);
        report.height == self.height && report.previous == self.before
    }
}
