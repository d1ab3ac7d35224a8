//! `key`: an identity goes to safety and comes back.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::harness::Temp;

/// An authority's directory `a`, and its key in `safe.txt` under the passphrase of `pass`.
fn exported() -> (Temp, String) {
    let temp = Temp::new();
    let id = temp.authority("a").id;
    temp.write("pass", "correct horse battery\n");
    let words = ["key", "export", "--dir", "a", "safe.txt", "--passphrase-file", "pass"];
    let made = temp.json(&words);
    assert_eq!((made["id"].as_str(), made["purpose"].as_str()), (Some(&*id), Some("authority")));
    (temp, id)
}

#[test]
fn exported_key_is_imported_elsewhere_and_set_up() {
    let (temp, id) = exported();
    let mode = std::fs::metadata(temp.path("safe.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = temp.read("a/identity.key");
    let secret = secret.lines().nth(1).unwrap().trim_start_matches("secret ");
    assert!(!temp.read("safe.txt").contains(secret));
    let words = ["key", "import", "--dir", "b", "safe.txt", "--passphrase-file", "pass"];
    assert_eq!(temp.json(&words)["id"], id);
    assert_eq!(temp.read("b/identity.key"), temp.read("a/identity.key"));
    let mode = std::fs::metadata(temp.path("b/identity.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(temp.authority("b").id, id, "a directory with an imported key can be set up");
}

#[test]
fn neither_export_nor_import_overwrites() {
    let (temp, _) = exported();
    let before = (temp.read("safe.txt"), temp.read("a/identity.key"));
    let words = ["key", "export", "--dir", "a", "safe.txt", "--passphrase-file", "pass"];
    temp.refused(&words).is(1, "file", &["safe.txt exists already"]);
    let words = ["key", "import", "--dir", "a", "safe.txt", "--passphrase-file", "pass"];
    temp.refused(&words).is(1, "file", &["identity.key exists already"]);
    assert_eq!(before, (temp.read("safe.txt"), temp.read("a/identity.key")));
}

#[test]
fn wrong_passphrase_and_changed_file_import_nothing() {
    let (temp, _) = exported();
    temp.write("other", "correct horse battery?\n");
    let import = |file, pass| {
        temp.refused(&["key", "import", "--dir", "b", file, "--passphrase-file", pass])
    };
    import("safe.txt", "other").is(1, "passphrase", &["passphrase is wrong"]);
    let text = temp.read("safe.txt");
    temp.write("changed.txt", &text.replace("authority ", "node "));
    import("changed.txt", "pass").is(1, "passphrase", &["was changed"]);
    temp.write("cut.txt", text.trim_end().trim_end_matches(|c| c != '\n'));
    import("cut.txt", "pass").is(1, "file", &["damaged"]);
    import("a/identity.key", "pass").is(1, "file", &["no exported key"]);
    import("none.txt", "pass").is(1, "file", &["none.txt"]);
    import("safe.txt", "none").is(1, "file", &["none"]);
    assert!(!temp.path("b/identity.key").exists());
}

#[test]
fn short_passphrase_exports_nothing() {
    let (temp, _) = exported();
    temp.write("short", "1234567\n");
    let words = ["key", "export", "--dir", "a", "b.txt", "--passphrase-file", "short"];
    temp.refused(&words).is(1, "passphrase", &["too short", "8 characters"]);
    assert!(!temp.path("b.txt").exists());
}

#[test]
fn family_key_is_made_once() {
    let temp = Temp::new();
    let id = temp.json(&["key", "family", "family.key"]);
    assert_eq!(id["id"].as_str().unwrap().len(), 64);
    temp.refused(&["key", "family", "family.key"]).is(1, "file", &["exists already"]);
}

/// Ctrl-C is typed at the question of a command that runs at a terminal; `script` makes one.
fn interrupted(temp: &Temp, words: &str) -> String {
    let shell =
        format!("'{}' {words}; echo \"code $?\"; stty -a", env!("CARGO_BIN_EXE_enjambre-node"));
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &shell, "/dev/null"])
        .current_dir(temp.path(""))
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut typed, mut shown) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let mut said = Vec::new();
    let mut next = [0];
    while !said.ends_with(b"assphrase: ") {
        assert_eq!(shown.read(&mut next).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
        said.push(next[0]);
    }
    typed.write_all(b"half of it\x03").unwrap();
    shown.read_to_end(&mut said).unwrap();
    script.wait().unwrap();
    String::from_utf8(said).unwrap()
}

#[test]
fn ctrl_c_at_a_passphrase_leaves_the_terminal_as_it_was_and_nothing_made() {
    let (temp, _) = exported();
    for (words, made) in
        [("key export --dir a again.txt", "again.txt"), ("key import --dir b safe.txt", "b")]
    {
        let said = interrupted(&temp, words);
        assert!(said.contains("code 130"), "{words}: {said}");
        let modes: Vec<&str> = said.split_whitespace().collect();
        assert!(modes.contains(&"echo") && modes.contains(&"isig"), "{words}: {said}");
        assert!(!said.contains("half of it"), "{words}: {said}");
        assert!(!temp.path(made).exists(), "{words} made {made}");
    }
}
