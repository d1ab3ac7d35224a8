//! Onion keys: a node's X25519 keys of the day, by number.

use core::fmt;
use std::sync::Arc;

use rand_core::CryptoRng;
use x25519_dalek::StaticSecret;

use super::primitives::{ExchangeKey, Primitives, RUST_CRYPTO};
use crate::crypto::Secret;
use crate::id::byte_id;

byte_id!(
    /// An X25519 public key as bytes: a node's onion key, or the ephemeral key of a layer.
    OnionPublicKey, 32
);

/// The number of a node's onion key. Numbers count up by one a key and wrap around.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct OnionKeyNumber(u8);

impl OnionKeyNumber {
    /// The number as it stands in a packet.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number as it stands in a packet.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The number of the key that follows.
    #[must_use]
    pub const fn following(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The number of the key before.
    #[must_use]
    pub const fn preceding(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }
}

/// An X25519 secret key with its public half. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct OnionSecretKey {
    scalar: StaticSecret,
    public: OnionPublicKey,
}

impl OnionSecretKey {
    /// From the 32 bytes of RFC 7748, clamped when used.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let scalar = StaticSecret::from(bytes);
        let public = x25519_dalek::PublicKey::from(&scalar);
        Self { scalar, public: OnionPublicKey::from_bytes(public.to_bytes()) }
    }

    /// A fresh random key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_bytes(*Secret::<32>::generate(rng).expose())
    }

    /// The public half.
    pub const fn public(&self) -> OnionPublicKey {
        self.public
    }

    /// The secret bytes, to be kept in a protected place.
    pub fn to_secret(&self) -> Secret<32> {
        Secret::from_bytes(self.scalar.to_bytes())
    }

    pub(super) const fn scalar(&self) -> &StaticSecret {
        &self.scalar
    }
}

impl fmt::Debug for OnionSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnionSecretKey(of {})", self.public.short())
    }
}

/// The onion keys that a node answers to: previous, current and next, so that clients with a
/// directory of yesterday or tomorrow are served too.
#[derive(Clone, Debug)]
pub struct Keyring {
    number: OnionKeyNumber,
    previous: Option<HeldKey>,
    current: HeldKey,
    next: HeldKey,
    primitives: &'static dyn Primitives,
}

/// A key of the ring, and the same one as the ring's primitives want it.
#[derive(Clone, Debug)]
struct HeldKey {
    secret: OnionSecretKey,
    ready: Arc<dyn ExchangeKey>,
}

impl HeldKey {
    fn new(secret: OnionSecretKey, primitives: &'static dyn Primitives) -> Self {
        let ready = primitives.exchange_key(&secret.to_secret());
        Self { secret, ready }
    }
}

impl Keyring {
    /// A ring without a previous key. `next` has the number that follows `number`.
    pub fn new(number: OnionKeyNumber, current: OnionSecretKey, next: OnionSecretKey) -> Self {
        let primitives: &'static dyn Primitives = &RUST_CRYPTO;
        let [current, next] = [current, next].map(|key| HeldKey::new(key, primitives));
        Self { number, previous: None, current, next, primitives }
    }

    /// Puts a previous key in, as a node does that loads its ring from its disk.
    #[must_use]
    pub fn with_previous(mut self, previous: OnionSecretKey) -> Self {
        self.previous = Some(HeldKey::new(previous, self.primitives));
        self
    }

    /// Chooses the primitives by which packets are peeled and their replies sealed.
    /// [`RUST_CRYPTO`] unless set.
    #[must_use]
    pub fn with_primitives(self, primitives: &'static dyn Primitives) -> Self {
        let ready = |held: HeldKey| HeldKey::new(held.secret, primitives);
        let (previous, current) = (self.previous.map(ready), ready(self.current));
        Self { number: self.number, previous, current, next: ready(self.next), primitives }
    }

    /// Moves on by one key: the next becomes current, `fresh` becomes the next, and the previous
    /// one is wiped.
    pub fn rotate(&mut self, fresh: OnionSecretKey) {
        let fresh = HeldKey::new(fresh, self.primitives);
        let current = core::mem::replace(&mut self.next, fresh);
        self.previous = Some(core::mem::replace(&mut self.current, current));
        self.number = self.number.following();
    }

    /// The key with this number, if it is one of the three.
    pub fn get(&self, number: OnionKeyNumber) -> Option<&OnionSecretKey> {
        self.held(number).map(|held| &held.secret)
    }

    /// The same, ready for exchanges.
    pub(super) fn exchange_key(&self, number: OnionKeyNumber) -> Option<&dyn ExchangeKey> {
        self.held(number).map(|held| &*held.ready)
    }

    fn held(&self, number: OnionKeyNumber) -> Option<&HeldKey> {
        if number == self.number {
            Some(&self.current)
        } else if number == self.number.following() {
            Some(&self.next)
        } else if number == self.number.preceding() {
            self.previous.as_ref()
        } else {
            None
        }
    }

    /// The number of the current key.
    pub const fn number(&self) -> OnionKeyNumber {
        self.number
    }

    /// The public half of the current key.
    pub const fn current(&self) -> OnionPublicKey {
        self.current.secret.public()
    }

    /// The public half of the next key.
    pub const fn next(&self) -> OnionPublicKey {
        self.next.secret.public()
    }

    pub(super) const fn primitives(&self) -> &'static dyn Primitives {
        self.primitives
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> OnionSecretKey {
        OnionSecretKey::from_bytes([byte; 32])
    }

    fn publics(ring: &Keyring, numbers: [u8; 4]) -> [Option<OnionPublicKey>; 4] {
        numbers.map(|number| ring.get(OnionKeyNumber::new(number)).map(OnionSecretKey::public))
    }

    #[test]
    fn rotation_keeps_the_key_before_and_drops_the_one_before_that() {
        let mut ring = Keyring::new(OnionKeyNumber::new(254), key(1), key(2));
        let [one, two, three, four] = [1, 2, 3, 4].map(|byte| Some(key(byte).public()));
        assert_eq!(publics(&ring, [253, 254, 255, 0]), [None, one, two, None]);
        ring.rotate(key(3));
        assert_eq!(publics(&ring, [254, 255, 0, 1]), [one, two, three, None]);
        ring.rotate(key(4));
        assert_eq!(publics(&ring, [254, 255, 0, 1]), [None, two, three, four]);
        assert_eq!((Some(ring.current()), Some(ring.next())), (three, four));
    }

    #[test]
    fn secret_key_is_not_shown() {
        let shown = format!("{:?}", key(0xab));
        assert!(!shown.contains(&"ab".repeat(4)), "{shown}");
    }
}
