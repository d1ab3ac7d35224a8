//! What a member takes from a coordinator, and what not.

use core::time::Duration;

use super::net::{DAY, NETWORK, Net, node_key, owner};
use crate::crypto::SecretKey;
use crate::id::NodeId;
use crate::mailbox::{
    Answer, Call, ConfigurationId, ErrorKind, Forward, ForwardReply, MailboxError, MessageHash,
    Namespace, Now, Op, Receipt, RecordKey, Request, RequestId, Stamp, Transmit, Verify,
    WRITE_DEADLINE,
};
use crate::time::Timestamp;

fn key_of(data: &[u8]) -> RecordKey {
    let account = owner(1).id;
    let namespace = Namespace::INBOX;
    RecordKey { account, namespace, hash: MessageHash::of(&account, namespace, data) }
}

fn forward(net: &Net, member: &SecretKey, at: Timestamp, ttl: u32) -> Forward {
    let expiry = at.saturating_add(Duration::from_secs(ttl.into()));
    let stamp = Stamp::new(member, &NETWORK, &key_of(b"hello"), at, expiry);
    wrap(net, owner(1).post(b"hello"), Some(stamp))
}

fn wrap(net: &Net, call: Call, stamp: Option<Stamp>) -> Forward {
    let configuration = &net.state.configurations[0];
    let id = ConfigurationId { swarm: configuration.swarm, number: configuration.number };
    Forward { configurations: [id, id], stamp, call }
}

/// What the second member answers to a forward of `from`.
fn give(net: &mut Net, from: &SecretKey, forward: Forward) -> ForwardReply {
    let now = net.now();
    let from = NodeId::from_bytes(*from.public().as_bytes());
    let forward = forward.verify(&NETWORK)?;
    let machine = &mut net.machines[1];
    machine.handle_forward(now, RequestId(1), from, forward);
    machine.commit(now);
    match machine.poll_transmit() {
        Some(Transmit::Acknowledge { reply, .. }) => reply,
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn answers_count_until_a_majority_has_the_write_and_no_longer() {
    let mut net = Net::new(5);
    let (now, coordinator) = (net.now(), NodeId::from_bytes(*node_key(0).public().as_bytes()));
    let request = Request::One(Box::new(owner(1).post(b"hello"))).verify(&NETWORK).unwrap();
    net.machines[0].handle_request(now, RequestId(1), request);
    let Some(Transmit::Forward { call, to, forward, interest }) = net.machines[0].poll_transmit()
    else {
        panic!("the write is passed on")
    };
    assert_eq!(to.len(), 4);
    net.machines[0].commit(now);
    for index in 1..=2 {
        assert!(interest.remains(), "{index} of three have it");
        let machine = &mut net.machines[index];
        let forward = Forward::clone(&forward).verify(&NETWORK).unwrap();
        machine.handle_forward(now, RequestId(1), coordinator, forward);
        machine.commit(now);
        let (from, transmit) = (machine.id(), machine.poll_transmit());
        let Some(Transmit::Acknowledge { reply, .. }) = transmit else { panic!("an answer") };
        let answer = Answer { from, reply }.verify(&NETWORK).unwrap();
        net.machines[0].handle_answer(call, answer);
    }
    assert!(!interest.remains());
    let transmit = net.machines[0].poll_transmit();
    assert!(matches!(transmit, Some(Transmit::Respond { id: RequestId(1), .. })), "{transmit:?}");
}

#[test]
fn answers_count_no_longer_once_the_write_is_given_up() {
    let mut net = Net::new(5);
    let now = net.now();
    let request = Request::One(Box::new(owner(1).post(b"hello"))).verify(&NETWORK).unwrap();
    net.machines[0].handle_request(now, RequestId(1), request);
    let Some(Transmit::Forward { interest, .. }) = net.machines[0].poll_transmit() else {
        panic!("the write is passed on")
    };
    net.machines[0].commit(now);
    assert!(interest.remains());
    let late = Now { instant: now.instant.saturating_add(WRITE_DEADLINE), ..now };
    net.machines[0].handle_timeout(late);
    assert!(!interest.remains());
}

fn kind(reply: Result<Receipt, MailboxError>) -> ErrorKind {
    reply.unwrap_err().kind()
}

#[test]
fn forward_of_a_member_is_taken_and_of_a_stranger_is_not() {
    let mut net = Net::new(3);
    let at = net.clock();
    let (member, stranger) = (node_key(0), SecretKey::from_seed(&[77; 32]));
    let own = forward(&net, &member, at, DAY);
    let receipt = give(&mut net, &member, own).unwrap();
    assert_eq!(receipt.body.accepted_at, at);
    assert_eq!(receipt.verify(&NETWORK), Ok(()));
    let refused = ErrorKind::Unauthorised;
    let strange = forward(&net, &stranger, at, DAY);
    assert_eq!(kind(give(&mut net, &stranger, strange)), refused);
    let of_another = forward(&net, &node_key(2), at, DAY);
    assert_eq!(kind(give(&mut net, &member, of_another)), refused);
}

#[test]
fn stamp_must_fit_its_record_and_lifetime() {
    let mut net = Net::new(3);
    let (at, member) = (net.clock(), node_key(0));
    let longer = forward(&net, &member, at, 2 * DAY);
    assert_eq!(kind(give(&mut net, &member, longer)), ErrorKind::Malformed);
    let mut forged = forward(&net, &member, at, DAY);
    forged.call = owner(1).post(b"other");
    assert_eq!(kind(give(&mut net, &member, forged)), ErrorKind::Unauthorised);
    let mut bare = forward(&net, &member, at, DAY);
    bare.stamp = None;
    assert_eq!(kind(give(&mut net, &member, bare)), ErrorKind::Malformed);
    let read = owner(1).retrieve(Namespace::INBOX, at);
    let read = wrap(&net, read, None);
    assert_eq!(kind(give(&mut net, &member, read)), ErrorKind::Malformed);
}

#[test]
fn acceptance_far_from_the_members_clock_is_moved_to_the_edge_of_the_window() {
    let minute = Duration::from_secs(60);
    let hour = Duration::from_secs(3600);
    for late in [false, true] {
        let mut net = Net::new(3);
        let (now, member) = (net.clock(), node_key(0));
        let (claimed, edge) = if late {
            (now.saturating_add(hour), now.saturating_add(minute))
        } else {
            (now.saturating_sub(hour), now.saturating_sub(minute))
        };
        let off = forward(&net, &member, claimed, DAY);
        let receipt = give(&mut net, &member, off).unwrap();
        assert_eq!(receipt.body.accepted_at, edge);
        let expiry = edge.saturating_add(Duration::from_secs(DAY.into()));
        assert_eq!(receipt.body.expiry, expiry);
    }
}

#[test]
fn coordinator_cannot_replay_or_invent_what_the_owner_signed() {
    let mut net = Net::new(3);
    let (member, alice) = (node_key(0), owner(1));
    let signed_at = net.clock();
    let delete = wrap(&net, alice.change(Namespace::INBOX, signed_at, &[Op::DeleteAll]), None);
    assert!(give(&mut net, &member, delete.clone()).is_ok());
    net.run(Duration::from_secs(71));
    assert_eq!(kind(give(&mut net, &member, delete.clone())), ErrorKind::Clock);
    let mut invented = delete;
    if let Call::Change(call) = &mut invented.call {
        call.signed_at = net.clock();
    }
    assert_eq!(kind(give(&mut net, &member, invented)), ErrorKind::Unauthorised);
}
