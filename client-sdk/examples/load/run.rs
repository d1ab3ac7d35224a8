//! The measurements, one after the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use enjambre_protocol::id::NodeId;
use enjambre_protocol::identity::{AccountId, AccountSeed};
use enjambre_sdk::Client;
use enjambre_sdk::probe::{Poller, Probe};
use enjambre_sdk::types::{
    ClientConfig, DeliveryState, FilesCome, ReceiveMode, ReceiveOptions, Received, SendRequest,
    WaitFor,
};
use tokio::task::JoinSet;

use crate::devnet::{Devnet, cpu_of};
use crate::report::{Idle, Load, Report, Transfer};
use crate::{Options, Result};

/// Accounts that messages are stored for: enough to reach every swarm and no mailbox's limit.
const ACCOUNTS: u8 = 200;

/// The account that is asked about without having messages: none of those above.
const POLLED: u8 = 0xee;

/// How long the network is left alone to see what it does idle.
const IDLE_FOR: Duration = Duration::from_secs(4);

/// How long links and paths are used before anything counts.
const WARM_FOR: Duration = Duration::from_secs(1);

pub(crate) async fn all(options: &Options, devnet: &Devnet, dir: &Path) -> Result<Report> {
    let idle = idle(devnet).await?;
    let mut clients = Vec::with_capacity(options.clients);
    let mut probes = Vec::with_capacity(options.clients);
    for i in 0..options.clients.max(2) {
        let client = Client::open(&ClientConfig {
            home: dir.join(format!("client-{i}")),
            network: Some(devnet.network_file()),
        })?;
        probes.push(client.probe().await?);
        clients.push(client);
    }
    let seconds = Duration::from_secs(options.seconds);
    let busy = options.in_flight;
    let ask = Work::Request;
    let store = Work::Store(options.message);
    load(devnet, &probes, &ask, busy, WARM_FOR).await?;
    let request_alone = load(devnet, &probes[..1], &ask, 1, seconds).await?;
    let request = load(devnet, &probes, &ask, busy, seconds).await?;
    let polled = AccountSeed::from_bytes([POLLED; 16]);
    let by_device = Poller::device(&polled, &probes[0].network());
    let members = probes[0].members(by_device.account());
    let member = *members.first().ok_or("the network has no swarm")?;
    // All of them go to one node, so that the others do nothing but relay.
    let to_one = load(devnet, &probes, &Work::RequestTo(member), busy, seconds).await?;
    let by_owner = Work::Poll(Arc::new(Poller::owner(&polled)), member);
    let poll_owner = load(devnet, &probes, &by_owner, busy, seconds).await?;
    let by_device = Work::Poll(Arc::new(by_device), member);
    let poll_device = load(devnet, &probes, &by_device, busy, seconds).await?;
    load(devnet, &probes, &store, busy, WARM_FOR).await?;
    let store_alone = load(devnet, &probes[..1], &store, 1, seconds).await?;
    let stores = load(devnet, &probes, &store, busy, seconds).await?;
    let swarms = probes[0].swarm_sizes();
    let file = match (options.file, clients.as_slice()) {
        (0, _) => None,
        (megabytes, [from, to, ..]) => Some(file(from, to, megabytes, dir).await?),
        _ => None,
    };
    for client in clients {
        client.close().await;
    }
    Ok(Report {
        nodes: options.nodes,
        ready_after: devnet.ready_after,
        in_flight: options.in_flight,
        message: options.message,
        idle,
        request_alone,
        request,
        to_one,
        poll_owner,
        poll_device,
        swarms,
        store_alone,
        stores,
        file,
    })
}

async fn idle(devnet: &Devnet) -> Result<Idle> {
    let (cpu, began) = (devnet.cpu()?, Instant::now());
    tokio::time::sleep(IDLE_FOR).await;
    let used = devnet.cpu()?.saturating_sub(cpu);
    let resident = devnet.resident()?;
    let cores = used.as_secs_f64() / began.elapsed().as_secs_f64();
    Ok(Idle { resident, core_share: cores / devnet.resident()?.len() as f64 })
}

#[derive(Clone, Debug)]
enum Work {
    /// To one node after the other.
    Request,
    /// To this node.
    RequestTo(NodeId),
    /// A signed question to this member for an account's messages, of which there are none.
    Poll(Arc<Poller>, NodeId),
    /// Of so many bytes.
    Store(usize),
}

impl Work {
    /// The one node that all of it goes to.
    const fn target(&self) -> Option<NodeId> {
        match self {
            Self::RequestTo(node) | Self::Poll(_, node) => Some(*node),
            Self::Request | Self::Store(_) => None,
        }
    }
}

/// Keeps `in_flight` pieces of work under way for a time.
async fn load(
    devnet: &Devnet,
    probes: &[Probe],
    work: &Work,
    in_flight: usize,
    lasts: Duration,
) -> Result<Load> {
    let of_target = || work.target().map_or(Ok(Duration::ZERO), |node| devnet.cpu_of_node(node));
    let accounts: Vec<AccountId> =
        (0..ACCOUNTS).map(|i| AccountSeed::from_bytes([i; 16]).key().id()).collect();
    let (cpu, target_cpu, own_cpu) = (devnet.cpu()?, of_target()?, cpu_of("self")?);
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (lane, probe) in (0..in_flight).zip(probes.iter().cycle()) {
        let (work, accounts) = (work.clone(), accounts.clone());
        tasks.spawn(one_lane(probe.clone(), lane, work, accounts, began + lasts));
    }
    let (mut times, mut failed) = (Vec::new(), 0);
    while let Some(lane) = tasks.join_next().await {
        let lane = lane?;
        times.extend(lane.times);
        failed += lane.failed;
    }
    let took = began.elapsed();
    let nodes_cpu = devnet.cpu()?.saturating_sub(cpu);
    let target_cpu = of_target()?.saturating_sub(target_cpu);
    let client_cpu = cpu_of("self")?.saturating_sub(own_cpu);
    if times.is_empty() {
        return Err(format!("nothing succeeded and {failed} failed: {work:?}").into());
    }
    times.sort_unstable();
    Ok(Load { times, failed, took, nodes_cpu, target_cpu, client_cpu })
}

struct Lane {
    times: Vec<Duration>,
    failed: u64,
}

async fn one_lane(
    probe: Probe,
    lane: usize,
    work: Work,
    accounts: Vec<AccountId>,
    until: Instant,
) -> Lane {
    let nodes = probe.nodes();
    let (mut times, mut failed) = (Vec::new(), 0);
    // Every lane goes its own round over destinations and accounts.
    let mut turn = lane * 7;
    while Instant::now() < until {
        turn += 1;
        let began = Instant::now();
        let lane = lane as u64;
        let result = match &work {
            Work::Request => probe.request(lane, nodes[turn % nodes.len()]).await,
            Work::RequestTo(node) => probe.request(lane, *node).await,
            Work::Poll(poller, member) => probe.poll(lane, poller, *member).await,
            Work::Store(len) => probe.store(lane, &accounts[turn % accounts.len()], *len).await,
        };
        match result {
            Ok(()) => times.push(began.elapsed()),
            Err(_) => failed += 1,
        }
    }
    Lane { times, failed }
}

/// One file from one account to another, by what the command does.
async fn file(from: &Client, to: &Client, megabytes: usize, dir: &Path) -> Result<Transfer> {
    from.create_account(Some("sender")).await?;
    let id = to.create_account(Some("receiver")).await?.id;
    // Only files of contacts are fetched.
    to.add_contact(&from.contact_card()?.to_string(), None)?;
    let path = dir.join("file.bin");
    let bytes = megabytes * 1_000_000;
    std::fs::write(&path, noise(bytes))?;
    let request = |text: Option<&str>, files: Vec<PathBuf>| SendRequest {
        to: id.to_string(),
        text: text.map(str::to_owned),
        files,
        wait: WaitFor::Stored,
    };
    // The recipient's keys and the links are there before the clock runs.
    from.send(request(Some("warm"), Vec::new())).await?;
    let options = |save: Option<PathBuf>| ReceiveOptions {
        mode: ReceiveMode::Once { timeout: Duration::from_secs(20) },
        save,
        files: FilesCome::WithTheirMessage,
    };
    to.receive(options(None), |_| std::ops::ControlFlow::Continue(())).await?;
    let began = Instant::now();
    let sent = from.send(request(None, vec![path])).await?;
    let up = began.elapsed();
    if sent.state != DeliveryState::Stored {
        return Err(format!("the file was not stored: {:?}", sent.reason).into());
    }
    let began = Instant::now();
    let mut got = 0;
    to.receive(options(Some(dir.join("saved"))), |received| {
        let Received::Message(message) = received else {
            return std::ops::ControlFlow::Continue(());
        };
        got +=
            message.files.iter().filter(|file| file.path.is_some()).map(|f| f.bytes).sum::<u64>();
        std::ops::ControlFlow::Continue(())
    })
    .await?;
    let down = began.elapsed();
    if usize::try_from(got)? != bytes {
        return Err(format!("{got} of {bytes} bytes came").into());
    }
    Ok(Transfer { bytes, up, down })
}

/// Bytes that do not compress: a xorshift stream.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| step()).collect()
}
