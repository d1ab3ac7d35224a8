//! A client of one home: what apps and the command call.
//!
//! Here is what needs no network: opening, the account's own data, contacts, and the states of
//! messages as last heard.

mod network_file;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use enjambre_protocol::directory::{Genesis, NetworkCard};
use enjambre_protocol::envelope::MessageId;
use enjambre_protocol::id::NetworkId;
use enjambre_protocol::identity::{
    AccountId, AccountKind, CardName, ContactCard, DeviceList, RecoveryPhrase, parse_bare_id,
};
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;
use tokio::sync::OnceCell;

use self::network_file::read_network_file;
use crate::account::Account;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::home::Home;
use crate::names;
use crate::net::Net;
use crate::status::home_status;
use crate::store::{ContactRow, MetaKey, NewContact, Store, StoreError, View};
use crate::system;
use crate::types::{
    AccountInfo, ClientConfig, ContactInfo, MessageStatus, NetworkInfo, NewAccount, StateChange,
    StatusReport,
};

/// How long one call may take to have an answer of the network, unless set: 30 s, in which ten dead
/// guards, or four silent members of a swarm, can be gone round.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Bytes of files a second for which a deadline is put off: 1 Mbit/s, a slow line.
const SLOWEST_BYTES_PER_SECOND: u64 = 125_000;

/// In front of a network card, in lower case.
const NETWORK_CARD_SCHEME: &str = "enjambre-network:";

/// A client of one home directory. Several processes may have one of the same home: nothing is sent
/// or shown by two of them.
#[derive(Debug)]
pub struct Client {
    store: Arc<Store>,
    deadline: Duration,
    /// Made at the first use of the network.
    pub(crate) net: OnceCell<Arc<Net>>,
}

/// The network of a home, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinedNetwork {
    /// From a `network.toml`, or fetched.
    Genesis(Genesis),
    /// From a card; the genesis is yet to be fetched.
    Card(NetworkCard),
}

impl JoinedNetwork {
    /// The network id.
    pub fn network(&self) -> NetworkId {
        match self {
            Self::Genesis(genesis) => genesis.network(),
            Self::Card(card) => card.network,
        }
    }

    /// What is shown of it.
    pub fn info(&self) -> NetworkInfo {
        let (authority_count, threshold) = match self {
            Self::Genesis(genesis) => (genesis.authorities.len(), genesis.threshold()),
            Self::Card(card) => (card.authorities.len(), usize::from(card.threshold)),
        };
        NetworkInfo { network: self.network(), authority_count, threshold }
    }
}

impl Client {
    /// Opens a home, making it where there is none. Reads no network.
    pub fn open(config: &ClientConfig) -> Result<Self, Error> {
        // Before a home is made that nobody wants without it.
        let network = config.network.as_deref().map(read_network_file).transpose()?;
        let home = Home::open(&config.home)?;
        let store = Arc::new(Store::open_home(home)?);
        let client = Self { store, deadline: DEADLINE, net: OnceCell::new() };
        if let Some(network) = network {
            client.set_network(&network, OnOtherNetwork::Refuse)?;
        }
        Ok(client)
    }

    /// Sets how long one call may take to have an answer of the network: joining, making an
    /// account, sending, one look for messages. What a call has not done by then it says, and
    /// leaves to later calls. [`DEADLINE`] unless set; at most a day. Files get more, by their size.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// When a call that begins now has ended.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.deadline)
    }

    /// The same for one that waits so long by itself.
    pub(crate) fn deadline_after(&self, wait: Duration) -> Deadline {
        Deadline::after(self.deadline.saturating_add(wait))
    }

    /// The same for one that carries so many bytes of files.
    pub(crate) fn deadline_for(&self, file_bytes: u64) -> Deadline {
        let more = Duration::from_secs(file_bytes / SLOWEST_BYTES_PER_SECOND);
        Deadline::after(self.deadline.saturating_add(more))
    }

    /// The store, for the rest of the SDK.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The store, to be held beside the client.
    pub(crate) fn shared_store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Joins the network of a card or of a `network.toml`, as far as that goes without asking it.
    pub fn join_offline(&self, card_or_file: &str) -> Result<NetworkInfo, Error> {
        let text = card_or_file.trim();
        let is_card = text
            .get(..NETWORK_CARD_SCHEME.len())
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(NETWORK_CARD_SCHEME));
        let network = if is_card {
            JoinedNetwork::Card(text.parse().map_err(invalid)?)
        } else {
            read_network_file(Path::new(card_or_file))?
        };
        self.set_network(&network, OnOtherNetwork::ReplaceUnlessUsed)?;
        Ok(network.info())
    }

    /// The network of this home.
    pub fn network(&self) -> Result<JoinedNetwork, Error> {
        self.store.read(joined)?.ok_or_else(|| {
            let text = "no network was joined: run `enjambre network join CARD`, or name a \
                        network.toml with --network";
            Error::new(ErrorKind::NoNetwork, text)
        })
    }

    /// Makes the account of this home without publishing it, or finds the one that was made before
    /// and whose making did not end: it was not published, or its phrase was not shown.
    /// [`Self::account_published`] and [`Self::phrase_shown`] end what this begins.
    pub fn prepare_account(&self, name: Option<&str>) -> Result<NewAccount, Error> {
        let name = name.map(chosen).transpose()?;
        let network = self.network()?.network();
        let (mut rng, now) = (system::rng()?, system::now());
        self.store.write(|change| {
            let account = match Account::load(*change)? {
                Some(account) if is_complete(*change, &account)? => return Err(account_exists()),
                Some(mut account) => {
                    if name.is_some() {
                        account.set_name(name);
                    }
                    account
                }
                None => {
                    change.set_meta(MetaKey::PhraseUnseen, &[])?;
                    Account::create(&mut rng, network, name, now).map_err(unsigned)?
                }
            };
            account.save(&change)?;
            Ok(NewAccount { id: account.id(), phrase: account.key().seed().phrase() })
        })
    }

    /// Makes the account of a phrase on this device without publishing it. `previous` is the device
    /// list that its swarm holds, if any.
    pub fn prepare_restored(
        &self,
        phrase: &RecoveryPhrase,
        previous: Option<&DeviceList>,
    ) -> Result<AccountId, Error> {
        let network = self.network()?.network();
        let (mut rng, now) = (system::rng()?, system::now());
        let seed = phrase.seed().clone();
        self.store.write(|change| {
            if Account::load(*change)?.is_some_and(|account| account.published().is_some()) {
                return Err(account_exists());
            }
            change.remove_meta(MetaKey::PhraseUnseen)?; // Its owner has just typed it.
            let account = Account::restore(&mut rng, seed, network, previous, now);
            let account = account.map_err(unsigned)?;
            account.save(&change)?;
            Ok(account.id())
        })
    }

    /// A majority of the account's swarm holds the keys that the account had at this time: from now
    /// on its id may be shown. Keys that are newer count as yet to be published.
    pub fn account_published(&self, at: Timestamp) -> Result<(), Error> {
        self.store.write(|change| {
            let mut account = Account::load(*change)?.ok_or_else(no_account)?;
            account.set_published(at);
            Ok(account.save(&change)?)
        })
    }

    /// The owner has seen the account's phrase. Until this is said, making an account gives the same
    /// one with its phrase again, so that no phrase is lost between its making and a screen.
    pub fn phrase_shown(&self) -> Result<(), Error> {
        Ok(self.store.write(|change| change.remove_meta(MetaKey::PhraseUnseen))?)
    }

    /// The account with its secrets, published or not.
    pub fn own_account(&self) -> Result<Account, Error> {
        self.store.read(Account::load)?.ok_or_else(no_account)
    }

    /// What may be shown of the account.
    pub fn account(&self) -> Result<AccountInfo, Error> {
        let account = self.shown_account()?;
        Ok(AccountInfo {
            id: account.id(),
            name: account.name().map(|name| name.as_str().to_owned()),
            card: account.card().to_string(),
            device: account.tag().to_string(),
            network: account.network(),
            published: account.published(),
        })
    }

    /// The account's card, to be handed out.
    pub fn contact_card(&self) -> Result<ContactCard, Error> {
        Ok(self.shown_account()?.card())
    }

    fn shown_account(&self) -> Result<Account, Error> {
        let account = self.own_account()?;
        if account.published().is_none() {
            let text = "the account is not published yet, so nobody could write to it: run \
                        `enjambre account new` again when the network can be reached";
            return Err(Error::new(ErrorKind::NotPublished, text));
        }
        Ok(account)
    }

    /// Adds a contact by card or bare id, or completes one that is there. Without a name it gets the
    /// one on its card.
    pub fn add_contact(&self, card_or_id: &str, name: Option<&str>) -> Result<ContactInfo, Error> {
        let (id, card) = parse_contact(card_or_id)?;
        let name = name.map(chosen).transpose()?;
        if let Some(card) = &card {
            self.check_card_network(card)?;
        }
        let first_list = card.as_ref().map(|card| card.first_list);
        let added = system::now();
        self.store.write(|change| {
            if Account::load(*change)?.is_some_and(|account| account.id() == id) {
                let text = "this is your own card: give it to others, and add theirs";
                return Err(Error::new(ErrorKind::InvalidInput, text));
            }
            let known = change.contact(&id)?;
            check_first_list(known.as_ref(), first_list)?;
            let has_name = known.is_some_and(|known| known.name.is_some());
            let name = name.or_else(|| card.and_then(|card| card.name).filter(|_| !has_name));
            let name = name.map(names::visible).transpose()?;
            let name = name.map(|name| name.as_str().to_owned());
            name.iter().try_for_each(|name| names::check_free(*change, &id, name))?;
            change.put_contact(&NewContact { id, name, first_list, added })?;
            let row = change.contact(&id)?.ok_or(StoreError::Damaged { what: "contact" })?;
            Ok(contact_info(row))
        })
    }

    fn check_card_network(&self, card: &ContactCard) -> Result<(), Error> {
        let network = self.network()?.network();
        if card.network == network {
            return Ok(());
        }
        let text = format!(
            "the card is of network {}, this home is in {}: use a home that joined the other",
            card.network.short(),
            network.short()
        );
        Err(Error::new(ErrorKind::OtherNetwork, text))
    }

    /// All contacts, in the order they were added.
    pub fn contacts(&self) -> Result<Vec<ContactInfo>, Error> {
        let rows = self.store.read(|view| view.contacts())?;
        Ok(rows.into_iter().map(contact_info).collect())
    }

    /// Whom a name or an id means. An id need not be a contact.
    pub fn recipient(&self, name_or_id: &str) -> Result<AccountId, Error> {
        if let Some(row) = self.store.read(|view| view.contact_named(name_or_id.trim()))? {
            return Ok(row.id);
        }
        match parse_contact(name_or_id) {
            Ok((id, None)) => Ok(id),
            Ok((_, Some(_))) => {
                let text = "a card is not sent to: run `enjambre contact add CARD` first";
                Err(Error::new(ErrorKind::InvalidInput, text))
            }
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                let text = format!(
                    "no contact is called `{name_or_id}`: see `enjambre contact list`, or add it \
                     with `enjambre contact add CARD`"
                );
                Err(Error::new(ErrorKind::UnknownContact, text))
            }
            Err(error) => Err(error),
        }
    }

    /// The states of one message, or of the home, as they are known without asking the network.
    pub fn status(&self, id: Option<MessageId>) -> Result<StatusReport, Error> {
        match id {
            Some(id) => self.store.read(|view| message_status(view, id)).map(StatusReport::Message),
            None => self.store.read(home_status).map(StatusReport::Home),
        }
    }

    fn set_network(&self, new: &JoinedNetwork, on_other: OnOtherNetwork) -> Result<(), Error> {
        self.store.write(|change| {
            let old = joined(*change)?;
            if old.as_ref() == Some(new) {
                return Ok(());
            }
            let is_same = old.as_ref().is_none_or(|old| old.network() == new.network());
            if !is_same {
                if on_other == OnOtherNetwork::Refuse || Account::load(*change)?.is_some() {
                    return Err(other_network(old.as_ref(), new));
                }
                for key in MetaKey::OF_NETWORK {
                    change.remove_meta(key)?;
                }
            }
            match new {
                JoinedNetwork::Genesis(genesis) => {
                    change.set_meta(MetaKey::Genesis, &wire::encode(genesis))?;
                }
                JoinedNetwork::Card(card) => {
                    change.set_meta(MetaKey::NetworkCard, &wire::encode(card))?;
                }
            }
            Ok(())
        })
    }
}

/// What to do where another network was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnOtherNetwork {
    Refuse,
    ReplaceUnlessUsed,
}

/// An error of the protocol that is the caller's mistake and says what to do.
fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidInput, error.to_string()).with_source(error)
}

/// A name as its chooser typed it.
fn chosen(name: &str) -> Result<CardName, Error> {
    names::visible(CardName::new(name).map_err(invalid)?)
}

fn unsigned(error: enjambre_protocol::identity::DeviceListError) -> Error {
    let text = "the account's keys could not be made: check the system's clock";
    Error::new(ErrorKind::HomeUnusable, text).with_source(error)
}

fn no_account() -> Error {
    let text = "this home has no account: make one with `enjambre account new`";
    Error::new(ErrorKind::NoAccount, text)
}

fn account_exists() -> Error {
    let text = "this home has an account: see `enjambre account show`, or name another --home";
    Error::new(ErrorKind::AccountExists, text)
}

/// Whether the account was published and its phrase seen: then it is never made again.
fn is_complete(view: View<'_>, account: &Account) -> Result<bool, StoreError> {
    Ok(account.published().is_some() && view.meta(MetaKey::PhraseUnseen)?.is_none())
}

fn other_network(old: Option<&JoinedNetwork>, new: &JoinedNetwork) -> Error {
    let old = old.map(|old| old.network().short()).unwrap_or_default();
    let text = format!(
        "this home is in network {old}, not in {}: name another --home for that network",
        new.network().short()
    );
    Error::new(ErrorKind::OtherNetwork, text)
}

pub(crate) fn joined(view: View<'_>) -> Result<Option<JoinedNetwork>, Error> {
    let damaged = |error| {
        let text = StoreError::Damaged { what: "network" }.to_string();
        Error::new(ErrorKind::StoreFailed, text).with_source(error)
    };
    if let Some(bytes) = view.meta(MetaKey::Genesis)? {
        let genesis = wire::decode(&bytes, bytes.len()).map_err(damaged)?;
        return Ok(Some(JoinedNetwork::Genesis(genesis)));
    }
    let card = view.meta(MetaKey::NetworkCard)?;
    card.map(|bytes| wire::decode(&bytes, bytes.len()).map(JoinedNetwork::Card).map_err(damaged))
        .transpose()
}

/// A card, or the id alone.
fn parse_contact(text: &str) -> Result<(AccountId, Option<ContactCard>), Error> {
    let (id, card) = if text.contains(':') {
        let card: ContactCard = text.parse().map_err(invalid)?;
        (card.account, Some(card))
    } else {
        (parse_bare_id(text).map_err(invalid)?, None)
    };
    if id.kind() != AccountKind::Account {
        let text = "this id is a group's, not a person's: ask for a person's card";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    Ok((id, card))
}

/// A card that contradicts what is known of its owner is somebody else's work.
fn check_first_list(
    known: Option<&ContactRow>,
    first_list: Option<enjambre_protocol::id::Digest>,
) -> Result<(), Error> {
    let known = known.and_then(|known| known.first_list);
    match (known, first_list) {
        (Some(known), Some(new)) if known != new => {
            let text = "the card names other keys than an earlier card of this contact: compare \
                        both with your contact before you trust either";
            Err(Error::new(ErrorKind::ContactChanged, text))
        }
        _ => Ok(()),
    }
}

fn contact_info(row: ContactRow) -> ContactInfo {
    ContactInfo { id: row.id, name: row.name, added: row.added }
}

fn message_status(view: View<'_>, id: MessageId) -> Result<MessageStatus, Error> {
    let Some(row) = view.outgoing(&id)? else {
        let text = format!("no message sent from this home has the id {id}: check it");
        return Err(Error::new(ErrorKind::UnknownMessage, text));
    };
    let steps = view.history(&id)?.into_iter();
    let history =
        steps.map(|step| StateChange { state: step.state, at: step.at, reason: step.reason });
    Ok(MessageStatus {
        id,
        to: row.recipient,
        state: row.state.state(),
        reason: row.state.reason().map(str::to_owned),
        copies: row.copies,
        members: row.members,
        swarm: row.swarm,
        attempts: row.attempts,
        next_try: row.next_try,
        history: history.collect(),
    })
}

#[cfg(test)]
mod tests;
