//! Runs the command as a process in a directory of its own, on free ports of loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take that is waited for: far more than it does.
const WITHIN: Duration = Duration::from_secs(120);

/// A directory that goes with the test.
pub(crate) struct Temp {
    dir: tempfile::TempDir,
}

/// How a command was refused: the same with `--json` and without.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: i32,
    pub(crate) kind: String,
    pub(crate) text: String,
}

impl Refused {
    /// Exit code and kind are as expected and the sentence names each of `words`.
    #[track_caller]
    pub(crate) fn is(&self, code: i32, kind: &str, words: &[&str]) {
        assert_eq!((self.code, self.kind.as_str()), (code, kind), "{self:?}");
        for word in words {
            assert!(self.text.contains(word), "no `{word}` in: {}", self.text);
        }
    }
}

impl Temp {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The command with these words, which name files of this directory.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enjambre-node"));
        command.args(words).current_dir(self.dir.path()).env("RUST_LOG", "off");
        command.stdin(Stdio::null());
        command
    }

    /// The object that a successful command prints.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let output = self.command(words).arg("--json").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{words:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How a command is refused. It runs twice, so it must change nothing.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str]) -> Refused {
        let stderr = |output: &Output| {
            assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{words:?}");
            String::from_utf8(output.stderr.clone()).unwrap()
        };
        let plain = self.command(words).output().unwrap();
        let sentence = stderr(&plain);
        assert_eq!(sentence.lines().count(), 1, "{words:?} says:\n{sentence}");
        let output = self.command(words).arg("--json").output().unwrap();
        let error: Value = serde_json::from_str(&stderr(&output)).unwrap();
        let error = &error["error"];
        let text = error["text"].as_str().unwrap().to_owned();
        assert_eq!(sentence, format!("enjambre-node: {text}\n"));
        assert_eq!(output.status.code(), plain.status.code());
        assert!(error["retry"].is_string());
        let kind = error["kind"].as_str().unwrap().to_owned();
        Refused { code: plain.status.code().unwrap(), kind, text }
    }

    /// An authority's directory, its id and its addresses.
    pub(crate) fn authority(&self, dir: &str) -> Made {
        let (listen, http) = free_ports();
        let (udp, tcp) = (listen.to_string(), http.to_string());
        let words = ["authority", "init", "--dir", dir, "--listen", &udp, "--http", &tcp];
        let made = self.json(&words);
        Made { id: made["id"].as_str().unwrap().to_owned(), listen, http }
    }

    /// A network of one authority, at a fast pace.
    pub(crate) fn network(&self, authority: &Made, out: &str) -> String {
        let named = format!("{}@{}", authority.id, authority.listen);
        let words = ["network", "create", "--authority", &named, "--out", out];
        let made = self.json(&[&words[..], &["--param", "epoch_ms=200"]].concat());
        made["card"].as_str().unwrap().to_owned()
    }

    /// A node's directory in the network of a file.
    pub(crate) fn node(&self, dir: &str, network: &str) -> Made {
        self.node_with(dir, network, &[])
    }

    /// The same with more words for `init`; the network may be a card.
    pub(crate) fn node_with(&self, dir: &str, network: &str, more: &[&str]) -> Made {
        let (listen, http) = free_ports();
        let (udp, tcp) = (listen.to_string(), http.to_string());
        let words = ["init", "--dir", dir, "--network", network, "--listen", &udp, "--http", &tcp];
        let made = self.json(&[&words, more].concat());
        Made { id: made["id"].as_str().unwrap().to_owned(), listen, http }
    }

    /// Starts a command that goes on.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        let mut command = self.command(words);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Running { child, said: None }
    }

    /// The same, and its lines are read.
    pub(crate) fn start_told(&self, words: &[&str]) -> Running {
        let mut command = self.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, said) = mpsc::channel();
        // Ends with the process, whose output it reads.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        Running { child, said: Some(said) }
    }
}

/// A directory that was made.
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) listen: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Made {
    /// Waits until the process says of itself what is wanted.
    #[track_caller]
    pub(crate) fn wait(&self, wanted: impl Fn(&Value) -> bool) {
        until(|| status(self.http).is_some_and(|status| wanted(&status)));
    }
}

/// A process that ends with the test.
pub(crate) struct Running {
    child: Child,
    said: Option<Receiver<String>>,
}

impl Running {
    /// The next object it prints.
    #[track_caller]
    pub(crate) fn line(&self) -> Value {
        let line = self.said.as_ref().unwrap().recv_timeout(WITHIN).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Ends the process as the system does, and gives its exit code.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        let mut code = None;
        until(|| {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.and_then(|code| code.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition.
#[track_caller]
pub(crate) fn until(mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !met() {
        assert!(Instant::now() < deadline, "not met within {WITHIN:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A free UDP and a free TCP address of loopback.
pub(crate) fn free_ports() -> (SocketAddr, SocketAddr) {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    (udp, tcp)
}

/// `/status` of a process.
fn status(address: SocketAddr) -> Option<Value> {
    let mut stream = TcpStream::connect_timeout(&address, WITHIN).ok()?;
    stream.set_read_timeout(Some(WITHIN)).ok()?;
    stream.write_all(b"GET /status HTTP/1.0\r\nHost: node\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}
