//! `devnet`: a private network of real processes on this machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Subcommand;
use enjambre_protocol::directory::Params;
use serde_json::{Value, json};

use super::{CliError, answer, network, tell};
use crate::config::ByteSize;
use crate::devnet::{Devnet, DevnetConfig, DevnetError, Process, ProcessState, Role};

/// How long the processes of a devnet may take until all are listed and ready.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Nodes of a new devnet: two swarms of six.
const NODES: usize = 12;

/// Authorities of a new devnet: the least of which one may fail.
const AUTHORITIES: usize = 4;

/// Least time between two documents of a new devnet.
const EPOCH: &str = "2s";

/// Disk that each node of a devnet offers.
const STORAGE: ByteSize = ByteSize::from_bytes(2_000_000_000);

#[derive(Debug, Subcommand)]
pub(crate) enum DevnetCommand {
    /// Start a network, and stop it at SIGINT unless --detach is given. One that was stopped before
    /// goes on with its nodes and messages.
    #[command(after_help = "Example: enjambre-node devnet up --dir /tmp/net --detach --json")]
    Up {
        /// Where everything is written.
        #[arg(long)]
        dir: PathBuf,
        /// Service nodes of a new network; 12 unless set.
        #[arg(long)]
        nodes: Option<usize>,
        /// Directory authorities of a new network; 4 unless set.
        #[arg(long)]
        authorities: Option<usize>,
        /// Least time between two documents of a new network, such as 500ms; 2s unless set.
        #[arg(long)]
        epoch: Option<String>,
        /// A parameter of a new network, as name=value; may be repeated.
        #[arg(long)]
        param: Vec<String>,
        /// Return when the network is ready and leave it running.
        #[arg(long)]
        detach: bool,
    },
    /// List the processes and whether they run, are stopped (SIGSTOP) or down.
    #[command(after_help = "Example: enjambre-node devnet status --dir /tmp/net --json")]
    Status {
        /// The devnet's directory.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Add one node and start it.
    #[command(after_help = "Example: enjambre-node devnet add --dir /tmp/net")]
    Add {
        /// The devnet's directory.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Stop every process. Data and logs stay in the directory: `devnet up` goes on with them.
    #[command(after_help = "Example: enjambre-node devnet down --dir /tmp/net")]
    Down {
        /// The devnet's directory.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Kill a process with SIGKILL.
    #[command(after_help = "Example: enjambre-node devnet kill node-03 --dir /tmp/net")]
    Kill(Named),
    /// Stop a process with SIGSTOP.
    #[command(after_help = "Example: enjambre-node devnet stop node-03 --dir /tmp/net")]
    Stop(Named),
    /// Let a stopped process go on with SIGCONT.
    #[command(after_help = "Example: enjambre-node devnet cont node-03 --dir /tmp/net")]
    Cont(Named),
    /// Start a process that was killed.
    #[command(after_help = "Example: enjambre-node devnet start node-03 --dir /tmp/net")]
    Start(Named),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// The process, as named in devnet.json.
    name: String,
    /// The devnet's directory.
    #[arg(long)]
    dir: PathBuf,
}

pub(crate) fn run(command: DevnetCommand, json: bool) -> Result<(), CliError> {
    match command {
        DevnetCommand::Up { dir, nodes, authorities, epoch, param, detach } => {
            let asked = Asked { nodes, authorities, epoch, param };
            up(&dir, &asked, detach, json)
        }
        DevnetCommand::Status { dir } => status(&dir, json),
        DevnetCommand::Add { dir } => add(&dir, json),
        DevnetCommand::Down { dir } => {
            Devnet::open_locked(&dir, || waits(&dir, json))?.down()?;
            answer(json, &json!({"event": "down"}), "The devnet is stopped.");
            Ok(())
        }
        DevnetCommand::Kill(named) => signal(&named, json, "killed", Devnet::kill),
        DevnetCommand::Stop(named) => signal(&named, json, "stopped", Devnet::stop),
        DevnetCommand::Cont(named) => signal(&named, json, "continued", Devnet::cont),
        DevnetCommand::Start(named) => {
            let program = this_program()?;
            signal(&named, json, "started", |devnet, name| devnet.start(&program, name))
        }
    }
}

/// Reads a duration with its unit: ms, s, min or h.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, CliError> {
    let wrong =
        || CliError::usage(format!("`{text}` is no duration; write a number with ms, s, min or h"));
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

fn this_program() -> Result<PathBuf, CliError> {
    std::env::current_exe().map_err(|error| CliError::failed("system", error))
}

/// Says what a command waits for: silence would look like a fault.
fn waits(dir: &Path, json: bool) {
    let dir = dir.display();
    tell(json, "waiting", &format!("another command is at work on {dir}: waiting for it to end"));
}

fn signal(
    named: &Named,
    json: bool,
    done: &str,
    act: impl FnOnce(&mut Devnet, &str) -> Result<(), DevnetError>,
) -> Result<(), CliError> {
    let mut devnet = Devnet::open_locked(&named.dir, || waits(&named.dir, json))?;
    act(&mut devnet, &named.name)?;
    let value = json!({"event": done, "name": named.name});
    answer(json, &value, &format!("{} is {done}.", named.name));
    Ok(())
}

/// What `up` was asked for; what is not set has a default, or is as in the network that is there.
struct Asked {
    nodes: Option<usize>,
    authorities: Option<usize>,
    epoch: Option<String>,
    param: Vec<String>,
}

impl Asked {
    fn config(&self, dir: &Path) -> Result<DevnetConfig, CliError> {
        let epoch = parse_duration(self.epoch.as_deref().unwrap_or(EPOCH))?;
        let epoch_ms = u64::try_from(epoch.as_millis()).unwrap_or(u64::MAX);
        let params = Params { epoch_ms, ..Params::devnet() };
        if self.nodes == Some(0) {
            return Err(CliError::usage("--nodes needs at least 1; to send, a network needs 4"));
        }
        Ok(DevnetConfig {
            dir: dir.to_path_buf(),
            nodes: self.nodes.unwrap_or(NODES),
            authorities: self.authorities.unwrap_or(AUTHORITIES),
            params: network::override_params(params, &self.param)?,
            storage: STORAGE,
        })
    }

    /// Whether a network that is there can be what is asked for.
    fn fits(&self, devnet: &Devnet) -> bool {
        self.nodes.is_none_or(|nodes| nodes == devnet.count(Role::Node))
            && self.authorities.is_none_or(|count| count == devnet.count(Role::Authority))
            && self.epoch.is_none()
            && self.param.is_empty()
    }
}

/// The stopped devnet of a directory, or a new one.
fn take_up(dir: &Path, asked: &Asked, json: bool) -> Result<Devnet, CliError> {
    if !Devnet::is_there(dir) {
        return Ok(Devnet::create(&asked.config(dir)?, || waits(dir, json))?);
    }
    let devnet = Devnet::open_locked(dir, || waits(dir, json))?;
    if devnet.is_up() {
        return Err(DevnetError::Exists { dir: dir.to_path_buf() }.into());
    }
    if !asked.fits(&devnet) {
        let (nodes, authorities) = (devnet.count(Role::Node), devnet.count(Role::Authority));
        return Err(DevnetError::Other { dir: dir.to_path_buf(), nodes, authorities }.into());
    }
    Ok(devnet)
}

fn up(dir: &Path, asked: &Asked, detach: bool, json: bool) -> Result<(), CliError> {
    let program = this_program()?;
    // From here on a signal is noticed, so that nothing is left running.
    let stop = crate::run::StopSignal::install().map_err(|e| CliError::failed("system", e))?;
    let mut devnet = take_up(dir, asked, json)?;
    let started = devnet.start_all(&program).map_err(CliError::from);
    // Others may kill, stop and add while this waits.
    devnet.unlock();
    let (height, members) = match started.and_then(|()| wait_ready(&mut devnet, &stop)) {
        Ok(ready) => ready,
        Err(error) => {
            Devnet::open_locked(devnet.dir(), || waits(dir, json))?.down()?;
            return Err(error);
        }
    };
    let network = devnet.dir().join(crate::config::NETWORK_FILE);
    let value = json!({
        "event": "ready", "dir": devnet.dir(), "network": network, "height": height,
        "nodes": members, "processes": devnet.processes().len(),
    });
    let text = format!(
        "The network is ready at height {height}: {members} nodes.\nexport ENJAMBRE_NETWORK={}\nexport ENJAMBRE_HOME={}",
        network.display(),
        devnet.dir().join("home").display()
    );
    answer(json, &value, &text);
    if detach {
        return Ok(());
    }
    stop.wait();
    // The list may have changed since: processes were added, or started again.
    Devnet::open_locked(devnet.dir(), || waits(dir, json))?.down()?;
    answer(json, &json!({"event": "down"}), "The devnet is stopped.");
    Ok(())
}

/// Waits until every node says it is ready at one height at least; gives height and node count.
fn wait_ready(
    devnet: &mut Devnet,
    stop: &crate::run::StopSignal,
) -> Result<(u64, usize), CliError> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        devnet.reread()?;
        if let Some(ended) = devnet.processes().iter().find(|process| !process.is_alive()) {
            return Err(CliError::failed("devnet", ended_early(ended)));
        }
        let is_node = |process: &&Process| process.role == Role::Node;
        let nodes: Vec<&Process> = devnet.processes().iter().filter(is_node).collect();
        let mut heights = Vec::with_capacity(nodes.len());
        for node in &nodes {
            let status = crate::http::get_json(node.http, "/status").unwrap_or(Value::Null);
            if status["ready"] == json!(true) {
                heights.extend(status["height"].as_u64());
            }
        }
        if heights.len() == nodes.len() {
            return Ok((heights.into_iter().min().unwrap_or(0), nodes.len()));
        }
        if stop.is_set() {
            return Err(CliError::failed(
                "interrupted",
                "interrupted before the network was ready",
            ));
        }
        if Instant::now() > deadline {
            return Err(CliError::later(
                "devnet",
                format!(
                    "only {} of {} nodes became ready; the logs are in {}",
                    heights.len(),
                    nodes.len(),
                    devnet.dir().display()
                ),
            ));
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

fn ended_early(process: &Process) -> String {
    let log = process.dir.join("log");
    match process.last_words() {
        Some(words) => format!("{} ended: {words} (its log is {})", process.name, log.display()),
        None => format!("{} ended without a word in its log {}", process.name, log.display()),
    }
}

fn status(dir: &Path, json: bool) -> Result<(), CliError> {
    let devnet = Devnet::open(dir)?;
    let mut shown = Vec::new();
    let mut text = Vec::new();
    for process in devnet.processes() {
        let state = process.state();
        text.push(format!(
            "{:<14} {:<8} {} {}",
            process.name,
            state.as_str(),
            process.address,
            &process.id.get(..16).unwrap_or_default()
        ));
        let mut value = serde_json::to_value(process).unwrap_or(Value::Null);
        value["state"] = json!(state.as_str());
        value["running"] = json!(state == ProcessState::Running);
        shown.push(value);
    }
    answer(json, &json!({ "processes": shown }), &text.join("\n"));
    Ok(())
}

fn add(dir: &Path, json: bool) -> Result<(), CliError> {
    let mut devnet = Devnet::open_locked(dir, || waits(dir, json))?;
    let name = devnet.add(STORAGE)?;
    devnet.start(&this_program()?, &name)?;
    answer(json, &json!({"event": "started", "name": name}), &format!("{name} is started."));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        let millis = |text| parse_duration(text).ok().map(|duration| duration.as_millis());
        assert_eq!(millis("2s"), Some(2000));
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis("1 min"), Some(60_000));
        assert_eq!(millis("2"), None);
        assert_eq!(millis("s"), None);
        assert_eq!(millis("99999999999999999999s"), None);
    }
}
