//! One process of a devnet: what it is, and what it does now as the kernel says.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::error::{DevnetError, system};

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It relays and stores.
    Node,
    /// It votes on the directory.
    Authority,
}

/// One process of a devnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name, for `kill`, `stop`, `cont` and `start`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its node or authority id.
    pub id: String,
    /// Its process id; 0 when it was not started yet.
    pub pid: i32,
    /// When the kernel started it, in ticks since boot: tells it from a later process with the
    /// same id.
    pub started: u64,
    /// Its UDP address.
    pub address: SocketAddr,
    /// Its HTTP address.
    pub http: SocketAddr,
    /// Its directory.
    pub dir: PathBuf,
}

impl Process {
    /// What it does now.
    pub fn state(&self) -> ProcessState {
        match kernel_state(self.pid) {
            Some((state, started)) if self.pid > 0 && started == self.started => state,
            _ => ProcessState::Down,
        }
    }

    /// Whether it runs (or is stopped) now.
    pub fn is_alive(&self) -> bool {
        self.state() != ProcessState::Down
    }

    /// The last line of its log, for whoever wonders why it ended.
    pub fn last_words(&self) -> Option<String> {
        let log = fs::read(self.dir.join("log")).ok()?;
        let text = String::from_utf8_lossy(&log);
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), DevnetError> {
        let pid = Pid::from_raw(self.pid).filter(|_| self.is_alive());
        let pid = pid.ok_or_else(|| DevnetError::NotRunning { name: self.name.clone() })?;
        kill_process(pid, signal)
            .map_err(|error| system(format!("signal to {}", self.name))(error.into()))
    }
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs.
    Running,
    /// SIGSTOP holds it.
    Stopped,
    /// It does not run.
    Down,
}

impl ProcessState {
    /// The word that people and programs read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Down => "down",
        }
    }
}

/// Fields 3 and 22 of a process's stat line: whether it is stopped, and its start time; `None` when
/// there is none, or a zombie.
fn kernel_state(pid: i32) -> Option<(ProcessState, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, so count from the last bracket.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = match fields.next()? {
        "Z" | "X" => return None,
        "T" | "t" => ProcessState::Stopped,
        _ => ProcessState::Running,
    };
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// When the kernel started a process, in ticks since boot.
pub(super) fn kernel_start(pid: i32) -> Option<u64> {
    kernel_state(pid).map(|(_, started)| started)
}
