//! The `enjambre` command as a process: what needs no network. Exit codes, JSON and errors are the
//! contract that scripts rely on.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use enjambre_protocol::directory::{AuthorityEntry, Genesis, NetworkCard, NetworkFile, Params};
use enjambre_protocol::id::AuthorityId;
use enjambre_protocol::time::Timestamp;
use enjambre_sdk::Client;
use enjambre_sdk::types::ClientConfig;
use serde_json::Value;

struct Temp {
    dir: tempfile::TempDir,
}

impl Temp {
    fn new() -> Self {
        let temp = Self { dir: tempfile::tempdir().unwrap() };
        let file = toml::to_string(&NetworkFile::new(genesis())).unwrap();
        std::fs::write(temp.path("network.toml"), file).unwrap();
        temp
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `enjambre` in the home of `who`.
    fn command(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enjambre"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("ENJAMBRE_HOME", self.path(who))
            .env("ENJAMBRE_NETWORK", self.path("network.toml"));
        command
    }

    fn run(&self, who: &str, arguments: &[&str]) -> Output {
        self.command(who, arguments).output().unwrap()
    }

    /// The object that a successful command prints.
    fn json(&self, who: &str, arguments: &[&str]) -> Value {
        let output = self.command(who, arguments).arg("--json").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        assert_eq!(said, "", "{arguments:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Exit code and error object of a command that fails, in that no word is on standard output.
    fn error(&self, who: &str, arguments: &[&str]) -> (i32, Value) {
        let output = self.command(who, arguments).arg("--json").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        (output.status.code().unwrap(), error["error"].clone())
    }

    fn client(&self, who: &str) -> Client {
        let network = Some(self.path("network.toml"));
        Client::open(&ClientConfig { home: self.path(who), network }).unwrap()
    }

    /// An account as it is once its keys are published.
    fn with_account(&self, who: &str) -> String {
        let client = self.client(who);
        let made = client.prepare_account(Some(who)).unwrap();
        client.account_published(Timestamp::from_secs(1)).unwrap();
        client.phrase_shown().unwrap();
        made.id.to_string()
    }
}

fn genesis() -> Genesis {
    let authority = AuthorityEntry {
        id: AuthorityId::from_bytes([6; 32]),
        // Port 9 of loopback discards: nothing listens there.
        addresses: vec!["127.0.0.1:9".parse().unwrap()],
    };
    Genesis::new(1, vec![authority], Params::devnet()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn account_is_shown_with_its_card() {
    let temp = Temp::new();
    let id = temp.with_account("ana");
    let shown = temp.json("ana", &["account", "show"]);
    assert_eq!((shown["id"].as_str(), shown["name"].as_str()), (Some(id.as_str()), Some("ana")));
    assert!(shown["card"].as_str().unwrap().starts_with("enjambre:"));
    assert_eq!(shown["network"], genesis().network().to_string());
    assert!(shown["published"].is_u64());
    let lines = String::from_utf8(temp.run("ana", &["account", "show"]).stdout).unwrap();
    assert!(lines.contains(&id), "{lines}");
}

#[test]
fn home_without_an_account_says_how_to_make_one() {
    let temp = Temp::new();
    let (code, error) = temp.error("ana", &["account", "show"]);
    assert_eq!(
        (code, error["kind"].as_str(), error["retry"].as_str()),
        (1, Some("no-account"), Some("never"))
    );
    assert!(error["text"].as_str().unwrap().contains("enjambre account new"));
    let plain = temp.run("ana", &["account", "show"]);
    let said = String::from_utf8(plain.stderr).unwrap();
    assert_eq!(plain.status.code(), Some(1));
    assert!(said.starts_with("enjambre: ") && said.lines().count() == 1, "{said}");
}

#[test]
fn card_goes_from_picture_to_contact() {
    let temp = Temp::new();
    temp.with_account("ana");
    let ben = temp.with_account("ben");
    let drawn = temp.json("ben", &["account", "qr", "--png", "ben.png"]);
    assert_eq!(drawn["path"], "ben.png");
    let added = temp.json("ana", &["contact", "add", "--qr", "ben.png", "--name", "Benjamin"]);
    assert_eq!(
        (added["id"].as_str(), added["name"].as_str()),
        (Some(ben.as_str()), Some("Benjamin"))
    );
    let list = temp.json("ana", &["contact", "list"]);
    assert_eq!(list["contacts"], Value::Array(vec![added]));
}

#[test]
fn card_and_bare_id_become_contacts() {
    let temp = Temp::new();
    let ana = temp.with_account("ana");
    temp.with_account("ben");
    let card = temp.json("ana", &["account", "show"])["card"].as_str().unwrap().to_owned();
    assert_eq!(temp.json("ben", &["contact", "add", &ana])["name"], Value::Null);
    assert_eq!(temp.json("ben", &["contact", "add", &card])["name"], "ana");
    assert_eq!(temp.json("ben", &["contact", "list"])["contacts"].as_array().unwrap().len(), 1);
    let lines = String::from_utf8(temp.run("ben", &["contact", "list"]).stdout).unwrap();
    assert_eq!(lines, format!("ana  {ana}\n"));
}

#[test]
fn code_is_drawn_on_the_terminal_and_as_svg() {
    let temp = Temp::new();
    temp.with_account("ana");
    let output = temp.run("ana", &["account", "qr"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains('█') && lines.contains("enjambre:"), "{lines}");
    assert!(!lines.contains('\u{1b}'), "no colours into a pipe");
    temp.json("ana", &["account", "qr", "--svg", "ana.svg"]);
    assert!(std::fs::read_to_string(temp.path("ana.svg")).unwrap().starts_with("<?xml"));
    let code = temp.json("ana", &["account", "qr"]);
    assert!(code["code"].as_str().unwrap().contains('█'));
}

#[test]
fn wrong_use_exits_2_with_one_sentence() {
    let temp = Temp::new();
    temp.with_account("ana");
    for arguments in [
        &["dance"][..],
        &[],
        &["contact", "add"],
        &["contact", "add", "enjambre:abc"],
        &["contact", "add", "05", "--qr", "x.png"],
        &["account", "qr", "--svg", "a", "--png", "b"],
        &["send", "ben"],
        &["receive", "--timeout", "soon"],
        &["status", "xyz"],
        &["network", "join", "enjambre-network:broken"],
    ] {
        let (code, error) = temp.error("ana", arguments);
        assert_eq!(code, 2, "{arguments:?}: {error}");
        let said = temp.run("ana", arguments);
        let said = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    }
    for (arguments, help) in [
        (&["dance"][..], "`enjambre --help`"),
        (&["contact", "add", "--name"], "`enjambre contact add --help`"),
        (&["--deadline", "5s", "account", "qr", "--gif", "x"], "`enjambre account qr --help`"),
    ] {
        let (_, error) = temp.error("ana", arguments);
        assert!(error["text"].as_str().unwrap().ends_with(&format!("see {help}")), "{error}");
    }
}

#[test]
fn command_with_a_wrong_network_file_makes_no_home() {
    let temp = Temp::new();
    std::fs::write(temp.path("broken.toml"), "none").unwrap();
    for file in ["broken.toml", "missing.toml"] {
        let (_, error) = temp.error("ana", &["account", "show", "--network", file]);
        assert!(error["text"].as_str().unwrap().contains(file), "{error}");
        assert!(!temp.path("ana").exists(), "{file}");
    }
}

#[test]
fn command_that_waits_for_another_says_so_and_goes_on_when_it_is_done() {
    let temp = Temp::new();
    temp.with_account("ana");
    let lock = std::fs::File::open(temp.path("ana/lock")).unwrap();
    lock.lock().unwrap();
    let mut child = temp
        .command("ana", &["status"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("enjambre: waiting for another command"), "{said}");
    lock.unlock().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn empty_store_is_no_new_home() {
    let temp = Temp::new();
    temp.with_account("ana");
    for name in ["enjambre.db", "enjambre.db-wal", "enjambre.db-shm"] {
        let _ = std::fs::remove_file(temp.path("ana").join(name));
    }
    std::fs::write(temp.path("ana/enjambre.db"), "").unwrap();
    let (code, error) = temp.error("ana", &["account", "show"]);
    assert_eq!((code, error["kind"].as_str()), (1, Some("store-failed")));
    assert!(error["text"].as_str().unwrap().contains("is empty"), "{error}");
}

#[test]
fn every_help_has_an_example() {
    let temp = Temp::new();
    for command in [
        "",
        "network",
        "network join",
        "account",
        "account new",
        "account show",
        "account restore",
        "account qr",
        "contact",
        "contact add",
        "contact list",
        "send",
        "receive",
        "status",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let output = temp.run("ana", &arguments);
        let help = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(help.contains(&format!("Example:\n  enjambre {command}")), "{command}: {help}");
    }
    assert!(!temp.path("ana").exists(), "help opens no home");
}

#[test]
fn second_process_on_a_home_works_beside_the_first() {
    let temp = Temp::new();
    let ben = temp.with_account("ben");
    temp.with_account("ana");
    let client = temp.client("ana");
    temp.json("ana", &["contact", "add", &ben, "--name", "ben"]);
    let names: Vec<_> =
        client.contacts().unwrap().into_iter().map(|contact| contact.name).collect();
    assert_eq!(names, [Some("ben".to_owned())]);
}

#[test]
fn newer_store_is_refused_with_what_to_do() {
    let temp = Temp::new();
    temp.with_account("ana");
    let key = std::fs::read(temp.path("ana/store.key")).unwrap();
    let connection = rusqlite::Connection::open(temp.path("ana/enjambre.db")).unwrap();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    connection
        .execute_batch(&format!("PRAGMA key = \"x'{hex}'\"; PRAGMA user_version = 99;"))
        .unwrap();
    drop(connection);
    let (code, error) = temp.error("ana", &["account", "show"]);
    assert_eq!((code, error["kind"].as_str()), (1, Some("store-newer")));
    assert!(error["text"].as_str().unwrap().contains("update"), "{error}");
}

#[test]
fn foreign_key_says_so_on_one_line() {
    let temp = Temp::new();
    temp.with_account("ana");
    std::fs::write(temp.path("ana/store.key"), [9; 32]).unwrap();
    let (code, error) = temp.error("ana", &["account", "show"]);
    assert_eq!((code, error["kind"].as_str()), (1, Some("store-key")));
}

#[test]
fn phrase_that_is_none_is_wrong_use() {
    let temp = Temp::new();
    std::fs::write(temp.path("words.txt"), "one two three").unwrap();
    let (code, error) = temp.error("ana", &["account", "restore", "--phrase-file", "words.txt"]);
    assert_eq!((code, error["kind"].as_str()), (2, Some("invalid-input")));
    let mut child = temp
        .command("ana", &["account", "restore", "--json"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"abandon abandon abandon").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn unknown_contact_picture_and_message_are_failures() {
    let temp = Temp::new();
    temp.with_account("ana");
    let id = "00".repeat(16);
    std::fs::write(temp.path("x.png"), b"no picture").unwrap();
    for (arguments, kind) in [
        (&["send", "nobody", "Hola"][..], "unknown-contact"),
        (&["contact", "add", "--qr", "none.png"], "file"),
        (&["contact", "add", "--qr", "x.png"], "qr-unreadable"),
        (&["status", &id], "unknown-message"),
    ] {
        let (code, error) = temp.error("ana", arguments);
        assert_eq!((code, error["kind"].as_str()), (1, Some(kind)), "{arguments:?}");
    }
}

#[test]
fn status_counts_what_the_home_holds() {
    let temp = Temp::new();
    let ana = temp.with_account("ana");
    let ben = temp.with_account("ben");
    temp.json("ana", &["contact", "add", &ben]);
    let status = temp.json("ana", &["status"]);
    assert_eq!(status["account"], ana);
    assert_eq!(
        (status["contact_count"].as_u64(), status["unread_count"].as_u64()),
        (Some(1), Some(0))
    );
}

#[test]
fn options_name_home_and_network_too() {
    let temp = Temp::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_enjambre"));
    command.env_remove("ENJAMBRE_HOME").env_remove("ENJAMBRE_NETWORK");
    let (home, network) = (temp.path("named"), temp.path("network.toml"));
    command.args(["status", "--json", "--home", text(&home), "--network", text(&network)]);
    let output = command.output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["network"], genesis().network().to_string());
    assert!(home.join("enjambre.db").exists());
}

#[test]
fn card_of_another_network_is_refused_by_a_used_home() {
    let temp = Temp::new();
    temp.with_account("ana");
    let other = Genesis { created_ms: 2, ..genesis() };
    let card = NetworkCard::new(&other).to_string();
    let (code, error) = temp.error("ana", &["network", "join", &card]);
    assert_eq!((code, error["kind"].as_str()), (1, Some("other-network")));
}
