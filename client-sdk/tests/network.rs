//! A network of real processes, used as a person or a script would: nodes killed with SIGKILL and
//! stopped with SIGSTOP, and nothing lost, doubled or left behind.
//!
//! What SIGKILL shows is that acknowledged messages do not live in a process's memory. It keeps
//! the system's cache, so it says nothing about a loss of power.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use enjambre_node::{directory, files, run};
use enjambre_protocol::identity::RecoveryPhrase;
use enjambre_protocol::swarm::{majority, read_quorum};
use enjambre_sdk::Client;
use enjambre_sdk::types::{ClientConfig, DeliveryState, SendRequest, WaitFor};
use serde_json::Value;
use support::{Network, array, noise, text, until};

/// Several rungs of the chunk ladder.
const FILE_BYTES: usize = 5_000_000;

#[test]
fn text_and_files_of_5_mb_go_both_ways_unchanged() {
    let network = Network::start(1);
    let (ana, ben) = (network.account("ana"), network.account("ben"));
    for (from, to, id) in [("ana", "ben", &ben), ("ben", "ana", &ana)] {
        let sent = network.user(from, &["send", id, "Hola"]);
        assert_eq!(sent["state"], "stored");
        let (copies, members) = (sent["copies"].as_u64(), sent["members"].as_u64());
        assert!(copies > members.map(|members| members / 2), "{sent}");
        let hops: BTreeSet<&str> = array(&sent["hops"]).iter().map(text).collect();
        assert_eq!(hops.len(), 3, "{sent}");
        assert_eq!(network.receive(to), ["Hola"]);
        assert_eq!(network.user(from, &["status", text(&sent["id"])])["state"], "stored");
    }
    // Only files of contacts are fetched.
    network.user("ana", &["contact", "add", &ben]);
    network.user("ben", &["contact", "add", &ana]);
    for (seed, from, to, id) in [(1, "ana", "ben", &ben), (2, "ben", "ana", &ana)] {
        let (source, save) = (network.path("photo.bin"), network.path(&format!("{to}-saved")));
        std::fs::write(&source, noise(seed, FILE_BYTES)).unwrap();
        network.user(from, &["send", id, "--file", path(&source)]);
        let received = network.user(to, &["receive", "--timeout", "30s", "--save", path(&save)]);
        let file = &array(&received["files"])[0];
        assert_eq!((&file["name"], &file["bytes"]), (&"photo.bin".into(), &FILE_BYTES.into()));
        let saved = std::fs::read(text(&file["path"])).unwrap();
        assert!(saved == noise(seed, FILE_BYTES), "the file for {to} came back changed");
    }
}

#[test]
fn message_is_read_after_two_members_that_kept_it_were_killed() {
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    let sent = network.user("ana", &["send", &ben, "Hola"]);
    for member in &network.members(&sent["swarm"])[..2] {
        network.devnet(&["kill", &member.name]);
        until("the killed process is gone", || !member.is_alive());
    }
    assert_eq!(network.receive("ben"), ["Hola"]);
    let sent = network.user("ana", &["send", &ben, "Still there?"]);
    assert_eq!(sent["state"], "stored");
    assert_eq!(network.receive("ben"), ["Still there?"]);
}

#[test]
fn message_is_stored_and_read_while_a_member_hangs() {
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    let probe = network.user("ana", &["send", &ben, "Which swarm?"]);
    assert_eq!(network.receive("ben"), ["Which swarm?"]);
    let hung = &network.members(&probe["swarm"])[0];
    network.devnet(&["stop", &hung.name]);
    let sent = network.user("ana", &["send", &ben, "Still here?"]);
    assert_eq!(sent["state"], "stored");
    assert!(sent["copies"].as_u64() < sent["members"].as_u64(), "{sent}");
    assert_eq!(network.receive("ben"), ["Still here?"]);
    network.devnet(&["cont", &hung.name]);
}

#[test]
fn whole_network_killed_and_started_serves_what_it_kept_under_the_same_keys() {
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    network.user("ana", &["send", &ben, "Before"]);
    let before = onion_keys(&network);
    let height = network.show()["height"].as_u64().unwrap();
    for process in network.processes() {
        network.devnet(&["kill", &process.name]);
        until("the killed process is gone", || !process.is_alive());
    }
    for process in network.processes() {
        network.devnet(&["start", &process.name]);
    }
    for node in network.nodes() {
        network.wait_ready(&node, height);
    }
    assert_eq!(onion_keys(&network), before);
    assert_eq!(network.receive("ben"), ["Before"]);
    network.user("ana", &["send", &ben, "After"]);
    assert_eq!(network.receive("ben"), ["After"]);
}

#[test]
fn message_to_an_account_without_keys_waits_until_they_are_published() {
    let network = Network::start(1);
    network.account("ana");
    let words = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let ben = words.parse::<RecoveryPhrase>().unwrap().seed().key().id().to_string();
    let ended = network.run("ana", &["send", &ben, "Are you there?"]);
    assert_eq!((ended.code, &ended.error["kind"]), (1, &"not-confirmed".into()));
    let [sent] = ended.lines.as_slice() else { panic!("{ended:?}") };
    assert_eq!(sent["state"], "queued");
    assert!(text(&sent["reason"]).contains("no keys yet"), "{sent}");

    let file = network.path("words.txt");
    std::fs::write(&file, words).unwrap();
    let restore = ["account", "restore", "--phrase-file", path(&file)];
    let restored = network.command("ben").args(restore).output().unwrap();
    let told = String::from_utf8(restored.stderr).unwrap();
    assert!(told.contains("knew no keys") && told.lines().count() == 1, "{told}");
    let restored: Value = serde_json::from_slice(&restored.stdout).unwrap();
    assert_eq!(restored["id"], *ben);
    // Every later command tries again what is due; nobody has to send anew.
    until("the message that waited is stored", || {
        network.user("ana", &["receive"]);
        network.user("ana", &["status", text(&sent["id"])])["state"] == "stored"
    });
    assert_eq!(network.receive("ben"), ["Are you there?"]);
    // Elsewhere the same words are known.
    let again = network.command("ben again").args(restore).output().unwrap();
    assert_eq!((again.status.code(), again.stderr), (Some(0), Vec::new()));
}

#[test]
fn below_a_quorum_nothing_is_called_complete_or_stored_and_later_nothing_is_missing() {
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    let sent = network.user("ana", &["send", &ben, "one"]);
    network.user("ana", &["send", &ben, "two"]);
    let members = network.members(&sent["swarm"]);
    // One fewer than a read quorum is left, which is no majority either.
    let left = read_quorum(members.len()) - 1;
    assert!(left < majority(members.len()));
    for member in &members[left..] {
        network.devnet(&["stop", &member.name]);
    }
    let (sending, mut received) = std::thread::scope(|threads| {
        let sending = threads.spawn(|| network.run("ana", &["send", &ben, "three"]));
        let receiving = network.run("ben", &["receive"]);
        assert_eq!((receiving.code, &receiving.error["retry"]), (1, &"later".into()));
        (sending.join().unwrap(), receiving.texts())
    });
    assert_eq!((sending.code, &sending.error["kind"]), (1, &"not-confirmed".into()));
    let [queued] = sending.lines.as_slice() else { panic!("{sending:?}") };
    assert_ne!(queued["state"], "stored");

    for member in &members[left..] {
        network.devnet(&["cont", &member.name]);
    }
    until("the message without a majority is stored", || {
        network.run("ana", &["receive"]);
        network.user("ana", &["status", text(&queued["id"])])["state"] == "stored"
    });
    until("every message was received", || {
        let ended = network.run("ben", &["receive"]);
        received.extend(ended.texts());
        ended.code == 0 && received.len() >= 3
    });
    assert_eq!(network.run("ben", &["receive"]).texts(), [""; 0]);
    received.sort();
    assert_eq!(received, ["one", "three", "two"]);
}

#[test]
fn with_half_of_the_nodes_dead_a_message_is_stored_or_says_what_is_missing() {
    let network = Network::start(4);
    network.account("ana");
    let ben = network.account("ben");
    network.user("ana", &["send", &ben, "all alive"]);
    for node in network.nodes().iter().step_by(2) {
        network.devnet(&["kill", &node.name]);
        until("the killed process is gone", || !node.is_alive());
    }
    for number in 0..3 {
        let ended = network.run("ana", &["send", &ben, &number.to_string()]);
        let [report] = ended.lines.as_slice() else { panic!("{ended:?}") };
        eprintln!("{} after {} ms: {}", report["state"], report["ms"], report["reason"]);
        if ended.code == 0 {
            assert_eq!(report["state"], "stored");
        } else {
            assert_eq!(&ended.error["kind"], "not-confirmed");
            let reason = text(&report["reason"]);
            assert!(reason.contains(" of ") && reason.contains("members"), "{report}");
        }
    }
}

#[test]
fn command_without_time_keeps_its_message_and_a_later_one_sends_it() {
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    let ended = network.run("ana", &["send", &ben, "in a hurry", "--deadline", "0s"]);
    assert_eq!((ended.code, &ended.error["kind"]), (1, &"not-confirmed".into()));
    let [report] = ended.lines.as_slice() else { panic!("{ended:?}") };
    assert_ne!(report["state"], "stored");
    until("the message is sent by a later command", || {
        network.user("ana", &["receive"]);
        network.user("ana", &["status", text(&report["id"])])["state"] == "stored"
    });
    assert_eq!(network.receive("ben"), ["in a hurry"]);
}

#[test]
fn sending_alone_sends_what_waits_for_the_same_person_first() {
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    network.user("ana", &["send", &ben, "0"]);
    let ended = network.run("ana", &["send", &ben, "1", "--deadline", "0s"]);
    let [report] = ended.lines.as_slice() else { panic!("{ended:?}") };
    let status = network.user("ana", &["status", text(&report["id"])]);
    let due = status["next_try"].as_u64().unwrap();
    until("its next try is due", || {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() > u128::from(due)
    });
    network.user("ana", &["send", &ben, "2"]);
    assert_eq!(network.receive("ben"), ["0", "1", "2"]);
}

#[test]
fn message_whose_parts_fit_only_alone_is_given_up_at_once() {
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    let file = network.path("large.bin");
    std::fs::write(&file, noise(1, 10_000_000)).unwrap();
    let long = "x".repeat(60_000);
    let words = ["send", &ben, &long, "--file", path(&file), "--file", path(&file)];
    let ended = network.run("ana", &words);
    assert_eq!((ended.code, &ended.error["kind"]), (1, &"too-large".into()));
    assert_eq!(ended.lines[0]["state"], "failed");
    assert_eq!(network.user("ana", &["status"])["outgoing_count"], 0);
}

#[test]
fn guards_that_a_command_found_dead_are_known_to_the_next() {
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    network.user("ana", &["send", &ben, "all alive"]);
    let guards =
        || -> Vec<Value> { array(&network.user("ana", &["status"])["paths"]["guards"]).to_vec() };
    let first = guards();
    assert!(first.iter().all(|guard| guard["silent"] == false), "{first:?}");
    let dead: Vec<&str> = first.iter().take(2).map(|guard| text(&guard["node"])).collect();
    for node in network.nodes().iter().filter(|node| dead.contains(&node.id.as_str())) {
        network.devnet(&["kill", &node.name]);
        until("the killed process is gone", || !node.is_alive());
    }
    until("a message goes round the dead guards", || {
        network.run("ana", &["send", &ben, "again"]).code == 0
    });
    for guard in guards() {
        assert_eq!(guard["silent"], dead.contains(&text(&guard["node"])), "{guard}");
    }
}

#[test]
fn file_that_takes_more_requests_than_a_guard_allows_is_sent_and_costs_no_guard() {
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    network.user("ana", &["contact", "add", &ben]);
    network
        .user("ben", &["contact", "add", text(&network.user("ana", &["account", "show"])["id"])]);
    // Twenty at once, of some sixty for the chunks alone.
    network.set_client_requests(5);
    let source = network.path("photo.bin");
    std::fs::write(&source, noise(3, FILE_BYTES)).unwrap();
    let sent = network.user("ana", &["send", &ben, "--file", path(&source), "--deadline", "5m"]);
    assert_eq!(sent["state"], "stored");
    let save = network.path("saved");
    let received = network
        .user("ben", &["receive", "--timeout", "30s", "--deadline", "5m", "--save", path(&save)]);
    let saved = std::fs::read(text(&array(&received["files"])[0]["path"])).unwrap();
    assert!(saved == noise(3, FILE_BYTES), "the file came back changed");
    for who in ["ana", "ben"] {
        let status = network.user(who, &["status"]);
        for guard in array(&status["paths"]["guards"]) {
            assert_eq!(guard["silent"], false, "{who}: {status}");
        }
    }
}

/// A running `receive --follow`, and what it has printed so far.
struct Follower {
    child: std::process::Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Follower {
    fn start(network: &Network, who: &str) -> Self {
        let mut command = network.command(who);
        command.args(["receive", "--follow"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                into.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, lines }
    }

    fn texts(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().map(|line| text(&line["text"]).to_owned()).collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn commands_work_beside_a_follower_and_nothing_is_sent_or_shown_twice() {
    const MESSAGES: usize = 6;
    let network = Network::start(1);
    let (ana, ben) = (network.account("ana"), network.account("ben"));
    let followers = [Follower::start(&network, "ana"), Follower::start(&network, "ana")];
    let (mut to_ben, mut read) = (Vec::new(), Vec::new());
    for number in 0..MESSAGES {
        let text = format!("to ben {number}");
        // The first waits in the queue, where the followers and the next commands find it.
        let hurry = if number == 0 { "0s" } else { "30s" };
        let sent = network.run("ana", &["send", &ben, &text, "--deadline", hurry]);
        assert!(sent.code == 0 || number == 0, "{sent:?}");
        to_ben.push(text);
        network.user("ben", &["send", &ana, &format!("to ana {number}")]);
        read.extend(network.run("ana", &["receive"]).texts());
    }
    until("every message was shown to ana", || {
        let shown = followers.iter().map(|follower| follower.texts().len()).sum::<usize>();
        shown + read.len() >= MESSAGES
    });
    let mut at_ben = Vec::new();
    until("every message came to ben", || {
        at_ben.extend(network.run("ben", &["receive"]).texts());
        at_ben.len() >= MESSAGES
    });
    // What would come twice would have come by now to those that look every second.
    at_ben.extend(network.run("ben", &["receive"]).texts());
    read.extend(network.run("ana", &["receive"]).texts());
    read.extend(followers.iter().flat_map(Follower::texts));
    at_ben.sort();
    read.sort();
    assert_eq!(at_ben, to_ben);
    assert_eq!(read, (0..MESSAGES).map(|number| format!("to ana {number}")).collect::<Vec<_>>());
}

#[test]
fn script_starts_a_network_uses_it_and_leaves_nothing_behind() {
    let mut network = Network::start(1);
    // Whatever is written elsewhere than in the network's directory and the homes lands here.
    let outside = network.path("outside");
    std::fs::create_dir(&outside).unwrap();
    let run = |who: &str, args: &[&str]| -> Value {
        let mut command = network.command(who);
        command.args(args).current_dir(&outside);
        for name in ["HOME", "TMPDIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            command.env(name, &outside);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    };
    run("ana", &["account", "new"]);
    let ben = run("ben", &["account", "new"]);
    assert_eq!(run("ana", &["send", text(&ben["id"]), "Hola"])["state"], "stored");
    assert_eq!(run("ben", &["receive", "--timeout", "30s"])["text"], "Hola");

    let processes = network.down();
    assert_eq!(processes.len(), 13);
    for process in &processes {
        assert!(!process.is_alive(), "{} still runs", process.name);
    }
    assert_eq!(running_below(&network.dir()), [""; 0]);
    let names = |dir: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&outside), [""; 0]);
    assert_eq!(names(network.dir().parent().unwrap()), ["ana", "ben", "net", "outside"]);
}

#[test]
fn of_five_senders_at_once_every_message_comes_once_and_in_its_senders_order() {
    const SENDERS: usize = 5;
    const MESSAGES: usize = 20;
    let network = Network::start(1);
    let ben = network.account("ben");
    let names: Vec<String> = (0..SENDERS).map(|sender| format!("sender-{sender}")).collect();
    let ids: Vec<String> = names.iter().map(|name| network.account(name)).collect();
    let clients = names.iter().map(|name| {
        let config = ClientConfig { home: network.path(name), network: Some(network.file()) };
        Arc::new(Client::open(&config).unwrap())
    });
    let clients: Vec<Arc<Client>> = clients.collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut sending = tokio::task::JoinSet::new();
        for client in clients {
            let to = ben.clone();
            sending.spawn(async move {
                for number in 0..MESSAGES {
                    let request = SendRequest {
                        to: to.clone(),
                        text: Some(number.to_string()),
                        files: Vec::new(),
                        wait: WaitFor::Stored,
                    };
                    let report = client.send(request).await.unwrap();
                    assert_eq!(report.state, DeliveryState::Stored, "{report:?}");
                }
            });
        }
        while let Some(ended) = sending.join_next().await {
            ended.unwrap();
        }
    });
    let ended = network.run("ben", &["receive"]);
    assert_eq!(ended.code, 0, "{}", ended.error);
    let mut by_sender: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for message in &ended.lines {
        by_sender
            .entry(text(&message["from"]))
            .or_default()
            .push(text(&message["text"]).to_owned());
    }
    let expected: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    for id in &ids {
        assert_eq!(by_sender.get(id.as_str()), Some(&expected));
    }
    assert_eq!(ended.lines.len(), SENDERS * MESSAGES);
    assert_eq!(network.run("ben", &["receive"]).lines, [Value::Null; 0]);
}

/// Number and onion key of every node in the newest document.
fn onion_keys(network: &Network) -> Vec<String> {
    let genesis = files::load_network(&network.file()).unwrap();
    let newest = run::block_on(directory::fetch_latest(&genesis)).unwrap().unwrap();
    let nodes = newest.document().nodes.iter();
    nodes.map(|node| format!("{} {:?} {:?}", node.id, node.onion_number, node.onion_key)).collect()
}

/// The command lines of processes that name a directory.
fn running_below(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        // A process that ends meanwhile has none.
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(path(dir)) {
            found.push(line);
        }
    }
    found
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
