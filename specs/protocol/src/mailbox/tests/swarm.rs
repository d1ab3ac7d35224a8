//! Majorities, receipts, deletes, expiry, outboxes: swarms without faults but absent members.

use core::time::Duration;

use super::net::{DAY, NETWORK, Net, device, owner, page, receipts};
use crate::identity::Rights;
use crate::mailbox::{
    Author, CHUNK_LEN, Call, ChangeCall, ChunkHash, Cursor, ErrorKind, ExpiryMode, GetExpiriesCall,
    MailboxError, MemberConfig, MessageHash, Mutation, Namespace, Op, PutChunkCall, Readiness,
    ReceiptNonce, RecordSeq, Reply, Request, Response, Rest, RetrieveCall, Scope, Start, StoreCall,
    TokenBody, Unconfirmed, hashes_digest,
};
use crate::time::Timestamp;

fn hash(owner: &super::net::Owner, namespace: Namespace, data: &[u8]) -> MessageHash {
    MessageHash::of(&owner.id, namespace, data)
}

fn kind(reply: Result<Reply, MailboxError>) -> ErrorKind {
    match reply {
        Err(error) => error.kind(),
        Ok(reply) => panic!("succeeded: {reply:?}"),
    }
}

#[test]
fn write_with_a_majority_up_is_confirmed_with_receipts_and_read_from_each() {
    let alice = owner(1);
    for (n, down, needed) in [(1, 0, 1), (2, 0, 2), (3, 1, 2), (5, 0, 3), (5, 2, 3), (7, 3, 4)] {
        let mut net = Net::new(n);
        net.down = (n - down..n).collect();
        let stored = net.ask(0, alice.post(b"hello"));
        assert!(receipts(stored) >= needed, "{n} members, {down} down");
        for member in 0..n - down {
            assert_eq!(net.read(member, &alice, Namespace::INBOX), [b"hello"]);
        }
    }
}

#[test]
fn write_with_a_minority_up_is_not_confirmed_and_says_why() {
    let alice = owner(1);
    for (n, down, confirmed, needed) in [(2, 1, 1, 2), (5, 3, 2, 3), (5, 4, 1, 3)] {
        let mut net = Net::new(n);
        net.down = (n - down..n).collect();
        let error = net.ask(0, alice.post(b"hello")).unwrap_err();
        let reason = Unconfirmed::NoAnswer;
        assert_eq!(error, MailboxError::NotConfirmed { confirmed, needed, reason });
        assert_eq!(error.retry(), crate::Retry::Later);
    }
}

#[test]
fn refused_write_names_the_first_refusal() {
    let alice = owner(1);
    let mut net = Net::new(3);
    for member in [1, 2] {
        net.show_view(member, Readiness::CatchingUp);
    }
    let error = net.ask(0, alice.post(b"hello")).unwrap_err();
    let reason = Unconfirmed::Refused(ErrorKind::NotReady);
    assert_eq!(error, MailboxError::NotConfirmed { confirmed: 1, needed: 2, reason });
    // They took it all the same: once they have caught up they answer with it.
    net.show_view(1, Readiness::Ready);
    assert_eq!(net.read(1, &alice, Namespace::INBOX), [b"hello"]);
}

#[test]
fn during_a_change_both_majorities_are_needed() {
    let alice = owner(1);
    // Stable 0–4; target 1–6: three of five, and four of six.
    let mut net = Net::with(7, 5, MemberConfig::new(NETWORK));
    net.down = [5, 6].into();
    assert!(receipts(net.ask(0, alice.post(b"one"))) >= 4);
    net.down = [4, 5, 6].into();
    let error = net.ask(0, alice.post(b"two")).unwrap_err();
    let reason = Unconfirmed::NoAnswer;
    assert_eq!(error, MailboxError::NotConfirmed { confirmed: 3, needed: 4, reason });
    net.down = [0, 3, 4].into();
    let error = net.ask(1, alice.post(b"three")).unwrap_err();
    assert_eq!(error, MailboxError::NotConfirmed { confirmed: 2, needed: 3, reason });
}

#[test]
fn emptied_member_does_not_count_under_its_old_store() {
    let alice = owner(1);
    let mut net = Net::new(2);
    // The directory still names the store that this member had before it was emptied.
    let stable = &mut net.state.configurations[0].stable;
    let other = net.machines[1].id();
    let member = stable.iter_mut().find(|member| member.node == other).unwrap();
    member.store = crate::id::StoreId::from_bytes([0xaa; 16]);
    net.show_view(0, Readiness::Ready);
    let error = net.ask(0, alice.post(b"hello")).unwrap_err();
    assert!(matches!(error, MailboxError::NotConfirmed { confirmed: 1, needed: 2, .. }));
}

#[test]
fn same_record_twice_is_one_record() {
    let alice = owner(1);
    let mut net = Net::new(3);
    for member in [0, 1, 2, 0] {
        receipts(net.ask(member, alice.post(b"hello")));
    }
    for member in 0..3 {
        assert_eq!(net.read(member, &alice, Namespace::INBOX), [b"hello"]);
        assert_eq!(net.machines[member].counters().messages, 1);
    }
}

#[test]
fn expired_record_is_never_returned_and_then_swept() {
    let alice = owner(1);
    let mut net = Net::new(3);
    receipts(net.ask(0, alice.post_for(b"short", 3600)));
    receipts(net.ask(0, alice.post(b"long")));
    net.run(Duration::from_secs(3590));
    assert_eq!(net.read(1, &alice, Namespace::INBOX), [b"long"]);
    net.run(Duration::from_secs(180));
    for member in 0..3 {
        assert_eq!(net.machines[member].counters().messages, 1);
    }
    net.run(Duration::from_secs(2 * u64::from(DAY)));
    let counters = net.machines[1].counters();
    assert_eq!((counters.messages, counters.messages_bytes, counters.tombstones), (0, 0, 0));
}

#[test]
fn deleted_record_is_gone_and_a_late_store_of_it_is_refused() {
    let alice = owner(1);
    let mut net = Net::new(5);
    receipts(net.ask(0, alice.post(b"hello")));
    let delete = Op::Delete { hash: hash(&alice, Namespace::INBOX, b"hello") };
    let call = alice.change(Namespace::INBOX, net.clock(), &[delete]);
    assert!(receipts(net.ask(1, call.clone())) >= 3);
    for member in 0..5 {
        assert!(net.read(member, &alice, Namespace::INBOX).is_empty());
    }
    assert_eq!(kind(net.ask(2, alice.post(b"hello"))), ErrorKind::Deleted);
    // The same delete again, within its minute, does no harm.
    let before = net.machines[3].counters();
    receipts(net.ask(3, call));
    assert_eq!(net.machines[3].counters(), before);
}

#[test]
fn delete_that_comes_first_wins() {
    let alice = owner(1);
    let mut net = Net::new(3);
    let delete = Op::Delete { hash: hash(&alice, Namespace::INBOX, b"hello") };
    receipts(net.ask(0, alice.change(Namespace::INBOX, net.clock(), &[delete])));
    assert_eq!(kind(net.ask(1, alice.post(b"hello"))), ErrorKind::Deleted);
    // The tombstone outlives any lifetime by an hour, and then goes.
    net.run(Duration::from_secs(30 * u64::from(DAY)));
    assert_eq!(net.machines[0].counters().tombstones, 1);
    net.run(Duration::from_secs(3700));
    assert_eq!(net.machines[0].counters().tombstones, 0);
    receipts(net.ask(1, alice.post(b"hello")));
}

#[test]
fn only_a_later_store_by_the_owner_brings_a_deleted_record_back() {
    let alice = owner(1);
    let own = Namespace::new(2);
    let mut net = Net::new(3);
    let stored_at = net.clock();
    let first = alice.publish(own, stored_at, b"note");
    receipts(net.ask(0, first.clone()));
    let delete = Op::Delete { hash: hash(&alice, own, b"note") };
    receipts(net.ask(0, alice.change(own, net.clock(), &[delete])));
    assert_eq!(kind(net.ask(1, first)), ErrorKind::Deleted);
    receipts(net.ask(1, alice.publish(own, net.clock(), b"note")));
    for member in 0..3 {
        assert_eq!(net.read(member, &alice, own), [b"note"]);
    }
}

#[test]
fn range_tombstone_spares_what_came_after_it() {
    let alice = owner(1);
    let mut net = Net::new(3);
    receipts(net.ask(0, alice.post(b"one")));
    let between = net.clock();
    receipts(net.ask(0, alice.post(b"two")));
    let before = Op::DeleteBefore { before: between };
    receipts(net.ask(1, alice.change(Namespace::INBOX, net.clock(), &[before])));
    assert_eq!(net.read(2, &alice, Namespace::INBOX), [b"two"]);
    receipts(net.ask(1, alice.change(Scope::All, net.clock(), &[Op::DeleteAll])));
    assert!(net.read(2, &alice, Namespace::INBOX).is_empty());
    // Public data may come again, in good faith, after it was swept away with the rest.
    receipts(net.ask(1, alice.post(b"one")));
    assert_eq!(net.read(2, &alice, Namespace::INBOX), [b"one"]);
}

#[test]
fn outbox_is_a_register_that_anyone_reads() {
    let alice = owner(1);
    let mut net = Net::new(3);
    let anyone = |outbox| {
        Call::Retrieve(RetrieveCall {
            account: owner(1).id,
            namespace: outbox,
            after: None,
            max_bytes: 1 << 20,
            by: None,
        })
    };
    let old = alice.publish(Namespace::OUTBOX, net.clock(), b"version 1");
    receipts(net.ask(0, old.clone()));
    receipts(net.ask(0, alice.publish(Namespace::OUTBOX, net.clock(), b"version 2")));
    assert_eq!(kind(net.ask(1, old)), ErrorKind::Superseded);
    for member in 0..3 {
        let page = page(net.ask(member, anyone(Namespace::OUTBOX)));
        let values: Vec<&[u8]> = page.items.iter().map(|item| item.data.as_bytes()).collect();
        assert_eq!(values, [b"version 2"]);
        assert_eq!(net.machines[member].counters().messages, 1);
    }
    assert_eq!(kind(net.ask(0, anyone(Namespace::INBOX))), ErrorKind::Unauthorised);
    // By hash an older value could come back, so an outbox is only emptied whole.
    let delete = Op::Delete { hash: hash(&alice, Namespace::OUTBOX, b"version 2") };
    let call = alice.change(Namespace::OUTBOX, net.clock(), &[delete]);
    assert_eq!(kind(net.ask(0, call)), ErrorKind::Malformed);
    let late = alice.publish(Namespace::OUTBOX, net.clock(), b"version 3");
    net.run(Duration::from_secs(1));
    receipts(net.ask(0, alice.change(Namespace::OUTBOX, net.clock(), &[Op::DeleteAll])));
    assert_eq!(kind(net.ask(0, late)), ErrorKind::Deleted);
    assert!(page(net.ask(1, anyone(Namespace::OUTBOX))).items.is_empty());
}

#[test]
fn expiry_is_what_the_owner_said_last() {
    let alice = owner(1);
    let own = Namespace::new(2);
    let mut net = Net::new(3);
    receipts(net.ask(0, alice.publish(own, net.clock(), b"note")));
    let hash = hash(&alice, own, b"note");
    let expire = |mode, expiry| Op::Expire { hash, mode, expiry };
    let ask = |net: &mut Net| {
        let op = Op::GetExpiries { hashes: hashes_digest(&[hash]) };
        let by = alice.authorize(own, net.clock(), op);
        let call = GetExpiriesCall { account: alice.id, namespace: own, hashes: vec![hash], by };
        match net.ask(2, Call::GetExpiries(call)) {
            Ok(Reply::Expiries(found)) => found.first().map(|found| found.expiry),
            other => panic!("{other:?}"),
        }
    };
    let in_days =
        |net: &Net, days| net.clock().saturating_add(Duration::from_secs(days * u64::from(DAY)));
    let later = in_days(&net, 5);
    let change = alice.change(own, net.clock(), &[expire(ExpiryMode::Extend, later)]);
    receipts(net.ask(0, change));
    assert_eq!(ask(&mut net), Some(later));
    let sooner = in_days(&net, 2);
    receipts(net.ask(1, alice.change(own, net.clock(), &[Op::ExpireAll { expiry: sooner }])));
    assert_eq!(ask(&mut net), Some(sooner));
    let too_late = expire(ExpiryMode::Set, in_days(&net, 31));
    assert_eq!(kind(net.ask(0, alice.change(own, net.clock(), &[too_late]))), ErrorKind::Ttl);
    let past = expire(ExpiryMode::Set, net.clock());
    receipts(net.ask(0, alice.change(own, net.clock(), &[past])));
    assert_eq!(ask(&mut net), None);
    assert!(net.read(1, &alice, own).is_empty());
}

#[test]
fn pages_are_bounded_and_the_cursor_goes_on_where_they_end() {
    let alice = owner(1);
    let mut net = Net::new(3);
    for i in 0..20u8 {
        receipts(net.ask(0, alice.post(&vec![i; 76_800])));
    }
    let mut cursor = None;
    let mut seen = Vec::new();
    for expected in [13, 7] {
        let call = alice.retrieve_after(Namespace::INBOX, net.clock(), cursor, u32::MAX);
        let page = page(net.ask(1, call));
        assert_eq!(page.items.len(), expected, "13 × 76 856 bytes fit 1 MiB");
        assert_eq!(page.rest, if expected == 13 { Rest::More } else { Rest::Done });
        assert_eq!(page.start, Start::Continued);
        seen.extend(page.items.iter().map(|item| item.data.as_bytes()[0]));
        cursor = Some(page.cursor);
    }
    assert_eq!(seen, (0..20).collect::<Vec<u8>>());
    let one = page(net.ask(1, alice.retrieve_after(Namespace::INBOX, net.clock(), None, 100)));
    assert_eq!((one.items.len(), one.rest), (1, Rest::More), "at least one whatever its size");
    let nothing =
        page(net.ask(1, alice.retrieve_after(Namespace::INBOX, net.clock(), cursor, 1 << 20)));
    assert!(nothing.items.is_empty());
    assert_eq!(Some(nothing.cursor), cursor);
}

#[test]
fn cursor_of_another_store_starts_over_and_says_so() {
    let alice = owner(1);
    let mut net = Net::new(2);
    receipts(net.ask(0, alice.post(b"hello")));
    let store = crate::id::StoreId::from_bytes([0xcc; 16]);
    let cursor = Some(Cursor { store, seq: RecordSeq::new(900) });
    let call = alice.retrieve_after(Namespace::INBOX, net.clock(), cursor, 1 << 20);
    let page = page(net.ask(0, call));
    assert_eq!((page.items.len(), page.start), (1, Start::Reset));
    assert_ne!(page.cursor.store, store);
}

#[test]
fn batch_answers_each_part_by_itself_and_bounds_the_whole() {
    let alice = owner(1);
    let mut net = Net::new(3);
    for i in 0..14u8 {
        receipts(net.ask(0, alice.post(&vec![i; 76_800])));
    }
    let at = net.clock();
    let calls = vec![
        alice.post(b"in a batch"),
        alice.post_for(b"odd lifetime", 77),
        alice.retrieve(Namespace::INBOX, at),
        alice.retrieve(Namespace::INBOX, at),
        Call::Info,
    ];
    let id = net.send(0, Request::Batch(calls));
    net.run(Duration::from_secs(1));
    let Some(Response::Batch(answers)) = net.responses.remove(&id) else { panic!("no batch") };
    let [stored, ttl, first, second, info] = answers.try_into().unwrap();
    receipts(stored);
    assert_eq!(ttl, Err(MailboxError::Ttl { secs: 77 }));
    let (first, second) = (page(first), page(second));
    assert_eq!((first.items.len(), first.rest), (13, Rest::More));
    assert!(second.items.len() <= 1, "together about 1 MiB");
    assert!(matches!(info, Ok(Reply::Info(info)) if info.height == 12 && info.configuration == 4));
    let id = net.send(0, Request::Batch(vec![Call::Info; 21]));
    net.run(Duration::from_secs(1));
    let error = MailboxError::TooLarge { len: 21, limit: 20 };
    assert_eq!(net.responses.remove(&id), Some(Response::One(Err(error))));
}

#[test]
fn signatures_of_another_time_are_refused_with_the_members_clock() {
    let alice = owner(1);
    let mut net = Net::new(3);
    let minute = Duration::from_secs(61);
    for at in [net.clock().saturating_sub(minute), net.clock().saturating_add(minute)] {
        for call in [
            alice.retrieve(Namespace::INBOX, at),
            alice.publish(Namespace::new(2), at, b"note"),
            alice.change(Namespace::INBOX, at, &[Op::DeleteAll]),
        ] {
            let result = net.ask(0, call);
            assert!(matches!(result, Err(MailboxError::Clock { .. })), "{result:?}");
            net = Net::new(3); // The clock back to its start.
        }
    }
}

#[test]
fn account_of_another_swarm_is_sent_on() {
    let mut net = Net::new(1);
    let mut other = net.state.configurations[0].clone();
    other.swarm = crate::id::SwarmId::new(1 << 63).unwrap();
    other.stable[0].node = crate::id::NodeId::from_bytes([8; 32]);
    net.state.configurations.push(other);
    net.show_view(0, Readiness::Ready);
    let (mut here, mut there) = (0, 0);
    for seed in 1..30 {
        match net.ask(0, owner(seed).post(b"hello")) {
            Ok(_) => here += 1,
            Err(MailboxError::WrongSwarm { height: 12 }) => there += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(here > 5 && there > 5, "{here} here, {there} there");
}

#[test]
fn member_refuses_a_coordinator_of_an_older_configuration() {
    let alice = owner(1);
    let mut net = Net::new(3);
    net.state.configurations[0].number = 5;
    for member in [1, 2] {
        net.show_view(member, Readiness::Ready);
    }
    let error = net.ask(0, alice.post(b"hello")).unwrap_err();
    let reason = Unconfirmed::Refused(ErrorKind::OldConfiguration);
    assert_eq!(error, MailboxError::NotConfirmed { confirmed: 1, needed: 2, reason });
}

#[test]
fn token_does_what_its_rights_say_until_it_is_revoked() {
    let mut net = Net::new(3);
    let own = Namespace::new(2);
    let readable = Namespace::new(-11);
    let (account, key, token) = device(1, Rights::READ.with(Rights::WRITE));
    let author = Author::SubAccount { account: account.public(), token };
    let id = account.id();
    let nonce = ReceiptNonce::from_bytes([1; 16]);
    let sign = |scope: Scope, at: Timestamp, op| {
        Mutation::signed(&key, author.clone(), &NETWORK, &id, scope, at, op).by
    };
    let store = |namespace: Namespace, at: Timestamp| {
        let data = b"by the device".to_vec();
        let hash = MessageHash::of(&id, namespace, &data);
        let by = Some(sign(namespace.into(), at, Op::Store { hash, ttl: DAY }));
        Call::Store(StoreCall { account: id, namespace, ttl: DAY, data: data.into(), by, nonce })
    };
    let read = |namespace: Namespace, at: Timestamp| {
        let by = Some(sign(namespace.into(), at, Op::Retrieve));
        let max_bytes = 1 << 20;
        Call::Retrieve(RetrieveCall { account: id, namespace, after: None, max_bytes, by })
    };
    let change = |scope: Scope, at: Timestamp, op| {
        let call = ChangeCall::signed(&key, author.clone(), &NETWORK, id, scope, at, [op], nonce);
        Call::Change(call)
    };
    receipts(net.ask(0, store(own, net.clock())));
    assert_eq!(page(net.ask(1, read(own, net.clock()))).items.len(), 1);
    let refused = ErrorKind::Unauthorised;
    assert_eq!(kind(net.ask(0, store(Namespace::OUTBOX, net.clock()))), refused);
    assert_eq!(kind(net.ask(0, change(own.into(), net.clock(), Op::DeleteAll))), refused);
    let token = TokenBody::from_bytes(token.body());
    assert_eq!(kind(net.ask(0, change(Scope::All, net.clock(), Op::Revoke { token }))), refused);

    let signer = account.signer();
    let by_owner = |at, op| {
        Call::Change(ChangeCall::by_owner(signer, &NETWORK, id, Scope::All, at, [op], nonce))
    };
    receipts(net.ask(0, by_owner(net.clock(), Op::Revoke { token })));
    assert_eq!(kind(net.ask(1, read(own, net.clock()))), refused);
    assert_eq!(kind(net.ask(1, store(own, net.clock()))), refused);
    assert!(page(net.ask(1, read(readable, net.clock()))).items.is_empty());
    receipts(net.ask(2, by_owner(net.clock(), Op::Restore { token })));
    assert_eq!(page(net.ask(1, read(own, net.clock()))).items.len(), 1);
}

#[test]
fn the_fifty_first_revocation_is_an_error_and_frees_no_other() {
    let alice = owner(1);
    let mut net = Net::new(1);
    let revoke = |i: u8| Op::Revoke { token: TokenBody::from_bytes([i; 36]) };
    let ops: Vec<Op> = (0..50).map(revoke).collect();
    receipts(net.ask(0, alice.change(Scope::All, net.clock(), &ops)));
    let error = net.ask(0, alice.change(Scope::All, net.clock(), &[revoke(50)]));
    assert_eq!(kind(error), ErrorKind::Quota);
    let mailboxes = net.machines[0].mailboxes();
    for i in 0..50 {
        let token = TokenBody::from_bytes([i; 36]);
        assert_eq!(mailboxes.is_revoked(&alice.id, &token, net.clock()), Ok(true));
    }
}

#[test]
fn chunk_is_kept_under_the_hash_of_its_bytes_and_longer_when_stored_again() {
    let mut net = Net::new(3);
    let data = vec![7; CHUNK_LEN];
    let hash = ChunkHash::of(&data);
    let put = |len, ttl| {
        let data = vec![7; len].into();
        Call::PutChunk(PutChunkCall { ttl, data, nonce: ReceiptNonce::from_bytes([2; 16]) })
    };
    assert_eq!(kind(net.ask(0, Call::GetChunk(hash))), ErrorKind::NotFound);
    assert!(receipts(net.ask(0, put(CHUNK_LEN, DAY))) >= 2);
    let Ok(Reply::Chunk(found)) = net.ask(1, Call::GetChunk(hash)) else { panic!("not there") };
    assert!(found.as_bytes() == data);
    assert_eq!(kind(net.ask(0, put(CHUNK_LEN - 1, DAY))), ErrorKind::Malformed);
    assert_eq!(kind(net.ask(0, put(CHUNK_LEN + 1, DAY))), ErrorKind::TooLarge);
    assert_eq!(kind(net.ask(0, put(CHUNK_LEN, 30 * DAY))), ErrorKind::Ttl);
    receipts(net.ask(0, put(CHUNK_LEN, 7 * DAY)));
    net.run(Duration::from_secs(6 * u64::from(DAY)));
    assert!(net.ask(2, Call::GetChunk(hash)).is_ok());
    assert_eq!(net.machines[0].counters().chunks, 1);
    net.run(Duration::from_secs(2 * u64::from(DAY)));
    assert_eq!(kind(net.ask(2, Call::GetChunk(hash))), ErrorKind::NotFound);
    let counters = net.machines[0].counters();
    assert_eq!((counters.chunks, counters.chunks_bytes), (0, 0));
}
