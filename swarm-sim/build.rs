//! Tells the program what it was built from, for the manifests that it writes.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates whose version may change what a run finds.
const CRATES: [&str; 4] = ["enjambre-protocol", "libm", "rand_chacha", "rand_core"];

/// Folders beside this one and in it whose contents make the simulator.
const SOURCES: [&str; 3] = ["swarm-sim/src", "swarm-sim/scenarios", "specs/protocol/src"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let Some(root) = folder.parent() else { return };
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let rust = said(root, &rustc, &["--version"]).unwrap_or_else(unknown);
    println!("cargo:rustc-env=SWARM_SIM_RUST={rust}");
    println!("cargo:rustc-env=SWARM_SIM_CRATES={}", crates(root).join(","));
    println!("cargo:rustc-env=SWARM_SIM_REVISION={}", revision(root).unwrap_or_else(unknown));
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// What a command prints, if it is there and succeeds.
fn said(folder: &Path, program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).current_dir(folder).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_owned())
}

/// A build is done again when this file changes; without it there is nothing to change.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}

/// Names with versions, from the lock file.
fn crates(root: &Path) -> Vec<String> {
    let lock = root.join("Cargo.lock");
    watch(&lock);
    let text = std::fs::read_to_string(lock).unwrap_or_default();
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_start_matches(" = ").trim_matches('"').to_owned())
    };
    let named = |package: &str| Some((value(package, "name")?, value(package, "version")?));
    let all = text.split("[[package]]").filter_map(named);
    let chosen = all.filter(|(name, _)| CRATES.contains(&name.as_str()));
    chosen.map(|(name, version)| format!("{name} {version}")).collect()
}

/// The commit, if these sources are a repository's of their own.
fn revision(root: &Path) -> Option<String> {
    let top = said(root, "git", &["rev-parse", "--show-toplevel"])?;
    let same = Path::new(&top).canonicalize().ok()? == root.canonicalize().ok()?;
    let commit = same.then(|| said(root, "git", &["rev-parse", "HEAD"]))??;
    let branch = said(root, "git", &["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        if let Some(path) = said(root, "git", &["rev-parse", "--git-path", name]) {
            watch(&root.join(path));
        }
    }
    for folder in SOURCES {
        watch(&root.join(folder));
    }
    let mut words = vec!["status", "--porcelain", "--"];
    words.extend(SOURCES);
    let is_clean = said(root, "git", &words).is_some_and(|changes| changes.is_empty());
    Some(if is_clean { commit } else { format!("{commit}-changed") })
}
