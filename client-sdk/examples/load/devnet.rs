//! The network under load: its processes, their CPU time and their memory.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use enjambre_protocol::id::NodeId;
use serde_json::Value;

use crate::Result;

/// Clock ticks a second in `/proc/PID/stat`: the same on every Linux in use.
const TICKS: u64 = 100;

/// One node's process.
struct Node {
    id: NodeId,
    pid: String,
}

/// A running devnet. Dropping it stops all its processes.
pub(crate) struct Devnet {
    program: PathBuf,
    dir: PathBuf,
    nodes: Vec<Node>,
    /// How long it took until all nodes were ready.
    pub(crate) ready_after: Duration,
}

impl Devnet {
    /// Starts a network of `nodes` service nodes and one authority in `dir`.
    pub(crate) async fn up(dir: &Path, nodes: usize) -> Result<Self> {
        let here = std::env::current_exe()?;
        let programs = here.ancestors().nth(2).ok_or("no folder above this program")?;
        let program = programs.join("enjambre-node");
        if !program.exists() {
            return Err(format!("{} is not built: run `make build`", program.display()).into());
        }
        let dir = dir.join("net");
        let began = std::time::Instant::now();
        let mut devnet = Self { program, dir, nodes: Vec::new(), ready_after: Duration::ZERO };
        let (node_count, dir) = (nodes.to_string(), devnet.dir.clone());
        let status = tokio::process::Command::new(&devnet.program)
            .args(["devnet", "up", "--authorities", "1", "--nodes", &node_count, "--detach"])
            .arg("--dir")
            .arg(&dir)
            .stdout(Stdio::null())
            .status()
            .await?;
        if !status.success() {
            return Err(format!("devnet up ended with {status}").into());
        }
        devnet.ready_after = began.elapsed();
        let list: Value = serde_json::from_slice(&std::fs::read(dir.join("devnet.json"))?)?;
        let processes = list["processes"].as_array().ok_or("devnet.json has no processes")?;
        for process in processes.iter().filter(|process| process["role"] == "node") {
            let pid = process["pid"].as_i64().ok_or("devnet.json has no pid")?.to_string();
            let id = process["id"].as_str().ok_or("devnet.json has no id")?.parse()?;
            devnet.nodes.push(Node { id, pid });
        }
        if devnet.nodes.len() != nodes {
            return Err("devnet.json lists another number of nodes".into());
        }
        Ok(devnet)
    }

    /// The file that clients join by.
    pub(crate) fn network_file(&self) -> PathBuf {
        self.dir.join("network.toml")
    }

    /// CPU time of all node processes so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.nodes.iter().map(|node| cpu_of(&node.pid)).sum()
    }

    /// CPU time of one node process so far.
    pub(crate) fn cpu_of_node(&self, id: NodeId) -> Result<Duration> {
        let node = self.nodes.iter().find(|node| node.id == id).ok_or("no such node")?;
        cpu_of(&node.pid)
    }

    /// Resident memory of each node process, bytes, ascending.
    pub(crate) fn resident(&self) -> Result<Vec<u64>> {
        let mut all =
            self.nodes.iter().map(|node| resident_of(&node.pid)).collect::<Result<Vec<_>>>()?;
        all.sort_unstable();
        Ok(all)
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        // A start that failed has stopped its own processes and removed their list; one that was
        // broken off has left it.
        if !self.dir.join("devnet.json").exists() {
            return;
        }
        let down = std::process::Command::new(&self.program)
            .args(["devnet", "down", "--dir"])
            .arg(&self.dir)
            .stdout(Stdio::null())
            .status();
        if !down.is_ok_and(|status| status.success()) {
            eprintln!("the network in {} could not be stopped", self.dir.display());
        }
    }
}

/// User and system time of a process, `self` for this one.
pub(crate) fn cpu_of(pid: &str) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold anything, so count from the last bracket.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<std::result::Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

fn resident_of(pid: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
    Ok(kib.parse::<u64>()? << 10)
}
