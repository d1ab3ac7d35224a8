//! The account of a home: its keys as they are used and as they are kept.
//!
//! One device an account, for now; the device list is already the format for more. Not here: the
//! publishing, which is the network's part, and the formats, which are the protocol's.
//!
//! # Invariants
//!
//! - *Published before shown*: an [`Account`] says whether its keys were published; its id is not
//!   handed out before.
//! - *Two generations*: the bundle secrets of the present and of the one before are kept, which open
//!   everything that can still arrive.

use std::time::Duration;

use enjambre_protocol::crypto::{Secret, SecretKey, Signed};
use enjambre_protocol::envelope::{DeviceOpener, KemSecret};
use enjambre_protocol::id::{Digest, NetworkId};
use enjambre_protocol::identity::{
    AccountId, AccountKey, AccountSeed, BundleSecret, CardName, ContactCard, DeviceKeys,
    DeviceList, DeviceListDraft, DeviceListError, DeviceTag, PublishedIdentity,
};
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::{Error, ErrorKind};
use crate::store::{Change, MetaKey, StoreError, View};

/// How long a device list holds. A year: an account that is not opened for that long is abandoned.
pub const LIST_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A list is renewed when less than this is left of it: a quarter of a year.
pub const LIST_RENEW_BEFORE: Duration = Duration::from_secs(91 * 24 * 60 * 60);

/// Generations of bundle secrets that are kept: with 16 days between them, they open what waits for
/// 14 days and was sealed for a bundle of 18.
const BUNDLES_KEPT: usize = 2;

/// Bytes of a kept account: two generations at 80, the list at 2.2 kB, rounded up.
const KEPT_MAX: usize = 8192;

/// An account with all its secrets.
#[derive(Clone, Debug)]
pub struct Account {
    key: AccountKey,
    device: DeviceKeys,
    network: NetworkId,
    list: DeviceList,
    first_list: Digest,
    bundles: Vec<BundleSecret>,
    name: Option<CardName>,
    published: Option<Timestamp>,
}

impl Account {
    /// A new account with one device, not published.
    pub fn create(
        rng: &mut impl CryptoRng,
        network: NetworkId,
        name: Option<CardName>,
        now: Timestamp,
    ) -> Result<Self, DeviceListError> {
        let seed = AccountSeed::generate(rng);
        Self::with_seed(rng, seed, network, None, name, now)
    }

    /// An account from its phrase, on a new device that takes the place of those before. `previous`
    /// is the list that the account's swarm holds, if any.
    pub fn restore(
        rng: &mut impl CryptoRng,
        seed: AccountSeed,
        network: NetworkId,
        previous: Option<&DeviceList>,
        now: Timestamp,
    ) -> Result<Self, DeviceListError> {
        Self::with_seed(rng, seed, network, previous, None, now)
    }

    fn with_seed(
        rng: &mut impl CryptoRng,
        seed: AccountSeed,
        network: NetworkId,
        previous: Option<&DeviceList>,
        name: Option<CardName>,
        now: Timestamp,
    ) -> Result<Self, DeviceListError> {
        let (key, device) = (AccountKey::new(seed), DeviceKeys::generate(rng));
        let (devices, not_after) = (vec![device.device()], now.saturating_add(LIST_LIFETIME));
        let draft = match previous {
            Some(list) => DeviceListDraft::after(list, devices, not_after),
            None => DeviceListDraft::first(devices, not_after),
        };
        let list = draft.sign(&key, &network)?;
        let bundles = vec![BundleSecret::generate(rng, 1, now)];
        let first_list = match previous {
            None => list.digest(),
            Some(previous) if previous.version() == 1 => previous.digest(),
            // Contacts compare it with the first two lists only, so from here on any value serves;
            // of the second list the first is known.
            Some(previous) => previous.previous(),
        };
        Ok(Self { key, device, network, list, first_list, bundles, name, published: None })
    }

    /// The account id.
    pub const fn id(&self) -> AccountId {
        self.key.id()
    }

    /// The account key.
    pub const fn key(&self) -> &AccountKey {
        &self.key
    }

    /// This device's keys.
    pub const fn device(&self) -> &DeviceKeys {
        &self.device
    }

    /// The account's device list.
    pub const fn list(&self) -> &DeviceList {
        &self.list
    }

    /// The network it lives in.
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// The name on its card.
    pub const fn name(&self) -> Option<&CardName> {
        self.name.as_ref()
    }

    /// When its keys were published.
    pub const fn published(&self) -> Option<Timestamp> {
        self.published
    }

    /// The tag people know this device by.
    pub fn tag(&self) -> DeviceTag {
        DeviceTag::of(&self.device.signer().public())
    }

    /// What to open messages with: both generations, the newest first.
    pub fn opener(&self) -> DeviceOpener<'_> {
        DeviceOpener { device: self.device.signer().public(), bundles: &self.bundles }
    }

    /// What the account publishes: its list and the newest bundle.
    pub fn identity(&self) -> PublishedIdentity {
        let identity = PublishedIdentity::new(&self.list);
        match self.bundles.first() {
            Some(newest) => {
                let bundle = newest.publish(&self.device, self.id(), &self.network);
                identity.with_bundle(self.device.signer().public(), bundle)
            }
            None => identity,
        }
    }

    /// What the account's owner hands out.
    pub fn card(&self) -> ContactCard {
        ContactCard {
            account: self.id(),
            network: self.network,
            first_list: self.first_list,
            name: self.name.clone(),
        }
    }

    /// Puts another name on the card.
    pub fn set_name(&mut self, name: Option<CardName>) {
        self.name = name;
    }

    /// A majority of the account's swarm holds the keys that the account had at this time.
    pub const fn set_published(&mut self, at: Timestamp) {
        self.published = Some(at);
    }

    /// Whether keys were made after the last that are known to be published, as when a publication
    /// failed after a rotation.
    pub fn has_unpublished_keys(&self) -> bool {
        self.published.is_none_or(|published| published < self.keys_made())
    }

    /// When the newest of the keys that are published were made.
    pub fn keys_made(&self) -> Timestamp {
        let listed = self.list.not_after().saturating_sub(LIST_LIFETIME);
        self.bundles.first().map_or(listed, |bundle| bundle.created.max(listed))
    }

    /// Whether the newest bundle is old enough to be replaced.
    pub fn is_bundle_due(&self, now: Timestamp) -> bool {
        self.bundles.first().is_none_or(|bundle| bundle.is_due(now))
    }

    /// Makes the next generation of keys. Only after the mailbox was read to its end: the oldest
    /// generation is given up.
    pub fn rotate_bundle(&mut self, rng: &mut impl CryptoRng, now: Timestamp) {
        let version = self.bundles.first().map_or(1, |bundle| bundle.version.saturating_add(1));
        self.bundles.insert(0, BundleSecret::generate(rng, version, now));
        self.bundles.truncate(BUNDLES_KEPT);
    }

    /// Whether the device list runs out soon.
    pub fn is_list_due(&self, now: Timestamp) -> bool {
        self.list.not_after().saturating_since(now) < LIST_RENEW_BEFORE
    }

    /// Signs the next list, of the same device.
    pub fn renew_list(&mut self, now: Timestamp) -> Result<(), DeviceListError> {
        let (devices, end) = (vec![self.device.device()], now.saturating_add(LIST_LIFETIME));
        let draft = DeviceListDraft::after(&self.list, devices, end);
        self.list = draft.sign(&self.key, &self.network)?;
        Ok(())
    }

    /// The account kept in a home, if there is one.
    pub fn load(view: View<'_>) -> Result<Option<Self>, Error> {
        let Some(bytes) = view.meta(MetaKey::Account)? else {
            return Ok(None);
        };
        let damaged = || StoreError::Damaged { what: "account" };
        let kept: Kept = wire::decode(&bytes, KEPT_MAX).map_err(|error| {
            Error::new(ErrorKind::StoreFailed, damaged().to_string()).with_source(error)
        })?;
        Ok(Some(kept.into_account().map_err(|error| {
            Error::new(ErrorKind::StoreFailed, damaged().to_string()).with_source(error)
        })?))
    }

    /// Keeps the account, in place of the one before.
    pub fn save(&self, change: &Change<'_>) -> Result<(), StoreError> {
        let bytes = Zeroizing::new(wire::encode(&Kept::of(self)));
        change.set_meta(MetaKey::Account, &bytes)
    }
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct KeptBundle {
    #[zeroize(skip)]
    version: u32,
    #[zeroize(skip)]
    created: Timestamp,
    fallback: [u8; 32],
    kem: [u8; 32],
}

/// The account as it is kept, field by field.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Kept {
    seed: [u8; 16],
    signing: [u8; 32],
    ratchet: [u8; 32],
    bundles: Vec<KeptBundle>,
    #[zeroize(skip)]
    network: NetworkId,
    #[zeroize(skip)]
    list: Option<Signed>,
    #[zeroize(skip)]
    first_list: Digest,
    #[zeroize(skip)]
    name: Option<String>,
    #[zeroize(skip)]
    published: Option<Timestamp>,
}

impl Kept {
    fn of(account: &Account) -> Self {
        let bundles = account.bundles.iter().map(|bundle| KeptBundle {
            version: bundle.version,
            created: bundle.created,
            fallback: *bundle.fallback.expose(),
            kem: *bundle.kem.secret().expose(),
        });
        Self {
            seed: *account.key.seed().expose(),
            signing: *account.device.signer().seed().expose(),
            ratchet: *account.device.ratchet().expose(),
            bundles: bundles.collect(),
            network: account.network,
            list: Some(account.list.signed().clone()),
            first_list: account.first_list,
            name: account.name.as_ref().map(|name| name.as_str().to_owned()),
            published: account.published,
        }
    }

    fn into_account(mut self) -> Result<Account, DeviceListError> {
        let key = AccountKey::new(AccountSeed::from_bytes(self.seed));
        let signing = SecretKey::from_seed(&self.signing);
        let device = DeviceKeys::from_secrets(signing, Secret::from_bytes(self.ratchet));
        let list = self.list.take().ok_or(DeviceListError::Version)?;
        let list = DeviceList::verify(list, &self.network, &key.id())?;
        let bundles = self.bundles.iter().map(|kept| BundleSecret {
            version: kept.version,
            created: kept.created,
            fallback: Secret::from_bytes(kept.fallback),
            kem: KemSecret::from_secret(Secret::from_bytes(kept.kem)),
        });
        Ok(Account {
            bundles: bundles.collect(),
            key,
            device,
            list,
            network: self.network,
            first_list: self.first_list,
            name: self.name.as_deref().and_then(|name| CardName::new(name).ok()),
            published: self.published,
        })
    }
}

#[cfg(test)]
mod tests {
    use enjambre_protocol::identity::ContactPin;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::store::Store;

    const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(3)
    }

    fn account() -> Account {
        let name = CardName::new("Ana").ok();
        Account::create(&mut rng(), NETWORK, name, NOW).unwrap()
    }

    #[test]
    fn account_is_kept_whole() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(&temp.path().join("db"), &Secret::from_bytes([1; 32])).unwrap();
        assert!(store.read(Account::load).unwrap().is_none());
        let mut account = account();
        account.rotate_bundle(&mut rng(), NOW);
        account.set_published(NOW);
        store.write(|change| account.save(&change)).unwrap();
        let kept = store.read(Account::load).unwrap().unwrap();
        assert_eq!(kept.card(), account.card());
        assert_eq!(kept.identity(), account.identity());
        assert_eq!((kept.published(), kept.bundles.len()), (Some(NOW), 2));
        assert_eq!(kept.device.ratchet(), account.device.ratchet());
    }

    #[test]
    fn published_identity_verifies_from_the_id_alone() {
        let account = account();
        let verified = account.identity().verify(&NETWORK, &account.id(), NOW).unwrap();
        assert_eq!(
            (verified.list.digest(), verified.bundles.len()),
            (account.card().first_list, 1)
        );
    }

    #[test]
    fn restored_account_follows_its_published_list() {
        let before = account();
        let seed = before.key().seed().clone();
        let after = Account::restore(&mut rng(), seed, NETWORK, Some(before.list()), NOW).unwrap();
        assert_eq!(after.id(), before.id());
        assert_eq!(after.card().first_list, before.card().first_list);
        let mut pin = ContactPin::new(before.list(), Some(&before.card().first_list)).unwrap();
        pin.observe(after.list()).unwrap();
        assert_eq!(pin.version(), 2);
    }

    #[test]
    fn two_generations_of_keys_are_kept() {
        let mut account = account();
        for _ in 0..3 {
            account.rotate_bundle(&mut rng(), NOW);
        }
        let versions: Vec<u32> = account.opener().bundles.iter().map(|b| b.version).collect();
        assert_eq!(versions, [4, 3]);
    }

    #[test]
    fn keys_made_after_the_last_publication_are_yet_to_be_published() {
        let mut account = account();
        assert!(account.has_unpublished_keys());
        account.set_published(NOW);
        assert!(!account.has_unpublished_keys());
        let later = NOW.saturating_add(LIST_LIFETIME - LIST_RENEW_BEFORE);
        account.rotate_bundle(&mut rng(), later);
        assert!(account.has_unpublished_keys());
        account.set_published(later);
        assert!(!account.has_unpublished_keys());
        let last = later.saturating_add(Duration::from_millis(1));
        account.renew_list(last).unwrap();
        assert!(account.has_unpublished_keys());
        account.set_published(last);
        assert!(!account.has_unpublished_keys());
    }

    #[test]
    fn list_is_renewed_before_it_ends() {
        let mut account = account();
        let late = NOW.saturating_add(LIST_LIFETIME - LIST_RENEW_BEFORE);
        assert!(!account.is_list_due(late));
        let late = late.saturating_add(Duration::from_millis(1));
        assert!(account.is_list_due(late));
        account.renew_list(late).unwrap();
        assert!(!account.is_list_due(late));
        assert_eq!(account.list().version(), 2);
    }
}
