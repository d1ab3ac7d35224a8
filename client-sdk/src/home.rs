//! The home directory: one account's database, the key that opens it, and the locks between
//! processes that use it at the same time.
//!
//! `store.key` holds 32 random bytes and is readable by its owner only; `enjambre.db` is encrypted
//! with it. Keeping both in one place protects copies of the database alone, not the whole
//! directory: a passphrase over the key is for the apps that have a keychain. Not here: what is in
//! the database ([`crate::store`]).
//!
//! # Invariants
//!
//! - *One at a time opens*: key and database are made by one process; the others find them.
//! - *One at a time reads out*: of all processes one holds [`Reading`], so that nothing is shown
//!   twice.
//! - *Never a second key*: a key is made only where there is no database yet.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use enjambre_protocol::Retry;
use enjambre_protocol::crypto::Secret;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

const KEY: &str = "store.key";
const DATABASE: &str = "enjambre.db";
const LOCK: &str = "lock";
const READING: &str = "reading.lock";

/// How long an opener waits for another: it takes milliseconds, and seconds on a slow disk.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// The pause between two looks whether a lock is free.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Bytes of `store.key`: a raw 256-bit key.
const KEY_LEN: usize = 32;

/// A home directory. Until [`Self::opened`] no other process opens it.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    key: Secret<KEY_LEN>,
    opening: Option<Locked>,
}

/// A lock file that is held. It is given back when this is dropped, and by the system when the
/// process dies.
#[derive(Debug)]
struct Locked(File);

impl Drop for Locked {
    /// Said expressly: a child process that was just forked may hold the file open for a moment.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// The right to show what came and to save files: one process at a time has it.
#[derive(Debug)]
pub struct Reading {
    _lock: Locked,
}

impl Home {
    /// Opens a home, making the directory and its key where there are none.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        create_private_dir(dir).map_err(|error| unusable(dir, "cannot be created", error))?;
        let opening = lock_within(&dir.join(LOCK), OPEN_WITHIN)?;
        let key = match read_key(&dir.join(KEY))? {
            Some(key) => key,
            None => create_key(dir)?,
        };
        Ok(Self { dir: dir.to_path_buf(), key, opening: Some(opening) })
    }

    /// The database is open: others may open it too.
    pub fn opened(&mut self) {
        self.opening = None;
    }

    /// The right to read out, if no other process has it at present.
    pub fn try_reading(&self) -> Result<Option<Reading>, Error> {
        Ok(try_lock(&self.dir.join(READING))?.map(|lock| Reading { _lock: lock }))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the database is.
    pub fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// The key of the database.
    pub const fn key(&self) -> &Secret<KEY_LEN> {
        &self.key
    }
}

fn unusable(path: &Path, what: &str, error: io::Error) -> Error {
    let text = format!("`{}` {what} ({error}): check it, or name another --home", path.display());
    Error::new(ErrorKind::HomeUnusable, text).with_source(error)
}

fn try_lock(path: &Path) -> Result<Option<Locked>, Error> {
    let file = private(OpenOptions::new().write(true).create(true).truncate(false)).open(path);
    let file = file.map_err(|error| unusable(path, "cannot be opened", error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Locked(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(unusable(path, "cannot be locked", error)),
    }
}

fn lock_within(path: &Path, within: Duration) -> Result<Locked, Error> {
    let began = Instant::now();
    loop {
        if let Some(locked) = try_lock(path)? {
            return Ok(locked);
        }
        if began.elapsed() >= within {
            let text = format!(
                "`{}` is held by another process: wait until it ends, or name another --home",
                path.display()
            );
            return Err(Error::new(ErrorKind::HomeInUse, text).with_retry(Retry::Later));
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// Makes a directory, and those above it, for the owner only; one that exists stays as it is.
fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(dir)
}

/// Files made with these options are for the owner only.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Refuses a key that others may read: it may be known already.
fn check_private(path: &Path, file: &File) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = file.metadata().map_err(|error| unusable(path, "cannot be read", error))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            let text =
                format!("`{path}` can be read by others (mode {mode:o}): run `chmod 600 '{path}'`");
            return Err(Error::new(ErrorKind::HomeUnusable, text));
        }
    }
    #[cfg(not(unix))]
    let _ = (path, file);
    Ok(())
}

fn read_key(path: &Path) -> Result<Option<Secret<KEY_LEN>>, Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, "cannot be read", error)),
    };
    check_private(path, &file)?;
    let mut bytes = Zeroizing::new([0; KEY_LEN + 1]);
    let mut len = 0;
    while len < bytes.len() {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unusable(path, "cannot be read", error)),
        }
    }
    match bytes.first_chunk::<KEY_LEN>() {
        Some(key) if len == KEY_LEN => Ok(Some(Secret::from_bytes(*key))),
        _ => {
            let text = format!(
                "`{}` is not a key of {KEY_LEN} bytes: put back the one that was made with the database",
                path.display()
            );
            Err(Error::new(ErrorKind::HomeUnusable, text))
        }
    }
}

/// Draws a key and has it on disk, whole, before anything is encrypted with it.
fn create_key(dir: &Path) -> Result<Secret<KEY_LEN>, Error> {
    let path = dir.join(KEY);
    if dir.join(DATABASE).exists() {
        let text = format!(
            "`{}` is missing, without it the database beside it cannot be read: put it back, or name another --home",
            path.display()
        );
        return Err(Error::new(ErrorKind::StoreKey, text));
    }
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    SysRng.try_fill_bytes(bytes.as_mut_slice()).map_err(|error| {
        let text = "the system gives no random numbers: try again later";
        Error::new(ErrorKind::HomeUnusable, text).with_retry(Retry::Later).with_source(error)
    })?;
    write_private(dir, KEY, bytes.as_slice())
        .map_err(|error| unusable(&path, "cannot be written", error))?;
    Ok(Secret::from_bytes(*bytes))
}

/// Writes a file beside its name and moves it there, so that it is whole or absent.
fn write_private(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = dir.join(format!("{name}.new"));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, dir.join(name))?;
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(result: Result<Home, Error>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn key_is_made_once_and_found_again() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a/home");
        let key = Home::open(&dir).unwrap().key().clone();
        assert_eq!(Home::open(&dir).unwrap().key(), &key);
        let other = Home::open(&temp.path().join("b")).unwrap();
        assert_ne!(other.key(), &key);
    }

    #[test]
    fn second_opener_waits_until_the_first_has_opened() {
        let temp = tempfile::tempdir().unwrap();
        let mut first = Home::open(temp.path()).unwrap();
        let path = temp.path().join(LOCK);
        let held = lock_within(&path, Duration::ZERO).unwrap_err();
        assert_eq!((held.kind(), held.retry()), (ErrorKind::HomeInUse, Retry::Later));
        std::thread::scope(|threads| {
            let second = threads.spawn(|| Home::open(temp.path()));
            first.opened();
            assert_eq!(second.join().unwrap().unwrap().key(), first.key());
        });
    }

    #[test]
    fn one_home_reads_out_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let open = || {
            let mut home = Home::open(temp.path()).unwrap();
            home.opened();
            home
        };
        let (first, second) = (open(), open());
        let reading = first.try_reading().unwrap();
        assert!(reading.is_some() && second.try_reading().unwrap().is_none());
        drop(reading);
        assert!(second.try_reading().unwrap().is_some());
    }

    /// What a forked child does between its fork and its exec, in one process.
    #[test]
    fn lock_is_given_back_though_a_copy_of_it_is_open() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join(LOCK);
        let first = try_lock(&path).unwrap().unwrap();
        let copy = first.0.try_clone().unwrap();
        drop(first);
        assert!(try_lock(&path).unwrap().is_some());
        drop(copy);
    }

    #[test]
    fn key_of_a_wrong_length_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        drop(Home::open(temp.path()).unwrap());
        for len in [0, KEY_LEN - 1, KEY_LEN + 1] {
            write_private(temp.path(), KEY, &vec![1; len]).unwrap();
            assert_eq!(kind(Home::open(temp.path())), Some(ErrorKind::HomeUnusable), "{len}");
        }
    }

    #[test]
    fn no_new_key_is_made_beside_a_database() {
        let temp = tempfile::tempdir().unwrap();
        drop(Home::open(temp.path()).unwrap());
        fs::write(temp.path().join(DATABASE), b"anything").unwrap();
        fs::remove_file(temp.path().join(KEY)).unwrap();
        assert_eq!(kind(Home::open(temp.path())), Some(ErrorKind::StoreKey));
        assert!(!temp.path().join(KEY).exists());
    }

    #[cfg(unix)]
    #[test]
    fn home_and_key_are_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("home");
        drop(Home::open(&dir).unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(KEY))), (0o700, 0o600));
        fs::set_permissions(dir.join(KEY), fs::Permissions::from_mode(0o640)).unwrap();
        let error = Home::open(&dir).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HomeUnusable);
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}
