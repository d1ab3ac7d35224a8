//! What goes wrong is said in one sentence that says what to do.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Made, Temp};

/// A network file `net.toml` of one authority in `a`, and a node in `n`. Nothing runs.
fn laid_out() -> (Temp, Made, Made) {
    let temp = Temp::new();
    let authority = temp.authority("a");
    temp.network(&authority, "net.toml");
    let node = temp.node("n", "net.toml");
    (temp, authority, node)
}

const RUN: [&str; 3] = ["run", "--dir", "n"];

#[test]
fn wrong_use_has_exit_code_2() {
    let temp = Temp::new();
    temp.write("net.toml", "");
    let init = ["init", "--dir", "n", "--network", "net.toml"];
    let weak = format!("{}@127.0.0.1:9", "00".repeat(32));
    let weak_key = ["network", "create", "--authority", &weak, "--out", "o"];
    let cases: [(&[&str], &str); 11] = [
        (&[], "a command is missing"),
        (&["devnet"], "a command is missing; see `enjambre-node devnet --help`"),
        (&["fly"], "fly"),
        (&["run"], "see `enjambre-node run --help`"),
        (&["init", "--dir", "n", "--listen", "x"], "see `enjambre-node init --help`"),
        (&["devnet", "up", "--dir", "d", "--param", "epoch_ms=1"], "epoch_ms"),
        (&weak_key, "no key that can sign"),
        (&["devnet", "up", "--dir", "d", "--epoch", "2"], "ms, s, min or h"),
        (&["network", "create", "--authority", "x", "--out", "o"], "KEY@ADDR:PORT"),
        (&[&init[..], &["--listen", "127.0.0.1:9", "--storage", "20"]].concat(), "20GB"),
        (&init, "--advertise"),
    ];
    for (words, said) in cases {
        temp.refused(words).is(2, "usage", &[said]);
    }
    assert!(!temp.path("n").exists() && !temp.path("d").exists() && !temp.path("o").exists());
}

#[test]
fn network_file_must_be_there_whole_and_unchanged() {
    let (temp, ..) = laid_out();
    let init = |file| {
        let listen = ["--listen", "127.0.0.1:9"];
        temp.refused(&[&["init", "--dir", "m", "--network", file][..], &listen].concat())
    };
    init("none.toml").is(2, "file", &["none.toml does not exist", "whoever runs the network"]);
    temp.write("words.toml", "network = 1\nthis is no file\n");
    init("words.toml").is(2, "file", &["no network file", "line 2"]);
    let edited = temp.read("net.toml").replace("epoch_ms = 200", "epoch_ms = 201");
    temp.write("edited.toml", &edited);
    init("edited.toml").is(2, "file", &["were changed", "get the file anew"]);
    let shown = temp.refused(&["network", "show", "--network", "words.toml"]);
    shown.is(2, "file", &["no network file"]);
    let words = ["authority", "run", "--dir", "a", "--network", "edited.toml"];
    temp.refused(&words).is(2, "file", &["were changed"]);
    temp.write("n/network.toml", &edited);
    temp.refused(&RUN).is(1, "file", &["n/network.toml", "were changed"]);
    std::fs::remove_file(temp.path("n/network.toml")).unwrap();
    temp.refused(&RUN).is(1, "file", &["n/network.toml does not exist"]);
    assert!(!temp.path("m").exists());
}

#[test]
fn damaged_card_is_told_from_a_network_that_does_not_answer() {
    let temp = Temp::new();
    let authority = temp.authority("a");
    let card = temp.network(&authority, "net.toml");
    let init = |card| {
        let listen = ["--listen", "127.0.0.1:9"];
        temp.refused(&[&["init", "--dir", "m", "--network", card][..], &listen].concat())
    };
    let cut = &card[..card.len() - 1];
    init(cut).is(2, "usage", &["damaged", "copy it again"]);
    init(&card).is(1, "network", &[]);
}

#[test]
fn taken_ports_are_named() {
    let (temp, authority, node) = laid_out();
    {
        let _taken = UdpSocket::bind(node.listen).unwrap();
        let address = node.listen.to_string();
        temp.refused(&RUN).is(1, "port", &[&address, "(UDP)", "`listen`", "config.toml"]);
    }
    {
        let _taken = TcpListener::bind(node.http).unwrap();
        let address = node.http.to_string();
        temp.refused(&RUN).is(1, "port", &[&address, "(TCP)", "`http`", "config.toml"]);
    }
    let _taken = UdpSocket::bind(authority.listen).unwrap();
    let words = ["authority", "run", "--dir", "a", "--network", "net.toml"];
    temp.refused(&words).is(1, "port", &[&authority.listen.to_string(), "(UDP)"]);
}

#[test]
fn directory_in_use_is_refused_to_a_second_process() {
    let (temp, _, node) = laid_out();
    let running = temp.start(&RUN);
    node.wait(|status| status["id"].is_string());
    temp.refused(&RUN).is(1, "file", &["another process runs with n"]);
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn database_of_a_newer_version_is_left_alone() {
    let (temp, _, node) = laid_out();
    let running = temp.start(&RUN);
    node.wait(|status| status["id"].is_string());
    assert_eq!(running.stop(), Some(0));
    let path = temp.path("n/db");
    let options = rocksdb::Options::default();
    let tables = rocksdb::DB::list_cf(&options, &path).unwrap();
    let db = rocksdb::DB::open_cf(&options, &path, &tables).unwrap();
    db.put(b"format", 99_u32.to_le_bytes()).unwrap();
    drop(db);
    temp.refused(&RUN).is(1, "database", &["format 99", "install the version that wrote it"]);
}

#[test]
fn setting_that_is_not_known_is_named_with_its_line() {
    let (temp, ..) = laid_out();
    let config = temp.read("n/config.toml");
    let line = config.lines().count() + 1;
    temp.write("n/config.toml", &format!("{config}storrage = \"1GB\"\n"));
    temp.refused(&RUN).is(1, "config", &[&format!("line {line}"), "storrage", "n/config.toml"]);
    temp.write("n/config.toml", &config.replace("20GB", "20"));
    temp.refused(&RUN).is(1, "config", &["`20` is no size", "line "]);
    std::fs::remove_file(temp.path("n/config.toml")).unwrap();
    temp.refused(&RUN).is(1, "config", &["enjambre-node init"]);
    temp.refused(&["status", "--dir", "n"]).is(1, "config", &["enjambre-node init"]);
}

#[test]
fn key_must_be_private_whole_and_of_the_right_kind() {
    let (temp, ..) = laid_out();
    let key = temp.path("n/identity.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    temp.refused(&RUN).is(1, "file", &["can be read by others", "chmod 600"]);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = temp.read("n/identity.key");
    temp.write("n/identity.key", text.trim_end().trim_end_matches(|c| c != '\n'));
    temp.refused(&RUN).is(1, "file", &["restore it from a backup"]);
    temp.write("n/identity.key", "");
    temp.refused(&RUN).is(1, "file", &["n/identity.key", "restore it from a backup"]);
    temp.write("n/identity.key", &temp.read("a/identity.key"));
    temp.refused(&RUN).is(1, "file", &["enjambre node key 1"]);
    std::fs::remove_file(&key).unwrap();
    temp.refused(&RUN).is(1, "file", &["does not exist", "`init`"]);
}

#[test]
fn directory_is_set_up_once() {
    let (temp, ..) = laid_out();
    let before = temp.read("n/identity.key");
    let words = ["init", "--dir", "n", "--network", "net.toml", "--listen", "127.0.0.1:9"];
    temp.refused(&words).is(1, "exists", &["n is set up already"]);
    temp.refused(&["authority", "init", "--dir", "a"]).is(1, "exists", &["a is set up already"]);
    let named = format!("{}@127.0.0.1:9", "ab".repeat(32));
    let words = ["network", "create", "--authority", &named, "--out", "net.toml"];
    temp.refused(&words).is(1, "exists", &["net.toml exists already"]);
    assert_eq!(before, temp.read("n/identity.key"));
}

#[test]
fn authority_runs_for_its_own_network_only() {
    let temp = Temp::new();
    let (first, second) = (temp.authority("a"), temp.authority("b"));
    temp.network(&first, "first.toml");
    temp.network(&second, "second.toml");
    let run = |network| ["authority", "run", "--dir", "a", "--network", network];
    temp.refused(&run("second.toml")).is(
        1,
        "wrong-network",
        &["second.toml does not name this authority", &first.id],
    );
    assert!(!temp.path("a/network.toml").exists());
    temp.write("a/network.toml", &temp.read("second.toml"));
    let words = ["authority", "run", "--dir", "a"];
    temp.refused(&words).is(1, "authority", &["not in the network file"]);
}

#[test]
fn data_of_one_network_is_not_used_in_another() {
    let temp = Temp::new();
    let authority = temp.authority("a");
    temp.network(&authority, "first.toml");
    let running = temp.start(&["authority", "run", "--dir", "a", "--network", "first.toml"]);
    authority.wait(|status| status["height"].as_u64() > Some(0));
    assert_eq!(running.stop(), Some(0));
    temp.network(&authority, "second.toml");
    let words = ["authority", "run", "--dir", "a", "--network", "second.toml"];
    temp.refused(&words).is(1, "wrong-network", &["another network"]);
    temp.write("a/network.toml", &temp.read("second.toml"));
    let words = ["authority", "run", "--dir", "a"];
    temp.refused(&words).is(1, "file", &["directory.bin", "put back the file"]);
}

#[test]
fn directory_that_cannot_be_written_is_named() {
    let (temp, ..) = laid_out();
    // Nobody, not even root, makes a directory below a file.
    temp.write("file", "");
    let listen = ["--listen", "127.0.0.1:9"];
    let words = [&["init", "--dir", "file/n", "--network", "net.toml"][..], &listen].concat();
    for words in [
        &words[..],
        &["authority", "init", "--dir", "file/n"],
        &["devnet", "up", "--dir", "file/n", "--nodes", "1"],
    ] {
        temp.refused(words).is(1, "file", &["file/n", "may read and write"]);
    }
}

#[test]
fn status_of_a_node_that_does_not_run_says_how_to_start_it() {
    let (temp, ..) = laid_out();
    temp.refused(&["status", "--dir", "n"]).is(1, "not-running", &["enjambre-node run --dir n"]);
}
