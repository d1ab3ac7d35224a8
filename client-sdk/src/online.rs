//! What a client does over the network with its account: joining, publishing its keys, fetching
//! those of others.

use std::sync::Arc;

use enjambre_protocol::Retry;
use enjambre_protocol::directory::{Document, Genesis, SignedDocument};
use enjambre_protocol::id::{Digest, NetworkId, NodeId};
use enjambre_protocol::identity::{
    AccountId, Bundle, ContactPin, DeviceList, PinError, PublishedIdentity, RecoveryPhrase, Rights,
    SubAccountToken, VerifiedIdentity,
};
use enjambre_protocol::mailbox::{
    Author, Authorization, Call, MailboxError, Mutation, Namespace, Op, Page, Reply, RetrieveCall,
    Scope, StoreCall, Ttl, Written,
};
use enjambre_protocol::onion::SizeClass;
use enjambre_protocol::path::IsolationKey;
use enjambre_protocol::swarm::point;
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::{mailbox, wire};

use crate::account::Account;
use crate::client::{Client, JoinedNetwork};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::mailbox::{Answers, Subject, SwarmError, Teller};
use crate::net::{Keep, Kept, Net, NetError, Waits};
use crate::store::{Change, ContactRow, MetaKey, Store, StoreError, StoredIdentity};
use crate::system;
use crate::types::{NetworkInfo, NewAccount, Restored};

/// How long a published identity stays. Renewed long before.
const PUBLISHED_TTL: Ttl = Ttl::MAX;

/// Bytes of an outbox page that is asked for: one identity.
const IDENTITY_PAGE: u32 = 80_000;

/// A contact's keys are fetched anew when they are older than this: a day, so that a bundle never
/// reaches the age at which it is refused.
const KEYS_FRESH_FOR: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Members that must have answered before their keys are used where a read quorum cannot be had:
/// one alone could hold back the newest.
const KEYS_ASKED: usize = 2;

/// Keeps what the network part must not lose in the home's store.
struct StoreKeep(Arc<Store>);

impl StoreKeep {
    fn keep(&self, key: MetaKey, bytes: &[u8]) -> Result<(), String> {
        let kept = self.0.write(|change| change.set_meta(key, bytes));
        kept.map_err(|error: StoreError| error.to_string())
    }

    /// Keeps a document unless another process has kept a higher one.
    fn keep_higher(&self, key: MetaKey, bytes: &[u8]) -> Result<(), String> {
        let new = height_of(bytes);
        let kept = self.0.write(|change| {
            let stored = change.meta(key)?;
            if stored.and_then(|bytes| height_of(&bytes)) > new {
                return Ok(());
            }
            change.set_meta(key, bytes)
        });
        kept.map_err(|error: StoreError| error.to_string())
    }
}

/// The height of an encoded document; none if it is no document.
fn height_of(bytes: &[u8]) -> Option<u64> {
    let signed: SignedDocument = wire::decode(bytes, bytes.len()).ok()?;
    Document::decode(&signed.document).ok().map(|document| document.height)
}

impl Keep for StoreKeep {
    fn keep_document(&self, bytes: &[u8]) -> Result<(), String> {
        self.keep_higher(MetaKey::Directory, bytes)
    }

    fn keep_anchor(&self, bytes: &[u8]) -> Result<(), String> {
        self.keep_higher(MetaKey::Anchor, bytes)
    }

    fn keep_pending(&self, bytes: &[u8]) -> Result<(), String> {
        self.keep(MetaKey::PendingAnchor, bytes)
    }

    fn keep_paths(&self, merge: &mut dyn FnMut(Option<&[u8]>) -> Vec<u8>) -> Result<(), String> {
        let kept = self.0.write(|change| {
            let stored = change.meta(MetaKey::Paths)?;
            let merged = merge(stored.as_deref().map(Vec::as_slice));
            change.set_meta(MetaKey::Paths, &merged)
        });
        kept.map_err(|error: StoreError| error.to_string())
    }

    fn keep_health(&self, bytes: &[u8]) -> Result<(), String> {
        self.keep(MetaKey::PathHealth, bytes)
    }
}

impl From<NetError> for Error {
    fn from(error: NetError) -> Self {
        let (kind, text) = match &error {
            NetError::Path(reason) => (ErrorKind::TooFewNodes, reason.to_string()),
            NetError::Keep(_) => (ErrorKind::StoreFailed, error.to_string()),
            NetError::TooLarge { .. } => (ErrorKind::TooLarge, error.to_string()),
            NetError::Clock { .. } | NetError::Stale { .. } => {
                (ErrorKind::Clock, format!("{error}: check the clock, then the connection"))
            }
            _ => (
                ErrorKind::Unreachable,
                format!(
                    "the network does not answer ({error}): check the connection and try again"
                ),
            ),
        };
        Self::new(kind, text).with_retry(error.retry()).with_source(error)
    }
}

impl From<SwarmError> for Error {
    fn from(error: SwarmError) -> Self {
        let kind = match error {
            SwarmError::Net(error) => return error.into(),
            SwarmError::Mailbox(MailboxError::NotConfirmed { .. })
            | SwarmError::Receipts { .. }
            | SwarmError::NoSwarm => ErrorKind::NotConfirmed,
            SwarmError::Mailbox(MailboxError::Clock { .. }) => ErrorKind::Clock,
            SwarmError::Mailbox(MailboxError::Disk) => ErrorKind::Disk,
            SwarmError::Unanswered { .. } => ErrorKind::Unreachable,
            SwarmError::Mailbox(_) => ErrorKind::Refused,
        };
        let retry = error.retry();
        Self::new(kind, error.to_string()).with_retry(retry).with_source(error)
    }
}

/// Signs for an account with its device's key, under the device's token.
pub(crate) fn authorise(account: &Account, scope: Scope, op: Op) -> Authorization {
    let (key, network) = (account.key(), account.network());
    let device = account.device().signer();
    let token = SubAccountToken::issue(key, &network, device.public(), Rights::ALL, 0);
    let author = Author::SubAccount { account: key.public(), token };
    Mutation::signed(device, author, &network, &account.id(), scope, system::now(), op).by
}

/// What was found of somebody's keys.
pub(crate) enum Found {
    /// Keys that hold.
    Keys {
        identity: Box<VerifiedIdentity>,
        bytes: Vec<u8>,
        /// Why higher ones may have been missed: a read quorum did not answer.
        missing: Option<SwarmError>,
    },
    /// A read quorum of the swarm has none.
    Nothing,
}

impl Client {
    /// The client's connection, made at first use.
    pub(crate) async fn net(&self, deadline: Deadline) -> Result<Arc<Net>, Error> {
        let net = self.net.get_or_try_init(async || {
            let genesis = self.genesis(deadline).await?;
            let kept = self.store().read(|view| {
                Ok::<_, StoreError>(Kept {
                    document: view.meta(MetaKey::Directory)?.map(|bytes| bytes.to_vec()),
                    anchor: view.meta(MetaKey::Anchor)?.map(|bytes| bytes.to_vec()),
                    pending: view.meta(MetaKey::PendingAnchor)?.map(|bytes| bytes.to_vec()),
                    paths: view.meta(MetaKey::Paths)?.map(|bytes| bytes.to_vec()),
                    health: view.meta(MetaKey::PathHealth)?.map(|bytes| bytes.to_vec()),
                })
            })?;
            let keep = Box::new(StoreKeep(self.shared_store()));
            Ok::<_, Error>(Arc::new(Net::open(genesis, &kept, keep)?))
        });
        net.await.cloned()
    }

    /// The network's genesis; fetched and kept if only a card was given.
    async fn genesis(&self, deadline: Deadline) -> Result<Genesis, Error> {
        match self.network()? {
            JoinedNetwork::Genesis(genesis) => Ok(genesis),
            JoinedNetwork::Card(card) => {
                let fetched = deadline.wait(enjambre_link::fetch_genesis(&card)).await;
                let genesis = fetched.ok_or_else(late)?.map_err(NetError::Ask)?;
                let bytes = wire::encode(&genesis);
                self.store().write(|change| change.set_meta(MetaKey::Genesis, &bytes))?;
                Ok(genesis)
            }
        }
    }

    /// Joins the network of a card or of a `network.toml`, and fetches what a card leaves out.
    pub async fn join(&self, card_or_file: &str) -> Result<NetworkInfo, Error> {
        let info = self.join_offline(card_or_file)?;
        self.genesis(self.deadline()).await?;
        Ok(info)
    }

    /// Makes an account and publishes its keys. Only when a majority of its swarm has them is the
    /// account returned: an id that is shown can be written to. Until [`Self::phrase_shown`] is
    /// called, this gives the same account again.
    pub async fn create_account(&self, name: Option<&str>) -> Result<NewAccount, Error> {
        let deadline = self.deadline();
        let new = self.prepare_account(name)?;
        self.publish(deadline).await?;
        Ok(new)
    }

    /// Makes the account of a phrase on this device and publishes its keys. The devices before it
    /// are off its list from then on.
    pub async fn restore_account(&self, phrase: &RecoveryPhrase) -> Result<Restored, Error> {
        let id = phrase.seed().key().id();
        let deadline = self.deadline();
        let net = self.net(deadline).await?;
        let previous = match find_keys(&net, &id.to_bytes(), &id, deadline).await? {
            Found::Keys { identity, missing: None, .. } => Some(identity.list),
            // A list after one that is not the last would contradict the last one for ever.
            Found::Keys { missing: Some(missing), .. } => return Err(missing.into()),
            Found::Nothing => None,
        };
        let id = self.prepare_restored(phrase, previous.as_ref())?;
        self.publish(deadline).await?;
        Ok(Restored { id, was_known: previous.is_some() })
    }

    /// Stores the account's device list and newest bundle in its outbox.
    pub(crate) async fn publish(&self, deadline: Deadline) -> Result<(), Error> {
        let net = self.net(deadline).await?;
        // Taken before the keys are read, so that keys that are made meanwhile count as not published;
        // and not before these were made, whatever the clock says now.
        let now = system::now();
        let account = self.own_account()?;
        let at = now.max(account.keys_made());
        let (id, namespace) = (account.id(), Namespace::OUTBOX);
        let data = account.identity().encode();
        let hash = mailbox::MessageHash::of(&id, namespace, &data);
        let ttl = PUBLISHED_TTL.as_secs();
        let by = authorise(&account, Scope::One(namespace), Op::Store { hash, ttl });
        let nonce = net.nonce();
        let data = data.into();
        let call =
            Call::Store(StoreCall { account: id, namespace, ttl, data, by: Some(by), nonce });
        let subject = Subject {
            point: point(id.key()),
            written: Written::Record,
            digest: Digest::from_bytes(*hash.as_bytes()),
            nonce,
        };
        let key = IsolationKey::new(&id.to_bytes(), &id.to_bytes(), "publish");
        net.write(&key, &subject, &call, deadline).await?;
        self.account_published(at)
    }

    /// A contact's keys: those kept if they are fresh, else from its swarm. Checked against what is
    /// remembered of the contact, loudly.
    pub(crate) async fn keys_of(
        &self,
        id: &AccountId,
        deadline: Deadline,
    ) -> Result<Vec<Bundle>, Error> {
        let net = self.net(deadline).await?;
        let contact = self.store().read(|view| view.contact(id))?;
        let now = system::now();
        let kept = contact.as_ref().and_then(|contact| contact.identity.as_ref());
        if let Some(kept) = kept.filter(|kept| now.saturating_since(kept.fetched) < KEYS_FRESH_FOR)
            && let Ok(identity) = PublishedIdentity::decode(&kept.bytes)
                .and_then(|identity| identity.verify(net.network(), id, now))
            && !identity.bundles.is_empty()
            && !is_outdated(contact.as_ref(), &identity.list)
        {
            return Ok(identity.bundles);
        }
        let account = self.own_account()?;
        match find_keys(&net, &account.id().to_bytes(), id, deadline).await? {
            Found::Keys { identity, bytes, missing } => {
                self.pin(id, &identity.list, missing)?;
                let kept = StoredIdentity { bytes, fetched: now };
                self.store().write(|change| change.set_identity(id, &kept))?;
                Ok(identity.bundles)
            }
            Found::Nothing => {
                let text =
                    "the recipient has published no keys yet: the message waits and is tried again";
                Err(Error::new(ErrorKind::NoKeys, text).with_retry(Retry::Later))
            }
        }
    }

    /// Holds a device list against what is remembered of its account. The first one seen of a
    /// contact must be the one its card names.
    ///
    /// Where too few members answered for the highest list to be among those seen, a lower one is no
    /// reason for alarm.
    fn pin(
        &self,
        id: &AccountId,
        list: &DeviceList,
        missing: Option<SwarmError>,
    ) -> Result<(), Error> {
        let observed = self.store().write(|change| observe(&change, id, list))?;
        if let (Err(PinError::Lower { .. }), Some(missing)) = (&observed, missing) {
            return Err(missing.into());
        }
        observed.map_err(|error| {
            let text = format!(
                "the keys of this contact are not those remembered ({error}): compare ids with \
                 your contact before you go on"
            );
            Error::new(ErrorKind::ContactChanged, text).with_source(error)
        })
    }

    /// Closes the connection and gives the home back.
    pub async fn close(self) {
        if let Some(net) = self.net.get() {
            net.close().await;
        }
    }
}

fn late() -> Error {
    let text = "no contact of the network card answers: check the connection and try again";
    Error::new(ErrorKind::Unreachable, text).with_retry(Retry::Later)
}

/// Whether a higher list of the contact was seen: then its devices are others by now.
fn is_outdated(contact: Option<&ContactRow>, list: &DeviceList) -> bool {
    let pin = contact.and_then(|contact| contact.pin.as_deref());
    let pin = pin.and_then(|bytes| wire::decode::<ContactPin>(bytes, bytes.len()).ok());
    pin.is_some_and(|pin| pin.version() > list.version())
}

/// Holds a device list against the pin of its account, which follows it to a higher version. A list
/// that contradicts the pin leaves it as it was; strangers have none.
pub(crate) fn observe(
    change: &Change<'_>,
    id: &AccountId,
    list: &DeviceList,
) -> Result<Result<(), PinError>, StoreError> {
    let Some(contact) = change.contact(id)? else { return Ok(Ok(())) };
    let observed = match contact.pin.as_deref() {
        Some(bytes) => {
            let mut pin: ContactPin = wire::decode(bytes, bytes.len())
                .map_err(|_| StoreError::Damaged { what: "pin" })?;
            pin.observe(list).map(|_| pin)
        }
        None => ContactPin::new(list, contact.first_list.as_ref()),
    };
    match observed {
        Ok(pin) => change.set_pin(id, &wire::encode(&pin)).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

/// Reads an account's outbox from a read quorum, and takes the highest list and bundle of those
/// seen: one member alone, or some that lag, could hold back the newest.
async fn find_keys(
    net: &Arc<Net>,
    own: &[u8],
    id: &AccountId,
    deadline: Deadline,
) -> Result<Found, Error> {
    let swarm = net.swarm(point(id.key()), deadline).await?;
    let key = IsolationKey::new(own, &id.to_bytes(), "keys");
    let mut best = None;
    let ask = |member, tell| {
        Ok::<_, Error>(read_outbox(Arc::clone(net), key, member, *id, deadline, tell))
    };
    let take = |_, page: Page| {
        for item in page.items {
            consider(&mut best, item.data.into_bytes(), net.network(), id, system::now());
        }
        Ok(())
    };
    let answers = net.read(&swarm, deadline, ask, take).await?;
    conclude(best, answers)
}

/// What can be said of an account's keys when so many members have answered.
fn conclude(best: Option<Best>, answers: Answers) -> Result<Found, Error> {
    match best {
        Some(Best { identity, bytes }) if answers.is_complete() => {
            Ok(Found::Keys { identity: Box::new(identity), bytes, missing: None })
        }
        Some(Best { identity, bytes }) if answers.answered >= KEYS_ASKED => {
            let missing = Some(answers.into_error());
            Ok(Found::Keys { identity: Box::new(identity), bytes, missing })
        }
        None if answers.is_complete() => Ok(Found::Nothing),
        Some(_) | None => Err(answers.into_error().into()),
    }
}

/// The highest identity seen so far.
struct Best {
    identity: VerifiedIdentity,
    bytes: Vec<u8>,
}

/// Takes a record from an outbox if it holds and is higher than what was seen. What does not hold
/// counts as nothing: another member may have what does.
fn consider(
    best: &mut Option<Best>,
    bytes: Vec<u8>,
    network: &NetworkId,
    id: &AccountId,
    now: Timestamp,
) {
    let identity =
        PublishedIdentity::decode(&bytes).and_then(|identity| identity.verify(network, id, now));
    let Ok(identity) = identity else { return };
    if best.as_ref().is_none_or(|best| is_newer(&identity, &best.identity)) {
        *best = Some(Best { identity, bytes });
    }
}

async fn read_outbox(
    net: Arc<Net>,
    key: IsolationKey,
    member: NodeId,
    account: AccountId,
    deadline: Deadline,
    tell: Teller<Page>,
) -> Result<(), SwarmError> {
    let call = Call::Retrieve(RetrieveCall {
        account,
        namespace: Namespace::OUTBOX,
        after: None,
        max_bytes: IDENTITY_PAGE,
        by: None,
    });
    match net.call(&key, member, call, Waits::Read, SizeClass::K8, deadline).await? {
        (Reply::Retrieved(page), _) => {
            tell.tell(page).await;
            Ok(())
        }
        _ => Err(NetError::Malformed.into()),
    }
}

fn is_newer(new: &VerifiedIdentity, known: &VerifiedIdentity) -> bool {
    let order = |identity: &VerifiedIdentity| {
        let bundles = identity.bundles.iter().map(|bundle| (bundle.version(), bundle.created()));
        (identity.list.version(), bundles.max())
    };
    order(new) > order(known)
}

#[cfg(test)]
mod tests;
