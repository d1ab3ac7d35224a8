//! The coordinator's half of a write: pass it on, count, answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::admission::names;
use super::serve::Staged;
use super::{CallId, Interest, MemberMachine, Now, Part, Transmit};
use crate::id::NodeId;
use crate::limits::CLOCK_WINDOW;
use crate::mailbox::verified::{CheckedWrite, What};
use crate::mailbox::{
    Confirmed, ErrorKind, Forward, ForwardReply, MailboxError, Receipt, ReceiptBody, Reply, Stamp,
    Store, Unconfirmed, Written,
};
use crate::swarm::{Member, majority};

/// A write that awaits its majorities.
#[derive(Debug)]
pub(super) struct Write {
    part: Part,
    lists: Vec<Vec<Member>>,
    expected: ReceiptBody,
    receipts: Vec<Receipt>,
    waiting: BTreeSet<NodeId>,
    refused: Option<ErrorKind>,
    /// Lives as long as answers count: what [`Interest`] looks at.
    _open: Arc<()>,
}

impl Write {
    /// Members of one list that confirmed, under the store id that the list names.
    fn confirmed(&self, list: &[Member]) -> usize {
        let has = |member: &&Member| self.receipts.iter().any(|r| r.member() == **member);
        list.iter().filter(has).count()
    }

    fn is_satisfied(&self) -> bool {
        let enough = |list: &Vec<Member>| self.confirmed(list) >= majority(list.len());
        !self.lists.is_empty() && self.lists.iter().all(enough)
    }

    /// Whether a receipt is about this write.
    fn accepts(&self, body: &ReceiptBody) -> bool {
        let about = |b: &ReceiptBody| (b.point, b.written, b.namespace, b.subject, b.nonce);
        about(body) == about(&self.expected)
    }

    /// Distinct nodes of all lists.
    fn members(&self) -> u16 {
        let nodes: BTreeSet<NodeId> = self.lists.iter().flatten().map(|m| m.node).collect();
        u16::try_from(nodes.len()).unwrap_or(u16::MAX)
    }

    /// Why it failed, by the list that falls shortest.
    fn shortfall(&self) -> MailboxError {
        let counted = self.lists.iter().map(|l| (majority(l.len()), self.confirmed(l)));
        let worst = counted.max_by_key(|(needed, confirmed)| needed.saturating_sub(*confirmed));
        let (needed, confirmed) = worst.unwrap_or((1, 0));
        let reason = self.refused.map_or(Unconfirmed::NoAnswer, Unconfirmed::Refused);
        MailboxError::NotConfirmed {
            confirmed: u16::try_from(confirmed).unwrap_or(u16::MAX),
            needed: u16::try_from(needed).unwrap_or(u16::MAX),
            reason,
        }
    }
}

impl<S: Store> MemberMachine<S> {
    /// Stages a client's write here and passes it on to the other members.
    pub(super) fn coordinate(&mut self, now: Now, part: Part, write: &CheckedWrite) {
        if let Err(error) = self.try_coordinate(now, part, write) {
            self.finish(part, Err(error));
        }
    }

    fn try_coordinate(
        &mut self,
        now: Now,
        part: Part,
        write: &CheckedWrite,
    ) -> Result<(), MailboxError> {
        let directory = self.ready()?;
        let route = self.own_route(directory, write.point)?;
        let lists: Vec<Vec<Member>> = route.write_lists().map(<[Member]>::to_vec).collect();
        let configurations = names(route);
        Self::check_clock(now.clock, &directory.view)?;
        let stamp = match &write.what {
            What::Record { key, ttl, .. } => {
                let expiry = now.clock.saturating_add(ttl.as_duration());
                Some(Stamp::new(&self.key, &self.config.network, key, now.clock, expiry))
            }
            What::Changes { .. } | What::Chunk { .. } => None,
        };
        let body = self.stage(now.clock, CLOCK_WINDOW, stamp, write)?;
        let waiting: BTreeSet<NodeId> = lists.iter().flatten().map(|member| member.node).collect();
        let to: Vec<NodeId> = waiting.iter().copied().filter(|node| *node != self.me).collect();
        let call = CallId(self.next_call);
        self.next_call += 1;
        let open = Arc::new(());
        if !to.is_empty() {
            let forward = Forward { configurations, stamp, call: (*write.call).clone() };
            let (forward, interest) = (Arc::new(forward), Interest(Arc::downgrade(&open)));
            self.transmits.push_back(Transmit::Forward { call, to, forward, interest });
        }
        let receipts = Vec::with_capacity(waiting.len());
        let refused = None;
        let expected = body;
        let write = Write { part, lists, expected, receipts, waiting, refused, _open: open };
        self.writes.insert(call, write);
        self.deadlines.push_back((now.instant.saturating_add(self.config.deadline), call));
        self.staged.push(Staged::Own { call, body });
        Ok(())
    }

    /// Counts a member's answer; the first that completes the majorities answers the client.
    pub(super) fn note(&mut self, call: CallId, from: NodeId, reply: ForwardReply) {
        let Some(write) = self.writes.get_mut(&call) else { return };
        if !write.waiting.remove(&from) {
            return;
        }
        match reply {
            Ok(receipt) if receipt.node == from && write.accepts(&receipt.body) => {
                write.receipts.push(receipt);
            }
            Ok(_) => {
                write.refused.get_or_insert(ErrorKind::Malformed);
            }
            Err(error) => {
                write.refused.get_or_insert(error.kind());
            }
        }
        self.settle(call);
    }

    /// A member will not answer.
    pub(super) fn note_silence(&mut self, call: CallId, member: NodeId) {
        let Some(write) = self.writes.get_mut(&call) else { return };
        if write.waiting.remove(&member) {
            self.settle(call);
        }
    }

    fn settle(&mut self, call: CallId) {
        let Some(write) = self.writes.get(&call) else { return };
        if write.is_satisfied() {
            let Some(write) = self.writes.remove(&call) else { return };
            let members = write.members();
            let confirmed = Confirmed { receipts: write.receipts, members };
            let reply = match write.expected.written {
                Written::Record => Reply::Stored(confirmed),
                Written::Changes => Reply::Changed(confirmed),
                Written::Chunk => Reply::ChunkStored(confirmed),
            };
            self.finish(write.part, Ok(reply));
        } else if write.waiting.is_empty() {
            self.give_up(call);
        }
    }

    /// The write will not be confirmed, or not in time.
    pub(super) fn give_up(&mut self, call: CallId) {
        if let Some(write) = self.writes.remove(&call) {
            let error = write.shortfall();
            self.finish(write.part, Err(error));
        }
    }
}
