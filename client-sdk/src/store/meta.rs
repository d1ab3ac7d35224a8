//! Single values by name: what the home has one of.

use rusqlite::{OptionalExtension, params};
use zeroize::Zeroizing;

use super::{Change, StoreError, View};

/// What can be kept under a name. Each value is encoded by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    /// The account: seed, device keys, device list, bundles; see [`crate::account`].
    Account,
    /// There while the account's phrase may not have been seen by its owner.
    PhraseUnseen,
    /// The network's genesis.
    Genesis,
    /// The network card that was joined, until the genesis is fetched.
    NetworkCard,
    /// The newest signed directory document.
    Directory,
    /// The anchor document that paths are drawn from.
    Anchor,
    /// The anchor document that waits to be drawn from, with its time.
    PendingAnchor,
    /// Guards and second layer.
    Paths,
    /// Who failed lately.
    PathHealth,
}

impl MetaKey {
    /// What means nothing in another network.
    pub const OF_NETWORK: [Self; 7] = [
        Self::Genesis,
        Self::NetworkCard,
        Self::Directory,
        Self::Anchor,
        Self::PendingAnchor,
        Self::Paths,
        Self::PathHealth,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::PhraseUnseen => "phrase-unseen",
            Self::Genesis => "genesis",
            Self::NetworkCard => "network-card",
            Self::Directory => "directory",
            Self::Anchor => "anchor",
            Self::PendingAnchor => "pending-anchor",
            Self::Paths => "paths",
            Self::PathHealth => "path-health",
        }
    }
}

impl View<'_> {
    /// The value, wiped when dropped: some are secret.
    pub fn meta(&self, key: MetaKey) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let mut query = self.connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        let value = query.query_row([key.name()], |row| row.get(0).map(Zeroizing::new));
        Ok(value.optional()?)
    }
}

impl Change<'_> {
    /// Keeps a value in place of the one before.
    pub fn set_meta(&self, key: MetaKey, value: &[u8]) -> Result<(), StoreError> {
        let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.connection.prepare_cached(sql)?.execute(params![key.name(), value])?;
        Ok(())
    }

    /// Forgets a value.
    pub fn remove_meta(&self, key: MetaKey) -> Result<(), StoreError> {
        let mut sql = self.connection.prepare_cached("DELETE FROM meta WHERE key = ?1")?;
        sql.execute([key.name()])?;
        Ok(())
    }
}
