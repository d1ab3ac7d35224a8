//! Whether this member may take a write, and what it then puts in the store.

use core::time::Duration;

use super::{Directory, MemberMachine, Now, Readiness, View};
use crate::id::{Digest, NodeId};
use crate::identity::AccountId;
use crate::limits::CLOCK_WINDOW;
use crate::mailbox::verified::{CheckedForward, CheckedWrite, What};
use crate::mailbox::{
    ConfigurationId, MailboxError, Mutation, Namespace, ReceiptBody, Record, Scope, Stamp, Store,
    TOMBSTONE_LIFE, Written,
};
use crate::swarm::{Point, Route, owner};
use crate::time::Timestamp;

/// What a forward may add to the age of a signature: it was fresh when the coordinator took it.
const FORWARD_ALLOWANCE: Duration = Duration::from_secs(10);

impl Directory {
    /// Who keeps a point.
    pub(super) fn route(&self, point: Point) -> Option<Route<'_>> {
        let swarms = &self.view.swarms;
        let stable = swarms.configuration(owner(point, &self.stable_ring)?)?;
        let target = swarms.configuration(owner(point, &self.target_ring)?)?;
        Some(Route { stable, target })
    }
}

/// The names of the two configurations of a route.
pub(super) const fn names(route: Route<'_>) -> [ConfigurationId; 2] {
    [
        ConfigurationId { swarm: route.stable.swarm, number: route.stable.number },
        ConfigurationId { swarm: route.target.swarm, number: route.target.number },
    ]
}

/// Whether a node is named in a route, under whatever store id.
pub(super) fn is_member(route: Route<'_>, node: NodeId) -> bool {
    let mut members = route.write_lists().flatten();
    members.any(|member| member.node == node)
}

impl<S: Store> MemberMachine<S> {
    /// The directory, if this member may answer for what it says.
    pub(super) fn ready(&self) -> Result<&Directory, MailboxError> {
        match &self.view {
            Some(known) if known.view.readiness == Readiness::Ready => Ok(known),
            _ => Err(MailboxError::NotReady),
        }
    }

    /// Whether this member's clock is near enough to its directory to judge writes by it.
    pub(super) fn check_clock(clock: Timestamp, view: &View) -> Result<(), MailboxError> {
        let latest = view.made.saturating_add(view.stale_after);
        let earliest = view.made.saturating_sub(view.late_after.max(CLOCK_WINDOW));
        if (earliest..=latest).contains(&clock) { Ok(()) } else { Err(MailboxError::NotReady) }
    }

    /// Who keeps a point, if this member is among them.
    pub(super) fn own_route<'a>(
        &self,
        directory: &'a Directory,
        point: Point,
    ) -> Result<Route<'a>, MailboxError> {
        let height = directory.view.height;
        let route = directory.route(point).filter(|route| is_member(*route, self.me));
        route.ok_or(MailboxError::WrongSwarm { height })
    }

    /// Checks a forward against the directory and stages it.
    pub(super) fn take(
        &mut self,
        now: Now,
        from: NodeId,
        forward: &CheckedForward,
    ) -> Result<ReceiptBody, MailboxError> {
        let CheckedForward { configurations, stamp, write } = forward;
        let directory = self.view.as_ref().ok_or(MailboxError::NotReady)?;
        let route = self.own_route(directory, write.point)?;
        let height = directory.view.height;
        for (theirs, ours) in configurations.iter().zip(names(route)) {
            if theirs.swarm != ours.swarm {
                return Err(MailboxError::WrongSwarm { height });
            }
            if theirs.number < ours.number {
                return Err(MailboxError::OldConfiguration { number: ours.number, height });
            }
            if theirs.number > ours.number {
                return Err(MailboxError::NotReady); // We are the ones behind.
            }
        }
        let stamped_by_other = stamp.is_some_and(|stamp| stamp.by != from);
        if !is_member(route, from) || stamped_by_other {
            return Err(MailboxError::Unauthorised);
        }
        Self::check_clock(now.clock, &directory.view)?;
        let window = CLOCK_WINDOW.saturating_add(FORWARD_ALLOWANCE);
        let stamp = stamp.map(|stamp| self.clamp(now.clock, stamp, write));
        self.stage(now.clock, window, stamp, write)
    }

    /// A coordinator's stamp, or this member's own at the edge of the window if that one is off.
    fn clamp(&self, now: Timestamp, stamp: Stamp, write: &CheckedWrite) -> Stamp {
        let (at, What::Record { key, ttl, .. }) = (stamp.clamped(now), &write.what) else {
            return stamp;
        };
        if at == stamp.accepted_at {
            return stamp;
        }
        let expiry = at.saturating_add(ttl.as_duration());
        Stamp::new(&self.key, &self.config.network, key, at, expiry)
    }

    /// Stages a write and gives what its receipt will say. The one check of the time window.
    pub(super) fn stage(
        &mut self,
        now: Timestamp,
        window: Duration,
        stamp: Option<Stamp>,
        write: &CheckedWrite,
    ) -> Result<ReceiptBody, MailboxError> {
        match &write.what {
            What::Record { key, owner, .. } => {
                if let Some(mutation) = owner {
                    self.check_live(now, window, &key.account, mutation)?;
                }
                let stamp = stamp.ok_or(MailboxError::Malformed)?;
                let stated = Record::accepted(stamp, owner.as_deref().cloned());
                let kept = self.mailboxes.keep(self.clock(now), key, stated, write.data())?;
                let subject = Digest::from_bytes(*key.hash.as_bytes());
                let times = Times { expiry: kept.expiry, accepted_at: kept.accepted_at };
                self.receipt(write, Written::Record, key.namespace, subject, times)
            }
            What::Changes { account, scope, changes, subject } => {
                let mut signed_at = Timestamp::EPOCH;
                for mutation in changes {
                    self.check_live(now, window, account, mutation)?;
                    signed_at = mutation.signed_at();
                }
                self.mailboxes.apply_all(self.clock(now), account, *scope, changes)?;
                let namespace = match scope {
                    Scope::One(namespace) => *namespace,
                    Scope::All => Namespace::default(),
                };
                let expiry = signed_at.saturating_add(TOMBSTONE_LIFE);
                let times = Times { expiry, accepted_at: signed_at };
                self.receipt(write, Written::Changes, namespace, *subject, times)
            }
            What::Chunk { hash, ttl } => {
                let expiry = now.saturating_add(ttl.as_duration());
                let kept = self.mailboxes.keep_chunk(now, hash, expiry, write.data())?;
                let subject = Digest::from_bytes(*hash.as_bytes());
                let times = Times { expiry: kept.expiry, accepted_at: kept.accepted_at };
                self.receipt(write, Written::Chunk, Namespace::default(), subject, times)
            }
        }
    }

    /// Whether a signature is of now, and its token not revoked.
    pub(super) fn check_live(
        &self,
        now: Timestamp,
        window: Duration,
        account: &AccountId,
        mutation: &Mutation,
    ) -> Result<(), MailboxError> {
        if mutation.signed_at().abs_diff(now) > window {
            return Err(MailboxError::Clock { member: now });
        }
        self.check_token(account, mutation.by.author.token(), mutation.signed_at())
    }

    /// Whether a token was revoked by the time it was used.
    pub(super) fn check_token(
        &self,
        account: &AccountId,
        token: Option<crate::mailbox::TokenBody>,
        at: Timestamp,
    ) -> Result<(), MailboxError> {
        match token {
            Some(token) if self.mailboxes.is_revoked(account, &token, at)? => {
                Err(MailboxError::Unauthorised)
            }
            _ => Ok(()),
        }
    }

    fn receipt(
        &self,
        write: &CheckedWrite,
        written: Written,
        namespace: Namespace,
        subject: Digest,
        times: Times,
    ) -> Result<ReceiptBody, MailboxError> {
        let directory = self.view.as_ref().ok_or(MailboxError::NotReady)?;
        let route = self.own_route(directory, write.point)?;
        // A member of both speaks for the owner that answers reads.
        let own = [route.stable, route.target];
        let mine = own.into_iter().find(|c| names_node(c, self.me)).unwrap_or(route.stable);
        Ok(ReceiptBody {
            swarm: mine.swarm,
            configuration: mine.number,
            store: self.mailboxes.store().id(),
            point: write.point,
            written,
            namespace,
            subject,
            expiry: times.expiry,
            accepted_at: times.accepted_at,
            nonce: write.nonce,
        })
    }
}

/// The two times of a receipt.
#[derive(Clone, Copy)]
struct Times {
    expiry: Timestamp,
    accepted_at: Timestamp,
}

/// Whether a configuration names a node, as stable or target.
fn names_node(configuration: &crate::swarm::Configuration, node: NodeId) -> bool {
    let target = configuration.target.iter().flat_map(|target| &target.members);
    configuration.stable.iter().chain(target).any(|member| member.node == node)
}
