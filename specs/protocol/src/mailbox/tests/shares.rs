//! Whatever a request leaves on disk counts: against its account, the node, and the headroom.

use core::time::Duration;

use super::net::{DAY, NETWORK, Net, Owner, device, owner, receipts};
use crate::identity::Rights;
use crate::mailbox::{
    Author, Call, ChangeCall, ErrorKind, ExpiryMode, MailboxError, MemberConfig, MessageHash,
    Namespace, Op, Quota, RANGES_MAX, ReceiptNonce, Reply, Scope, TokenBody,
};

fn kind(reply: Result<Reply, MailboxError>) -> ErrorKind {
    match reply {
        Err(error) => error.kind(),
        Ok(reply) => panic!("succeeded: {reply:?}"),
    }
}

fn unknown(i: u8) -> MessageHash {
    MessageHash::from_bytes([i; 32])
}

fn token(i: u8) -> TokenBody {
    TokenBody::from_bytes([i; 36])
}

/// A statement of each kind about nothing that is here.
fn statements(owner: &Owner, net: &Net, i: u8) -> [Call; 6] {
    let (at, own) = (net.clock(), Namespace::new(2));
    let expiry = at.saturating_add(Duration::from_secs(60));
    let extend = Op::Expire { hash: unknown(i), mode: ExpiryMode::Extend, expiry };
    let drawer = Namespace::new(10 * i16::from(i));
    [
        owner.change(own, at, &[Op::Delete { hash: unknown(i) }]),
        owner.change(Namespace::INBOX, at, &[extend]),
        owner.change(drawer, at, &[Op::DeleteAll]),
        owner.change(drawer, at, &[Op::ExpireAll { expiry }]),
        owner.change(Scope::All, at, &[Op::Revoke { token: token(i) }]),
        owner.change(Scope::All, at, &[Op::Restore { token: token(i) }]),
    ]
}

#[test]
fn statements_about_nothing_count_against_the_node() {
    for which in 0..6 {
        let mut config = MemberConfig::new(NETWORK);
        config.quotas.messages_bytes = 3_000;
        let mut net = Net::with(1, 1, config);
        let mut refused = 0;
        for i in 1..20 {
            let call = statements(&owner(i), &net, i)[which].clone();
            match net.ask(0, call) {
                Ok(_) => assert_eq!(refused, 0, "statement {which}"),
                Err(error) => {
                    assert_eq!(error, MailboxError::Disk, "statement {which}");
                    refused += 1;
                }
            }
            assert!(net.machines[0].counters().messages_bytes <= 3_000, "statement {which}");
        }
        assert!((8..19).contains(&refused), "statement {which}: {refused} refused");
    }
}

#[test]
fn statements_about_nothing_leave_the_headroom_alone() {
    for which in 0..6 {
        let mut net = Net::new(1);
        net.machines[0].store_mut().set_capacity(Some(100_000), 100_000);
        let call = statements(&owner(1), &net, 1)[which].clone();
        assert_eq!(net.ask(0, call), Err(MailboxError::Disk), "statement {which}");
        assert_eq!(net.machines[0].counters().messages_bytes, 0);
    }
}

#[test]
fn full_node_still_deletes_what_is_here_and_shuts_out_a_token() {
    let alice = owner(1);
    let mut net = Net::new(1);
    for i in 0..3 {
        receipts(net.ask(0, alice.post(&[i; 10])));
    }
    net.machines[0].store_mut().set_capacity(Some(100_000), 100_000);
    assert_eq!(net.ask(0, alice.post(b"more")), Err(MailboxError::Disk));
    let hash = MessageHash::of(&alice.id, Namespace::INBOX, &[0; 10]);
    let at = net.clock();
    receipts(net.ask(0, alice.change(Namespace::INBOX, at, &[Op::Delete { hash }])));
    let revoke = Op::Revoke { token: token(1) };
    receipts(net.ask(0, alice.change(Scope::All, net.clock(), &[revoke])));
    receipts(net.ask(0, alice.change(Namespace::INBOX, net.clock(), &[Op::DeleteAll])));
    assert!(net.read(0, &alice, Namespace::INBOX).is_empty());
}

#[test]
fn scopes_with_marks_are_bounded_and_one_more_is_an_error_that_loses_nothing() {
    let alice = owner(1);
    let mut net = Net::new(1);
    let drawer = |i: usize| Namespace::new(10 * i16::try_from(i).unwrap());
    for i in 0..RANGES_MAX {
        receipts(net.ask(0, alice.change(drawer(i), net.clock(), &[Op::DeleteAll])));
    }
    let before = net.machines[0].counters();
    let more = alice.change(drawer(RANGES_MAX), net.clock(), &[Op::DeleteAll]);
    assert_eq!(kind(net.ask(0, more)), ErrorKind::Quota);
    assert_eq!(net.machines[0].counters(), before);
    // All of them may still be emptied at once, and that takes no drawer's place.
    receipts(net.ask(0, alice.change(Scope::All, net.clock(), &[Op::DeleteAll])));
    let more = alice.change(drawer(RANGES_MAX), net.clock(), &[Op::DeleteAll]);
    assert_eq!(kind(net.ask(0, more)), ErrorKind::Quota);
    // What there is may be renewed, and another account has a share of its own.
    receipts(net.ask(0, alice.change(drawer(3), net.clock(), &[Op::DeleteAll])));
    receipts(net.ask(0, owner(2).change(drawer(3), net.clock(), &[Op::DeleteAll])));
    // They go when nothing that they cover can arrive any more.
    net.run(Duration::from_secs(31 * u64::from(DAY)));
    assert_eq!(net.machines[0].counters().messages_bytes, 0);
    receipts(net.ask(0, alice.change(drawer(RANGES_MAX), net.clock(), &[Op::DeleteAll])));
}

#[test]
fn word_on_a_restored_token_goes_and_a_revocation_stays() {
    let alice = owner(1);
    let mut net = Net::new(1);
    let words = [Op::Revoke { token: token(1) }, Op::Revoke { token: token(2) }];
    receipts(net.ask(0, alice.change(Scope::All, net.clock(), &words)));
    let one = net.machines[0].counters().messages_bytes / 2;
    let restore = Op::Restore { token: token(2) };
    receipts(net.ask(0, alice.change(Scope::All, net.clock(), &[restore])));
    net.run(Duration::from_secs(31 * u64::from(DAY)));
    assert_eq!(net.machines[0].counters().messages_bytes, one);
    let mailboxes = net.machines[0].mailboxes();
    assert_eq!(mailboxes.is_revoked(&alice.id, &token(1), net.clock()), Ok(true));
    assert_eq!(mailboxes.is_revoked(&alice.id, &token(2), net.clock()), Ok(false));
}

#[test]
fn token_that_may_write_but_not_delete_changes_no_expiry_in_an_outbox() {
    for (rights, allowed) in [(Rights::WRITE, false), (Rights::WRITE.with(Rights::DELETE), true)] {
        let mut net = Net::new(1);
        let (account, key, token) = device(1, rights);
        let author = Author::SubAccount { account: account.public(), token };
        let nonce = ReceiptNonce::from_bytes([1; 16]);
        let at = net.clock();
        let expiry = at.saturating_add(Duration::from_secs(3600));
        for mode in [ExpiryMode::Set, ExpiryMode::Shorten, ExpiryMode::Extend] {
            let op = Op::Expire { hash: unknown(1), mode, expiry };
            let (author, id, scope) = (author.clone(), account.id(), Namespace::OUTBOX.into());
            let at = net.clock();
            let call = ChangeCall::signed(&key, author, &NETWORK, id, scope, at, [op], nonce);
            let answer = net.ask(0, Call::Change(call));
            if allowed {
                receipts(answer);
            } else {
                assert_eq!(kind(answer), ErrorKind::Unauthorised, "{mode:?}");
            }
        }
    }
}

#[test]
fn value_that_replaces_another_in_a_full_outbox_is_taken() {
    let alice = owner(1);
    let mut config = MemberConfig::new(NETWORK);
    config.quotas.outbox = Quota { bytes: 100_000, rows: 2 };
    let mut net = Net::with(1, 1, config);
    let second = Namespace::new(-21);
    receipts(net.ask(0, alice.publish(Namespace::OUTBOX, net.clock(), &[1; 40_000])));
    receipts(net.ask(0, alice.publish(second, net.clock(), &[1; 40_000])));
    receipts(net.ask(0, alice.publish(second, net.clock(), &[2; 50_000])));
    let too_long = alice.publish(second, net.clock(), &[3; 70_000]);
    assert_eq!(kind(net.ask(0, too_long)), ErrorKind::Quota);
    let third = alice.publish(Namespace::new(-41), net.clock(), &[1; 10]);
    assert_eq!(kind(net.ask(0, third)), ErrorKind::Quota);
    assert_eq!(net.read(0, &alice, second), [[2; 50_000]]);
}
