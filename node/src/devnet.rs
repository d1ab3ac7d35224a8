//! A private network of real processes on one machine.
//!
//! Each process listens on a loopback address of its own (127.N.0.1), so that the rules about
//! subnets are exercised as they are elsewhere. Everything it writes is below one directory:
//! `devnet.json` names the processes, each has a folder with its data and its log.
//!
//! # Invariants
//!
//! - *One at a time*: whoever changes the list or the processes in it holds the directory's lock, so
//!   two commands at once do one thing after the other.
//! - *Stopped is not gone*: stopping all processes keeps network, keys and messages; starting them
//!   again goes on from there.

mod error;
mod process;

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use enjambre_protocol::directory::{AuthorityEntry, Genesis, Params};
use enjambre_protocol::id::{AuthorityId, NodeId};
use enjambre_protocol::identity::KeyPurpose;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

pub use self::error::DevnetError;
use self::error::system;
use self::process::kernel_start;
pub use self::process::{Process, ProcessState, Role};
use crate::config::{ByteSize, CONFIG_FILE, KEY_FILE, NETWORK_FILE, NodeConfig};
use crate::files;

/// The list of processes in a devnet's directory.
pub const LIST_FILE: &str = "devnet.json";

/// Processes of one devnet: each has a second byte of 127.0.0.0/8 of its own.
pub const PROCESSES_MAX: usize = 200;

/// Held by the command that changes a devnet.
const LOCK_FILE: &str = "devnet.lock";

/// How long a command waits for another one on the same devnet: longer than stopping all processes
/// takes.
const LOCK_WITHIN: Duration = Duration::from_secs(20);

/// The pause between two looks at something that another process does.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a process may take to drain before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What a new devnet is made of.
#[derive(Clone, Debug)]
pub struct DevnetConfig {
    /// Where everything is written.
    pub dir: PathBuf,
    /// Service nodes.
    pub nodes: usize,
    /// Authorities.
    pub authorities: usize,
    /// The network's parameters.
    pub params: Params,
    /// Disk each node offers.
    pub storage: ByteSize,
}

/// The processes of a devnet and where they are listed.
#[derive(Debug)]
pub struct Devnet {
    dir: PathBuf,
    processes: Vec<Process>,
    /// Given back when this is dropped; `None` for whoever only looks.
    lock: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct List {
    processes: Vec<Process>,
}

impl Devnet {
    /// Lays out the directories, keys and settings of a new devnet, and starts nothing. Holds its
    /// lock, and calls `waits` once if another command holds it. What was cut off before goes on with
    /// the keys that it drew.
    pub fn create(config: &DevnetConfig, waits: impl FnOnce()) -> Result<Self, DevnetError> {
        let count = config.nodes + config.authorities;
        if config.authorities == 0 || config.authorities > 31 || count > PROCESSES_MAX {
            return Err(DevnetError::Size);
        }
        // Parameters that make no network are refused before anything is written.
        config.params.check()?;
        files::check_writable(&config.dir)?;
        let dir = fs::canonicalize(&config.dir).map_err(system("the devnet's directory"))?;
        let lock = Some(lock(&dir, waits)?);
        if dir.join(LIST_FILE).exists() {
            return Err(DevnetError::Exists { dir: config.dir.clone() });
        }
        let mut devnet = Self { dir, processes: Vec::with_capacity(count), lock };
        let mut entries = Vec::with_capacity(config.authorities);
        for index in 1..=config.authorities {
            let process = devnet.lay_out(Role::Authority, index)?;
            let id = process.id.parse().unwrap_or(AuthorityId::from_bytes([0; 32]));
            entries.push(AuthorityEntry { id, addresses: vec![process.address] });
            devnet.processes.push(process);
        }
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let created_ms = u64::try_from(created.as_millis()).unwrap_or(u64::MAX);
        let genesis = Genesis::new(created_ms, entries, config.params.clone())?;
        for _ in 0..config.nodes {
            devnet.add(config.storage)?;
        }
        files::save_network(&devnet.dir.join(NETWORK_FILE), &genesis)?;
        for process in &devnet.processes {
            files::save_network(&process.dir.join(NETWORK_FILE), &genesis)?;
            if process.role == Role::Authority {
                let config = NodeConfig::new(process.address, process.http, config.storage);
                devnet.write_config(process, &config)?;
            }
        }
        devnet.save()?;
        Ok(devnet)
    }

    /// Opens the devnet of a directory to look at it.
    pub fn open(dir: &Path) -> Result<Self, DevnetError> {
        let missing = || DevnetError::Missing { dir: dir.to_path_buf() };
        let dir = fs::canonicalize(dir).map_err(|_| missing())?;
        let path = dir.join(LIST_FILE);
        let text = fs::read_to_string(&path).map_err(|_| missing())?;
        let list: List = serde_json::from_str(&text)
            .map_err(|error| DevnetError::List { path, text: error.to_string() })?;
        Ok(Self { dir, processes: list.processes, lock: None })
    }

    /// Opens the devnet of a directory to change it; calls `waits` once if another command does, and
    /// waits until none does.
    pub fn open_locked(dir: &Path, waits: impl FnOnce()) -> Result<Self, DevnetError> {
        // Without a list there is nothing to lock, and no file is to be left behind.
        let lock = Some(lock(&Self::open(dir)?.dir, waits)?);
        // Read again: it may have changed while this waited.
        Ok(Self { lock, ..Self::open(dir)? })
    }

    /// Gives up the lock: from here on this only looks, and other commands may change what runs.
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// Whether a devnet was made in this directory.
    pub fn is_there(dir: &Path) -> bool {
        dir.join(LIST_FILE).exists()
    }

    /// Whether any of its processes runs.
    pub fn is_up(&self) -> bool {
        self.processes.iter().any(Process::is_alive)
    }

    /// How many processes have a role.
    pub fn count(&self, role: Role) -> usize {
        self.processes.iter().filter(|process| process.role == role).count()
    }

    /// Reads the list anew, as another command may have changed it.
    pub fn reread(&mut self) -> Result<(), DevnetError> {
        self.processes = Self::open(&self.dir)?.processes;
        Ok(())
    }

    /// The directory, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The processes, authorities first.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// Lays out one more node; the caller starts it. Returns its name.
    pub fn add(&mut self, storage: ByteSize) -> Result<String, DevnetError> {
        if self.processes.len() >= PROCESSES_MAX {
            return Err(DevnetError::Size);
        }
        let index = 1 + self.count(Role::Node);
        let process = self.lay_out(Role::Node, index)?;
        let config = NodeConfig {
            // All clients are the user's own, and a few of them make the load of many.
            client_requests: 0,
            ..NodeConfig::new(process.address, process.http, storage)
        };
        self.write_config(&process, &config)?;
        let network = self.dir.join(NETWORK_FILE);
        if network.exists() {
            let genesis = files::load_network(&network)?;
            files::save_network(&process.dir.join(NETWORK_FILE), &genesis)?;
        }
        let name = process.name.clone();
        self.processes.push(process);
        Ok(name)
    }

    fn lay_out(&self, role: Role, index: usize) -> Result<Process, DevnetError> {
        let (prefix, kind) = match role {
            Role::Node => ("node", KeyPurpose::Node),
            Role::Authority => ("authority", KeyPurpose::Authority),
        };
        let name = format!("{prefix}-{index:02}");
        let dir = self.dir.join(&name);
        fs::create_dir_all(&dir).map_err(system(dir.display().to_string()))?;
        let key = files::load_or_create_key(&dir.join(KEY_FILE), kind)?;
        let id = NodeId::from_bytes(*key.public().as_bytes()).to_string();
        let (address, http) = free_addresses(self.processes.len())?;
        Ok(Process { name, role, id, pid: 0, started: 0, address, http, dir })
    }

    fn write_config(&self, process: &Process, config: &NodeConfig) -> Result<(), DevnetError> {
        Ok(files::write_atomic(&process.dir.join(CONFIG_FILE), config.to_toml().as_bytes())?)
    }

    /// Starts a process that does not run. `program` is this very program.
    pub fn start(&mut self, program: &Path, name: &str) -> Result<(), DevnetError> {
        let process = self.find(name)?;
        if process.is_alive() {
            return Err(DevnetError::Running { name: name.to_owned() });
        }
        let log = process.dir.join("log");
        let open = OpenOptions::new().create(true).append(true).open(&log);
        let log = open.map_err(system(log.display().to_string()))?;
        let copy = log.try_clone().map_err(system("the log"))?;
        let mut command = Command::new(program);
        match process.role {
            Role::Node => command.arg("run"),
            Role::Authority => command.args(["authority", "run"]),
        };
        command.arg("--dir").arg(&process.dir).stdin(Stdio::null()).stdout(copy).stderr(log);
        // A group of its own: an interrupt at the terminal ends the devnet in order.
        command.process_group(0);
        let child = command.spawn().map_err(system(format!("starting {name}")))?;
        process.pid = i32::try_from(child.id()).unwrap_or(0);
        process.started = kernel_start(process.pid).unwrap_or(0);
        reap_in_background(child);
        self.save()
    }

    /// Starts everything that does not run.
    pub fn start_all(&mut self, program: &Path) -> Result<(), DevnetError> {
        let names: Vec<String> = self
            .processes
            .iter()
            .filter(|process| !process.is_alive())
            .map(|process| process.name.clone())
            .collect();
        names.iter().try_for_each(|name| self.start(program, name))
    }

    /// SIGKILL, until it is gone: it can be started again at once.
    pub fn kill(&mut self, name: &str) -> Result<(), DevnetError> {
        let process = self.find(name)?;
        process.signal(Signal::KILL)?;
        let deadline = Instant::now() + STOP_WITHIN;
        while process.is_alive() && Instant::now() < deadline {
            std::thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// SIGSTOP.
    pub fn stop(&mut self, name: &str) -> Result<(), DevnetError> {
        self.find(name)?.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn cont(&mut self, name: &str) -> Result<(), DevnetError> {
        self.find(name)?.signal(Signal::CONT)
    }

    /// Ends every process: SIGTERM, and SIGKILL for one that does not drain in time. The network, its
    /// messages and its logs stay, so that it can be started again.
    pub fn down(mut self) -> Result<(), DevnetError> {
        for process in self.processes.iter().filter(|process| process.is_alive()) {
            // One that ended in between is what we want.
            let _ = process.signal(Signal::CONT);
            let _ = process.signal(Signal::TERM);
        }
        let deadline = Instant::now() + STOP_WITHIN;
        for process in &self.processes {
            while process.is_alive() && Instant::now() < deadline {
                std::thread::park_timeout(LOOK_EVERY);
            }
            if process.is_alive() {
                let _ = process.signal(Signal::KILL);
            }
        }
        for process in &mut self.processes {
            (process.pid, process.started) = (0, 0);
        }
        self.save()
    }

    fn find(&mut self, name: &str) -> Result<&mut Process, DevnetError> {
        self.processes
            .iter_mut()
            .find(|process| process.name == name)
            .ok_or_else(|| DevnetError::Unknown { name: name.to_owned() })
    }

    fn save(&self) -> Result<(), DevnetError> {
        let list = List { processes: self.processes.clone() };
        let path = self.dir.join(LIST_FILE);
        let text = serde_json::to_string_pretty(&list)
            .map_err(|error| DevnetError::List { path: path.clone(), text: error.to_string() })?;
        Ok(files::write_atomic(&path, text.as_bytes())?)
    }
}

/// Takes the lock of a devnet's directory; a command that holds it ends within seconds. Calls `waits`
/// when it is not free at once.
fn lock(dir: &Path, waits: impl FnOnce()) -> Result<File, DevnetError> {
    let path = dir.join(LOCK_FILE);
    let file = File::create(&path).map_err(system(path.display().to_string()))?;
    let deadline = Instant::now() + LOCK_WITHIN;
    let mut waits = Some(waits);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(source)) => {
                return Err(system(path.display().to_string())(source));
            }
            Err(fs::TryLockError::WouldBlock) if Instant::now() > deadline => {
                return Err(DevnetError::Busy { dir: dir.to_path_buf() });
            }
            Err(fs::TryLockError::WouldBlock) => {
                if let Some(waits) = waits.take() {
                    waits();
                }
                std::thread::park_timeout(LOOK_EVERY);
            }
        }
    }
}

/// A child that ends while this process lives would stay a zombie.
fn reap_in_background(mut child: std::process::Child) {
    std::thread::spawn(move || {
        // Its exit status is in its log; here it only has to leave the process table.
        let _ = child.wait();
    });
}

/// A free UDP and a free TCP port on the loopback address of the `index`-th process. Systems that
/// route only 127.0.0.1 get that one.
fn free_addresses(index: usize) -> Result<(SocketAddr, SocketAddr), DevnetError> {
    let second = u8::try_from(index % PROCESSES_MAX + 1).unwrap_or(1);
    let own = Ipv4Addr::new(127, second, 0, 1);
    let free = |ip: Ipv4Addr| -> std::io::Result<(SocketAddr, SocketAddr)> {
        let udp = UdpSocket::bind((ip, 0))?.local_addr()?;
        let tcp = TcpListener::bind((ip, 0))?.local_addr()?;
        Ok((udp, tcp))
    };
    free(own)
        .or_else(|_| free(Ipv4Addr::LOCALHOST))
        .map_err(system("finding a free port on loopback"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn config(dir: &Path) -> DevnetConfig {
        DevnetConfig {
            dir: dir.to_path_buf(),
            nodes: 2,
            authorities: 1,
            params: Params::devnet(),
            storage: ByteSize::from_bytes(1),
        }
    }

    #[test]
    fn making_that_was_cut_off_goes_on_with_the_keys_it_drew() -> Outcome {
        let temp = tempfile::tempdir()?;
        let dir = temp.path();
        // A file in the place of the second node's folder ends the making there.
        fs::write(dir.join("node-02"), "")?;
        assert!(Devnet::create(&config(dir), || {}).is_err());
        assert!(!Devnet::is_there(dir));
        let key = fs::read(dir.join("authority-01").join(KEY_FILE))?;
        fs::remove_file(dir.join("node-02"))?;
        let devnet = Devnet::create(&config(dir), || {})?;
        assert_eq!(devnet.processes().len(), 3);
        assert_eq!(fs::read(dir.join("authority-01").join(KEY_FILE))?, key);
        Ok(())
    }

    #[test]
    fn parameters_that_make_no_network_leave_nothing_behind() -> Outcome {
        let temp = tempfile::tempdir()?;
        let dir = temp.path().join("d");
        let mut config = config(&dir);
        config.params.epoch_ms = 1;
        assert!(matches!(Devnet::create(&config, || {}), Err(DevnetError::Genesis(_))));
        assert!(!dir.exists());
        Ok(())
    }
}
