//! Opening the database: options, version, identity.

use std::path::{Path, PathBuf};

use enjambre_protocol::id::StoreId;
use enjambre_protocol::mailbox::{StorageError, Table};
use rand::TryRng;
use rand::rngs::SysRng;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    ErrorKind, Options, SliceTransform, WriteBatch, WriteOptions,
};

/// The layout that this build writes and reads.
const FORMAT: u32 = 2;

/// In the default column family, away from the tables.
const FORMAT_KEY: &[u8] = b"format";
const ID_KEY: &[u8] = b"store-id";

/// Blocks of tables kept in memory, bytes: the indexes of about a million records.
const CACHE: usize = 64 << 20;

/// Memory of one column family before it is written out, bytes.
const WRITE_BUFFER: usize = 16 << 20;

/// Log before tables are written out, bytes: bounds what is read again at a start.
const LOG_MAX: u64 = 64 << 20;

/// Chunks at least this long go to blob files and are not copied by compaction, bytes.
const BLOB_MIN: u64 = 4096;

/// Every file is looked at by compaction this often at least, so that what was deleted leaves the
/// disk: one day.
const COMPACT_WITHIN: u64 = 24 * 60 * 60;

/// Bits a key in the filters: one in a hundred look-ups in vain touches a file.
const FILTER_BITS: f64 = 10.0;

/// Why a database was not opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its directory cannot be made.
    #[error("cannot make the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "the database {} is in use: is another node running with this directory? Stop it first",
        path.display()
    )]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "the database has format {found}, this version reads {known}: install the version that \
         wrote it, or begin with an empty directory, and the swarm gives the messages back"
    )]
    Newer {
        /// The format on disk.
        found: u32,
        /// The format of this build.
        known: u32,
    },
    /// An older version wrote it.
    #[error(
        "the database has format {found}, this version reads {known} only: move its directory away \
         and begin with an empty one, or go on with the version that wrote it"
    )]
    Older {
        /// The format on disk.
        found: u32,
        /// The format of this build.
        known: u32,
    },
    /// It has tables or marks that no version writes.
    #[error(
        "the database is damaged ({what}): move its directory away, and the swarm gives the \
         messages back"
    )]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// The disk is full.
    #[error("no room to open the database: free some space on its disk ({detail})")]
    Full {
        /// What the database said.
        detail: String,
    },
    /// The disk or the database failed.
    #[error("the database cannot be opened: {detail}")]
    Failed {
        /// What it said.
        detail: String,
    },
}

impl OpenError {
    /// The same, for a store that was open before.
    pub(super) fn into_storage(self) -> StorageError {
        match self {
            Self::Full { detail } => StorageError::Full { detail },
            other => StorageError::Failed { detail: other.to_string() },
        }
    }

    fn from_rocksdb(path: &Path, error: &rocksdb::Error) -> Self {
        let detail = error.to_string();
        if error.kind() == ErrorKind::IOError && detail.contains("LOCK") {
            return Self::Locked { path: path.to_owned() };
        }
        if error.kind() == ErrorKind::Corruption {
            return Self::Damaged { what: detail };
        }
        match super::storage_error(error.clone()) {
            StorageError::Full { detail } => Self::Full { detail },
            _ => Self::Failed { detail },
        }
    }
}

/// Opens or makes the database. A format that is not ours is refused before anything is written.
pub(super) fn database(path: &Path) -> Result<DB, OpenError> {
    let fail = |error: rocksdb::Error| OpenError::from_rocksdb(path, &error);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_total_wal_size(LOG_MAX);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_keep_log_file_num(4);
    options.set_max_open_files(512);
    options.set_max_background_jobs(2);
    check_format(path)?;
    let cache = Cache::new_lru_cache(CACHE);
    let tables = Table::ALL
        .map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(table, &cache)));
    DB::open_cf_descriptors(&options, path, tables).map_err(fail)
}

/// Looks at the format without changing anything, where there is a database already.
fn check_format(path: &Path) -> Result<(), OpenError> {
    if !path.join("CURRENT").exists() {
        return Ok(());
    }
    let fail = |error: rocksdb::Error| OpenError::from_rocksdb(path, &error);
    let db = DB::open_for_read_only(&Options::default(), path, false).map_err(fail)?;
    match format(&db)? {
        Some(found) if found > FORMAT => Err(OpenError::Newer { found, known: FORMAT }),
        Some(found) if found < FORMAT => Err(OpenError::Older { found, known: FORMAT }),
        _ => Ok(()),
    }
}

fn format(db: &DB) -> Result<Option<u32>, OpenError> {
    let fail = |error: rocksdb::Error| OpenError::from_rocksdb(db.path(), &error);
    let Some(bytes) = db.get(FORMAT_KEY).map_err(fail)? else { return Ok(None) };
    let damaged = |_| OpenError::Damaged { what: "its format mark".to_owned() };
    bytes.try_into().map(u32::from_le_bytes).map(Some).map_err(damaged)
}

/// The store id, drawn where there is none yet.
pub(super) fn identify(db: &DB) -> Result<StoreId, OpenError> {
    let fail = |error: rocksdb::Error| OpenError::from_rocksdb(db.path(), &error);
    let known = db.get(ID_KEY).map_err(fail)?;
    match (format(db)?, known) {
        (Some(_), Some(id)) => {
            let damaged = |_| OpenError::Damaged { what: "its store id".to_owned() };
            id.try_into().map(StoreId::from_bytes).map_err(damaged)
        }
        (None, None) => {
            let mut id = [0; StoreId::LEN];
            SysRng
                .try_fill_bytes(&mut id)
                .map_err(|error| OpenError::Failed { detail: error.to_string() })?;
            let mut batch = WriteBatch::default();
            batch.put(FORMAT_KEY, FORMAT.to_le_bytes());
            batch.put(ID_KEY, id);
            let mut options = WriteOptions::default();
            options.set_sync(true);
            db.write_opt(batch, &options).map_err(fail)?;
            Ok(StoreId::from_bytes(id))
        }
        _ => Err(OpenError::Damaged { what: "format mark and store id do not fit".to_owned() }),
    }
}

fn table_options(table: Table, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(FILTER_BITS, false);
    blocks.set_whole_key_filtering(true);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(WRITE_BUFFER);
    options.set_compression_type(DBCompressionType::None); // Ciphertext does not shrink.
    options.set_periodic_compaction_seconds(COMPACT_WITHIN);
    match table {
        Table::Messages => {
            options.set_prefix_extractor(SliceTransform::create_fixed_prefix(super::DRAWER));
            options.set_memtable_prefix_bloom_ratio(0.05);
        }
        Table::Chunks => {
            options.set_enable_blob_files(true);
            options.set_min_blob_size(BLOB_MIN);
            options.set_enable_blob_gc(true);
        }
        Table::ByHash | Table::Expiry | Table::Tombstones | Table::Revocations | Table::Meta => {}
    }
    options
}
