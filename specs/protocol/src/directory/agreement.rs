//! Agreement on the next document among the n authorities of a network: Tendermint.
//!
//! Each height begins an epoch after the document before it. Every authority sends its signed
//! report; the proposer of the round proposes a list of at least k of them; two votes of k
//! authorities make the list final, and the second votes are the document's certificate. A round
//! that fails is followed by one with another proposer. What is voted on is the value id of the
//! document that the list gives ([`crate::directory::derive()`]), so an authority votes only for
//! what it computed itself. One authority decides alone by the same steps.
//!
//! The rules of voting and locking are those of Malachite's driver, behind the wall `engine`.
//! Ours: reports, validity, descriptors, what is sent again, and the write-ahead log.
//!
//! Not here: transport and disk (the node crate), and how an authority that is behind gets the
//! decided documents: from the directory, not from votes. Specified in 02 directory, section
//! "Agreement".
//!
//! # Invariants
//!
//! - *One vote*: an authority signs at most one prevote and one precommit a round, one proposal a
//!   round and one report a height, over any number of crashes, if its log is kept.
//! - *Validity*: it prevotes only a list from which it derived the proposed value itself.
//! - *Bounded*: what an authority can make another keep does not grow with what it sends.

mod candidate;
mod engine;
mod gossip;
mod log;
mod message;
mod output;
mod pool;
mod receive;
mod running;
mod timing;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand_core::CryptoRng;

use self::log::Entry;
pub use self::log::LogEntry;
pub use self::message::{
    AgreementMessage, Lack, Polka, Proposal, ProposalHead, SignedVote, Status, Vote, VoteKind,
};
pub use self::output::{
    AgreementEvent, AgreementTransmit, Evidence, MessageError, NotAnAuthority, Recipient,
};
pub use self::pool::Admission;
use self::pool::DescriptorPool;
use self::running::{Outbox, Running, Scene};
use self::timing::Timing;
use crate::crypto::SecretKey;
use crate::directory::{Descriptor, Document, Genesis, Report, VerifiedDocument};
use crate::id::{AuthorityId, Digest, NetworkId};
use crate::time::{Instant, Timestamp};

/// Votes kept of one authority for a height that has not begun here, beside one report and one
/// proposal: three rounds. What is lost by this bound is sent again.
const EARLY_VOTES_MAX: usize = 6;

enum Stage {
    /// The next height begins at this time.
    Waiting(Instant),
    Running(Box<Running>),
}

/// One authority's part in the agreement, height after height.
///
/// Feed one `handle_*`, then drain: first every [`Self::poll_persist`], whose entries must be
/// durable before anything that is polled after them leaves this process; then every
/// [`Self::poll_transmit`] and [`Self::poll_event`]; then sleep until [`Self::poll_timeout`].
///
/// After a restart: [`Self::new`] with the newest document, then [`Self::restore`] with the whole
/// log. The log may be emptied when [`Self::handle_document`] was given a newer document.
pub struct AgreementMachine {
    home: Home,
    previous: Option<Arc<VerifiedDocument>>,
    height: u64,
    before: Digest,
    stage: Stage,
    pool: DescriptorPool,
    out: Outbox,
    /// Messages for a height that has not begun here, by sender.
    early: BTreeMap<u8, Vec<AgreementMessage>>,
    /// When each authority's word that we are behind was last passed on.
    behind_at: BTreeMap<u8, Instant>,
}

/// What never changes.
pub(crate) struct Home {
    genesis: Arc<Genesis>,
    network: NetworkId,
    key: SecretKey,
    me: u8,
    timing: Timing,
}

impl core::fmt::Debug for AgreementMachine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AgreementMachine")
            .field("me", &self.home.me)
            .field("height", &self.height)
            .field("round", &self.round())
            .finish_non_exhaustive()
    }
}

impl AgreementMachine {
    /// An authority that has all documents up to `previous`.
    ///
    /// # Errors
    ///
    /// When `key` is none of the genesis.
    pub fn new(
        genesis: Arc<Genesis>,
        key: SecretKey,
        previous: Option<Arc<VerifiedDocument>>,
        now: Instant,
        clock: Timestamp,
    ) -> Result<Self, NotAnAuthority> {
        let id = AuthorityId::from_bytes(*key.public().as_bytes());
        let me = genesis.index(&id).ok_or(NotAnAuthority)?;
        let home = Home {
            network: genesis.network(),
            timing: Timing::new(&genesis.params),
            genesis,
            key,
            me,
        };
        let mut machine = Self {
            home,
            previous: None,
            height: 1,
            before: Document::NO_PREDECESSOR,
            stage: Stage::Waiting(now),
            pool: DescriptorPool::default(),
            out: Outbox::default(),
            early: BTreeMap::new(),
            behind_at: BTreeMap::new(),
        };
        if let Some(previous) = previous {
            machine.handle_document(now, clock, previous);
        }
        Ok(machine)
    }

    /// Brings back what was signed before a restart. Entries of other heights are passed over.
    pub fn restore(&mut self, now: Instant, entries: impl IntoIterator<Item = LogEntry>) {
        let mut others = Vec::new();
        for LogEntry(entry) in entries {
            match entry {
                Entry::Descriptor(signed) => {
                    if let Ok(descriptor) = Descriptor::verify(signed, &self.home.network) {
                        let document = self.previous.as_deref().map(VerifiedDocument::document);
                        self.pool.hold(document, descriptor.digest(), descriptor);
                    }
                }
                entry => others.push(entry),
            }
        }
        let mut entries = others.into_iter().skip_while(|entry| {
            let Entry::Start { height, previous, .. } = entry else { return true };
            (*height, *previous) != (self.height, self.before)
        });
        let Some(Entry::Start { report, .. }) = entries.next() else { return };
        let entries: Vec<Entry> =
            entries.take_while(|entry| !matches!(entry, Entry::Start { .. })).collect();
        let height = self.height;
        let mut scene = Self::scene(now, &self.home, &self.previous, &mut self.pool, &mut self.out);
        let Some(running) = Running::restore(&mut scene, height, report, entries) else { return };
        self.stage = Stage::Running(Box::new(running));
    }

    /// The newest document, decided here or fetched. Older ones change nothing.
    pub fn handle_document(
        &mut self,
        now: Instant,
        clock: Timestamp,
        document: Arc<VerifiedDocument>,
    ) {
        if document.document().height < self.height {
            return;
        }
        self.height = document.document().height.saturating_add(1);
        self.before = *document.digest();
        let due = document.document().time.saturating_add(self.home.genesis.params.epoch());
        self.stage = Stage::Waiting(now.saturating_add(due.saturating_since(clock)));
        self.pool.settle(&self.home.genesis.params, clock);
        self.previous = Some(document);
        self.early.retain(|_, messages| {
            messages.retain(|message| message.height(0).is_ok_and(|of| of >= self.height));
            !messages.is_empty()
        });
    }

    /// What a node says of itself, for the next report. `clock` judges whether it was made lately.
    pub fn handle_descriptor(
        &mut self,
        now: Instant,
        clock: Timestamp,
        descriptor: Descriptor,
    ) -> Admission {
        if !self.home.genesis.params.is_fresh(descriptor.parts().made(), clock) {
            return Admission::Stale;
        }
        let document = self.previous.as_deref().map(VerifiedDocument::document);
        let admission = self.pool.admit(document, descriptor);
        self.run(now, Running::handle_new_descriptors);
        admission
    }

    /// The time from [`Self::poll_timeout`] has come; early calls do nothing. `clock` is written
    /// into our report, `rng` gives its share of the beacon.
    pub fn handle_timeout(&mut self, now: Instant, clock: Timestamp, rng: &mut impl CryptoRng) {
        match self.stage {
            Stage::Waiting(start) if start <= now => {
                let mut share = [0; 32];
                rng.fill_bytes(&mut share);
                self.begin(now, clock, share);
            }
            Stage::Waiting(_) => {}
            Stage::Running(_) => {
                self.run(now, Running::handle_timeout);
            }
        }
    }

    fn begin(&mut self, now: Instant, clock: Timestamp, share: [u8; 32]) {
        let limit = candidate::names_max(self.home.genesis.authorities.len());
        let document = self.previous.as_deref().map(VerifiedDocument::document);
        let report = Report {
            author: self.id(),
            height: self.height,
            previous: self.before,
            time: clock,
            share,
            descriptors: self.pool.pin_news(document, &self.home.genesis.params, clock, limit),
        };
        let height = self.height;
        let mut scene = Self::scene(now, &self.home, &self.previous, &mut self.pool, &mut self.out);
        let running = Running::begin(&mut scene, height, self.before, report);
        self.stage = Stage::Running(Box::new(running));
        for (from, messages) in core::mem::take(&mut self.early) {
            for message in messages {
                // Whether it is any good is found now, when nobody waits for the answer.
                let _ = self.dispatch(now, from, message);
            }
        }
    }

    /// A message from the authority at the other end of a link.
    ///
    /// # Errors
    ///
    /// See [`MessageError`]; the message had no effect.
    pub fn handle_message(
        &mut self,
        now: Instant,
        from: &AuthorityId,
        message: AgreementMessage,
    ) -> Result<(), MessageError> {
        let from = self.home.genesis.index(from).filter(|from| *from != self.home.me);
        self.dispatch(now, from.ok_or(MessageError::Stranger)?, message)
    }

    fn dispatch(
        &mut self,
        now: Instant,
        from: u8,
        message: AgreementMessage,
    ) -> Result<(), MessageError> {
        if let AgreementMessage::Fetch(digests) = &message {
            return self.answer_fetch(from, digests);
        }
        let height = message.height(self.height)?;
        if height < self.height {
            self.tell_laggard(from, &message);
            return Ok(());
        }
        if height > self.height {
            self.tell_behind(now, from, height);
        }
        let begun = matches!(self.stage, Stage::Running(_));
        if begun && height == self.height {
            let handled = self.run(now, |running, scene| running.handle(scene, from, message));
            return handled.unwrap_or(Ok(()));
        }
        if height == self.height.saturating_add(u64::from(begun)) {
            return self.keep_early(from, message);
        }
        Ok(())
    }

    /// Keeps a message for a height that is about to begin.
    fn keep_early(&mut self, from: u8, message: AgreementMessage) -> Result<(), MessageError> {
        let room = match message {
            AgreementMessage::Report(_) | AgreementMessage::Proposal(_) => 1,
            AgreementMessage::Vote(_) => EARLY_VOTES_MAX,
            AgreementMessage::Status(_)
            | AgreementMessage::Fetch(_)
            | AgreementMessage::Descriptors(_) => return Ok(()),
        };
        let kept = self.early.entry(from).or_default();
        if kept.contains(&message) {
            return Ok(());
        }
        let kind = core::mem::discriminant(&message);
        if kept.iter().filter(|known| core::mem::discriminant(*known) == kind).count() >= room {
            return Err(MessageError::TooMany);
        }
        kept.push(message);
        Ok(())
    }

    fn tell_behind(&mut self, now: Instant, from: u8, height: u64) {
        let again = |at: Instant| now.saturating_since(at) >= self.home.timing.resend;
        if self.behind_at.get(&from).copied().is_none_or(again) {
            self.behind_at.insert(from, now);
            let authority = self.home.id_of(from);
            self.out.events.push_back(AgreementEvent::Behind { authority, height });
        }
    }

    /// Tells an authority that still works on an older height where we are. Only its `Status` is
    /// answered, which it sends seldom.
    fn tell_laggard(&mut self, from: u8, message: &AgreementMessage) {
        if matches!(message, AgreementMessage::Status(_)) {
            let status = Status::idle(self.height);
            self.out.send(self.home.id_of(from), AgreementMessage::Status(status));
        }
    }

    /// Does something with the running height, and then what follows from it.
    fn run<T>(
        &mut self,
        now: Instant,
        action: impl FnOnce(&mut Running, &mut Scene<'_>) -> T,
    ) -> Option<T> {
        let mut scene = Self::scene(now, &self.home, &self.previous, &mut self.pool, &mut self.out);
        let Stage::Running(running) = &mut self.stage else { return None };
        let done = action(running, &mut scene);
        running.go_on(&mut scene);
        Some(done)
    }

    fn scene<'a>(
        now: Instant,
        home: &'a Home,
        previous: &'a Option<Arc<VerifiedDocument>>,
        pool: &'a mut DescriptorPool,
        out: &'a mut Outbox,
    ) -> Scene<'a> {
        Scene { now, home, previous: previous.as_deref(), pool, out }
    }

    /// The next entry that must be durable before anything that is polled later is sent.
    pub fn poll_persist(&mut self) -> Option<LogEntry> {
        self.out.entries.pop_front()
    }

    /// The next message to send, after all of [`Self::poll_persist`] is durable.
    pub fn poll_transmit(&mut self) -> Option<AgreementTransmit> {
        self.out.transmits.pop_front()
    }

    /// The next event, after all of [`Self::poll_persist`] is durable.
    pub fn poll_event(&mut self) -> Option<AgreementEvent> {
        self.out.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Waiting(start) => Some(*start),
            Stage::Running(running) => running.deadline(),
        }
    }

    /// The height that is being decided or waited for.
    pub const fn height(&self) -> u64 {
        self.height
    }

    /// The round, once the height has begun.
    pub fn round(&self) -> Option<u32> {
        match &self.stage {
            Stage::Waiting(_) => None,
            Stage::Running(running) => Some(running.round()),
        }
    }

    /// Our own id.
    pub fn id(&self) -> AuthorityId {
        self.home.id_of(self.home.me)
    }
}

impl Home {
    fn id_of(&self, place: u8) -> AuthorityId {
        let entry = self.genesis.authorities.get(usize::from(place));
        entry.map_or(AuthorityId::from_bytes([0; 32]), |entry| entry.id)
    }
}
