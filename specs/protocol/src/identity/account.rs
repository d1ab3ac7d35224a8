//! The account's secret: 16 random bytes, and the keys made from them.
//!
//! Specified in 01 identities, section 3.

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroize;

use super::{AccountId, RecoveryPhrase};
use crate::crypto::{self, PublicKey, Secret, SecretKey};
use crate::id::NetworkId;

/// The 16 random bytes an account is made from: all that a recovery phrase holds.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountSeed(Secret<16>);

impl AccountSeed {
    /// A fresh account.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::generate(rng))
    }

    /// From stored bytes; the caller wipes its own copy.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// The bytes, for a protected file.
    pub const fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }

    /// The twelve words that stand for the seed.
    pub fn phrase(&self) -> RecoveryPhrase {
        RecoveryPhrase::of(self)
    }

    /// The account's key pair.
    pub fn key(&self) -> AccountKey {
        AccountKey::new(self.clone())
    }
}

impl fmt::Debug for AccountSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountSeed(16 bytes)")
    }
}

/// The key pair of an account. It signs device lists and sub-account tokens, nothing day to day.
#[derive(Clone)]
pub struct AccountKey {
    seed: AccountSeed,
    key: SecretKey,
    id: AccountId,
}

impl AccountKey {
    /// Ed25519 seed = the 16 bytes followed by 16 zero bytes: the deployed rule, kept so that a
    /// deployed account can be imported.
    pub fn new(seed: AccountSeed) -> Self {
        let mut padded = [0; 32];
        padded[..16].copy_from_slice(seed.expose());
        let key = SecretKey::from_seed(&padded);
        padded.zeroize();
        let id = AccountId::of_secret(&key);
        Self { seed, key, id }
    }

    /// The account id.
    pub const fn id(&self) -> AccountId {
        self.id
    }

    /// The full Ed25519 key, sign bit included: what contacts pin.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// The signing key.
    pub const fn signer(&self) -> &SecretKey {
        &self.key
    }

    /// The secret X25519 scalar whose public half the account id shows.
    pub fn x25519(&self) -> Secret<32> {
        self.key.to_x25519()
    }

    /// The seed, for a protected file or a recovery phrase.
    pub const fn seed(&self) -> &AccountSeed {
        &self.seed
    }

    /// Every other secret of the account: HKDF from the seed under `label`, for one network.
    pub fn derive<const N: usize>(&self, label: &'static str, network: &NetworkId) -> Secret<N> {
        crypto::derive(label, self.seed.expose(), &[network.as_bytes()])
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey(of {:?})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x25519_secret_and_account_id_are_halves_of_one_pair() {
        let key = AccountSeed::from_bytes([3; 16]).key();
        let secret = x25519_dalek::StaticSecret::from(*key.x25519().expose());
        assert_eq!(x25519_dalek::PublicKey::from(&secret).as_bytes(), key.id().key());
        assert!(key.id().matches(&key.public()));
    }

    #[test]
    fn derived_secrets_differ_by_label_network_and_account() {
        let key = AccountSeed::from_bytes([3; 16]).key();
        let here = NetworkId::from_bytes([1; 32]);
        let secret = key.derive::<32>("enjambre/test-a/1", &here);
        assert_ne!(secret, key.derive("enjambre/test-b/1", &here));
        assert_ne!(secret, key.derive("enjambre/test-a/1", &NetworkId::from_bytes([2; 32])));
        let other = AccountSeed::from_bytes([4; 16]).key();
        assert_ne!(secret, other.derive("enjambre/test-a/1", &here));
    }

    #[test]
    fn secrets_are_not_shown() {
        let seed = AccountSeed::from_bytes([0xab; 16]);
        assert_eq!(
            format!("{seed:?} {:?}", seed.key()),
            "AccountSeed(16 bytes) AccountKey(of AccountId(05…))"
        );
    }
}
