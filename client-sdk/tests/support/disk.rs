//! A disk that loses what was not synced.
//!
//! SIGKILL ends a process and leaves what it wrote in the system's cache, so it cannot show that
//! anything was synced. Here the processes run with `disk.c` preloaded, which notes what each sync
//! made durable; when all of them are dead, [`Disk::lose`] takes the rest away.
//!
//! # The model
//!
//! - Of a file, the bytes that a sync of that file covered are on disk.
//! - A name, new, removed or replaced, is on disk once its directory was synced. The directory of a
//!   process itself is there.
//! - What was not synced is lost ([`Loss::Whole`]), or came to the disk in part ([`Loss::Torn`]):
//!   then all changes of names did, and of each file's other bytes as many as the seed says, the
//!   last block of them intact, zero or garbage.
//! - After a loss of power the system has another boot id.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::{Rng, RngExt};

/// What of an unsynced tail is written at once by a disk.
const BLOCK: u64 = 4096;

/// The output of a process, which is not on the disk that is tested.
const LOG: &str = "log";

/// What becomes of bytes and names that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All of it is lost.
    Whole,
    /// Part of it is there, the last write torn.
    Torn,
}

/// Whether a sync does what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncs {
    /// It does.
    Kept,
    /// It says so and does nothing.
    Ignored,
}

/// What a loss took, to show that it took something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lost {
    /// Bytes of files that are still there.
    pub(crate) bytes: u64,
    /// Of these, bytes of the mailboxes' write-ahead logs.
    pub(crate) log_bytes: u64,
    /// Names that were new, removed or replaced.
    pub(crate) names: u64,
}

impl Lost {
    fn add(&mut self, path: &Path, bytes: u64) {
        self.bytes += bytes;
        if path.extension().is_some_and(|extension| extension == "log") {
            self.log_bytes += bytes;
        }
    }
}

impl std::ops::AddAssign for Lost {
    fn add_assign(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.log_bytes += more.log_bytes;
        self.names += more.names;
    }
}

/// The disk below one directory, which holds a directory for each process.
#[derive(Debug)]
pub(crate) struct Disk {
    below: PathBuf,
    place: PathBuf,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    inode: u64,
    is_directory: bool,
}

/// What is on disk: by inode the lengths of files and the entries of directories.
#[derive(Debug, Default)]
struct Durable {
    lengths: BTreeMap<u64, u64>,
    directories: BTreeMap<u64, BTreeMap<String, Entry>>,
}

impl Disk {
    /// Watches what is written below `below`; keeps its own files in `place`, beside it.
    pub(crate) fn new(below: &Path, place: &Path) -> Self {
        fs::create_dir_all(below).unwrap();
        fs::create_dir_all(place).unwrap();
        let disk =
            Self { below: below.canonicalize().unwrap(), place: place.canonicalize().unwrap() };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/disk.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([&disk.library(), &source])
            .arg("-ldl")
            .status();
        assert!(
            compiled.is_ok_and(|status| status.success()),
            "{} does not compile: is there a C compiler? `make setup` installs one",
            source.display()
        );
        fs::create_dir(disk.place.join("kept")).unwrap();
        fs::write(disk.journal(), "").unwrap();
        disk.reboot(0);
        disk
    }

    fn library(&self) -> PathBuf {
        self.place.join("disk.so")
    }

    fn journal(&self) -> PathBuf {
        self.place.join("journal")
    }

    fn kept(&self, inode: u64) -> PathBuf {
        self.place.join("kept").join(inode.to_string())
    }

    fn boot_id(&self) -> PathBuf {
        self.place.join("boot_id")
    }

    /// With what environment a process is on this disk.
    pub(crate) fn environment(&self, syncs: Syncs) -> Vec<(&'static str, OsString)> {
        let mut environment = vec![
            ("LD_PRELOAD", self.library().into_os_string()),
            ("ENJAMBRE_DISK_BELOW", self.below.clone().into_os_string()),
            ("ENJAMBRE_DISK_JOURNAL", self.journal().into_os_string()),
            ("ENJAMBRE_DISK_KEPT", self.place.join("kept").into_os_string()),
            ("ENJAMBRE_DISK_BOOT_ID", self.boot_id().into_os_string()),
        ];
        if syncs == Syncs::Ignored {
            environment.push(("ENJAMBRE_DISK_LIES", "1".into()));
        }
        environment
    }

    /// Processes that start from now on find themselves in another run of the system.
    pub(crate) fn reboot(&self, number: u64) {
        fs::write(self.boot_id(), format!("00000000-0000-4000-8000-{number:012}\n")).unwrap();
    }

    /// Takes away what is not on disk of the processes' directories. All processes must be dead.
    pub(crate) fn lose(&self, dirs: &[PathBuf], loss: Loss, rng: &mut impl Rng) -> Lost {
        let durable = Durable::read(&self.journal());
        let mut lost = Lost::default();
        for dir in dirs {
            match loss {
                Loss::Whole => self.restore(&durable, dir, &mut lost),
                Loss::Torn => tear(&durable, dir, rng, &mut lost),
            }
        }
        self.begin(dirs);
        lost
    }

    /// Puts a directory back to what is on disk of it.
    fn restore(&self, durable: &Durable, dir: &Path, lost: &mut Lost) {
        let restored = dir.with_extension("restored");
        self.lay_out(durable, fs::metadata(dir).unwrap().ino(), dir, &restored, lost);
        if dir.join(LOG).exists() {
            fs::rename(dir.join(LOG), restored.join(LOG)).unwrap();
        }
        fs::remove_dir_all(dir).unwrap();
        fs::rename(restored, dir).unwrap();
    }

    fn lay_out(&self, durable: &Durable, inode: u64, was: &Path, to: &Path, lost: &mut Lost) {
        fs::create_dir(to).unwrap();
        let nothing = BTreeMap::new();
        let entries = durable.directories.get(&inode).unwrap_or(&nothing);
        for (name, entry) in entries.iter().filter(|(name, _)| *name != LOG) {
            let (was, to) = (was.join(name), to.join(name));
            let is_same = fs::metadata(&was).is_ok_and(|found| found.ino() == entry.inode);
            lost.names += u64::from(!is_same);
            if entry.is_directory {
                self.lay_out(durable, entry.inode, &was, &to, lost);
                continue;
            }
            fs::hard_link(self.kept(entry.inode), &to).unwrap();
            let file = OpenOptions::new().write(true).open(&to).unwrap();
            let (len, safe) = (file.metadata().unwrap().len(), durable.length(entry.inode));
            if len > safe {
                file.set_len(safe).unwrap();
                lost.add(&to, len - safe);
            }
        }
        let found = fs::read_dir(was).into_iter().flatten().flatten();
        let names = found.filter_map(|found| found.file_name().into_string().ok());
        lost.names +=
            names.filter(|name| name != LOG && !entries.contains_key(name)).count() as u64;
    }

    /// From here on everything that is in these directories is on disk. The others' processes may
    /// be running, so what was noted before stays.
    fn begin(&self, dirs: &[PathBuf]) {
        let mut lines = String::new();
        dirs.iter().for_each(|dir| self.note(dir, &mut lines));
        let mut journal = OpenOptions::new().append(true).open(self.journal()).unwrap();
        journal.write_all(lines.as_bytes()).unwrap();
    }

    /// Notes a directory as it is, in the lines of `disk.c`.
    fn note(&self, dir: &Path, journal: &mut String) {
        use std::fmt::Write as _;
        let mut entries = String::new();
        for found in fs::read_dir(dir).unwrap() {
            let found = found.unwrap();
            let (metadata, path) = (found.metadata().unwrap(), found.path());
            let (inode, name) = (metadata.ino(), found.file_name().into_string().unwrap());
            let kind = if metadata.is_dir() { 'd' } else { 'f' };
            if metadata.is_dir() {
                self.note(&path, journal);
            } else {
                if !self.kept(inode).exists() {
                    fs::hard_link(&path, self.kept(inode)).unwrap();
                }
                writeln!(journal, "\nF {inode} {} .", metadata.len()).unwrap();
            }
            write!(entries, "{kind}:{inode}/{name}/").unwrap();
        }
        writeln!(journal, "\nD {} {entries} .", fs::metadata(dir).unwrap().ino()).unwrap();
    }
}

/// Leaves part of what was not synced, the end of it torn.
fn tear(durable: &Durable, dir: &Path, rng: &mut impl Rng, lost: &mut Lost) {
    let mut found: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    // One order on every file system: a run is a function of its seed.
    found.sort_by_key(fs::DirEntry::file_name);
    for found in found {
        let (metadata, path) = (found.metadata().unwrap(), found.path());
        if metadata.is_dir() {
            tear(durable, &path, rng, lost);
            continue;
        }
        let (len, safe) = (metadata.len(), durable.length(metadata.ino()));
        if found.file_name() == LOG || len <= safe {
            continue;
        }
        let left = rng.random_range(safe..=len);
        let block = safe.max(left.saturating_sub(1) / BLOCK * BLOCK);
        let mut last = vec![0; usize::try_from(left - block).unwrap()];
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(left).unwrap();
        lost.add(&path, len - left);
        match rng.random_range(0..3) {
            0 => continue,
            1 => rng.fill_bytes(&mut last),
            _ => {}
        }
        file.write_all_at(&last, block).unwrap();
        lost.add(&path, last.len() as u64);
    }
}

impl Durable {
    fn read(journal: &Path) -> Self {
        let mut durable = Self::default();
        // A process that was killed in the middle of a line told nobody of that sync.
        for line in fs::read_to_string(journal).unwrap().lines() {
            let Some(line) = line.strip_suffix(" .") else { continue };
            let mut words = line.splitn(3, ' ');
            let kind = words.next().unwrap();
            let inode: u64 = words.next().unwrap().parse().unwrap();
            let rest = words.next().unwrap_or_default();
            match kind {
                "F" => {
                    // Of two syncs at a time the earlier may be noted last.
                    let length = durable.lengths.entry(inode).or_default();
                    *length = rest.parse::<u64>().unwrap().max(*length);
                }
                "T" => {
                    let length = durable.lengths.entry(inode).or_default();
                    *length = rest.parse::<u64>().unwrap().min(*length);
                }
                "D" => {
                    durable.directories.insert(inode, entries(rest));
                }
                other => panic!("a line of kind {other} in the disk's journal"),
            }
        }
        durable
    }

    fn length(&self, inode: u64) -> u64 {
        self.lengths.get(&inode).copied().unwrap_or(0)
    }
}

fn entries(text: &str) -> BTreeMap<String, Entry> {
    let mut words = text.split_terminator('/');
    let mut entries = BTreeMap::new();
    while let (Some(what), Some(name)) = (words.next(), words.next()) {
        let (kind, inode) = what.split_once(':').unwrap();
        let entry = Entry { inode: inode.parse().unwrap(), is_directory: kind == "d" };
        entries.insert(name.to_owned(), entry);
    }
    entries
}

/// Whether a process has the library of a disk in its memory.
pub(crate) fn is_on_a_disk(pid: i32) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"));
    maps.is_ok_and(|maps| maps.contains("/disk.so"))
}
