//! Messages that no honest authority sends.

use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use super::network::Network;
use crate::crypto::{SecretKey, Signature, Signed};
use crate::directory::agreement::{
    AgreementEvent, AgreementMachine, AgreementMessage, Evidence, MessageError, Proposal,
    ProposalHead, SignedVote, Status, Vote, VoteKind,
};
use crate::directory::{Document, Report, ValueId, list_digest};
use crate::id::{AuthorityId, Digest};
use crate::time::{Instant, Timestamp};

/// An authority of four that has begun height 1, and the keys of the others.
fn begun() -> (AgreementMachine, Vec<SecretKey>, Network) {
    let network = Network::new(4, 1);
    let keys: Vec<SecretKey> = network.nodes.iter().map(|node| node.key.clone()).collect();
    let genesis = Arc::clone(&network.genesis);
    let clock = Timestamp::from_millis(5);
    let mut machine =
        AgreementMachine::new(genesis, keys[0].clone(), None, Instant::START, clock).unwrap();
    machine.handle_timeout(Instant::START, clock, &mut ChaCha12Rng::seed_from_u64(1));
    drain(&mut machine);
    (machine, keys, network)
}

fn id(key: &SecretKey) -> AuthorityId {
    AuthorityId::from_bytes(*key.public().as_bytes())
}

/// Entries, messages and events that wait.
fn drain(machine: &mut AgreementMachine) -> (usize, usize, Vec<AgreementEvent>) {
    let entries = core::iter::from_fn(|| machine.poll_persist()).count();
    let transmits = core::iter::from_fn(|| machine.poll_transmit()).count();
    (entries, transmits, core::iter::from_fn(|| machine.poll_event()).collect())
}

fn value(byte: u8) -> ValueId {
    let digest = Digest::from_bytes([byte; 32]);
    let network = crate::id::NetworkId::from_bytes([byte; 32]);
    ValueId::new(&network, 1, &digest, &digest, &digest)
}

fn vote(key: &SecretKey, author: u8, network: &Network, vote: Vote) -> AgreementMessage {
    let signature = vote.sign(key, &network.genesis.network());
    AgreementMessage::Vote(SignedVote { author, vote, signature })
}

fn prevote(round: u32, value: Option<ValueId>) -> Vote {
    Vote { height: 1, round, kind: VoteKind::Prevote, value }
}

fn report(author: &SecretKey, network: &Network, share: u8) -> Signed {
    let report = Report {
        author: id(author),
        height: 1,
        previous: Document::NO_PREDECESSOR,
        time: Timestamp::from_millis(7),
        share: [share; 32],
        descriptors: Vec::new(),
    };
    report.sign(author, &network.genesis.network())
}

#[test]
fn random_bytes_are_no_message() {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    let (mut machine, keys, _) = begun();
    for len in 0..2000 {
        let mut bytes = vec![0; len % 300];
        rng.fill_bytes(&mut bytes);
        if let Some(first) = bytes.first_mut() {
            *first = crate::wire::VERSION;
        }
        // What happens to decode is for another height or not signed.
        if let Ok(message) = AgreementMessage::decode(&bytes) {
            let _ = machine.handle_message(Instant::START, &id(&keys[1]), message);
        }
    }
    let (entries, _, events) = drain(&mut machine);
    assert_eq!(entries, 0);
    assert!(events.iter().all(|event| matches!(event, AgreementEvent::Behind { .. })));
}

#[test]
fn a_stranger_and_our_own_key_are_refused() {
    let (mut machine, keys, network) = begun();
    let message = vote(&keys[1], 1, &network, prevote(0, None));
    for from in [AuthorityId::from_bytes([9; 32]), id(&keys[0])] {
        let refused = machine.handle_message(Instant::START, &from, message.clone());
        assert_eq!(refused, Err(MessageError::Stranger));
    }
}

#[test]
fn votes_in_anothers_name_change_nothing() {
    let (mut machine, keys, network) = begun();
    let from = id(&keys[1]);
    for author in [0, 2, 3, 4, 255] {
        let forged = vote(&keys[1], author, &network, prevote(0, None));
        let refused = machine.handle_message(Instant::START, &from, forged);
        assert!(matches!(refused, Err(MessageError::Signature(_))), "as {author}");
    }
    assert_eq!(drain(&mut machine), (0, 0, Vec::new()));
    // The same vote in the own name counts.
    let own = vote(&keys[1], 1, &network, prevote(0, None));
    assert_eq!(machine.handle_message(Instant::START, &from, own), Ok(()));
    assert_eq!(drain(&mut machine).0, 1);
}

#[test]
fn a_prevote_is_no_precommit_and_nil_is_no_value() {
    let (_, keys, network) = begun();
    let genesis = &network.genesis;
    let kinds = [VoteKind::Prevote, VoteKind::Precommit];
    let votes: Vec<Vote> = kinds
        .into_iter()
        .flat_map(|kind| {
            [None, Some(value(1)), Some(value(2))].map(|value| Vote {
                height: 1,
                round: 2,
                kind,
                value,
            })
        })
        .collect();
    for one in &votes {
        let signature = one.sign(&keys[1], &genesis.network());
        for other in &votes {
            let holds = other.verify(&id(&keys[1]), &genesis.network(), &signature).is_ok();
            assert_eq!(holds, one == other);
        }
    }
}

#[test]
fn two_votes_of_one_kind_are_proof_and_the_first_counts() {
    let (mut machine, keys, network) = begun();
    let from = id(&keys[2]);
    for value in [None, Some(value(1)), Some(value(2))] {
        let message = vote(&keys[2], 2, &network, prevote(0, value));
        assert_eq!(machine.handle_message(Instant::START, &from, message), Ok(()));
    }
    let (entries, _, events) = drain(&mut machine);
    assert_eq!(entries, 1);
    let [AgreementEvent::Misbehaviour { authority, evidence }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*authority, from);
    assert!(matches!(**evidence, Evidence::Votes(..)));
}

#[test]
fn two_reports_of_one_author_are_proof_and_neither_is_proposed() {
    let (mut machine, keys, network) = begun();
    for share in [1, 2, 3] {
        let message = AgreementMessage::Report(report(&keys[2], &network, share));
        assert_eq!(machine.handle_message(Instant::START, &id(&keys[2]), message), Ok(()));
    }
    let (_, _, events) = drain(&mut machine);
    let [AgreementEvent::Misbehaviour { evidence, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(matches!(**evidence, Evidence::Reports(..)));
    // Asked by one that lacks all, it sends its own report only.
    let mut status = Status::idle(1);
    status.reports = 0;
    let asked = AgreementMessage::Status(status);
    assert_eq!(machine.handle_message(Instant::START, &id(&keys[1]), asked), Ok(()));
    assert_eq!(drain(&mut machine).1, 1);
}

#[test]
fn a_proposal_by_another_or_with_another_list_is_refused() {
    let (mut machine, keys, network) = begun();
    let list: Vec<Signed> = (1..4).map(|of| report(&keys[of], &network, 1)).collect();
    let propose = |key: &SecretKey, list: &[Signed], of: &[Signed], earlier| {
        let list_digest = list_digest(of);
        let head =
            ProposalHead { height: 1, round: 0, value: value(1), list: list_digest, earlier };
        let head = head.sign(key, &network.genesis.network());
        AgreementMessage::Proposal(Proposal { head, list: list.to_vec(), polka: None })
    };
    let mut send = |message| machine.handle_message(Instant::START, &id(&keys[2]), message);
    // At height 1 the first round is authority 1's.
    let refused = send(propose(&keys[2], &list, &list, None));
    assert!(matches!(refused, Err(MessageError::Signature(_))));
    let refused = send(propose(&keys[1], &list[1..], &list, None));
    assert_eq!(refused, Err(MessageError::Inconsistent));
    let refused = send(propose(&keys[1], &list, &list, Some(0)));
    assert_eq!(refused, Err(MessageError::Inconsistent));
    assert_eq!(drain(&mut machine).0, 0);
    // In order, but of another value than its list gives: it is logged and voted down.
    let mut send = |message| machine.handle_message(Instant::START, &id(&keys[2]), message);
    assert_eq!(send(propose(&keys[1], &list, &list, None)), Ok(()));
    let _ = core::iter::from_fn(|| machine.poll_persist()).count();
    let sent: Vec<_> = core::iter::from_fn(|| machine.poll_transmit()).collect();
    let [sent] = &sent[..] else { panic!("{sent:?}") };
    assert!(matches!(&sent.message, AgreementMessage::Vote(vote) if vote.vote.value.is_none()));
}

#[test]
fn an_authority_left_behind_by_many_rounds_enters_the_one_where_more_than_f_are() {
    let (mut machine, keys, network) = begun();
    let mut send = |of: usize, round| {
        let author = u8::try_from(of).unwrap();
        let message = vote(&keys[of], author, &network, prevote(round, None));
        assert_eq!(machine.handle_message(Instant::START, &id(&keys[of]), message), Ok(()));
        machine.round()
    };
    assert_eq!(send(1, 40), Some(0));
    assert_eq!(send(1, 50), Some(0));
    assert_eq!(send(2, 40), Some(0));
    assert_eq!(send(3, 50), Some(50));
}

#[test]
fn a_polka_of_too_few_or_of_forged_votes_is_refused() {
    let (mut machine, keys, network) = begun();
    let id_of_network = network.genesis.network();
    let vote = prevote(3, Some(value(1)));
    let signed = |of: usize| (u8::try_from(of).unwrap(), vote.sign(&keys[of], &id_of_network));
    let polka = |signatures: Vec<(u8, Signature)>| {
        let mut status = Status::idle(1);
        status.polka = Some(super::super::Polka::new(1, 3, value(1), signatures));
        AgreementMessage::Status(status)
    };
    let mut send = |message| machine.handle_message(Instant::START, &id(&keys[1]), message);
    assert!(send(polka(vec![signed(1), signed(2)])).is_err());
    assert!(send(polka(vec![signed(1), signed(2), signed(2)])).is_err());
    assert!(send(polka(vec![signed(1), signed(2), (3, signed(2).1)])).is_err());
    assert_eq!(send(polka(vec![signed(1), signed(2), signed(3)])), Ok(()));
    // k prevotes of round 3 are reason enough to be there too.
    assert_eq!(machine.round(), Some(3));
}

#[test]
fn one_authority_that_claims_to_be_ahead_does_not_drown_out_another() {
    let (mut machine, keys, _) = begun();
    let ahead = |height| AgreementMessage::Status(Status::idle(height));
    let mut told = Vec::new();
    for (from, height) in [(1, 900), (1, 901), (2, 5), (1, 902), (2, 6)] {
        let taken = machine.handle_message(Instant::START, &id(&keys[from]), ahead(height));
        assert_eq!(taken, Ok(()));
        let (_, _, events) = drain(&mut machine);
        told.extend(events.into_iter().map(|event| match event {
            AgreementEvent::Behind { authority, height } => (authority, height),
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(told, [(id(&keys[1]), 900), (id(&keys[2]), 5)]);
}
