//! The write-ahead log of the agreement: one file, appended and synced.
//!
//! A record is its length (u32, little-endian), eight bytes of a digest, and the entry. A crash
//! may tear the last records; nothing that followed them was sent, so they are cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use enjambre_protocol::crypto;
use enjambre_protocol::directory::agreement::LogEntry;

const LOG_FILE: &str = "agreement.wal";
const LABEL: &str = "enjambre/log-record/1";

/// Bytes of the digest that tells a whole record from a torn one.
const CHECK_LEN: usize = 8;
const LENGTH_LEN: usize = 4;

/// The log of a data directory.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    path: PathBuf,
}

fn check(entry: &[u8]) -> [u8; CHECK_LEN] {
    let mut check = [0; CHECK_LEN];
    check.copy_from_slice(&crypto::digest(LABEL, &[entry]).as_bytes()[..CHECK_LEN]);
    check
}

/// Takes the first whole record off `bytes`.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_LEN>()?;
    let (expected, rest) = rest.split_first_chunk::<CHECK_LEN>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (entry, rest) = rest.split_at_checked(length)?;
    (check(entry) == *expected).then_some((entry, rest))
}

impl Log {
    /// Opens the log below `dir` and reads what it holds.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Vec<LogEntry>)> {
        let path = dir.join(LOG_FILE);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        File::open(dir)?.sync_all()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut entries = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((record, next)) = split_record(rest) {
            let entry = LogEntry::decode(record)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            entries.push(entry);
            rest = next;
        }
        if !rest.is_empty() {
            tracing::warn!(
                bytes = rest.len(),
                "the end of the agreement's log was torn by a crash"
            );
            file.set_len((bytes.len() - rest.len()) as u64)?;
            file.sync_all()?;
        }
        Ok((Self { file, path }, entries))
    }

    /// Appends the entries and waits until they are durable.
    pub(super) fn append(&mut self, entries: &[LogEntry]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for entry in entries {
            let entry = entry.encode();
            let length = u32::try_from(entry.len())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&check(&entry));
            bytes.extend_from_slice(&entry);
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()
    }

    /// Empties the log: its height is decided and the document is durable.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use enjambre_protocol::crypto::SecretKey;
    use enjambre_protocol::directory::agreement::AgreementMachine;
    use enjambre_protocol::directory::{AuthorityEntry, Genesis, Params};
    use enjambre_protocol::id::AuthorityId;
    use enjambre_protocol::time::{Instant, Timestamp};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    /// What a single authority logs for its first document.
    fn entries() -> Result<Vec<LogEntry>, Box<dyn std::error::Error>> {
        let key = SecretKey::from_seed(&[1; 32]);
        let id = AuthorityId::from_bytes(*key.public().as_bytes());
        let authorities = vec![AuthorityEntry { id, addresses: Vec::new() }];
        let genesis = Arc::new(Genesis::new(1, authorities, Params::devnet())?);
        let clock = Timestamp::from_millis(1);
        let mut machine = AgreementMachine::new(genesis, key, None, Instant::START, clock)?;
        machine.handle_timeout(Instant::START, clock, &mut StdRng::seed_from_u64(1));
        Ok(std::iter::from_fn(|| machine.poll_persist()).collect())
    }

    #[test]
    fn log_gives_back_whole_records_and_cuts_a_torn_one() -> Result<(), Box<dyn std::error::Error>>
    {
        let dir = tempfile::tempdir()?;
        let entries = entries()?;
        assert!(entries.len() > 2);
        let (mut log, old) = Log::open(dir.path())?;
        assert!(old.is_empty());
        log.append(&entries[..2])?;
        let whole = std::fs::metadata(log.path())?.len();
        log.append(&entries[2..])?;
        let full = std::fs::read(log.path())?;
        for torn in usize::try_from(whole)?..full.len() {
            std::fs::write(log.path(), &full[..torn])?;
            let (_, read) = Log::open(dir.path())?;
            assert!(read.len() >= 2 && read.len() < entries.len() && entries.starts_with(&read));
        }
        std::fs::write(log.path(), &full)?;
        let (mut log, read) = Log::open(dir.path())?;
        assert_eq!(read, entries);
        log.clear()?;
        log.append(&entries[..1])?;
        assert_eq!(Log::open(dir.path())?.1, entries[..1]);
        Ok(())
    }

    #[test]
    fn a_changed_byte_ends_the_log_before_it() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let entries = entries()?;
        let (mut log, _) = Log::open(dir.path())?;
        log.append(&entries[..1])?;
        let first = std::fs::read(log.path())?.len();
        log.append(&entries[1..])?;
        let mut bytes = std::fs::read(log.path())?;
        bytes[first + LENGTH_LEN + CHECK_LEN] ^= 1;
        std::fs::write(log.path(), &bytes)?;
        assert_eq!(Log::open(dir.path())?.1, entries[..1]);
        Ok(())
    }
}
