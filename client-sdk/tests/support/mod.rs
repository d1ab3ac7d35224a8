//! A private network of real processes for the tests of this folder, and people who use it.
//!
//! Every process is one that a person could start: `enjambre-node devnet up` and `enjambre`, with
//! their output read as JSON. A [`Network`] brings its processes down when it goes out of scope,
//! also when a test fails.
#![allow(dead_code, reason = "each test file uses its part of this module")]

#[cfg(target_os = "linux")]
pub(crate) mod disk;
pub(crate) mod onion;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use enjambre_node::devnet::{Devnet, Process, Role};
use enjambre_node::http;
use serde_json::Value;

/// How long a condition may take to become true: far beyond what it takes on a busy machine, and
/// beyond the pause of a client before its fourth try, 80 s.
const WITHIN: Duration = Duration::from_secs(180);

/// The folder that cargo puts programs in: two above this test's own.
pub(crate) fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().and_then(Path::parent).unwrap();
    let program = folder.join(name);
    assert!(
        program.exists(),
        "{} is not built: run `cargo build --release --workspace --bins` with the same target \
         directory first, as `make test` does",
        program.display()
    );
    program
}

/// What a command ended in.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code.
    pub(crate) code: i32,
    /// The objects on its standard output.
    pub(crate) lines: Vec<Value>,
    /// The `error` object on its standard error.
    pub(crate) error: Value,
}

impl Ended {
    fn of(output: &Output) -> Self {
        let parse = |bytes: &[u8]| -> Vec<Value> {
            let text = String::from_utf8_lossy(bytes);
            text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
        };
        let mut said = parse(&output.stderr);
        let error = said.pop().map_or(Value::Null, |said| said["error"].clone());
        Self { code: output.status.code().unwrap_or(-1), lines: parse(&output.stdout), error }
    }

    /// The texts of received messages.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.lines.iter().map(|line| text(&line["text"]).to_owned()).collect()
    }
}

/// A running network below a directory of its own.
#[derive(Debug)]
pub(crate) struct Network {
    root: tempfile::TempDir,
    is_up: bool,
    /// What its processes are, and what environment they start with.
    node_program: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl Drop for Network {
    fn drop(&mut self) {
        if self.is_up && Devnet::open(&self.dir()).and_then(Devnet::down).is_err() {
            // What the list still names dies in any case.
            for process in Devnet::open(&self.dir()).iter().flat_map(|net| net.processes()) {
                let _ = Command::new("kill").args(["-9", &process.pid.to_string()]).status();
            }
        }
        if std::thread::panicking() {
            self.show_logs();
        }
    }
}

impl Network {
    /// Twelve nodes, so many authorities, documents every half second.
    pub(crate) fn start(authorities: usize) -> Self {
        let mut network = Self::in_directory(tempfile::tempdir().unwrap());
        network.up(12, &["--authorities", &authorities.to_string(), "--epoch", "500ms"]);
        network
    }

    /// A network to be below `root`; nothing is started.
    pub(crate) fn in_directory(root: tempfile::TempDir) -> Self {
        let (node_program, environment) = (program("enjambre-node"), Vec::new());
        Self { root, is_up: false, node_program, environment }
    }

    /// Starts so many nodes with further options of `devnet up`.
    pub(crate) fn up(&mut self, nodes: usize, options: &[&str]) {
        self.is_up = true;
        let count = nodes.to_string();
        let args = [&["up", "--detach", "--nodes", &count], options].concat();
        let ready = self.devnet(&args);
        assert_eq!((&ready["event"], &ready["nodes"]), (&"ready".into(), &nodes.into()));
    }

    /// What processes that are started from now on are, and what is added to their environment.
    pub(crate) fn set_start(
        &mut self,
        node_program: &Path,
        environment: Vec<(&'static str, OsString)>,
    ) {
        node_program.clone_into(&mut self.node_program);
        self.environment = environment;
    }

    /// A place below the network's root for files of the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The devnet's own directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.path("net")
    }

    /// The network file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir().join("network.toml")
    }

    /// `enjambre-node devnet …` for this network; it must succeed.
    pub(crate) fn devnet(&self, args: &[&str]) -> Value {
        let output = Command::new(&self.node_program)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .arg("devnet")
            .args(args)
            .arg("--json")
            .arg("--dir")
            .arg(self.dir())
            .output()
            .unwrap();
        let mut ended = Ended::of(&output);
        assert_eq!(ended.code, 0, "devnet {args:?}: {}", ended.error);
        ended.lines.pop().unwrap_or_default()
    }

    /// Stops everything and gives what was running.
    pub(crate) fn down(&mut self) -> Vec<Process> {
        let processes = self.processes();
        self.devnet(&["down"]);
        self.is_up = false;
        processes
    }

    /// The processes as `devnet.json` lists them.
    pub(crate) fn processes(&self) -> Vec<Process> {
        Devnet::open(&self.dir()).unwrap().processes().to_vec()
    }

    /// The service nodes.
    pub(crate) fn nodes(&self) -> Vec<Process> {
        self.processes().into_iter().filter(|process| process.role == Role::Node).collect()
    }

    /// `network show`.
    pub(crate) fn show(&self) -> Value {
        let output = Command::new(program("enjambre-node"))
            .args(["network", "show", "--json", "--network"])
            .arg(self.file())
            .output()
            .unwrap();
        let mut ended = Ended::of(&output);
        assert_eq!(ended.code, 0, "network show: {}", ended.error);
        ended.lines.pop().unwrap()
    }

    /// The nodes that keep the mailboxes of a swarm.
    pub(crate) fn members(&self, swarm: &Value) -> Vec<Process> {
        let shown = self.show();
        let swarm = array(&shown["swarms"]).iter().find(|shown| shown["id"] == *swarm).unwrap();
        let members = array(&swarm["members"]);
        let is_member = |node: &Process| members.iter().any(|id| text(id) == node.id);
        self.nodes().into_iter().filter(is_member).collect()
    }

    /// `enjambre` in the home of `who`, with output as JSON.
    pub(crate) fn command(&self, who: &str) -> Command {
        let mut command = Command::new(program("enjambre"));
        command
            .env("ENJAMBRE_HOME", self.path(who))
            .env("ENJAMBRE_NETWORK", self.file())
            .arg("--json");
        command
    }

    /// Runs `enjambre` and gives what it ended in.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, who: &str, args: &[S]) -> Ended {
        Ended::of(&self.command(who).args(args).output().unwrap())
    }

    /// Runs `enjambre`, which must succeed, and gives the last object it printed.
    pub(crate) fn user<S: AsRef<OsStr> + std::fmt::Debug>(&self, who: &str, args: &[S]) -> Value {
        let mut ended = self.run(who, args);
        assert_eq!(ended.code, 0, "{who} {args:?}: {}", ended.error);
        ended.lines.pop().unwrap_or_default()
    }

    /// Makes an account and gives its id.
    pub(crate) fn account(&self, who: &str) -> String {
        text(&self.user(who, &["account", "new"])["id"]).to_owned()
    }

    /// Receives once with a wait for the first message; must be complete.
    pub(crate) fn receive(&self, who: &str) -> Vec<String> {
        let ended = self.run(who, &["receive", "--timeout", "30s"]);
        assert_eq!(ended.code, 0, "{who} receive: {}", ended.error);
        ended.texts()
    }

    /// Starts each node anew, with another allowance of requests a second for a client's link.
    pub(crate) fn set_client_requests(&self, per_second: u32) {
        let height = self.show()["height"].as_u64().unwrap();
        for node in self.nodes() {
            let config = self.dir().join(&node.name).join("config.toml");
            let before = std::fs::read_to_string(&config).unwrap();
            let now = format!("client_requests = {per_second}");
            let after = before.replace("client_requests = 0", &now);
            assert_ne!(before, after);
            std::fs::write(&config, after).unwrap();
            self.devnet(&["kill", &node.name]);
            until("the killed process is gone", || !node.is_alive());
            self.devnet(&["start", &node.name]);
        }
        for node in self.nodes() {
            self.wait_ready(&node, height);
        }
    }

    /// Waits until a node is listed with the keys it has and knows a document above `height`.
    pub(crate) fn wait_ready(&self, node: &Process, height: u64) {
        until(&format!("{} is ready above height {height}", node.name), || {
            let status = http::get_json(node.http, "/status").unwrap_or_default();
            status["ready"] == Value::Bool(true) && status["height"].as_u64() > Some(height)
        });
    }

    /// The height that a node shows; 0 if it does not answer.
    pub(crate) fn height(&self, node: &Process) -> u64 {
        let status = http::get_json(node.http, "/status").unwrap_or_default();
        status["height"].as_u64().unwrap_or(0)
    }

    fn show_logs(&self) {
        for entry in std::fs::read_dir(self.dir()).into_iter().flatten().flatten() {
            let Ok(log) = std::fs::read_to_string(entry.path().join("log")) else { continue };
            let last: Vec<&str> = log.lines().rev().take(12).collect();
            eprintln!("--- the last lines of {}'s log", entry.file_name().display());
            last.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Looks until a condition is true; fails with its name if that takes too long.
pub(crate) fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited {} s until {what}", WITHIN.as_secs());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Bytes that do not compress: a xorshift stream.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| step()).collect()
}
