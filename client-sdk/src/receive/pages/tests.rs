//! What is read of members that break off, lie, or never end.

#![allow(clippy::unwrap_used)]

use enjambre_protocol::id::StoreId;
use enjambre_protocol::identity::AccountSeed;
use enjambre_protocol::mailbox::{MessageHash, RecordSeq, Start};
use enjambre_protocol::time::Timestamp;

use super::*;

const MEMBER: NodeId = NodeId::from_bytes([7; 32]);

fn account() -> AccountId {
    AccountSeed::from_bytes([2; 16]).key().id()
}

/// A page of two records of one byte each, the first of which is `n`.
fn page(account: &AccountId, n: u8, rest: Rest) -> Page {
    let item = |byte: u8| Item {
        hash: MessageHash::of(account, Namespace::INBOX, &[byte]),
        accepted_at: Timestamp::EPOCH,
        expiry: Timestamp::EPOCH,
        data: vec![byte].into(),
    };
    let seq = RecordSeq::new(u64::from(n) + 2);
    let cursor = mailbox::Cursor { store: StoreId::from_bytes([1; 16]), seq };
    Page { items: vec![item(n), item(n + 1)], cursor, rest, start: Start::Continued }
}

/// A member that answers its n-th question by a function of n, from 1.
struct Script<F> {
    asked: u64,
    answer: F,
}

impl<F> PageSource for Script<F>
where
    F: Fn(u64, Option<mailbox::Cursor>) -> Result<Page, SwarmError> + Send + Sync,
{
    async fn page(&mut self, after: Option<mailbox::Cursor>) -> Result<Page, SwarmError> {
        self.asked += 1;
        (self.answer)(self.asked, after)
    }
}

/// Reads such a member; gives how it ended and how many pages were handed on.
async fn read(
    account: AccountId,
    answer: impl Fn(u64, Option<mailbox::Cursor>) -> Result<Page, SwarmError> + Send + Sync,
) -> (Result<(), SwarmError>, usize) {
    let (tell, mut told) = Teller::pair(MEMBER, PAGES_MAX + 1);
    let ended = read_pages(account, None, Script { asked: 0, answer }, tell).await;
    let mut pages = 0;
    while told.recv().await.is_some() {
        pages += 1;
    }
    (ended, pages)
}

#[tokio::test]
async fn pages_that_came_before_a_failure_are_handed_on() {
    let account = account();
    let answer = |n: u64, after: Option<mailbox::Cursor>| {
        let expected = [None, Some(2), Some(4)];
        assert_eq!(
            after.map(|after| after.seq.number()),
            expected[usize::try_from(n).unwrap() - 1]
        );
        match n {
            1 => Ok(page(&account, 0, Rest::More)),
            2 => Ok(page(&account, 2, Rest::More)),
            _ => Err(NetError::Malformed.into()),
        }
    };
    let (ended, pages) = read(account, answer).await;
    assert!(ended.is_err());
    assert_eq!(pages, 2);
}

#[tokio::test]
async fn page_with_a_record_under_anothers_hash_is_refused_and_those_before_it_are_not() {
    let account = account();
    let answer = |n, _: Option<mailbox::Cursor>| {
        let mut page = page(&account, 0, Rest::More);
        if n == 2 {
            page.items[1].hash = page.items[0].hash;
        }
        Ok(page)
    };
    let (ended, pages) = read(account, answer).await;
    assert!(ended.is_err());
    assert_eq!(pages, 1);
}

#[tokio::test]
async fn member_that_never_ends_is_left_after_so_many_pages() {
    let account = account();
    let (ended, pages) = read(account, |_, _| Ok(page(&account, 0, Rest::More))).await;
    assert!(ended.is_err());
    assert_eq!(pages, PAGES_MAX);
}
