//! Members whose clocks are wrong, and directories that stand still.

use core::time::Duration;

use super::net::{DAY, LATE_AFTER, Net, STALE_AFTER, owner, receipts};
use crate::mailbox::{
    ErrorKind, ExpiryMode, MailboxError, MessageHash, Namespace, Op, Unconfirmed,
};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn swept_of(net: &Net, index: usize) -> bool {
    net.machines[index].counters().messages == 0
}

#[test]
fn clock_that_jumps_forward_sweeps_nothing_that_the_directory_does_not_know_expired() {
    let alice = owner(1);
    let mut net = Net::new(3);
    assert_eq!(receipts(net.ask(0, alice.post(b"kept for a day"))), 2);
    net.ahead[1] = YEAR;
    net.run(Duration::from_secs(3600));
    assert!(!swept_of(&net, 1), "its receipt says that it keeps it for a day");
    net.ahead[1] = Duration::ZERO;
    assert_eq!(net.read(1, &alice, Namespace::INBOX), [b"kept for a day"]);
    // With both clocks past it, it goes.
    net.run(Duration::from_secs(2 * u64::from(DAY)));
    assert!(swept_of(&net, 1));
}

#[test]
fn clock_that_jumped_sweeps_no_earlier_than_late_documents_could_have_come() {
    let alice = owner(1);
    let mut net = Net::new(1);
    net.ahead[0] = Duration::from_secs(3600);
    receipts(net.ask(0, alice.post_for(b"an hour", 3600)));
    net.ahead[0] = YEAR;
    // Stamped an hour ahead, for an hour: it goes two hours from now, by the directory's time.
    net.run(Duration::from_secs(7200) - LATE_AFTER - Duration::from_secs(60));
    assert!(!swept_of(&net, 0));
    net.run(Duration::from_secs(180));
    assert!(swept_of(&net, 0));
}

#[test]
fn sweeping_waits_while_no_newer_document_comes() {
    let alice = owner(1);
    let mut net = Net::new(3);
    receipts(net.ask(0, alice.post_for(b"an hour", 3600)));
    net.has_authorities = false;
    net.run(Duration::from_secs(3 * 3600));
    assert!(net.read(0, &alice, Namespace::INBOX).is_empty(), "expired all the same");
    assert!(!swept_of(&net, 0));
    // Meanwhile records are taken and stamped as ever.
    receipts(net.ask(0, alice.post(b"stamped")));
    assert_eq!(net.read(2, &alice, Namespace::INBOX), [b"stamped"]);
    net.has_authorities = true;
    net.run(Duration::from_secs(61));
    assert_eq!(net.machines[0].counters().messages, 1, "the one of an hour is gone");
}

#[test]
fn member_whose_clock_is_beyond_its_directory_takes_no_writes() {
    let alice = owner(1);
    let mut net = Net::new(3);
    net.ahead[0] = STALE_AFTER + Duration::from_secs(1);
    assert_eq!(net.ask(0, alice.post(b"hello")), Err(MailboxError::NotReady));
    // Nor what is signed by that clock, which would reach all that was accepted until then.
    let signed = net.now().clock.saturating_add(net.ahead[0]);
    let delete = alice.change(Namespace::INBOX, signed, &[Op::DeleteAll]);
    assert_eq!(net.ask(0, delete), Err(MailboxError::NotReady));
    // The others do without it.
    assert_eq!(receipts(net.ask(1, alice.post(b"hello"))), 2);
    assert!(swept_of(&net, 0), "it took nothing");
    net.ahead[2] = net.ahead[0];
    let reason = Unconfirmed::Refused(ErrorKind::NotReady);
    let refused = MailboxError::NotConfirmed { confirmed: 1, needed: 2, reason };
    assert_eq!(net.ask(1, alice.post(b"again")), Err(refused));
}

#[test]
fn clock_that_is_ahead_removes_nothing_when_an_operation_on_a_record_comes() {
    let alice = owner(1);
    let hash = MessageHash::of(&alice.id, Namespace::INBOX, b"an hour");
    for mode in [ExpiryMode::Shorten, ExpiryMode::Extend, ExpiryMode::Set] {
        let mut net = Net::new(1);
        receipts(net.ask(0, alice.post_for(b"an hour", 3600)));
        // By its clock the record has expired, by what the directory vouches for it has not.
        net.ahead[0] = Duration::from_secs(7200);
        let signed = net.clock().saturating_add(net.ahead[0]);
        let expiry = signed.saturating_add(Duration::from_secs(60));
        let change = alice.change(Namespace::INBOX, signed, &[Op::Expire { hash, mode, expiry }]);
        receipts(net.ask(0, change));
        net.ahead[0] = Duration::ZERO;
        assert_eq!(net.read(0, &alice, Namespace::INBOX), [b"an hour"], "{mode:?}");
        // It goes at its time.
        net.run(Duration::from_secs(3700));
        assert!(swept_of(&net, 0), "{mode:?}");
    }
}

#[test]
fn member_whose_clock_is_behind_its_directory_takes_no_writes() {
    let alice = owner(1);
    let mut net = Net::new(3);
    net.behind[0] = LATE_AFTER + Duration::from_secs(1);
    assert_eq!(net.ask(0, alice.post(b"hello")), Err(MailboxError::NotReady));
    assert_eq!(receipts(net.ask(1, alice.post(b"hello"))), 2);
    assert!(swept_of(&net, 0), "it took nothing");
    // The clocks of authorities may be a little ahead.
    net.behind[0] = LATE_AFTER / 2;
    receipts(net.ask(0, alice.post(b"again")));
}
