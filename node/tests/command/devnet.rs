//! A private network of processes: its list, its states, two commands at once.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Temp, until};

/// A devnet in the folder `d` that is stopped with the test.
struct Devnet(Temp);

impl Drop for Devnet {
    fn drop(&mut self) {
        let _ = self.0.command(&["devnet", "down", "--dir", "d"]).output();
    }
}

const UP: [&str; 9] =
    ["devnet", "up", "--dir", "d", "--nodes", "1", "--authorities", "1", "--detach"];

impl Devnet {
    fn up() -> Self {
        let devnet = Self(Temp::new());
        let ready = devnet.0.json(&UP);
        assert_eq!((ready["event"].as_str(), ready["nodes"].as_u64()), (Some("ready"), Some(1)));
        devnet
    }

    fn act(&self, words: &[&str]) -> Value {
        self.0.json(&[&["devnet"], words, &["--dir", "d"]].concat())
    }

    /// State and process id of every process.
    fn states(&self) -> Vec<(String, i64)> {
        let status = self.act(&["status"]);
        let processes = status["processes"].as_array().unwrap().iter();
        let state = |process: &Value| {
            assert_eq!(process["running"] == true, process["state"] == "running");
            (process["state"].as_str().unwrap().to_owned(), process["pid"].as_i64().unwrap())
        };
        processes.map(state).collect()
    }

    fn words(&self) -> Vec<String> {
        self.states().into_iter().map(|(word, _)| word).collect()
    }

    fn height(&self) -> u64 {
        self.0.json(&["status", "--dir", "d/node-01"])["height"].as_u64().unwrap()
    }
}

#[test]
fn wrong_names_and_states_are_told() {
    let devnet = Devnet::up();
    let named = |action, name| devnet.0.refused(&["devnet", action, name, "--dir", "d"]);
    named("kill", "node-99").is(1, "unknown-name", &["node-99", "devnet status"]);
    named("start", "node-01").is(1, "state", &["runs already"]);
    devnet.act(&["kill", "node-01"]);
    assert_eq!(devnet.words(), ["running", "down"]);
    named("kill", "node-01").is(1, "state", &["does not run", "devnet start"]);
    // Gone when `kill` returns: it starts at once.
    devnet.act(&["start", "node-01"]);
    assert_eq!(devnet.words(), ["running", "running"]);
    devnet.0.refused(&["devnet", "status", "--dir", "e"]).is(1, "missing", &["devnet up --dir e"]);
    devnet.0.refused(&UP).is(1, "exists", &["runs already", "devnet down --dir d"]);
}

#[test]
fn command_that_waits_for_another_says_so() {
    let temp = Temp::new();
    std::fs::create_dir(temp.path("d")).unwrap();
    temp.write("d/devnet.json", "{\"processes\":[]}");
    let lock = std::fs::File::create(temp.path("d/devnet.lock")).unwrap();
    lock.lock().unwrap();
    let mut down = temp.command(&["devnet", "down", "--dir", "d"]);
    let mut down = down.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(down.stderr.take().unwrap());
    lines.read_line(&mut said).unwrap();
    assert_eq!(said, "enjambre-node: another command is at work on d: waiting for it to end\n");
    drop(lock);
    assert!(down.wait().unwrap().success());
}

#[test]
fn stopped_process_shows_as_stopped() {
    let devnet = Devnet::up();
    devnet.act(&["stop", "node-01"]);
    until(|| devnet.words() == ["running", "stopped"]);
    devnet.act(&["cont", "node-01"]);
    until(|| devnet.words() == ["running", "running"]);
}

#[test]
fn network_that_was_stopped_goes_on_where_it_was() {
    let devnet = Devnet::up();
    until(|| devnet.height() >= 3);
    let before = devnet.0.read("d/devnet.json");
    let ids = |list: &str| {
        let list: Value = serde_json::from_str(list).unwrap();
        let processes = list["processes"].as_array().unwrap().clone();
        processes.iter().map(|process| process["id"].clone()).collect::<Vec<_>>()
    };
    devnet.act(&["down"]);
    assert_eq!(devnet.states(), [("down".to_owned(), 0), ("down".to_owned(), 0)]);
    // Another shape is not what is there.
    let other = [&UP[..5], &["3"], &UP[6..]].concat();
    devnet.0.refused(&other).is(1, "other", &["1 nodes and 1 authorities", "another directory"]);
    let ready = devnet.0.json(&["devnet", "up", "--dir", "d", "--detach"]);
    assert!(ready["height"].as_u64().unwrap() >= 3, "{ready}");
    assert_eq!(ids(&devnet.0.read("d/devnet.json")), ids(&before));
}

#[test]
fn commands_at_once_lose_nothing_of_each_other() {
    let devnet = Devnet::up();
    let adds: Vec<_> = (0..4)
        .map(|_| devnet.0.command(&["devnet", "add", "--dir", "d"]).spawn().unwrap())
        .collect();
    for mut add in adds {
        assert!(add.wait().unwrap().success());
    }
    let mut pids: Vec<i64> = devnet.states().into_iter().map(|(_, pid)| pid).collect();
    assert_eq!(devnet.words(), ["running"; 6]);
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 6);
}

#[test]
fn process_that_ends_at_once_is_named_and_the_rest_is_stopped() {
    let devnet = Devnet::up();
    devnet.act(&["down"]);
    devnet.0.write("d/authority-01/config.toml", "colour = \"red\"\n");
    let up = ["devnet", "up", "--dir", "d", "--detach"];
    devnet.0.refused(&up).is(1, "devnet", &["authority-01 ended", "colour"]);
    assert_eq!(devnet.words(), ["down", "down"]);
}

#[test]
fn four_authorities_go_on_without_one_which_then_catches_up() {
    let devnet = Devnet(Temp::new());
    let up = ["devnet", "up", "--dir", "d", "--nodes", "1", "--authorities", "4"];
    devnet.0.json(&[&up[..], &["--epoch", "200ms", "--detach"]].concat());
    let shown = || {
        let shown = devnet.0.json(&["network", "show", "--network", "d/network.toml"]);
        assert_eq!(shown["threshold"], 3);
        assert!(shown["signatures"].as_u64().unwrap() >= 3, "{shown}");
        shown["height"].as_u64().unwrap()
    };
    let of = |dir| devnet.0.json(&["status", "--dir", dir])["height"].as_u64().unwrap();
    let begun = shown();
    until(|| shown() > begun + 2);
    devnet.act(&["kill", "authority-02"]);
    let without = shown();
    until(|| shown() > without + 5);
    devnet.act(&["start", "authority-02"]);
    // It answers once it listens, and knows what it missed when it has caught up.
    let status = ["status", "--dir", "d/authority-02"];
    until(|| devnet.0.command(&status).output().unwrap().status.success());
    until(|| of("d/authority-02") > without + 5);
    let again = of("d/authority-02");
    until(|| of("d/authority-02") > again + 2);
}
