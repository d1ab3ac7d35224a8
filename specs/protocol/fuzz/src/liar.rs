//! An authority that signs what it likes, with its own key and from what it has heard.

use std::collections::BTreeMap;
use std::sync::Arc;

use enjambre_protocol::crypto::{SecretKey, Signed};
use enjambre_protocol::directory::agreement::{
    AgreementMessage, Polka, Proposal, ProposalHead, SignedVote, Vote, VoteKind,
};
use enjambre_protocol::directory::{
    Descriptor, Document, Genesis, Report, ValueId, VerifiedDocument, derive, list_digest,
};
use enjambre_protocol::id::Digest;
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;

use crate::directory::{AUTHORITIES, BIRTH, authority};

/// The liar's place in the genesis.
pub const LIAR: usize = 3;

/// Where those stand to whom it lies.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The newest document.
    pub newest: Option<&'a VerifiedDocument>,
    /// The round of the height that follows it.
    pub round: u32,
}

impl Standing<'_> {
    fn height(&self) -> u64 {
        self.newest.map_or(1, |newest| newest.document().height + 1)
    }

    fn previous(&self) -> Digest {
        self.newest.map_or(Document::NO_PREDECESSOR, |newest| *newest.digest())
    }
}

/// The authority at [`LIAR`].
#[derive(Debug)]
pub struct Liar {
    key: SecretKey,
    genesis: Arc<Genesis>,
    descriptors: BTreeMap<Digest, Descriptor>,
    /// Reports by height, its own with them.
    reports: BTreeMap<u64, Vec<Signed>>,
    values: Vec<ValueId>,
    polkas: Vec<Polka>,
}

impl Liar {
    /// Knows these descriptors and has heard nothing.
    pub fn new(key: SecretKey, genesis: Arc<Genesis>, descriptors: &[Descriptor]) -> Self {
        let known = descriptors.iter().map(|of| (of.digest(), of.clone())).collect();
        let (reports, values, polkas) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { key, genesis, descriptors: known, reports, values, polkas }
    }

    /// Keeps what may be of use.
    pub fn hear(&mut self, message: &AgreementMessage) {
        match message {
            AgreementMessage::Report(signed) => {
                if let Ok(report) = Report::verify(signed, &self.genesis) {
                    self.reports.entry(report.height).or_default().push(signed.clone());
                }
            }
            AgreementMessage::Vote(vote) => self.values.extend(vote.vote.value),
            AgreementMessage::Status(status) => self.polkas.extend(status.polka.clone()),
            AgreementMessage::Proposal(proposal) => self.polkas.extend(proposal.polka.clone()),
            AgreementMessage::Fetch(_) | AgreementMessage::Descriptors(_) => {}
        }
        self.values.dedup();
    }

    /// A vote of its own, of any kind, for any value it knows or for none.
    pub fn vote(&self, to: Standing<'_>, [what, which]: [u8; 2]) -> AgreementMessage {
        let kind = if what & 1 == 0 { VoteKind::Prevote } else { VoteKind::Precommit };
        let known = usize::from(which).checked_rem(self.values.len());
        let value = known.filter(|_| what & 2 == 0).map(|place| self.values[place]);
        let round = to.round + u32::from(what >> 2) % 12;
        let vote = Vote { height: to.height(), round, kind, value };
        let signature = vote.sign(&self.key, &self.genesis.network());
        let author = u8::try_from(LIAR).expect("a small number");
        AgreementMessage::Vote(SignedVote { author, vote, signature })
    }

    /// A report of its own, with any clock and any of the names it knows.
    pub fn report(&mut self, to: Standing<'_>, [clock, names]: [u8; 2]) -> AgreementMessage {
        let named = self.descriptors.keys().enumerate().filter(|(i, _)| names & 1 << (i & 7) != 0);
        let report = Report {
            author: authority(&self.key),
            height: to.height(),
            previous: to.previous(),
            time: Timestamp::from_millis(BIRTH * u64::from(clock)),
            share: [clock; 32],
            descriptors: named.map(|(_, digest)| *digest).collect(),
        };
        let signed = report.sign(&self.key, &self.genesis.network());
        self.reports.entry(report.height).or_default().push(signed.clone());
        AgreementMessage::Report(signed)
    }

    /// A proposal for the next round that is its turn: of any reports it knows, with the value they
    /// give or another, as new or as one that was proposed before.
    pub fn proposal(&self, to: Standing<'_>, [what, which]: [u8; 2]) -> Option<AgreementMessage> {
        let height = to.height();
        let turn = |round: &u32| (height + u64::from(*round)) % AUTHORITIES as u64 == LIAR as u64;
        let round = (to.round..).find(turn)?;
        let known = self.reports.get(&height).map_or(&[][..], Vec::as_slice);
        let chosen = known.iter().enumerate().filter(|(i, _)| which & 1 << (i & 7) == 0);
        let list: Vec<Signed> = chosen.map(|(_, signed)| signed.clone()).collect();
        let digest = list_digest(&list);
        let value = match what & 3 {
            0 => *self.values.get(usize::from(which).checked_rem(self.values.len())?)?,
            _ => self.value(to, &list, &digest)?,
        };
        let polka = usize::from(what >> 4).checked_rem(self.polkas.len());
        let polka = polka.filter(|_| what & 4 != 0).map(|place| self.polkas[place].clone());
        let earlier = match (&polka, what & 8) {
            (Some(polka), 0) => Some(polka.round),
            (None, 0) => None,
            _ => Some(u32::from(which)),
        };
        let head = ProposalHead { height, round, value, list: digest, earlier };
        let (network, bytes) = (self.genesis.network(), wire::encode(&head));
        let head = Signed::new(&self.key, "enjambre/proposal/1", &network, bytes);
        Some(AgreementMessage::Proposal(Proposal { head, list, polka }))
    }

    fn value(&self, to: Standing<'_>, list: &[Signed], digest: &Digest) -> Option<ValueId> {
        let reports = list.iter().map(|signed| Report::verify(signed, &self.genesis));
        let reports: Vec<Report> = reports.collect::<Result<_, _>>().ok()?;
        let before = to.newest.map(|newest| (newest.document(), newest.digest()));
        let document = derive(&self.genesis, before, &reports, &self.descriptors).ok()?;
        let made = Document::digest(&document.encode());
        let network = self.genesis.network();
        Some(ValueId::new(&network, to.height(), &to.previous(), &made, digest))
    }
}
