//! A home network: an authority and some nodes in one process, which others join.
//!
//! Each has a folder of its own, laid out as if it ran alone, so that it can be moved to another
//! machine later. The nodes are of one family: clients know that one machine runs them all, and
//! say so until nodes of others have joined.
//!
//! # Invariants
//!
//! - *Whole or unfinished*: a making that was cut off is marked as such and taken up by the next one, with
//!   the keys it drew; nothing of it ran before.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use enjambre_protocol::directory::{AuthorityEntry, Genesis, Params};
use enjambre_protocol::id::{AuthorityId, NodeId};
use enjambre_protocol::identity::KeyPurpose;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{ByteSize, CONFIG_FILE, ConfigError, KEY_FILE, NETWORK_FILE, NodeConfig};
use crate::family::FamilyConsent;
use crate::files::{self, DirectoryLock, FileError};
use crate::{authority, clock, http, node};

const AUTHORITY_DIR: &str = "authority";
const FAMILY_FILE: &str = "family.key";

/// Is there while a network is being made, and stays if that was cut off.
const UNFINISHED_FILE: &str = "unfinished";

/// Nodes of a home network, at most: a machine runs no more than that with profit.
pub const HOME_NODES_MAX: usize = 16;

/// The epoch of a home network: who joins is listed within seconds, and the chain grows by some
/// megabytes a day at most.
pub const HOME_EPOCH: Duration = Duration::from_secs(10);

/// Pause between two looks at whether the nodes are ready.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why there is no home network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Wrong numbers.
    #[error("a home network has 1 to {HOME_NODES_MAX} nodes")]
    Nodes,
    /// The ports do not fit above the first.
    #[error("{count} ports from {first} on are needed; choose a port between 1 and {}", 65_536 - *.count)]
    Ports {
        /// The first.
        first: u16,
        /// How many.
        count: usize,
    },
    /// The parameters do not make a network.
    #[error(transparent)]
    Genesis(#[from] enjambre_protocol::directory::GenesisError),
}

/// What a new home network is made of.
#[derive(Clone, Debug)]
pub struct HomeConfig {
    /// Where the authority listens; the nodes on the ports after it.
    pub listen: SocketAddr,
    /// The address that others are told, if it is another one.
    pub advertise: Option<IpAddr>,
    /// Nodes.
    pub nodes: usize,
    /// The network's parameters.
    pub params: Params,
    /// Disk that each node offers.
    pub storage: ByteSize,
}

/// A home network's directory.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    genesis: Genesis,
    /// The authority's settings: the nodes' ports follow its own.
    authority: NodeConfig,
    nodes: Vec<NodeConfig>,
    _lock: DirectoryLock,
}

/// The parameters of a home network: those of any, at a faster pace.
pub fn home_params(epoch: Duration) -> Params {
    let epoch_ms = u64::try_from(epoch.as_millis()).unwrap_or(u64::MAX);
    let defaults = Params::default();
    Params { epoch_ms, ready_within_ms: defaults.ready_within_ms.max(epoch_ms), ..defaults }
}

impl Home {
    /// Whether a directory holds a home network.
    pub fn is_there(dir: &Path) -> bool {
        dir.join(AUTHORITY_DIR).join(CONFIG_FILE).exists() && dir.join(NETWORK_FILE).exists()
    }

    /// Lays out a new one, or finishes one whose making was cut off: with the keys that are there, and all
    /// else as is said now. The network file comes last: without it there is none.
    pub fn create(dir: &Path, config: &HomeConfig) -> Result<Self, HomeError> {
        check_size(config.listen.port(), config.nodes)?;
        // Parameters that make no network are refused before anything is written.
        config.params.check()?;
        files::check_writable(dir)?;
        let lock = files::lock_directory(dir)?;
        let authority_dir = dir.join(AUTHORITY_DIR);
        let keys = [authority_dir.join(KEY_FILE), dir.join(FAMILY_FILE)];
        begin(dir)?;
        files::check_writable(&authority_dir)?;
        let [authority_key, family_key] = keys;
        let key = files::load_or_create_key(&authority_key, KeyPurpose::Authority)?;
        let mut authority = settings(config.listen, 0, ByteSize::from_bytes(0));
        authority.advertise = advertised(config.advertise, authority.listen);
        let entry = AuthorityEntry {
            id: AuthorityId::from_bytes(*key.public().as_bytes()),
            addresses: authority.advertised(),
        };
        let created = clock::now().as_millis();
        let genesis = Genesis::new(created, vec![entry], config.params.clone())?;
        files::load_or_create_key(&family_key, KeyPurpose::Family)?;
        files::write_atomic(&authority_dir.join(CONFIG_FILE), authority.to_toml().as_bytes())?;
        files::save_network(&authority_dir.join(NETWORK_FILE), &genesis)?;
        let mut home =
            Self { dir: dir.to_path_buf(), genesis, authority, nodes: Vec::new(), _lock: lock };
        home.grow(config.nodes, config.storage)?;
        files::save_network(&dir.join(NETWORK_FILE), &home.genesis)?;
        remove(&dir.join(UNFINISHED_FILE))?;
        Ok(home)
    }

    /// Opens the one of a directory, which is this process's from then on.
    pub fn open(dir: &Path) -> Result<Self, HomeError> {
        let lock = files::lock_directory(dir)?;
        let genesis = files::load_network(&dir.join(NETWORK_FILE))?;
        // With its network file it is whole: only the mark may have been left.
        remove(&dir.join(UNFINISHED_FILE))?;
        let authority = NodeConfig::load(&dir.join(AUTHORITY_DIR))?;
        let mut nodes = Vec::new();
        while dir.join(node_name(nodes.len())).join(CONFIG_FILE).exists() {
            nodes.push(NodeConfig::load(&dir.join(node_name(nodes.len())))?);
        }
        Ok(Self { dir: dir.to_path_buf(), genesis, authority, nodes, _lock: lock })
    }

    /// Adds nodes until there are `count`. A node has its settings last; one whose making was cut off
    /// before them keeps its key.
    pub fn grow(&mut self, count: usize, storage: ByteSize) -> Result<(), HomeError> {
        check_size(self.authority.listen.port(), count)?;
        let family = files::load_key(&self.dir.join(FAMILY_FILE), KeyPurpose::Family)?;
        while self.nodes.len() < count {
            let dir = self.dir.join(node_name(self.nodes.len()));
            files::check_writable(&dir)?;
            let key = files::load_or_create_key(&dir.join(KEY_FILE), KeyPurpose::Node)?;
            let node = NodeId::from_bytes(*key.public().as_bytes());
            let mut config = settings(self.authority.listen, self.nodes.len() + 1, storage);
            let advertise = self.authority.advertise.first().map(SocketAddr::ip);
            config.advertise = advertised(advertise, config.listen);
            config.family = Some(FamilyConsent::sign(&family, &self.genesis.network(), &node));
            files::save_network(&dir.join(NETWORK_FILE), &self.genesis)?;
            files::write_atomic(&dir.join(CONFIG_FILE), config.to_toml().as_bytes())?;
            self.nodes.push(config);
        }
        Ok(())
    }

    /// The network.
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Where the authority listens.
    pub const fn listen(&self) -> SocketAddr {
        self.authority.listen
    }

    /// How many nodes there are.
    pub const fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Runs all of them until `stop`, or until one of them fails; says once when every node is
    /// listed and ready, and at which height.
    ///
    /// # Errors
    ///
    /// The first failure, with the name of who failed.
    pub async fn run(
        self,
        stop: CancellationToken,
        on_ready: impl FnOnce(u64) + Send + 'static,
    ) -> anyhow::Result<()> {
        let mut members = JoinSet::new();
        let authority = authority::run(self.dir.join(AUTHORITY_DIR), stop.clone());
        members.spawn(async { authority.await.context(AUTHORITY_DIR) });
        for index in 0..self.nodes.len() {
            let name = node_name(index);
            let node = node::run(self.dir.join(&name), stop.clone());
            members.spawn(async { node.await.context(name) });
        }
        let watch = stop.clone();
        let addresses: Vec<SocketAddr> = self.nodes.iter().map(|node| node.http).collect();
        let watcher = tokio::spawn(async move {
            if let Some(height) = wait_ready(addresses, watch).await {
                on_ready(height);
            }
        });
        let mut result = Ok(());
        while let Some(ended) = members.join_next().await {
            stop.cancel();
            let ended = ended.map_err(anyhow::Error::from).flatten();
            result = result.and(ended);
        }
        watcher.await?;
        result
    }
}

/// Marks a directory as that of a network in the making. What lies there of an earlier making is taken up;
/// in the way of anything else nothing is written.
fn begin(dir: &Path) -> Result<(), FileError> {
    let mark = dir.join(UNFINISHED_FILE);
    if mark.exists() {
        // Their settings say which nodes there are: those of the earlier making are not asked for yet.
        return (0..HOME_NODES_MAX)
            .try_for_each(|index| remove(&dir.join(node_name(index)).join(CONFIG_FILE)));
    }
    let folders = (0..HOME_NODES_MAX).map(node_name).chain([AUTHORITY_DIR.to_owned()]);
    let theirs = folders.flat_map(|folder| {
        [KEY_FILE, CONFIG_FILE, NETWORK_FILE].map(|file| dir.join(&folder).join(file))
    });
    let mut all = theirs.chain([FAMILY_FILE, NETWORK_FILE].map(|file| dir.join(file)));
    if let Some(path) = all.find(|path| path.exists()) {
        return Err(FileError::Exists { path });
    }
    files::write_atomic(&mark, b"The making of this network was cut off; start it again.\n")
}

/// Removes a file if it is there.
fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FileError::Io { path: path.to_path_buf(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn check_size(first: u16, nodes: usize) -> Result<(), HomeError> {
    if !(1..=HOME_NODES_MAX).contains(&nodes) {
        return Err(HomeError::Nodes);
    }
    if first == 0 || usize::from(first) + nodes > usize::from(u16::MAX) {
        return Err(HomeError::Ports { first, count: nodes + 1 });
    }
    Ok(())
}

fn node_name(index: usize) -> String {
    format!("node-{:02}", index + 1)
}

/// The settings of who listens `place` ports above the first.
fn settings(first: SocketAddr, place: usize, storage: ByteSize) -> NodeConfig {
    let port = first.port().saturating_add(u16::try_from(place).unwrap_or(u16::MAX));
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    NodeConfig::new(SocketAddr::new(first.ip(), port), http, storage)
}

fn advertised(address: Option<IpAddr>, listen: SocketAddr) -> Vec<SocketAddr> {
    address.map(|ip| SocketAddr::new(ip, listen.port())).into_iter().collect()
}

/// The least height of the nodes once all are ready; nothing if they are stopped before.
async fn wait_ready(addresses: Vec<SocketAddr>, stop: CancellationToken) -> Option<u64> {
    loop {
        let asked = addresses.clone();
        let heights = tokio::task::spawn_blocking(move || ready_heights(&asked)).await.ok()?;
        if heights.len() == addresses.len() {
            return heights.into_iter().min();
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return None,
        }
    }
}

fn ready_heights(addresses: &[SocketAddr]) -> Vec<u64> {
    let statuses = addresses.iter().filter_map(|&address| http::get_json(address, "/status").ok());
    let ready = statuses.filter(|status| status["ready"] == json!(true));
    ready.filter_map(|status| status["height"].as_u64()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn config(nodes: usize) -> HomeConfig {
        HomeConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 22_100)),
            advertise: None,
            nodes,
            params: home_params(HOME_EPOCH),
            storage: ByteSize::from_bytes(1_000_000_000),
        }
    }

    fn key(dir: &Path, purpose: KeyPurpose) -> Result<String, FileError> {
        Ok(files::load_key(&dir.join(KEY_FILE), purpose)?.public().to_string())
    }

    #[test]
    fn making_that_was_cut_off_is_finished_with_its_keys() -> Outcome {
        let temp = tempfile::tempdir()?;
        let dir = temp.path();
        // A file in the place of the second node's folder ends the making there.
        fs::write(dir.join("node-02"), "")?;
        assert!(Home::create(dir, &config(3)).is_err());
        assert!(!Home::is_there(dir));
        let authority = key(&dir.join(AUTHORITY_DIR), KeyPurpose::Authority)?;
        let first = key(&dir.join("node-01"), KeyPurpose::Node)?;
        fs::remove_file(dir.join("node-02"))?;
        let network = Home::create(dir, &config(3))?.genesis().network();
        assert!(Home::is_there(dir) && !dir.join(UNFINISHED_FILE).exists());
        assert_eq!(key(&dir.join(AUTHORITY_DIR), KeyPurpose::Authority)?, authority);
        assert_eq!(key(&dir.join("node-01"), KeyPurpose::Node)?, first);
        assert_eq!(Home::open(dir)?.node_count(), 3);
        for folder in [AUTHORITY_DIR, "node-01", "node-02", "node-03"] {
            let theirs = files::load_network(&dir.join(folder).join(NETWORK_FILE))?;
            assert_eq!(theirs.network(), network);
        }
        Ok(())
    }

    #[test]
    fn nodes_of_a_making_that_was_cut_off_are_no_part_of_a_smaller_one() -> Outcome {
        let temp = tempfile::tempdir()?;
        let dir = temp.path();
        // The network file comes last, and finds the place that it is written in taken.
        fs::create_dir(dir.join("network.partial"))?;
        assert!(Home::create(dir, &config(3)).is_err());
        fs::remove_dir(dir.join("network.partial"))?;
        drop(Home::create(dir, &config(1))?);
        assert_eq!(Home::open(dir)?.node_count(), 1);
        Ok(())
    }

    #[test]
    fn node_whose_making_was_cut_off_is_made_with_its_key() -> Outcome {
        let temp = tempfile::tempdir()?;
        let dir = temp.path();
        let mut home = Home::create(dir, &config(1))?;
        let second = dir.join("node-02");
        fs::create_dir_all(second.join(CONFIG_FILE))?;
        assert!(home.grow(2, ByteSize::from_bytes(1)).is_err());
        let made = key(&second, KeyPurpose::Node)?;
        fs::remove_dir(second.join(CONFIG_FILE))?;
        home.grow(2, ByteSize::from_bytes(1))?;
        assert_eq!(key(&second, KeyPurpose::Node)?, made);
        Ok(())
    }

    #[test]
    fn files_of_something_else_are_not_taken_up_and_leave_no_mark() -> Outcome {
        for name in [
            "family.key",
            "network.toml",
            "authority/config.toml",
            "node-01/identity.key",
            "node-16/network.toml",
        ] {
            let temp = tempfile::tempdir()?;
            let (dir, path) = (temp.path(), temp.path().join(name));
            fs::create_dir_all(path.parent().unwrap_or(dir))?;
            fs::write(&path, "of something else")?;
            for _ in 0..2 {
                let refused = Home::create(dir, &config(1)).err();
                let exists = matches!(&refused, Some(HomeError::File(FileError::Exists { path: p })) if *p == path);
                assert!(exists, "{name}: {refused:?}");
            }
            assert_eq!(fs::read(&path)?, b"of something else");
            assert!(!dir.join(UNFINISHED_FILE).exists());
        }
        Ok(())
    }
}
