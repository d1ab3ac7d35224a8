//! The small files of a data directory: the network file, the keys, the lock.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::directory::{Genesis, NetworkFile};
use enjambre_protocol::identity::{KeyFile, KeyFileError, KeyPurpose};
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

/// The file whose lock says that a process works with its directory.
const LOCK_FILE: &str = "lock";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refused.
    #[error("{} cannot be used ({source}); check the name, and that this user may read and write there", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such file, and something makes it.
    #[error("{} does not exist; {hint}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// Something is in its place already, and would be lost.
    #[error("{} exists already, and is never overwritten; choose another place", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others may read a key.
    #[error("{} can be read by others; run `chmod 600` on it, and think about a new key", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
    },
    /// The content is not what it should be.
    #[error("{}: {text}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        text: String,
    },
    /// Another process works with the directory.
    #[error("another process runs with {}; stop it first, or choose another directory", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
}

impl FileError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    #[expect(clippy::needless_pass_by_value, reason = "errors are handed over by `map_err`")]
    fn content(path: &Path, text: impl ToString) -> Self {
        Self::Content { path: path.to_path_buf(), text: text.to_string() }
    }
}

fn read(path: &Path, hint: &'static str) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => FileError::Missing { path: path.to_path_buf(), hint },
        _ => FileError::Io { path: path.to_path_buf(), source },
    })
}

/// Reads a file of at most `limit` bytes.
pub fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Writes a whole file so that a crash leaves the old one or the new one.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let partial = path.with_extension("partial");
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        sync_place(path)
    };
    write().map_err(FileError::io(path))
}

/// Makes a file's name durable.
fn sync_place(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Reads a network file and checks it.
pub fn load_network(path: &Path) -> Result<Genesis, FileError> {
    let text = read(path, "get the network file or card from whoever runs the network")?;
    let anew = "get the file anew from whoever runs the network";
    let file: NetworkFile = toml::from_str(&text).map_err(|error| {
        let place = toml_error(&text, &error);
        FileError::content(path, format!("this is no network file ({place}); {anew}"))
    })?;
    file.into_genesis().map_err(|error| FileError::content(path, format!("{error}; {anew}")))
}

/// The line and the reason of a mistake in a settings file, in one line.
pub(crate) fn toml_error(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {}", before.matches('\n').count() + 1, error.message()),
        None => error.message().to_owned(),
    }
}

/// Makes a directory if it is not there, and makes sure that it can be written.
pub fn check_writable(dir: &Path) -> Result<(), FileError> {
    let probe = dir.join(".probe");
    fs::create_dir_all(dir)
        .and_then(|()| fs::File::create(&probe))
        .and_then(|_| fs::remove_file(&probe))
        .map_err(FileError::io(dir))
}

/// Held for as long as a process works with a directory, so that no second one does.
#[derive(Debug)]
pub struct DirectoryLock {
    /// Locked while it is open.
    _file: fs::File,
}

/// Takes a directory for this process; its end gives it back, however it comes.
pub fn lock_directory(dir: &Path) -> Result<DirectoryLock, FileError> {
    let path = dir.join(LOCK_FILE);
    let file = fs::File::create(&path).map_err(FileError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(DirectoryLock { _file: file }),
        Err(fs::TryLockError::WouldBlock) => Err(FileError::Locked { dir: dir.to_path_buf() }),
        Err(fs::TryLockError::Error(source)) => Err(FileError::Io { path, source }),
    }
}

/// Writes a network file.
pub fn save_network(path: &Path, genesis: &Genesis) -> Result<(), FileError> {
    let file = NetworkFile::new(genesis.clone());
    let text = toml::to_string(&file).map_err(|error| FileError::content(path, error))?;
    let text = format!(
        "# An Enjambre network: its authorities and parameters. The network id is their digest,\n\
         # so only the addresses may be changed by hand.\n\n{text}"
    );
    write_atomic(path, text.as_bytes())
}

/// Draws a key and writes it, readable by its owner only; never over another one.
pub fn create_key(path: &Path, kind: KeyPurpose) -> Result<SecretKey, FileError> {
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).map_err(|error| FileError::content(path, error))?;
    let key = SecretKey::from_seed(&seed);
    write_key(path, kind, &key)?;
    Ok(key)
}

/// Writes a key, readable by its owner only; never over another one.
pub fn write_key(path: &Path, kind: KeyPurpose, key: &SecretKey) -> Result<(), FileError> {
    write_private(path, KeyFile::new(kind, key.clone()).encode().as_bytes())
}

/// Reads a key, or draws and writes it if there is none.
pub fn load_or_create_key(path: &Path, kind: KeyPurpose) -> Result<SecretKey, FileError> {
    if path.exists() { load_key(path, kind) } else { create_key(path, kind) }
}

/// Writes a whole file that only its owner may read; never over another one. A crash leaves the
/// file or nothing of that name.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let partial = partial_of(path);
    let write = || -> io::Result<()> {
        if path.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        remove(&partial)?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| rename_to_free(&partial, path)) {
            remove(&partial)?;
            return Err(error);
        }
        sync_place(path)
    };
    write().map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists { path: path.to_path_buf() },
        _ => FileError::Io { path: path.to_path_buf(), source },
    })
}

/// Where this process writes a file before it has its name.
fn partial_of(path: &Path) -> PathBuf {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    partial.into()
}

/// Removes a file if it is there.
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

/// Renames a file unless there is one of the new name. Where the disk's format knows no such
/// rename, the look before it has to do.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

/// Reads a key that only its owner may read.
pub fn load_key(path: &Path, kind: KeyPurpose) -> Result<SecretKey, FileError> {
    let text = read_key(path)?;
    KeyFile::parse(&text, kind)
        .map(|file| file.key().clone())
        .map_err(|error| FileError::content(path, error))
}

/// Reads the key of a node or of an authority, whichever it is.
pub fn load_identity(path: &Path) -> Result<(KeyPurpose, SecretKey), FileError> {
    let text = read_key(path)?;
    let parse = |kind| KeyFile::parse(&text, kind).map(|file| (kind, file.key().clone()));
    match parse(KeyPurpose::Authority) {
        Err(KeyFileError::Heading { .. }) => parse(KeyPurpose::Node),
        other => other,
    }
    .map_err(|error| FileError::content(path, error))
}

fn read_key(path: &Path) -> Result<Zeroizing<String>, FileError> {
    let text = read(path, "make it with the `init` command").map(Zeroizing::new)?;
    let mode = fs::metadata(path).map_err(FileError::io(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(FileError::Permissions { path: path.to_path_buf() });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_private_and_never_overwritten() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("identity.key");
        let key = create_key(&path, KeyPurpose::Node)?;
        assert_eq!(load_key(&path, KeyPurpose::Node)?.public(), key.public());
        assert!(matches!(create_key(&path, KeyPurpose::Node), Err(FileError::Exists { .. })));
        assert!(matches!(load_key(&path, KeyPurpose::Authority), Err(FileError::Content { .. })));
        assert_eq!(load_identity(&path)?.0, KeyPurpose::Node);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        assert!(matches!(load_key(&path, KeyPurpose::Node), Err(FileError::Permissions { .. })));
        assert!(matches!(load_identity(&path), Err(FileError::Permissions { .. })));
        Ok(())
    }

    #[test]
    fn private_file_is_whole_or_not_there_and_takes_no_other_place()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("key");
        let partial = partial_of(&path);
        // What a crash left of a process with the same number.
        fs::write(&partial, "half")?;
        write_private(&path, b"whole")?;
        assert_eq!(fs::read(&path)?, b"whole");
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        assert!(!partial.exists());
        assert!(matches!(write_private(&path, b"other"), Err(FileError::Exists { .. })));
        assert_eq!(fs::read(&path)?, b"whole");
        // A write that fails leaves nothing of that name.
        let second = dir.path().join("second");
        fs::create_dir(partial_of(&second))?;
        assert!(matches!(write_private(&second, b"x"), Err(FileError::Io { .. })));
        assert!(!second.exists());
        // One that comes in between is kept.
        fs::write(&partial, "late")?;
        let late = rename_to_free(&partial, &path).err().map(|error| error.kind());
        assert_eq!(late, Some(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path)?, b"whole");
        Ok(())
    }

    #[test]
    fn directory_is_given_to_one_at_a_time() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let lock = lock_directory(dir.path())?;
        assert!(matches!(lock_directory(dir.path()), Err(FileError::Locked { .. })));
        drop(lock);
        assert!(lock_directory(dir.path()).is_ok());
        Ok(())
    }
}
