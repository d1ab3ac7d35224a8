//! Nodes whose disks fill up while a client uses them.
//!
//! Each of four nodes, one swarm, has a small file system of its own: memory, mounted in a name
//! space of this test's. Stores go on until the nodes refuse with `disk`; reading and deleting go
//! on; SIGKILL then loses nothing that was acknowledged. Something else takes the last byte, also
//! from under the logs; no process ends, nothing false is said, and with room again stores work.
//!
//! Mounting needs root or user name spaces. Where the system allows neither, the test says so
//! loudly and shows nothing; under CI it fails.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use enjambre_node::devnet::{Devnet, Process};
use enjambre_node::{files, http};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::identity::{AccountKey, AccountSeed};
use enjambre_protocol::mailbox::{
    Call, ChangeCall, MailboxError, MessageHash, Namespace, Op, ReceiptNonce, Reply, Scope,
    StoreCall,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use support::onion::{Failure, OnionClient, now};
use support::{Network, text, until};

/// Says to the test in the name space where it may mount.
const INSIDE: &str = "ENJAMBRE_TEST_SMALL_DISKS";

/// The file system of each node: several times the headroom, and filled in seconds.
const DISK: &str = "size=192m";

/// What the nodes keep free: what the log of such a disk may take at a start, with room to spare.
const HEADROOM: &str = "64MB";

/// Where all choices come from.
const SEED: u64 = 0xd15c;

/// A record near the largest.
const RECORD: usize = 70_000;

/// Records into one account: within its share.
const PER_ACCOUNT: usize = 400;

/// Records that would fill the disks many times over.
const RECORDS_MAX: usize = 20_000;

const NODES: usize = 4;

#[test]
fn full_disks_refuse_visibly_lose_nothing_and_take_messages_again_with_room() {
    if let Some(root) = std::env::var_os(INSIDE) {
        return fill_and_recover(Path::new(&root));
    }
    let apart = |spaces: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(spaces);
        command
    };
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let root = tempfile::tempdir().unwrap();
    let probe = r#"mount -t tmpfs -o size=1m tmpfs "$0""#;
    let may_mount = |way: &&&[&str]| {
        let mut command = apart(way);
        let tried = command.args(["sh", "-c", probe]).arg(root.path()).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let Some(way) = ways.iter().find(may_mount) else {
        assert!(std::env::var_os("CI").is_none(), "CI must allow this test to mount a tmpfs");
        eprintln!("NOT SHOWN HERE: what full disks do; this system allows no mounts");
        return;
    };
    let name = "full_disks_refuse_visibly_lose_nothing_and_take_messages_again_with_room";
    let mut command = apart(way);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    assert!(command.env(INSIDE, root.path()).status().unwrap().success(), "see above");
}

/// A swarm on small disks, what it acknowledged, and who is asked for it.
struct Field {
    network: Network,
    rng: ChaCha20Rng,
    runtime: tokio::runtime::Runtime,
    owners: Vec<AccountKey>,
    /// By owner and signer, what must be there.
    kept: BTreeMap<(usize, NodeId), BTreeSet<MessageHash>>,
    /// By owner and signer, what must not.
    deleted: BTreeMap<(usize, NodeId), BTreeSet<MessageHash>>,
}

fn fill_and_recover(root: &Path) {
    let mut field = Field::start(root);
    // The default headroom is more than these disks have: said at once, before anything is stored.
    field.wait_disk("full");
    let refused = field.network.run("ana", &["account", "new"]);
    assert_eq!((refused.code, &refused.error["kind"]), (1, &"disk".into()), "{refused:?}");

    field.kill();
    for node in field.network.nodes() {
        let config = node.dir.join("config.toml");
        let said = std::fs::read_to_string(&config).unwrap();
        let line = said.lines().find(|line| line.starts_with("headroom = ")).unwrap();
        let said = said.replace(line, &format!("headroom = \"{HEADROOM}\""));
        std::fs::write(&config, said).unwrap();
    }
    field.start_all();
    field.wait_disk("ok");
    field.network.account("ana");
    let ben = field.network.account("ben");
    field.network.user("ana", &["send", &ben, "Before"]);

    let stored = field.store_until_refused();
    println!("{stored} records of {RECORD} bytes stored before the first refusal");
    field.wait_disk("full");
    for node in field.network.nodes() {
        assert!(metrics(&node).contains("\nenjambre_disk_full 1\n"), "{}", node.name);
    }
    let sent = field.network.run("ana", &["send", &ben, "No room"]);
    assert_eq!(sent.code, 1, "{sent:?}");
    let [queued] = sent.lines.as_slice() else { panic!("{sent:?}") };
    assert_eq!((&queued["state"], &queued["reason_kind"]), (&"queued".into(), &"disk".into()));
    assert!(text(&sent.error["text"]).contains("out of disk space"), "{sent:?}");

    // Reading and deleting.
    assert_eq!(field.network.receive("ben"), ["Before"]);
    field.delete_some();
    field.check("on full disks");
    field.kill();
    field.start_all();
    field.check("after SIGKILL on full disks");

    // Something else takes all there is, and the logs have no room either.
    let fillers: Vec<PathBuf> = field.network.nodes().iter().map(|node| fill(&node.dir)).collect();
    field.wait_disk("full");
    let mut refused = field.network.run("ana", &["send", &ben, "Still no room"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_ne!(refused.lines.pop().unwrap_or_default()["state"], "stored");
    for node in field.network.nodes() {
        assert!(node.is_alive(), "{} ended on a full disk", node.name);
    }
    for filler in fillers {
        std::fs::remove_file(filler).unwrap();
    }
    field.wait_disk("ok");
    until("what waited for room is stored", || {
        field.network.run("ana", &["receive"]);
        let said = field.network.run("ana", &["send", &ben, "Room"]);
        said.code == 0
    });
    field.check("with room again");
    field.store(0).unwrap();
    field.kill();
    field.start_all();
    field.check("at the end");
}

impl Field {
    fn start(root: &Path) -> Self {
        let mut network = Network::in_directory(tempfile::tempdir_in(root).unwrap());
        for number in 1..=NODES {
            let dir = network.dir().join(format!("node-{number:02}"));
            std::fs::create_dir_all(&dir).unwrap();
            let mount = ["-t", "tmpfs", "-o", DISK, "tmpfs"];
            let mounted = Command::new("mount").args(mount).arg(&dir).status().unwrap();
            assert!(mounted.success());
        }
        network.up(NODES, &["--authorities", "1", "--epoch", "500ms"]);
        let mut rng = ChaCha20Rng::seed_from_u64(SEED);
        let owners = (0..RECORDS_MAX / PER_ACCOUNT).map(|_| AccountSeed::generate(&mut rng).key());
        Self {
            network,
            owners: owners.collect(),
            rng,
            runtime: tokio::runtime::Runtime::new().unwrap(),
            kept: BTreeMap::new(),
            deleted: BTreeMap::new(),
        }
    }

    fn client(&self) -> OnionClient {
        let genesis = files::load_network(&self.network.file()).unwrap();
        self.runtime.block_on(OnionClient::new(&genesis))
    }

    fn wait_disk(&self, state: &str) {
        for node in self.network.nodes() {
            until(&format!("{} says that its disk is {state}", node.name), || {
                assert!(node.is_alive(), "{} ended", node.name);
                http::get_json(node.http, "/status").unwrap_or_default()["disk"] == *state
            });
        }
    }

    fn kill(&self) {
        let mut devnet = Devnet::open(&self.network.dir()).unwrap();
        for node in self.network.nodes() {
            devnet.kill(&node.name).unwrap();
        }
        for node in self.network.nodes() {
            until("the killed process is gone", || !node.is_alive());
        }
    }

    fn start_all(&self) {
        let height = self.network.show()["height"].as_u64().unwrap();
        for node in self.network.nodes() {
            self.network.devnet(&["start", &node.name]);
        }
        for node in self.network.nodes() {
            self.network.wait_ready(&node, height);
        }
    }

    /// Stores one record and notes who signed for it.
    fn store(&mut self, owner: usize) -> Result<(), Failure> {
        let client = self.client();
        self.store_by(&client, owner)
    }

    fn store_by(&mut self, client: &OnionClient, owner: usize) -> Result<(), Failure> {
        let (account, namespace) = (self.owners[owner].id(), Namespace::INBOX);
        let mut data = vec![0; RECORD];
        self.rng.fill_bytes(&mut data);
        let hash = MessageHash::of(&account, namespace, &data);
        let nonce = self.nonce();
        let data = data.into();
        let call = StoreCall { account, namespace, ttl: 86_400, data, by: None, nonce };
        let to = self.any_node(client);
        let asked = client.call(&mut self.rng, to, Call::Store(call));
        let Reply::Stored(confirmed) = self.runtime.block_on(asked)? else { panic!("no receipts") };
        for receipt in confirmed.receipts {
            receipt.verify(client.network()).unwrap();
            self.kept.entry((owner, receipt.node)).or_default().insert(hash);
        }
        Ok(())
    }

    fn any_node(&mut self, client: &OnionClient) -> NodeId {
        let nodes = client.nodes();
        nodes[usize::try_from(self.rng.next_u64() % nodes.len() as u64).unwrap()]
    }

    fn nonce(&mut self) -> ReceiptNonce {
        let mut bytes = [0; ReceiptNonce::LEN];
        self.rng.fill_bytes(&mut bytes);
        ReceiptNonce::from_bytes(bytes)
    }

    /// Fills the disks; how many records they took.
    fn store_until_refused(&mut self) -> usize {
        let client = self.client();
        for stored in 0..RECORDS_MAX {
            match self.store_by(&client, stored / PER_ACCOUNT) {
                Ok(()) => {}
                Err(Failure::Mailbox(MailboxError::Disk)) if stored > 100 => return stored,
                // Of four disks some are full before the others.
                Err(Failure::Mailbox(MailboxError::NotConfirmed { .. })) => {}
                Err(error) => panic!("seed {SEED:#x}, record {stored}: {error:?}"),
            }
        }
        panic!("the disks never fill");
    }

    /// The owner of the first mailbox deletes ten records.
    fn delete_some(&mut self) {
        let client = self.client();
        let (owner, nonce, to) = (0, self.nonce(), self.any_node(&client));
        let kept = self.kept.iter().find(|((of, _), _)| *of == owner).unwrap().1;
        let hashes: Vec<MessageHash> = kept.iter().take(10).copied().collect();
        let ops = hashes.iter().map(|hash| Op::Delete { hash: *hash });
        let key = &self.owners[owner];
        let (account, scope) = (key.id(), Scope::One(Namespace::INBOX));
        let network = client.network();
        let change = ChangeCall::by_owner(key.signer(), network, account, scope, now(), ops, nonce);
        let asked = client.call(&mut self.rng, to, Call::Change(change));
        let Ok(Reply::Changed(confirmed)) = self.runtime.block_on(asked) else {
            panic!("seed {SEED:#x}: nothing can be deleted on full disks");
        };
        for ((_, _), kept) in self.kept.iter_mut().filter(|((of, _), _)| *of == owner) {
            kept.retain(|hash| !hashes.contains(hash));
        }
        for receipt in confirmed.receipts {
            receipt.verify(network).unwrap();
            self.deleted.entry((owner, receipt.node)).or_default().extend(&hashes);
        }
    }

    /// Asks each signer for what it signed.
    fn check(&mut self, when: &str) {
        let client = self.client();
        for ((owner, member), kept) in &self.kept {
            let mut held = Vec::new();
            until(&format!("{} shows a mailbox {when}", member.short()), || {
                let asked = client.held(&mut self.rng, *member, &self.owners[*owner]);
                self.runtime.block_on(asked).map(|all| held = all).is_ok()
            });
            let missing = kept.iter().filter(|hash| !held.contains(hash)).count();
            assert_eq!(missing, 0, "seed {SEED:#x}, {when}: missing at {}", member.short());
            let deleted = self.deleted.get(&(*owner, *member)).into_iter().flatten();
            let back = deleted.filter(|hash| held.contains(hash)).count();
            assert_eq!(back, 0, "seed {SEED:#x}, {when}: deleted ones at {}", member.short());
        }
    }
}

/// Takes all room below a node's directory, to the end of the page that its log has begun.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut file = File::create(&path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    let mut log = OpenOptions::new().append(true).open(dir.join("log")).unwrap();
    while log.write_all(b"\n").is_ok() {}
    path
}

/// The text of `/metrics`.
fn metrics(node: &Process) -> String {
    let mut stream = std::net::TcpStream::connect(node.http).unwrap();
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", node.http);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
