//! Runs that were killed while their files got their names: the same run completes them, and nobody else's files are lost.
//!
//! Some of these folders are put together as a run that is killed leaves them. The others are what SIGKILL leaves: a
//! library that the linker loads before all others kills the program before it renames or removes the n-th file of its
//! folder, when that is made and still empty, or when half of it is written. What was written is not lost with the process: this is about the
//! order of what is done, not about what a disk keeps when the power goes.
#![allow(clippy::unwrap_used)]

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use program::{command, contents, done, read, refused, write};

type Files = BTreeMap<String, Vec<u8>>;

/// What a run gives in an empty folder.
fn whole(at: &Path, line: &str) -> Files {
    done(at, &format!("{line} --out whole"));
    let files = contents(&at.join("whole"));
    std::fs::remove_dir_all(at.join("whole")).unwrap();
    files
}

/// A folder as a run leaves it that is killed when `named` of its files have their names: the manifest is the last.
fn killed(at: &Path, before: &Files, now: &Files, named: usize) {
    let _ = std::fs::remove_dir_all(at);
    std::fs::create_dir(at).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(at.join(name), bytes).unwrap();
    before.iter().for_each(|(name, bytes)| put(name, bytes));
    let order = now.iter().filter(|(name, _)| *name != "manifest.json");
    for (done, (name, bytes)) in order.enumerate() {
        if done < named { put(name, bytes) } else { put(&format!(".{name}.part"), bytes) }
    }
    put(".manifest.json.part", &now["manifest.json"]);
}

/// The same files, but for when the run was, and nothing beside them.
fn assert_same(found: &Files, expected: &Files, what: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    let differing = found.iter().filter(|(name, bytes)| expected[*name] != **bytes);
    let differing: Vec<_> = differing.map(|(name, _)| name.as_str()).collect();
    assert!(differing.iter().all(|name| *name == "manifest.json"), "{what}: {differing:?}");
}

#[test]
fn run_that_was_killed_is_completed_by_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let (at, place) = (folder.path(), folder.path().join("a"));
    let line = "run churn --replicates 1";
    let now = whole(at, line);
    for named in 0..now.len() {
        for overwrite in ["", " --overwrite"] {
            killed(&place, &Files::new(), &now, named);
            done(at, &format!("{line} --out a{overwrite}"));
            assert_same(&contents(&place), &now, &format!("{named} named{overwrite}"));
        }
        // Of another scenario nothing is written among them.
        killed(&place, &Files::new(), &now, named);
        let before = contents(&place);
        if named > 0 {
            refused(at, "run onion --replicates 1 --out a", "another scenario, churn");
            assert_same(&contents(&place), &before, "refused");
        } else {
            done(at, "run onion --replicates 1 --out a");
        }
    }
}

#[test]
fn overwriting_that_was_killed_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let (at, place) = (folder.path(), folder.path().join("a"));
    let line = |seed: u32| format!("run churn --replicates 1 --seed {seed}");
    let [mut first, mut second, third] = [1, 2, 3].map(|seed| whole(at, &line(seed)));
    for named in 0..second.len() {
        for (seed, expected) in [(1, &first), (2, &second), (3, &third)] {
            killed(&place, &first, &second, named);
            done(at, &format!("{} --out a --overwrite", line(seed)));
            assert_same(&contents(&place), expected, &format!("{named} named, seed {seed}"));
        }
        // Unasked, nothing of either is replaced.
        killed(&place, &first, &second, named);
        let before = contents(&place);
        refused(at, &format!("{} --out a", line(3)), "a holds ");
        assert!(contents(&place) == before);
    }
    // A table that only the first of two had, or only the second, is not left among the third's.
    for (of, name) in [(&mut first, "one.csv"), (&mut second, "two.csv")] {
        of.insert(name.to_owned(), b"x\n".to_vec());
        let place = at.join("b");
        killed(&place, of, &Files::from([("manifest.json".to_owned(), Vec::new())]), 0);
        std::fs::remove_file(place.join(".manifest.json.part")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&of["manifest.json"]).unwrap();
        let text = manifest.to_string().replacen(
            "\"metrics.csv\":",
            &format!("\"{name}\":\"\",\"metrics.csv\":"),
            1,
        );
        write(at, "b/manifest.json", &text);
        program::reseal(at, "b");
        of.insert("manifest.json".to_owned(), read(at, "b/manifest.json").into_bytes());
    }
    for named in 0..second.len() {
        killed(&place, &first, &second, named);
        write(at, "a/notes", "mine");
        done(at, &format!("{} --out a --overwrite", line(3)));
        let mut expected = third.clone();
        expected.insert("notes".to_owned(), b"mine".to_vec());
        assert_same(&contents(&place), &expected, &format!("{named} named"));
    }
}

#[test]
fn file_that_was_changed_after_the_kill_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (at, place) = (folder.path(), folder.path().join("a"));
    let line = "run churn --replicates 1";
    let now = whole(at, line);
    killed(&place, &Files::new(), &now, 2);
    let name = now.keys().find(|name| *name != "manifest.json").unwrap();
    write(at, &format!("a/{name}"), "mine");
    let before = contents(&place);
    for more in ["", " --overwrite", " --seed 2 --overwrite"] {
        refused(
            at,
            &format!("{line} --out a{more}"),
            &format!("a holds a {name} that no run wrote"),
        );
    }
    assert!(contents(&place) == before);
    // Half a manifest tells of nothing.
    killed(&place, &Files::new(), &now, 2);
    let half = &now["manifest.json"][..100];
    std::fs::write(place.join(".manifest.json.part"), half).unwrap();
    refused(at, &format!("{line} --out a"), "a holds no run, but ");
}

#[test]
fn manifest_that_names_files_elsewhere_is_no_runs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, "run churn --replicates 1 --out a");
    write(at, "precious", "mine");
    let manifest = read(at, "a/manifest.json");
    let digest = manifest.split("\"metrics.csv\": ").nth(1).unwrap().split('"').nth(1).unwrap();
    std::fs::copy(at.join("a/metrics.csv"), at.join("precious")).unwrap();
    let elsewhere = format!("\"../precious\": \"{digest}\", \"metrics.csv\": ");
    write(at, "a/manifest.json", &manifest.replacen("\"metrics.csv\": ", &elsewhere, 1));
    let sentence = "a holds a manifest.json that no run wrote, or that is damaged";
    refused(at, "run churn --replicates 1 --seed 2 --overwrite --out a", sentence);
    refused(at, "report a --overwrite", sentence);
    assert!(at.join("precious").exists());
    // Nor is one that names what can be no file, or what a terminal would not take as text.
    for name in ["a\\u0000b", "a\\u001b[31mb", &"n".repeat(250), ""] {
        let with = format!("\"{name}\": \"{digest}\", \"metrics.csv\": ");
        write(at, "a/manifest.json", &manifest.replacen("\"metrics.csv\": ", &with, 1));
        for line in ["report a", "compare a a", "run churn --replicates 1 --out a"] {
            refused(at, line, sentence);
        }
    }
}

#[test]
fn manifest_of_another_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, "run churn --replicates 1 --out a");
    let manifest = read(at, "a/manifest.json");
    assert!(manifest.contains("\"format\": 2"));
    write(at, "a/manifest.json", &manifest.replacen("\"format\": 2", "\"format\": 1", 1));
    for line in ["report a", "compare a a", "run churn --replicates 1 --out a --overwrite"] {
        refused(at, line, "a holds results of another version of manifest.json, 1: ");
    }
    for (from, to) in
        [("\"files\"", "\"other\""), ("results.json", "other.json"), ("\"kind\"", "\"x\"")]
    {
        write(at, "a/manifest.json", &manifest.replacen(from, to, 1));
        refused(at, "report a", "a holds a manifest.json that no run wrote, or that is damaged");
    }
}

#[test]
fn witness_of_a_run_that_was_killed_outlives_the_runs_that_fail_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (at, place) = (folder.path(), folder.path().join("a"));
    let line = |seed: u32| format!("run churn --replicates 1 --seed {seed}");
    let [first, second] = [1, 2].map(|seed| whole(at, &line(seed)));
    for (before, overwrite) in [(&Files::new(), ""), (&first, " --overwrite")] {
        let again = format!("{} --out a{overwrite}", line(2));
        // There is no room for the files of the second try.
        killed(&place, before, &second, 3);
        let script = format!("trap '' XFSZ; ulimit -f 1; exec \"$0\" {again}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_swarm-sim")]).current_dir(at);
        assert_eq!(command.output().unwrap().status.code(), Some(1));
        assert!(contents(&place)[".manifest.json.part"] == second["manifest.json"]);
        // The second try is killed while it writes.
        killed(&place, before, &second, 3);
        write(at, "a/.manifest.json.new.part", &read(at, "a/.manifest.json.part")[..100]);
        done(at, &again);
        assert_same(&contents(&place), &second, &again);
    }
    // Halves of files that the next run does not write are known by the manifest among them.
    write(at, "b/.other.csv.part", "x");
    let manifest = String::from_utf8(first["manifest.json"].clone()).unwrap();
    let other = manifest.replacen("\"metrics.csv\":", "\"other.csv\": \"\", \"metrics.csv\":", 1);
    write(at, "b/.manifest.json.new.part", &other);
    done(at, &format!("{} --out b", line(2)));
    assert_same(&contents(&at.join("b")), &second, "b");
}

/// Kills the process that loads it at the step of number `KILL_AT` within the folder `KILL_IN`.
const KILLER: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int inside(const char *path) {
    const char *folder = getenv("KILL_IN");
    size_t length = folder ? strlen(folder) : 0;
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int is_last(void) {
    static long steps;
    const char *at = getenv("KILL_AT");
    return at && __sync_add_and_fetch(&steps, 1) == atol(at);
}

static void end(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int rename(const char *from, const char *to) {
    if ((inside(from) || inside(to)) && is_last()) end();
    return NEXT(rename)(from, to);
}

int unlink(const char *path) {
    if (inside(path) && !access(path, F_OK) && is_last()) end();
    return NEXT(unlink)(path);
}

int rmdir(const char *path) {
    if (inside(path) && is_last()) end();
    return NEXT(rmdir)(path);
}

int mkdir(const char *path, mode_t mode) {
    if (inside(path) && is_last()) end();
    return NEXT(mkdir)(path, mode);
}

static char ours[1024];

static int opened(int file, const char *path, int flags) {
    if (file >= 0 && file < 1024) ours[file] = inside(path) && (flags & O_ACCMODE) != O_RDONLY;
    return file;
}

#define OPEN(name)                                                                   \
    int name(const char *path, int flags, ...) {                                     \
        va_list rest;                                                                \
        va_start(rest, flags);                                                       \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                    \
        va_end(rest);                                                                \
        int file = opened(NEXT(name)(path, flags, mode), path, flags);               \
        if (inside(path) && (flags & O_ACCMODE) != O_RDONLY && is_last()) end();     \
        return file;                                                                 \
    }

OPEN(open)
OPEN(open64)

ssize_t write(int file, const void *bytes, size_t count) {
    if (file >= 0 && file < 1024 && ours[file] && is_last()) {
        NEXT(write)(file, bytes, count / 2);
        end();
    }
    return NEXT(write)(file, bytes, count);
}
"#;

/// A run of a few milliseconds.
const SOON: &str = r#"
version = 1
engine = "paths"
name = "small"
about = "a run that ends at once"
replicates = 1
span = "2 d"
network = { nodes = 100 }
adversary = { owns = "nodes", share = "10 %" }
clients = { count = 2, contacts = 1, every = "1 d" }
paths = { selection = "sampler" }
"#;

/// Of the steps of a second try into an empty folder, one in so many is the last: another one after each step of the first. A
/// half is opened and written, so that each is cut off in the second try after every step of the first.
const STRIDE: usize = 2;

/// The same over other files, where there are more steps.
const WIDE_STRIDE: usize = 11;

/// The library, built in a folder that has the scenario too.
fn killer(at: &Path) -> PathBuf {
    write(at, "s.toml", SOON);
    let (source, library) = (write(at, "killer.c", KILLER), at.join("killer.so"));
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([&source, "-ldl"]);
    // Rust links by it too.
    let output = cc.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// Makes a folder hold these files and no others.
fn put(at: &Path, files: &Files) {
    let _ = std::fs::remove_dir_all(at);
    for (name, bytes) in files {
        std::fs::create_dir_all(at).unwrap();
        std::fs::write(at.join(name), bytes).unwrap();
    }
}

/// A folder's files, without the lines that tell when a run was.
fn timeless(files: &Files) -> Files {
    let is_time = |line: &&[u8]| {
        let line = String::from_utf8_lossy(line);
        ["\"started\"", "\"seconds\""].iter().any(|key| line.contains(key))
    };
    let kept = |(name, bytes): (&String, &Vec<u8>)| {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !is_time(line));
        (name.clone(), lines.collect::<Vec<_>>().join(&b'\n'))
    };
    let (manifests, others): (Files, Files) =
        files.clone().into_iter().partition(|(name, _)| name.contains("manifest.json"));
    manifests.iter().map(kept).chain(others).collect()
}

/// Runs a line into the folder `a`, which holds `before`, until its step of this number; gives what it leaves, and nothing
/// where it ends before.
fn killed_at(at: &Path, killer: &Path, before: &Files, line: &str, step: usize) -> Option<Files> {
    put(&at.join("a"), before);
    let mut command = command(at, line);
    command.env("LD_PRELOAD", killer).env("KILL_IN", "a").env("KILL_AT", step.to_string());
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let is_killed = status.signal() == Some(9);
    assert!(is_killed || status.code() == Some(0), "{line}, step {step}: {status}");
    let left = || if at.join("a").is_dir() { contents(&at.join("a")) } else { Files::new() };
    is_killed.then(left)
}

/// Kills a line at each of its steps, and once more at steps of the second try; after each the same line must end
/// with what it gives undisturbed.
fn kill_everywhere(at: &Path, killer: &Path, before: &Files, line: &str, stride: usize) {
    put(&at.join("a"), before);
    done(at, line);
    let expected = contents(&at.join("a"));
    let mut seen = BTreeSet::new();
    let mut ends = |left: &Files, what: &str| {
        if seen.insert(timeless(left)) {
            put(&at.join("a"), left);
            done(at, line);
            assert_same(&contents(&at.join("a")), &expected, what);
        }
    };
    let mut steps = 0;
    while let Some(once) = killed_at(at, killer, before, line, steps + 1) {
        steps += 1;
        ends(&once, &format!("{line}: killed at step {steps}"));
        let mut again = 1 + steps % stride;
        while let Some(twice) = killed_at(at, killer, &once, line, again) {
            ends(&twice, &format!("{line}: killed at step {steps}, then at step {again}"));
            again += stride;
        }
    }
    assert_same(&contents(&at.join("a")), &expected, "not killed");
    // Each file that comes is made, written and named.
    let is_new = |(name, bytes): &(&String, &Vec<u8>)| before.get(*name) != Some(*bytes);
    assert!(steps >= 3 * expected.iter().filter(is_new).count(), "{steps} steps");
}

#[test]
fn run_that_is_killed_at_any_step_once_or_twice_is_completed_by_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let killer = killer(at);
    kill_everywhere(at, &killer, &Files::new(), "run s.toml --seed 2 --out a", STRIDE);
}

#[test]
fn overwriting_that_is_killed_at_any_step_once_or_twice_is_completed_by_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let killer = killer(at);
    let before = whole(at, "run s.toml --seed 1");
    kill_everywhere(at, &killer, &before, "run s.toml --seed 2 --out a --overwrite", WIDE_STRIDE);
}

#[test]
#[cfg(feature = "parquet")]
fn parquet_files_of_a_run_that_is_killed_at_any_step_are_completed_or_go() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let killer = killer(at);
    let mut before = whole(at, "run s.toml --seed 1");
    before.insert("t.csv".to_owned(), b"replicate,step\n1,2\n".to_vec());
    kill_everywhere(at, &killer, &before, "parquet a", WIDE_STRIDE);
    let mut before = contents(&at.join("a"));
    kill_everywhere(at, &killer, &before, "run s.toml --seed 2 --out a --overwrite", WIDE_STRIDE);
    assert!(program::names(&at.join("a")).contains(&"t.parquet".to_owned()));
    before.insert("t.csv".to_owned(), b"replicate,step\n1,3\n".to_vec());
    kill_everywhere(at, &killer, &before, "parquet a --overwrite", WIDE_STRIDE);
}
