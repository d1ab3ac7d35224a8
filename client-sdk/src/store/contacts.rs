//! People written to by name, and what is remembered of them.

use enjambre_protocol::id::Digest;
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::time::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::columns::{Col, RowExt};
use super::{Change, StoreError, View};

/// Contacts kept at most: an address book, with a bound.
pub const CONTACTS_MAX: u32 = 10_000;

/// A published identity as fetched, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredIdentity {
    /// The record's bytes: device list and bundles, signed.
    pub bytes: Vec<u8>,
    /// When it was fetched.
    pub fetched: Timestamp,
}

/// A contact to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContact {
    /// Who.
    pub id: AccountId,
    /// The name it is listed under; none keeps the one it has.
    pub name: Option<String>,
    /// From its card; none keeps the one known.
    pub first_list: Option<Digest>,
    /// When it was added, if it was not there.
    pub added: Timestamp,
}

/// A contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRow {
    /// Who.
    pub id: AccountId,
    /// The name it is listed under.
    pub name: Option<String>,
    /// The digest of its first device list, if it came by card.
    pub first_list: Option<Digest>,
    /// The encoded `ContactPin`: the highest device list seen.
    pub pin: Option<Vec<u8>>,
    /// Its keys as last fetched.
    pub identity: Option<StoredIdentity>,
    /// When it was added.
    pub added: Timestamp,
}

fn contact(row: &Row<'_>) -> rusqlite::Result<ContactRow> {
    let identity: Option<Vec<u8>> = row.get("identity")?;
    let fetched = row.maybe("identity_fetched")?;
    Ok(ContactRow {
        id: row.col("id")?,
        name: row.get("name")?,
        first_list: row.maybe("first_list")?,
        pin: row.get("pin")?,
        identity: identity.zip(fetched).map(|(bytes, fetched)| StoredIdentity { bytes, fetched }),
        added: row.col("added")?,
    })
}

impl View<'_> {
    /// A contact by id.
    pub fn contact(&self, id: &AccountId) -> Result<Option<ContactRow>, StoreError> {
        let mut query = self.connection.prepare_cached("SELECT * FROM contacts WHERE id = ?1")?;
        Ok(query.query_row([Col(*id)], contact).optional()?)
    }

    /// A contact by name; capitals do not matter in ASCII.
    pub fn contact_named(&self, name: &str) -> Result<Option<ContactRow>, StoreError> {
        let mut query = self.connection.prepare_cached("SELECT * FROM contacts WHERE name = ?1")?;
        Ok(query.query_row([name], contact).optional()?)
    }

    /// All contacts in the order they were added.
    pub fn contacts(&self) -> Result<Vec<ContactRow>, StoreError> {
        let sql = "SELECT * FROM contacts ORDER BY added, id LIMIT ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map([CONTACTS_MAX], contact)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many contacts there are.
    pub fn contact_count(&self) -> Result<u64, StoreError> {
        let mut query = self.connection.prepare_cached("SELECT count(*) AS n FROM contacts")?;
        Ok(query.query_row([], |row| row.col("n"))?)
    }
}

impl Change<'_> {
    /// Adds a contact, or completes one that is there.
    pub fn put_contact(&self, new: &NewContact) -> Result<(), StoreError> {
        let known = self.contact(&new.id)?.is_some();
        if !known && self.contact_count()? >= u64::from(CONTACTS_MAX) {
            return Err(StoreError::ContactsFull);
        }
        if let Some(name) = &new.name
            && self.contact_named(name)?.is_some_and(|other| other.id != new.id)
        {
            return Err(StoreError::NameTaken);
        }
        let sql = "INSERT INTO contacts (id, name, first_list, added) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (id) DO UPDATE SET
                       name = coalesce(excluded.name, name),
                       first_list = coalesce(excluded.first_list, first_list)";
        let values = params![Col(new.id), new.name, new.first_list.map(Col), Col(new.added)];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Remembers the encoded pin of a contact. Does nothing for a stranger.
    pub fn set_pin(&self, id: &AccountId, pin: &[u8]) -> Result<(), StoreError> {
        let sql = "UPDATE contacts SET pin = ?2 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![Col(*id), pin])?;
        Ok(())
    }

    /// Keeps a contact's published identity. Does nothing for a stranger.
    pub fn set_identity(&self, id: &AccountId, new: &StoredIdentity) -> Result<(), StoreError> {
        let sql = "UPDATE contacts SET identity = ?2, identity_fetched = ?3 WHERE id = ?1";
        let values = params![Col(*id), new.bytes, Col(new.fetched)];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Forgets a contact; messages stay.
    pub fn remove_contact(&self, id: &AccountId) -> Result<(), StoreError> {
        let mut sql = self.connection.prepare_cached("DELETE FROM contacts WHERE id = ?1")?;
        sql.execute([Col(*id)])?;
        Ok(())
    }
}
