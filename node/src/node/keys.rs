//! Onion keys that survive a restart, with the memory of packets that must survive with them.
//!
//! The keys are kept so that a restarted node can be used at once, by the directory that clients
//! already have. That is safe only if no packet of before can be played again, so each accepted
//! packet's entry is written to a journal, one file a minute, before the packet is acted on. A
//! write reaches the system's cache and so survives the death of the process; it may not survive
//! that of the system. The keys therefore carry the system's boot id, and another one means new
//! keys. Specified in 05 onion, section "Replay".

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use enjambre_link::AWS_LC;
use enjambre_protocol::crypto::Secret;
use enjambre_protocol::onion::{
    Keyring, OnionKeyNumber, OnionPublicKey, OnionSecretKey, ReplayEntry, ReplayError, ReplaySet,
};
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;
use rand::rngs::StdRng;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files::{self, FileError};

const KEYS_FILE: &str = "onion.keys";
const JOURNAL_DIR: &str = "replay";

/// Names this run of the operating system, on Linux; elsewhere keys are drawn at each start.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How long an onion key is the current one: a day.
const KEY_LIFE_MS: u64 = 24 * 60 * 60 * 1000;

/// Bytes of one entry in a journal file.
const ENTRY: u64 = ReplayEntry::LEN as u64;

/// Bytes of the key file.
const KEYS_MAX: u64 = 1024;

/// What the key file holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    boot: String,
    /// When the current key became it, milliseconds.
    since: u64,
    number: OnionKeyNumber,
    previous: Option<[u8; 32]>,
    current: [u8; 32],
    next: [u8; 32],
}

/// The keys with what is needed to change them.
pub(super) struct Keys {
    path: PathBuf,
    boot: Option<String>,
    since: Timestamp,
    previous: Option<Secret<32>>,
    current: Secret<32>,
    next: Secret<32>,
    number: OnionKeyNumber,
}

impl Keys {
    /// Takes up the keys of a directory, or draws new ones and clears the journal.
    pub(super) fn open(dir: &Path, now: Timestamp) -> Result<(Self, Journal), FileError> {
        let path = dir.join(KEYS_FILE);
        let journal = dir.join(JOURNAL_DIR);
        let boot = fs::read_to_string(BOOT_ID).ok().map(|boot| boot.trim().to_owned());
        let kept = read(&path);
        // Keys without their journal would let packets of before be played again: opening fails
        // where there is none, and new keys are drawn.
        if let Some(kept) = kept.as_ref().filter(|kept| Some(&kept.boot) == boot.as_ref())
            && let Ok(journal) = Journal::open(journal, now)
            && !journal.is_ahead(now)
        {
            return Ok((Self::of(path, boot, kept, now), journal));
        }
        let number = match &kept {
            Some(kept) => after_all_of(kept.number),
            None => OnionKeyNumber::new(u8::try_from(now.as_secs() % 256).unwrap_or(0)),
        };
        let keys = Self::draw(path, boot, number, now)?;
        let journal = keys.empty_journal(now)?;
        Ok((keys, journal))
    }

    /// New keys and an empty journal, for a clock that was set back: see
    /// [`ReplaySet::is_ahead`]. Where the journal cannot be made,
    /// a start takes up the new keys, and never those of before.
    pub(super) fn draw_anew(&mut self, now: Timestamp) -> Result<Journal, FileError> {
        let (path, boot) = (self.path.clone(), self.boot.clone());
        // Before the journal goes: keys whose journal lacks entries must not come back by a later save.
        *self = Self::draw(path, boot, after_all_of(self.number), now)?;
        self.empty_journal(now)
    }

    /// Keys that were never used, on disk.
    fn draw(
        path: PathBuf,
        boot: Option<String>,
        number: OnionKeyNumber,
        now: Timestamp,
    ) -> Result<Self, FileError> {
        let mut rng: StdRng = rand::make_rng();
        let keys = Self {
            path,
            boot,
            since: now,
            previous: None,
            current: Secret::generate(&mut rng),
            next: Secret::generate(&mut rng),
            number,
        };
        keys.save()?;
        Ok(keys)
    }

    /// A crash before the old journal is gone leaves new keys with entries that match nothing.
    fn empty_journal(&self, now: Timestamp) -> Result<Journal, FileError> {
        let journal = self.path.with_file_name(JOURNAL_DIR);
        let io = |source| FileError::Io { path: journal.clone(), source };
        match fs::remove_dir_all(&journal) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            Ok(()) | Err(_) => fs::create_dir_all(&journal).map_err(io)?,
        }
        Journal::open(journal.clone(), now).map_err(io)
    }

    fn of(path: PathBuf, boot: Option<String>, kept: &Kept, now: Timestamp) -> Self {
        Self {
            path,
            boot,
            since: Timestamp::from_millis(kept.since).min(now),
            previous: kept.previous.map(Secret::from_bytes),
            current: Secret::from_bytes(kept.current),
            next: Secret::from_bytes(kept.next),
            number: kept.number,
        }
    }

    /// What peeling uses, by the faster primitives.
    pub(super) fn keyring(&self) -> Keyring {
        let key = |secret: &Secret<32>| OnionSecretKey::from_bytes(*secret.expose());
        let keyring =
            Keyring::new(self.number, key(&self.current), key(&self.next)).with_primitives(&AWS_LC);
        match &self.previous {
            Some(previous) => keyring.with_previous(key(previous)),
            None => keyring,
        }
    }

    /// The number of the current key.
    pub(super) const fn number(&self) -> OnionKeyNumber {
        self.number
    }

    /// The current key, as the directory shows it.
    pub(super) fn public(&self) -> OnionPublicKey {
        OnionSecretKey::from_bytes(*self.current.expose()).public()
    }

    /// When the current key has served its day.
    pub(super) fn due(&self) -> Timestamp {
        Timestamp::from_millis(self.since.as_millis().saturating_add(KEY_LIFE_MS))
    }

    /// A day that began in the future, by a clock that was set back, would last for long: it begins
    /// now.
    pub(super) fn correct(&mut self, now: Timestamp) {
        self.since = self.since.min(now);
    }

    /// Makes the next key the current one; on disk before it is used.
    pub(super) fn rotate(
        &mut self,
        rng: &mut impl CryptoRng,
        now: Timestamp,
    ) -> Result<(), FileError> {
        let rotated = Self {
            path: self.path.clone(),
            boot: self.boot.clone(),
            since: now,
            previous: Some(self.current.clone()),
            current: self.next.clone(),
            next: Secret::generate(rng),
            number: self.number.following(),
        };
        rotated.save()?;
        *self = rotated;
        Ok(())
    }

    fn save(&self) -> Result<(), FileError> {
        let Some(boot) = self.boot.clone() else { return Ok(()) };
        let kept = Kept {
            boot,
            since: self.since.as_millis(),
            number: self.number,
            previous: self.previous.as_ref().map(|key| *key.expose()),
            current: *self.current.expose(),
            next: *self.next.expose(),
        };
        let bytes = Zeroizing::new(wire::encode(&kept));
        let partial = self.path.with_extension("partial");
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&partial)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&partial, &self.path)
        };
        write().map_err(|source| FileError::Io { path: self.path.clone(), source })
    }
}

/// A number that none of the keys had: a packet for them must not meet the new ones. Those were at
/// most the one after the current number, and the new ones start one before theirs.
const fn after_all_of(number: OnionKeyNumber) -> OnionKeyNumber {
    number.following().following().following()
}

fn read(path: &Path) -> Option<Kept> {
    let bytes = Zeroizing::new(files::read_at_most(path, KEYS_MAX).ok()?);
    wire::decode(&bytes, bytes.len()).ok()
}

/// The set of accepted packets, and the files that carry it over the death of the process.
pub(super) struct Journal {
    dir: PathBuf,
    set: ReplaySet,
    files: BTreeMap<u32, File>,
}

impl Journal {
    fn open(dir: PathBuf, now: Timestamp) -> io::Result<Self> {
        let mut set = ReplaySet::new();
        let mut entries = Vec::new();
        let mut floor = 0;
        for file in fs::read_dir(&dir)? {
            let file = file?;
            let Some(minute) = file.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // The oldest file is the oldest minute that was not forgotten yet.
            floor = if floor == 0 { minute } else { floor.min(minute) };
            let bytes = fs::read(file.path())?;
            // A torn last entry is cut, or all that is appended behind it would be misread.
            let torn = bytes.len() % ReplayEntry::LEN;
            if torn != 0 {
                let whole = (bytes.len() - torn) as u64;
                OpenOptions::new().write(true).open(file.path())?.set_len(whole)?;
            }
            let whole = bytes.chunks_exact(ReplayEntry::LEN);
            entries.extend(whole.filter_map(|entry| {
                Some((minute, ReplayEntry::from_bytes(entry.try_into().ok()?)))
            }));
        }
        set.restore(floor, entries, now.minute()).map_err(io::Error::other)?;
        Ok(Self { dir, set, files: BTreeMap::new() })
    }

    /// Whether new keys are the way out: see [`ReplaySet::is_ahead`].
    pub(super) fn is_ahead(&self, now: Timestamp) -> bool {
        self.set.is_ahead(now.minute())
    }

    /// Takes note of a packet before it is acted on, or says why it must not be.
    pub(super) fn insert(
        &mut self,
        minute: u32,
        ephemeral: &OnionPublicKey,
        now: Timestamp,
    ) -> Result<(), ReplayError> {
        self.set.insert(minute, ephemeral, now.minute())?;
        self.write(minute, &ReplayEntry::of(ephemeral)).map_err(|error| {
            tracing::error!(%error, "the replay journal cannot be written");
            ReplayError::Busy
        })
    }

    fn write(&mut self, minute: u32, entry: &ReplayEntry) -> io::Result<()> {
        if !self.files.contains_key(&minute) {
            let path = self.dir.join(minute.to_string());
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            self.files.insert(minute, file);
            // After that: the oldest file tells the floor, so there is always one.
            self.forget()?;
        }
        match self.files.get_mut(&minute) {
            Some(file) => file.write_all(entry.as_bytes()).inspect_err(|_| {
                // What was written of it is cut; if that fails too, the next start does it.
                let whole = file.metadata().map(|file| file.len() / ENTRY * ENTRY);
                let _ = whole.and_then(|whole| file.set_len(whole));
            }),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Removes the files of minutes that cannot come any more.
    fn forget(&mut self) -> io::Result<()> {
        let floor = self.set.floor();
        self.files.retain(|minute, _| *minute >= floor);
        for file in fs::read_dir(&self.dir)? {
            let file = file?;
            let minute = file.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if minute.is_some_and(|minute| minute < floor) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ephemeral(byte: u8) -> OnionPublicKey {
        OnionPublicKey::from_bytes([byte; 32])
    }

    #[test]
    fn a_packet_taken_before_the_death_of_the_process_is_refused_after_it()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let now = Timestamp::from_secs(60_000_000);
        let (keys, mut journal) = Keys::open(dir.path(), now)?;
        journal.insert(now.minute(), &ephemeral(1), now)?;
        journal.insert(now.minute() - 3, &ephemeral(2), now)?;
        // No closing: what a killed process leaves is what was written.
        std::mem::forget(journal);
        let (again, mut journal) = Keys::open(dir.path(), now)?;
        assert_eq!((again.public(), again.number()), (keys.public(), keys.number()));
        for (minute, byte) in [(now.minute(), 1), (now.minute() - 3, 2)] {
            let refused = journal.insert(minute, &ephemeral(byte), now);
            assert_eq!(refused, Err(ReplayError::Replayed));
        }
        journal.insert(now.minute(), &ephemeral(3), now)?;
        Ok(())
    }

    #[test]
    fn a_torn_entry_costs_itself_only() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let now = Timestamp::from_secs(60_000_000);
        let (_, mut journal) = Keys::open(dir.path(), now)?;
        journal.insert(now.minute(), &ephemeral(1), now)?;
        drop(journal);
        let file = dir.path().join(JOURNAL_DIR).join(now.minute().to_string());
        OpenOptions::new().append(true).open(&file)?.write_all(&[7; 5])?;
        let (_, mut journal) = Keys::open(dir.path(), now)?;
        journal.insert(now.minute(), &ephemeral(2), now)?;
        drop(journal);
        let (_, mut journal) = Keys::open(dir.path(), now)?;
        for byte in [1, 2] {
            let refused = journal.insert(now.minute(), &ephemeral(byte), now);
            assert_eq!(refused, Err(ReplayError::Replayed));
        }
        Ok(())
    }

    #[test]
    fn keys_whose_journal_is_gone_are_not_used_again() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let now = Timestamp::from_secs(60_000_000);
        let (keys, _) = Keys::open(dir.path(), now)?;
        fs::remove_dir_all(dir.path().join(JOURNAL_DIR))?;
        let (again, _) = Keys::open(dir.path(), now)?;
        assert_ne!(again.public(), keys.public());
        let old = [keys.number().preceding(), keys.number(), keys.number().following()];
        let new = [again.number().preceding(), again.number(), again.number().following()];
        assert!(old.iter().all(|number| !new.contains(number)));
        Ok(())
    }

    #[test]
    fn another_boot_means_other_keys() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let now = Timestamp::from_secs(60_000_000);
        let (mut keys, _) = Keys::open(dir.path(), now)?;
        let public = keys.public();
        keys.boot = Some("another boot".to_owned());
        keys.save()?;
        let (again, _) = Keys::open(dir.path(), now)?;
        assert_ne!(again.public(), public);
        Ok(())
    }

    #[test]
    fn clock_that_was_set_back_means_other_keys_at_the_next_start()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let now = Timestamp::from_secs(60_000_000);
        let ahead = Timestamp::from_secs(60_000_000 + 3600);
        let (keys, _) = Keys::open(dir.path(), ahead)?;
        // Nothing was taken by that clock: the keys stay, and their day begins now.
        let (same, mut journal) = Keys::open(dir.path(), now)?;
        assert_eq!(same.public(), keys.public());
        assert_eq!(same.due(), Timestamp::from_millis(now.as_millis() + KEY_LIFE_MS));
        journal.insert(ahead.minute(), &ephemeral(1), ahead)?;
        drop(journal);
        let (again, mut journal) = Keys::open(dir.path(), now)?;
        assert_ne!(again.public(), keys.public());
        journal.insert(now.minute(), &ephemeral(1), now)?;
        Ok(())
    }

    #[test]
    fn keys_drawn_anew_stand_on_disk_with_an_empty_journal()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let now = Timestamp::from_secs(60_000_000);
        let ahead = Timestamp::from_secs(60_000_000 + 3600);
        let (mut keys, mut journal) = Keys::open(dir.path(), now)?;
        let old = (keys.public(), keys.number());
        assert!(!journal.is_ahead(now));
        journal.insert(ahead.minute(), &ephemeral(1), ahead)?;
        assert!(journal.is_ahead(now));
        let mut journal = keys.draw_anew(now)?;
        assert!(!journal.is_ahead(now));
        journal.insert(now.minute(), &ephemeral(2), now)?;
        assert!(keys.keyring().get(old.1).is_none());
        drop(journal);
        let (again, mut journal) = Keys::open(dir.path(), now)?;
        assert_eq!((again.public(), again.number()), (keys.public(), keys.number()));
        assert_ne!(again.public(), old.0);
        let refused = journal.insert(now.minute(), &ephemeral(2), now);
        assert_eq!(refused, Err(ReplayError::Replayed));
        Ok(())
    }

    #[test]
    fn rotated_keys_are_kept_and_the_one_before_still_serves()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let now = Timestamp::from_secs(60_000_000);
        let (mut keys, _) = Keys::open(dir.path(), now)?;
        let (old, number) = (keys.public(), keys.number());
        keys.rotate(&mut rand::make_rng::<StdRng>(), now)?;
        let (again, _) = Keys::open(dir.path(), now)?;
        assert_eq!((again.public(), again.number()), (keys.public(), number.following()));
        assert_eq!(again.keyring().get(number).map(OnionSecretKey::public), Some(old));
        Ok(())
    }

    #[test]
    fn journal_whose_next_file_cannot_be_made_keeps_its_floor()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let now = Timestamp::from_secs(60_000_000);
        let later = Timestamp::from_secs(60_000_000 + 3600);
        let (_, mut journal) = Keys::open(dir.path(), now)?;
        journal.insert(now.minute(), &ephemeral(1), now)?;
        // A directory stands where the file of the later minute would be.
        let blocked = dir.path().join(JOURNAL_DIR).join(later.minute().to_string());
        fs::create_dir(&blocked)?;
        let refused = journal.insert(later.minute(), &ephemeral(2), later);
        assert_eq!(refused, Err(ReplayError::Busy));
        let kept = dir.path().join(JOURNAL_DIR).join(now.minute().to_string());
        assert!(kept.exists());
        Ok(())
    }

    #[test]
    fn files_of_old_minutes_go_away() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let now = Timestamp::from_secs(60_000_000);
        let (_, mut journal) = Keys::open(dir.path(), now)?;
        journal.insert(now.minute(), &ephemeral(1), now)?;
        let later = Timestamp::from_secs(60_000_000 + 3600);
        journal.insert(later.minute(), &ephemeral(1), later)?;
        let left = fs::read_dir(dir.path().join(JOURNAL_DIR))?.count();
        assert_eq!(left, 1);
        Ok(())
    }
}
