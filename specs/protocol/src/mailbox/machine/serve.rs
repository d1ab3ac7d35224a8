//! What a commit releases: receipts for writes, answers to reads.

use super::{CallId, MemberMachine, Now, RequestId};
use crate::id::NodeId;
use crate::limits::{CLOCK_WINDOW, RETRIEVE_MAX};
use crate::mailbox::verified::{CheckedForward, CheckedRead};
use crate::mailbox::{
    Authorization, GetExpiriesCall, Info, MailboxError, NamespaceClass, Page, Receipt, ReceiptBody,
    Reply, RetrieveCall, StorageError, Store,
};
use crate::swarm::Point;
use crate::time::Timestamp;

/// A write that waits for the commit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Staged {
    /// Of a client of this member.
    Own { call: CallId, body: ReceiptBody },
    /// Of another coordinator's client.
    Forwarded { id: RequestId, body: ReceiptBody },
}

impl<S: Store> MemberMachine<S> {
    /// Takes a forward; it is answered by the next commit.
    pub(super) fn take_forward(
        &mut self,
        now: Now,
        id: RequestId,
        from: NodeId,
        forward: &CheckedForward,
    ) -> Result<(), MailboxError> {
        let body = self.take(now, from, forward)?;
        self.staged.push(Staged::Forwarded { id, body });
        Ok(())
    }

    /// Signs the receipt of a write that is on disk, or says why it is not.
    pub(super) fn release(&mut self, staged: Staged, result: &Result<(), StorageError>) {
        let (Staged::Own { body, .. } | Staged::Forwarded { body, .. }) = staged;
        let reply = match result {
            Ok(()) => self.ready().map(|_| Receipt::new(&self.key, &self.config.network, body)),
            Err(error) => Err(error.clone().into()),
        };
        match staged {
            Staged::Own { call, .. } => self.note(call, self.me, reply),
            Staged::Forwarded { id, .. } => self.acknowledge(id, reply),
        }
    }

    /// Answers a read from what is on disk. `room` is what the response may still hold.
    pub(super) fn serve(
        &self,
        now: Timestamp,
        read: CheckedRead,
        room: usize,
    ) -> Result<Reply, MailboxError> {
        match read {
            CheckedRead::Info => Ok(Reply::Info(self.info(now))),
            CheckedRead::Retrieve { call, point } => {
                self.check_read(point)?;
                self.retrieve(now, &call, room).map(Reply::Retrieved)
            }
            CheckedRead::GetExpiries { call, point } => {
                self.check_read(point)?;
                let GetExpiriesCall { account, namespace, hashes, by } = call;
                self.check_time(now, &by)?;
                self.check_token(&account, by.author.token(), by.signed_at)?;
                let found = self.mailboxes.expiries(now, &account, namespace, &hashes)?;
                Ok(Reply::Expiries(found))
            }
            CheckedRead::GetChunk { hash, point } => {
                self.check_read(point)?;
                let data = self.mailboxes.chunk(now, &hash)?.ok_or(MailboxError::NotFound)?;
                let len = data.as_bytes().len();
                if len > room {
                    let (len, limit) = (len as u64, room as u64);
                    return Err(MailboxError::TooLarge { len, limit });
                }
                Ok(Reply::Chunk(data))
            }
        }
    }

    fn retrieve(
        &self,
        now: Timestamp,
        call: &RetrieveCall,
        room: usize,
    ) -> Result<Page, MailboxError> {
        let RetrieveCall { account, namespace, after, max_bytes, by } = call;
        match by {
            Some(by) => {
                self.check_time(now, by)?;
                if !namespace.revoked_may_read() {
                    self.check_token(account, by.author.token(), by.signed_at)?;
                }
            }
            None if namespace.class() == NamespaceClass::Outbox => {}
            None => return Err(MailboxError::Unauthorised),
        }
        // One item at least, also for who asks for no bytes, unless the batch has used up its room.
        let asked = usize::try_from(*max_bytes).unwrap_or(RETRIEVE_MAX).max(1);
        Ok(self.mailboxes.page(now, account, *namespace, *after, asked.min(room))?)
    }

    /// Reads are answered by ready members of the stable owner.
    fn check_read(&self, point: Point) -> Result<(), MailboxError> {
        let directory = self.ready()?;
        let route = self.own_route(directory, point)?;
        let mut stable = route.stable.stable.iter().map(|member| member.node);
        if stable.any(|node: NodeId| node == self.me) {
            return Ok(());
        }
        Err(MailboxError::WrongSwarm { height: directory.view.height })
    }

    fn check_time(&self, now: Timestamp, by: &Authorization) -> Result<(), MailboxError> {
        if by.signed_at.abs_diff(now) > CLOCK_WINDOW {
            return Err(MailboxError::Clock { member: now });
        }
        Ok(())
    }

    fn info(&self, now: Timestamp) -> Info {
        let view = self.view.as_ref().map(|directory| &directory.view);
        let swarm = view.and_then(|view| view.swarms.swarm_of(self.me));
        let configuration = view.zip(swarm).and_then(|(v, swarm)| v.swarms.configuration(swarm));
        Info {
            time: now,
            height: view.map_or(0, |view| view.height),
            store: self.mailboxes.store().id(),
            swarm,
            configuration: configuration.map_or(0, |c| c.number),
        }
    }
}
