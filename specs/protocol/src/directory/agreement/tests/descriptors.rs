//! What becomes of the descriptors that nodes send.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

use crate::crypto::SecretKey;
use crate::directory::agreement::{Admission, AgreementEvent, AgreementMachine};
use crate::directory::{
    AuthorityEntry, Descriptor, DescriptorParts, Genesis, NodeState, Params, VerifiedDocument,
};
use crate::id::{AuthorityId, NodeId, StoreId};
use crate::onion::{OnionKeyNumber, OnionPublicKey};
use crate::time::{Instant, Timestamp};

const BIRTH: Timestamp = Timestamp::from_secs(1_000_000);

/// A network of one authority, which decides each height alone.
fn alone() -> (Arc<Genesis>, AgreementMachine) {
    let key = SecretKey::from_seed(&[1; 32]);
    let id = AuthorityId::from_bytes(*key.public().as_bytes());
    let authorities = vec![AuthorityEntry { id, addresses: Vec::new() }];
    let genesis = Arc::new(Genesis::new(1, authorities, Params::devnet()).unwrap());
    let machine = AgreementMachine::new(Arc::clone(&genesis), key, None, Instant::START, BIRTH);
    (genesis, machine.unwrap())
}

fn descriptor(genesis: &Genesis, number: u8, made: Timestamp) -> Descriptor {
    let key = SecretKey::from_seed(&[number; 32]);
    let parts = DescriptorParts {
        node: NodeId::from_bytes(*key.public().as_bytes()),
        sequence: made.as_millis(),
        state: NodeState::Active,
        onion_number: OnionKeyNumber::new(1),
        onion_key: OnionPublicKey::from_bytes([number; 32]),
        addresses: vec![SocketAddr::from(([127, number, 0, 1], 4000))],
        store: StoreId::from_bytes([number; 16]),
        family: None,
        capacity: 100,
    };
    Descriptor::sign(&key, &genesis.network(), parts)
}

/// Lets the height begin that is due, and gives the document it decides.
fn decide(machine: &mut AgreementMachine, genesis: &Genesis, clock: Timestamp) -> VerifiedDocument {
    let due = machine.poll_timeout().unwrap();
    machine.handle_timeout(due, clock, &mut ChaCha12Rng::seed_from_u64(1));
    let document = core::iter::from_fn(|| machine.poll_event()).find_map(|event| match event {
        AgreementEvent::Decided { document, .. } => Some(document),
        _ => None,
    });
    document.unwrap().verify(genesis).unwrap()
}

#[test]
fn document_of_an_older_time_drops_no_descriptor_that_still_counts() {
    let (genesis, mut machine) = alone();
    let old = decide(&mut machine, &genesis, BIRTH);
    // An authority that was away takes up the others' documents of that time, an hour later.
    let (_, mut machine) = alone();
    let (now, clock) = (Instant::START, BIRTH.saturating_add(Duration::from_secs(3600)));
    let silent = descriptor(&genesis, 2, BIRTH);
    assert_eq!(machine.handle_descriptor(now, BIRTH, silent), Admission::Newest);
    let news = descriptor(&genesis, 3, clock);
    assert_eq!(machine.handle_descriptor(now, clock, news), Admission::Newest);
    machine.handle_document(now, clock, Arc::new(old));
    let newest = decide(&mut machine, &genesis, clock);
    let nodes = &newest.document().nodes;
    assert_eq!((newest.document().height, nodes.len()), (2, 1));
    assert_eq!(nodes[0].addresses, [SocketAddr::from(([127, 3, 0, 1], 4000))]);
}
