//! What the fuzz targets share: one network with one path, and layers sealed by hand; a network of
//! authorities with its documents; damage to bytes.
//!
//! [`Layer`] follows the chapter 05 onion with the ciphers alone, not with the code under test, so
//! that an authentic layer can hold anything and the outcome can be compared with the chapter.

pub mod directory;
pub mod edit;
pub mod liar;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use enjambre_protocol::crypto::{Secret, derive};
use enjambre_protocol::id::{NetworkId, NodeId};
use enjambre_protocol::onion::{
    ExchangeKey, HOPS, Hop, HopTarget, Keyring, OnionKeyNumber, OnionSecretKey, Packet, PeelError,
    Peeled, ReplyOpener, SizeClass, build, peel,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// The network of every packet here.
pub const NETWORK: NetworkId = NetworkId::from_bytes([0x11; 32]);

/// When every packet here was built.
pub const MINUTE: u32 = 29_300_000;

/// The number of every node's current onion key.
pub const NUMBER: OnionKeyNumber = OnionKeyNumber::new(7);

/// A generator that gives the same in every run.
pub fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

/// The node at `hop`.
pub fn node(hop: Hop) -> NodeId {
    NodeId::from_bytes([0xa0 + hop.bits(); 32])
}

fn secret(hop: Hop) -> OnionSecretKey {
    OnionSecretKey::from_bytes([0x40 + hop.bits(); 32])
}

/// Peels at `hop`.
pub fn peel_at(hop: Hop, packet: &[u8]) -> Result<Peeled, PeelError> {
    let next = OnionSecretKey::from_bytes([0x50; 32]);
    peel(&NETWORK, &Keyring::new(NUMBER, secret(hop), next), packet, &mut rng())
}

/// A packet over the path of [`node`]s.
pub fn packet(class: SizeClass, request: &[u8]) -> (Packet, ReplyOpener) {
    let path: [HopTarget; HOPS] = Hop::ALL.map(|hop| HopTarget {
        node: node(hop),
        key_number: NUMBER,
        key: secret(hop).public(),
    });
    build(&mut rng(), &NETWORK, &path, class, SizeClass::K2, MINUTE, request)
        .expect("request and path fit")
}

/// An authentic layer with any header and any body.
#[derive(Debug)]
pub struct Layer {
    /// The 37 bytes of the header in clear.
    pub header: [u8; 37],
    /// The body in clear.
    pub body: Vec<u8>,
}

impl Layer {
    /// Seals the layer for the node at `hop`, as the front of a packet of 2 KiB.
    pub fn seal(&self, hop: Hop) -> Vec<u8> {
        let ephemeral = OnionSecretKey::from_bytes([0x21; 32]);
        let onion_key = secret(hop).public();
        let shared = ephemeral.exchange(&onion_key).expect("both keys are sound");
        let public = ephemeral.public();
        let info: [&[u8]; 4] = [NETWORK.as_bytes(), &[1], public.as_bytes(), onion_key.as_bytes()];
        let keys: Secret<128> = derive("enjambre/onion/1", shared.expose(), &info);

        let mut packet = vec![1, NUMBER.get()];
        packet.extend(public.as_bytes());
        // The class of 2 KiB is number 0.
        let associated = [&packet[..], &[0]].concat();
        packet.extend(sealed(&keys.expose()[..32], &associated, &self.header));
        let body = sealed(&keys.expose()[32..64], &packet, &self.body);
        packet.extend(body);
        packet.resize(SizeClass::K2.bytes(), 0xee);
        packet
    }
}

fn sealed(key: &[u8], associated: &[u8], clear: &[u8]) -> Vec<u8> {
    let cipher = Aes256Gcm::new_from_slice(key).expect("the key has 32 bytes");
    let mut bytes = clear.to_vec();
    let tag = cipher
        .encrypt_inout_detached(&[0; 12].into(), associated, bytes.as_mut_slice().into())
        .expect("the message is short");
    bytes.extend(tag);
    bytes
}
