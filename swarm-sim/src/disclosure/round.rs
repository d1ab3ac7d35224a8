//! What happens in a round, whoever looks.

use crate::scenario::{Disclosure, Share};
use crate::stream::fast::Fast;
use crate::stream::{Entity, Streams};

/// True with probability `share`.
pub(super) fn chance(fast: &mut Fast, share: Share) -> bool {
    fast.below(Share::WHOLE) < share.parts()
}

/// Uniform below `bound`.
pub(super) fn below(fast: &mut Fast, bound: u32) -> u32 {
    u32::try_from(fast.below(bound.into())).unwrap_or(0)
}

/// What the target sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// To which mailbox.
    pub(super) to: u32,
    /// Whether it is a message of its own, not a dummy.
    pub(super) genuine: bool,
    /// Whether the mailbox is still there to take it.
    pub(super) arrives: bool,
}

/// The truth of one round.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    pub(super) number: u32,
    pub(super) sent: Option<Sent>,
    /// Mailboxes of the others' messages.
    pub(super) others: Vec<u32>,
    /// Who was online, ascending; nobody where the scenario has no presence.
    pub(super) online: Vec<u32>,
    /// Who left for good before it, ascending.
    pub(super) gone: Vec<u32>,
    /// Whether the target leaves after it.
    pub(super) last: bool,
}

/// Draws one round after the other. What the target does, what the others do and who is there have streams of their
/// own, so that a setting of one shifts no draw of another.
#[derive(Debug)]
pub(super) struct World<'a> {
    disclosure: &'a Disclosure,
    pub(super) partners: Vec<u32>,
    has_left: Vec<bool>,
    target: Fast,
    others: Fast,
    presence: Fast,
    round: Round,
}

impl<'a> World<'a> {
    pub(super) fn found(disclosure: &'a Disclosure, streams: &Streams, index: u32) -> Self {
        let stream = |purpose| streams.stream(Entity::Client(index), purpose);
        let fast = |purpose| Fast::from_stream(&mut stream(purpose));
        let candidates = disclosure.users as usize;
        let partners = stream("partners").choose(disclosure.partners as usize, candidates);
        Self {
            disclosure,
            partners: partners.into_iter().filter_map(|at| u32::try_from(at).ok()).collect(),
            has_left: vec![false; candidates],
            target: fast("target"),
            others: fast("others"),
            presence: fast("presence"),
            round: Round::default(),
        }
    }

    /// The round of this number.
    pub(super) fn next(&mut self, number: u32) -> &Round {
        self.round.number = number;
        self.leave();
        self.round.sent = self.send();
        let settings = self.disclosure;
        self.round.others.clear();
        for _ in 1..settings.batch {
            // What goes to a mailbox that is gone is lost.
            let to = below(&mut self.others, settings.users);
            if !self.has_left[to as usize] {
                self.round.others.push(to);
            }
        }
        self.be_online();
        self.round.last = chance(&mut self.target, settings.target_leaves);
        &self.round
    }

    fn send(&mut self) -> Option<Sent> {
        let settings = self.disclosure;
        let genuine = chance(&mut self.target, settings.sends);
        let dummy = chance(&mut self.target, settings.cover);
        let partner = below(&mut self.target, settings.partners) as usize;
        let partner = self.partners.get(partner).copied();
        let anyone = below(&mut self.target, settings.users);
        match partner {
            Some(partner) if genuine => Some(Sent { to: partner, genuine, arrives: true }),
            _ => {
                let arrives = !self.has_left[anyone as usize];
                (!genuine && dummy).then_some(Sent { to: anyone, genuine: false, arrives })
            }
        }
    }

    fn leave(&mut self) {
        self.round.gone.clear();
        if self.disclosure.users_leave == Share::NONE {
            return;
        }
        for user in 0..self.disclosure.users {
            let leaves = chance(&mut self.presence, self.disclosure.users_leave);
            let stays = self.has_left[user as usize] || self.partners.contains(&user);
            if leaves && !stays {
                self.has_left[user as usize] = true;
                self.round.gone.push(user);
            }
        }
    }

    /// The partner to whom a message goes is there to read it, all others by chance.
    fn be_online(&mut self) {
        self.round.online.clear();
        let Some(presence) = self.disclosure.presence else { return };
        let reads = self.round.sent.filter(|sent| sent.genuine).map(|sent| sent.to);
        for user in 0..self.disclosure.users {
            let there = chance(&mut self.presence, presence) && !self.has_left[user as usize];
            if there || reads == Some(user) {
                self.round.online.push(user);
            }
        }
    }
}
