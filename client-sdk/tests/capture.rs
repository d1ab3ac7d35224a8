//! What is on the links, and what a node knows: a capture of the loopback device, and the memory
//! and files of every process.
//!
//! On all links of a path a message is of one size class, which only its own length in steps of
//! that class decides. The recipient's id is in no datagram, and in memory and on disk of no node
//! but the members of the recipient's swarm; in nobody's log.
//!
//! Both need root: for a packet socket, and to read the memory of other processes. Without it the
//! test says that it shows nothing and ends. That the search finds what it looks for is shown each
//! time, by a datagram with the id in it and by the members' memory.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use enjambre_node::devnet::Process;
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::onion::SizeClass;
use rustix::net::{AddressFamily, Protocol, SocketType, socket, sockopt};
use serde_json::Value;
use support::{Network, array, text, until};

/// IPv4, as a packet socket names it: in network order. Such a socket sees each datagram once, as
/// it is received.
const IPV4: u32 = 0x0800_u16.to_be() as u32;

/// Room for what was not read yet, bytes.
const BUFFER: usize = 64 << 20;

/// One UDP datagram.
#[derive(Clone, Debug)]
struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    payload: Vec<u8>,
}

/// What passes the loopback device from or to a network's processes, until the test ends.
struct Capture {
    seen: Arc<Mutex<Vec<Datagram>>>,
    /// Sends what marks the end of a stretch, to itself.
    marker: UdpSocket,
}

impl Capture {
    /// `None` without the right to.
    fn start(network: &Network) -> Option<Self> {
        let protocol = Protocol::from_raw(IPV4.try_into().unwrap());
        let socket = socket(AddressFamily::PACKET, SocketType::DGRAM, Some(protocol)).ok()?;
        sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let marker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let processes = network.processes();
        let mut ends: BTreeSet<SocketAddr> = processes.iter().map(|end| end.address).collect();
        ends.insert(marker.local_addr().unwrap());
        let (mut socket, kept) = (File::from(socket), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut packet = vec![0; 1 << 16];
            while let Ok(len) = socket.read(&mut packet) {
                let ours = |seen: &Datagram| ends.contains(&seen.from) || ends.contains(&seen.to);
                kept.lock().unwrap().extend(datagram(&packet[..len]).filter(ours));
            }
        });
        Some(Self { seen, marker })
    }

    /// What passed since the last call.
    fn take(&self, mark: &[u8]) -> Vec<Datagram> {
        let own = self.marker.local_addr().unwrap();
        self.marker.send_to(mark, own).unwrap();
        until("the capture has come to the mark", || {
            self.seen.lock().unwrap().iter().any(|datagram| datagram.to == own)
        });
        let taken = std::mem::take(&mut *self.seen.lock().unwrap());
        assert!(taken.iter().any(|datagram| datagram.payload == mark), "the mark is not found");
        taken.into_iter().filter(|datagram| datagram.to != own).collect()
    }
}

/// Reads an IPv4 packet; `None` for what is not UDP.
fn datagram(packet: &[u8]) -> Option<Datagram> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    if packet.get(9) != Some(&17) {
        return None;
    }
    let address = |ip: usize, port: usize| -> Option<SocketAddr> {
        let ip: [u8; 4] = packet.get(ip..ip + 4)?.try_into().ok()?;
        let port = u16::from_be_bytes(packet.get(port..port + 2)?.try_into().ok()?);
        Some(SocketAddr::V4(SocketAddrV4::new(ip.into(), port)))
    };
    let (from, to) = (address(12, header)?, address(16, header + 2)?);
    Some(Datagram { from, to, payload: packet.get(header + 8..)?.to_vec() })
}

#[test]
fn links_carry_one_size_class_and_only_the_swarm_learns_the_id() {
    let network = Network::start(1);
    let Some(capture) = Capture::start(&network) else {
        println!("this shows nothing: only root may capture the links");
        return;
    };
    network.account("ana");
    let ben = network.account("ben");
    let id: AccountId = ben.parse().unwrap();
    let needles = [id.key().to_vec(), ben.as_bytes()[2..].to_vec()];
    // The mark is found by the search; that the capture sees it is asserted where it is taken.
    let mark = id.to_bytes();
    assert!(is_named(&mark, &needles));

    let sent = network.user("ana", &["send", &ben, "Hola"]);
    assert_eq!(network.receive("ben"), ["Hola"]);
    let members = network.members(&sent["swarm"]);
    // No new documents from here on: what goes over the links is the messages.
    network.devnet(&["stop", "authority-01"]);
    for datagram in capture.take(&mark) {
        assert!(!is_named(&datagram.payload, &needles), "{} → {}", datagram.from, datagram.to);
    }
    let classes_of_text = |len: usize| -> BTreeSet<_> {
        let words = "x".repeat(len);
        let sent = network.user("ana", &["send", &ben, &words, "--debug-path"]);
        let seen = capture.take(&mark);
        assert!(seen.iter().all(|datagram| !is_named(&datagram.payload, &needles)));
        links(&network, &sent).iter().map(|link| class_of(bytes_on(&seen, link))).collect()
    };
    // A member that is slow has another asked beside it, by a second packet that shares some links:
    // then a link carries more than one packet. What a class that depends on the link would show, it
    // would show each time.
    let class_of_text = |len: usize| {
        let mut tries = (0..5).map(|_| classes_of_text(len));
        let classes = tries.find(|classes| classes.len() == 1);
        classes.unwrap_or_else(|| panic!("{len} bytes of text never have one class on all links"))
    };
    let expected = [(1, SizeClass::K8), (500, SizeClass::K8), (2000, SizeClass::K32)];
    for (len, class) in expected.into_iter().chain([(16_000, SizeClass::K32)]) {
        assert_eq!(class_of_text(len), [Some(class)].into(), "{len} bytes of text");
    }

    let (mut in_memory, mut on_disk) = (0, 0);
    for node in network.nodes() {
        let knows = [is_in_memory(&node, &needles), is_below(&node.dir, &needles)];
        let is_member = members.iter().any(|member| member.id == node.id);
        assert!(is_member || knows == [false; 2], "{} is no member: {knows:?}", node.name);
        in_memory += usize::from(knows[0]);
        on_disk += usize::from(knows[1]);
        let log = std::fs::read(node.dir.join("log")).unwrap();
        assert!(!is_named(&log, &needles), "{} wrote the id to its log", node.name);
    }
    // The search finds what is there: a majority keeps the messages.
    let majority = members.len() / 2 + 1;
    assert!(in_memory >= majority && on_disk >= majority, "{in_memory} and {on_disk} members");
    network.devnet(&["cont", "authority-01"]);
}

/// A link of a path, in the direction of the message; the client's own address is not known.
#[derive(Clone, Copy, Debug)]
struct Directed {
    from: Option<SocketAddr>,
    to: SocketAddr,
}

/// Client to guard, guard to middle, middle to exit, exit to destination.
fn links(network: &Network, sent: &Value) -> Vec<Directed> {
    let nodes = network.nodes();
    let address = |id: &Value| nodes.iter().find(|node| node.id == text(id)).unwrap().address;
    let mut path = vec![address(&sent["guard"])];
    path.extend(array(&sent["hops"]).iter().map(address));
    assert_eq!(path.len(), 4, "{sent}");
    let mut links = vec![Directed { from: None, to: path[0] }];
    links.extend(path.windows(2).map(|pair| Directed { from: Some(pair[0]), to: pair[1] }));
    links
}

fn bytes_on(seen: &[Datagram], link: &Directed) -> usize {
    // A client on loopback has 127.0.0.1, where no node of a devnet listens.
    let is_from = |from: SocketAddr| match link.from {
        Some(node) => from == node,
        None => from.ip() == Ipv4Addr::LOCALHOST,
    };
    let on_link = seen.iter().filter(|datagram| datagram.to == link.to && is_from(datagram.from));
    on_link.map(|datagram| datagram.payload.len()).sum()
}

/// The largest class that fits: what is beyond it is the links' own (headers, acknowledgements, at
/// times a handshake), and less than the next class.
fn class_of(bytes: usize) -> Option<SizeClass> {
    let classes = [SizeClass::K128, SizeClass::K32, SizeClass::K8, SizeClass::K2];
    classes.into_iter().find(|class| class.bytes() <= bytes)
}

fn is_named(bytes: &[u8], needles: &[Vec<u8>]) -> bool {
    needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle))
}

/// Searches what a process can write to: where it would keep anything.
fn is_in_memory(process: &Process, needles: &[Vec<u8>]) -> bool {
    let proc = Path::new("/proc").join(process.pid.to_string());
    let maps = std::fs::read_to_string(proc.join("maps")).unwrap();
    let memory = File::open(proc.join("mem")).unwrap();
    let mut regions = 0;
    let is_found = maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let parse = |address| u64::from_str_radix(address, 16).unwrap();
        let (from, to) = (parse(from), parse(to));
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // A region may be gone, or reserved and not to be read.
        let Ok(len) = memory.read_at(&mut bytes, from) else { return false };
        regions += 1;
        is_named(&bytes[..len], needles)
    });
    assert!(is_found || regions > 5, "the memory of {} cannot be read", process.name);
    is_found
}

/// Searches every file below a directory.
fn is_below(dir: &Path, needles: &[Vec<u8>]) -> bool {
    std::fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            is_below(&path, needles)
        } else {
            // A database removes files while it runs.
            std::fs::read(&path).is_ok_and(|bytes| is_named(&bytes, needles))
        }
    })
}
