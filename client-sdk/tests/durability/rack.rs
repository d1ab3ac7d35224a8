//! Every process of a network, on disks that lose what was not synced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use enjambre_node::devnet::{Devnet, Process};
use enjambre_node::directory::Directory;
use enjambre_node::files;
use enjambre_protocol::directory::Genesis;
use enjambre_protocol::mailbox::{Call, Request};
use enjambre_protocol::onion::{Item, SizeClass};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::stream::Stream;
use crate::support::disk::{Disk, Loss, Lost, Syncs, is_on_a_disk};
use crate::support::onion::{OnionClient, Sealed, now};
use crate::support::{Network, program, until};

/// Where all choices come from; a failure names the round too.
pub(crate) const SEED: u64 = 0x5eed_d15c;

/// Nodes: fewer than five are one swarm, and a path has four.
const NODES: usize = 4;

/// A network whose machines lose power together.
pub(crate) struct Rack {
    pub(crate) network: Network,
    pub(crate) disk: Disk,
    genesis: Genesis,
    runtime: tokio::runtime::Runtime,
}

/// The height of the newest document that each process has shown, by name.
pub(crate) type Heights = BTreeMap<String, u64>;

impl Rack {
    /// One authority and four nodes.
    pub(crate) fn start() -> Self {
        Self::start_with(&program("enjambre-node"), 1)
    }

    /// With another program, or more authorities.
    pub(crate) fn start_with(node_program: &Path, authorities: usize) -> Self {
        let mut network = Network::in_directory(tempfile::tempdir().unwrap());
        let disk = Disk::new(&network.dir(), &network.path("disk"));
        network.set_start(node_program, disk.environment(Syncs::Kept));
        let authorities = authorities.to_string();
        network.up(NODES, &["--authorities", &authorities, "--epoch", "200ms"]);
        let genesis = files::load_network(&network.file()).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let rack = Self { network, disk, genesis, runtime };
        rack.check_disk();
        rack
    }

    /// From the next start on every sync is a lie.
    pub(crate) fn stop_syncing(&mut self) {
        let environment = self.disk.environment(Syncs::Ignored);
        self.network.set_start(&program("enjambre-node"), environment);
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// A client with the newest directory.
    pub(crate) fn client(&self) -> Arc<OnionClient> {
        Arc::new(self.block_on(OnionClient::new(&self.genesis)))
    }

    /// Without the library every sync would go unnoticed.
    fn check_disk(&self) {
        for process in self.network.processes() {
            assert!(is_on_a_disk(process.pid), "{} runs without the disk", process.name);
        }
    }

    /// The directories of all processes.
    pub(crate) fn dirs(&self) -> Vec<PathBuf> {
        self.network.processes().into_iter().map(|process| process.dir).collect()
    }

    fn heights(&self) -> Heights {
        let processes = self.network.processes().into_iter();
        processes.map(|process| (process.name.clone(), self.network.height(&process))).collect()
    }

    /// SIGKILL, one right after the other; gives the heights that were shown before.
    pub(crate) fn kill(&self, processes: &[Process]) -> Heights {
        let heights = self.heights();
        let mut devnet = Devnet::open(&self.network.dir()).unwrap();
        for process in processes {
            devnet.kill(&process.name).unwrap();
        }
        for process in processes {
            until("the killed process is gone", || !process.is_alive());
        }
        heights
    }

    /// Takes away what these processes did not sync.
    pub(crate) fn lose(&self, processes: &[Process], loss: Loss, rng: &mut ChaCha20Rng) -> Lost {
        let dirs: Vec<PathBuf> = processes.iter().map(|process| process.dir.clone()).collect();
        self.disk.lose(&dirs, loss, rng)
    }

    /// Whose disk has an older document than the process has shown.
    pub(crate) fn behind(&self, heights: &Heights) -> Vec<String> {
        let genesis = Arc::new(self.genesis.clone());
        let is_behind = |process: &Process| {
            let kept = Directory::open(&process.dir, Arc::clone(&genesis)).unwrap().height();
            (kept < heights[&process.name])
                .then(|| format!("{}: {kept} of {}", process.name, heights[&process.name]))
        };
        self.network.processes().iter().filter_map(is_behind).collect()
    }

    /// Starts everything that is dead and waits until all nodes serve.
    pub(crate) fn start_all(&self) {
        for process in self.network.processes().iter().filter(|process| !process.is_alive()) {
            self.network.devnet(&["start", &process.name]);
        }
        for node in self.network.nodes() {
            self.network.wait_ready(&node, 0);
        }
        self.check_disk();
    }

    /// Has a packet answered. What is given back seals the very same packet again.
    pub(crate) fn take_packet(
        &self,
        client: &Arc<OnionClient>,
        round: u64,
    ) -> impl Fn() -> Sealed + use<> {
        let (to, minute, client) = (client.nodes()[0], now().minute(), Arc::clone(client));
        let asking = Arc::clone(&client);
        let seal = move || {
            let mut rng = ChaCha20Rng::seed_from_u64(SEED ^ ((round + 1) << 32));
            let request = Request::One(Box::new(Call::Info));
            client.seal(&mut rng, to, &request, SizeClass::K2, minute)
        };
        let first = self.block_on(asking.item(seal()));
        assert!(matches!(first, Ok(Item::Reply(_))), "round {round}: {first:?}");
        seal
    }

    /// A stream that ends in the death of every process.
    pub(crate) fn stream_and_kill(
        &self,
        client: &Arc<OnionClient>,
        round: u64,
        rng: &mut ChaCha20Rng,
    ) -> (Stream, Heights) {
        let (name, mut heights) = (format!("seed {SEED:#x}, round {round}"), None);
        let kill = || heights = Some(self.kill(&self.network.processes()));
        let stream = self.block_on(Stream::run(client, rng, &name, kill));
        (stream, heights.unwrap())
    }

    /// What members signed for in a stream and do not hold to. Each is asked by itself.
    pub(crate) fn unkept(&self, client: &OnionClient, stream: &Stream) -> Vec<String> {
        // Only for packets: they must differ from all before.
        let mut rng = ChaCha20Rng::seed_from_u64(now().as_millis());
        let mut wrong = Vec::new();
        for member in stream.members() {
            let mut held = Vec::new();
            until(&format!("{} shows the mailbox", member.short()), || {
                let asked = self.block_on(client.held(&mut rng, member, &stream.owner));
                asked.map(|all| held = all).inspect_err(|error| eprintln!("{error:?}")).is_ok()
            });
            wrong.extend(stream.unkept(member, &held));
        }
        wrong
    }
}
