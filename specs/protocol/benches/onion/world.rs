//! The made-up network that is measured: 2 000 nodes in one directory.

use core::net::SocketAddr;

use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::directory::{
    AuthorityEntry, Certificate, Document, Genesis, NodeEntry, Params, PrecommitVote,
    SignedDocument, ValueId, VerifiedDocument,
};
use enjambre_protocol::id::{AuthorityId, Digest, NetworkId, NodeId, StoreId};
use enjambre_protocol::onion::{OnionKeyNumber, OnionPublicKey};
use enjambre_protocol::swarm::{
    Statements, StorageNode, SwarmParams, SwarmState, storage_prefix, transition,
};
use enjambre_protocol::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

pub(crate) const NETWORK: NetworkId = NetworkId::from_bytes([0x11; 32]);
pub(crate) const NODES: usize = 2_000;
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Authorities of the network, of which three must sign.
const AUTHORITIES: u8 = 4;

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// The `i`-th node's id: random bytes, as ids are.
pub(crate) fn node(i: usize) -> NodeId {
    let mut bytes = [0; 32];
    rng(0x1_0000 + i as u64).fill_bytes(&mut bytes);
    NodeId::from_bytes(bytes)
}

fn address(i: usize) -> SocketAddr {
    let [_, _, high, low] = u32::try_from(i).unwrap().to_be_bytes();
    SocketAddr::from(([10 + high, low, 1, 1], 22_020))
}

fn entry(i: usize) -> NodeEntry {
    let mut bytes = [0; 48];
    rng(0x2_0000 + i as u64).fill_bytes(&mut bytes);
    let (mut key, mut store) = ([0; 32], [0; 16]);
    key.copy_from_slice(&bytes[..32]);
    store.copy_from_slice(&bytes[32..]);
    NodeEntry {
        id: node(i),
        onion_number: OnionKeyNumber::new(3),
        onion_key: OnionPublicKey::from_bytes(key),
        addresses: vec![address(i)],
        store: StoreId::from_bytes(store),
        family: None,
        capacity: 100,
        weight: 100,
        listed: 1 + i as u64 / 20,
        sequence: NOW.as_millis(),
    }
}

fn storage(entry: &NodeEntry) -> StorageNode {
    StorageNode {
        node: entry.id,
        store: entry.store,
        prefix: storage_prefix(entry.addresses.first().map(SocketAddr::ip)),
        family: entry.family,
        listed: entry.listed,
    }
}

/// What a transition is computed from.
#[derive(Clone)]
pub(crate) struct Swarms {
    pub(crate) state: SwarmState,
    pub(crate) nodes: Vec<StorageNode>,
}

impl Swarms {
    /// The swarms that follow, with the directory's default parameters.
    pub(crate) fn next(&self) -> SwarmState {
        let beacon = Digest::from_bytes([8; 32]);
        let params = SwarmParams::default();
        transition(&self.state, &self.nodes, &Statements::none(), &beacon, NOW, &params)
    }
}

/// The directory of [`NODES`] nodes, and the one after it where one node in a hundred has other
/// keys, half of them left and as many new ones came.
pub(crate) struct World {
    pub(crate) genesis: Genesis,
    pub(crate) before: VerifiedDocument,
    pub(crate) after: VerifiedDocument,
    pub(crate) swarms: Swarms,
}

impl World {
    pub(crate) fn new() -> Self {
        let keys: Vec<SecretKey> =
            (1..=AUTHORITIES).map(|i| SecretKey::from_seed(&[i; 32])).collect();
        let authority = |key: &SecretKey| AuthorityEntry {
            id: AuthorityId::from_bytes(*key.public().as_bytes()),
            addresses: vec![address(0)],
        };
        let entries = keys.iter().map(authority).collect();
        let genesis = Genesis::new(1, entries, Params::default()).unwrap();
        let nodes: Vec<NodeEntry> = (0..NODES).map(entry).collect();
        let empty = SwarmState::default();
        let first = Swarms { state: empty, nodes: nodes.iter().map(storage).collect() }.next();
        let before = sign(&genesis, &keys, 100, nodes.clone(), first.clone());
        let changed = NODES / 100;
        let mut later = nodes[changed / 2..].to_vec();
        later.extend((NODES..NODES + changed / 2).map(entry));
        for node in later.iter_mut().take(changed / 2) {
            node.onion_number = node.onion_number.following();
            node.onion_key = OnionPublicKey::from_bytes([0x77; 32]);
            node.sequence += 1;
        }
        let swarms = Swarms { state: first, nodes: later.iter().map(storage).collect() };
        let after = sign(&genesis, &keys, 101, later, swarms.next());
        Self { genesis, before, after, swarms }
    }
}

fn sign(
    genesis: &Genesis,
    keys: &[SecretKey],
    height: u64,
    mut nodes: Vec<NodeEntry>,
    swarms: SwarmState,
) -> VerifiedDocument {
    nodes.sort_by_key(|node| node.id);
    let network = genesis.network();
    let (previous, beacon) = (Digest::from_bytes([6; 32]), Digest::from_bytes([8; 32]));
    let document = Document { network, height, previous, time: NOW, beacon, nodes, swarms };
    let bytes = document.encode();
    let list = Digest::from_bytes([5; 32]);
    let value = ValueId::new(&network, height, &previous, &Document::digest(&bytes), &list);
    let vote = PrecommitVote { height, round: 0, value };
    let signatures = keys.iter().take(genesis.threshold()).map(|key| {
        let author = AuthorityId::from_bytes(*key.public().as_bytes());
        (genesis.index(&author).unwrap(), vote.sign(key, &network))
    });
    let certificate = Certificate::new(0, list, signatures);
    SignedDocument { document: bytes, certificate }.verify(genesis).unwrap()
}
