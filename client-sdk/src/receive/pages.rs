//! The records of one member, page by page.

use std::sync::Arc;

use enjambre_protocol::id::NodeId;
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::mailbox::{
    self, Call, Item, Namespace, Op, Page, Reply, Rest, RetrieveCall, Scope,
};
use enjambre_protocol::onion::SizeClass;
use enjambre_protocol::path::IsolationKey;

use crate::account::Account;
use crate::deadline::Deadline;
use crate::mailbox::{SwarmError, Teller};
use crate::net::{Net, NetError, Waits};
use crate::online::authorise;

/// Bytes of records asked for at a time: a hundred short messages.
const PAGE_BYTES: u32 = 1 << 20;

/// Pages read from one member in one look: a bound for a member that never says it is done.
pub(super) const PAGES_MAX: usize = 256;

/// Where pages of a mailbox come from.
pub(super) trait PageSource: Send {
    /// The page after a cursor, or the first.
    fn page(
        &mut self,
        after: Option<mailbox::Cursor>,
    ) -> impl Future<Output = Result<Page, SwarmError>> + Send;
}

/// One member, over a path of its own.
pub(super) struct MemberPages {
    pub(super) net: Arc<Net>,
    pub(super) account: Arc<Account>,
    pub(super) member: NodeId,
    pub(super) deadline: Deadline,
}

impl PageSource for MemberPages {
    async fn page(&mut self, after: Option<mailbox::Cursor>) -> Result<Page, SwarmError> {
        let (id, namespace) = (self.account.id(), Namespace::INBOX);
        let key = IsolationKey::new(&id.to_bytes(), self.member.as_bytes(), "retrieve");
        let by = authorise(&self.account, Scope::One(namespace), Op::Retrieve);
        let call =
            RetrieveCall { account: id, namespace, after, max_bytes: PAGE_BYTES, by: Some(by) };
        let (call, class) = (Call::Retrieve(call), SizeClass::K8);
        match self.net.call(&key, self.member, call, Waits::Read, class, self.deadline).await? {
            (Reply::Retrieved(page), _) => Ok(page),
            _ => Err(NetError::Malformed.into()),
        }
    }
}

/// Reads from the cursor to the end, and hands on each page that is what it says as it comes.
pub(super) async fn read_pages(
    account: AccountId,
    mut after: Option<mailbox::Cursor>,
    mut source: impl PageSource,
    tell: Teller<Page>,
) -> Result<(), SwarmError> {
    // A record is what its hash names: another one under that hash would hide the true one that
    // the other members have.
    let is_true = |item: &Item| {
        mailbox::MessageHash::of(&account, Namespace::INBOX, item.data.as_bytes()) == item.hash
    };
    for _ in 0..PAGES_MAX {
        let page = source.page(after).await?;
        if !page.items.iter().all(is_true) {
            return Err(NetError::Malformed.into());
        }
        after = Some(page.cursor);
        let rest = page.rest;
        tell.tell(page).await;
        if rest == Rest::Done {
            return Ok(());
        }
    }
    // The next look goes on where this one ended.
    Err(NetError::Endless { pages: PAGES_MAX }.into())
}

#[cfg(test)]
mod tests;
