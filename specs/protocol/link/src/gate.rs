//! The limits on what others may make this endpoint hold.
//!
//! Places are taken by permits that give them back when dropped, so a count cannot drift.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use enjambre_protocol::id::NodeId;
use enjambre_protocol::link::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{LinkConfig, LoopbackPeers, Peer, Strangers};

/// Counts what one endpoint holds for others.
#[derive(Debug)]
pub(crate) struct Gate {
    links: Arc<Semaphore>,
    clients: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    origins: Arc<Counts<Origin>>,
    nodes: Arc<Counts<NodeId>>,
    addresses: Arc<Counts<IpAddr>>,
    config: LinkConfig,
}

/// A place for one link, from its first packet on.
#[derive(Debug)]
pub(crate) struct Entry(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// The places of a handshake that is under way: free again as soon as it has ended.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their drop")]
pub(crate) struct Handshake {
    place: OwnedSemaphorePermit,
    of_origins: Vec<Counted<Origin>>,
}

/// Whose handshakes are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// All of a network.
    Network(IpAddr),
    /// An address at which a node is expected, whatever else comes from its network.
    Expected(IpAddr),
    /// All such addresses of a network.
    ExpectedOf(IpAddr),
}

/// A handshake that may begin.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) entry: Entry,
    pub(crate) handshake: Handshake,
    pub(crate) address: Address,
}

/// Whether a peer is believed to be where its first packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Believed,
    /// Many handshakes are under way: it must show first that it receives there.
    ToBeProven,
}

/// The places that an accepted link holds.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their drop")]
pub(crate) struct LinkPermit {
    entry: Entry,
    seat: Seat,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held for their drop")]
enum Seat {
    Node(Counted<NodeId>),
    Client(OwnedSemaphorePermit, Counted<IpAddr>),
}

impl Gate {
    pub(crate) fn new(config: LinkConfig) -> Self {
        let semaphore = |n: usize| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS)));
        Self {
            links: semaphore(config.links_max),
            clients: semaphore(config.clients_max),
            streams: semaphore(config.streams_max),
            handshakes: semaphore(config.handshakes_max),
            origins: Arc::default(),
            nodes: Arc::default(),
            addresses: Arc::default(),
            config,
        }
    }

    /// The places of a link whose handshake begins.
    pub(crate) fn begin(&self, remote: SocketAddr) -> Option<Begun> {
        let ip = remote.ip().to_canonical();
        let place = self.handshakes.clone().try_acquire_owned().ok()?;
        let max = self.config.handshakes_max;
        let under_way = max.saturating_sub(self.free_handshakes());
        let is_expected = self.config.admission.expects(ip);
        if !is_expected && under_way > max - max / 4 {
            return None;
        }
        let mut is_crowded = under_way > max / 4;
        let mut of_origins = Vec::new();
        if self.config.loopback == LoopbackPeers::Counted || !ip.is_loopback() {
            let (max, network) = (self.config.handshakes_per_prefix_max, network_of(ip));
            let origins = match is_expected {
                true => &[(Origin::Expected(ip), max), (Origin::ExpectedOf(network), max * 2)][..],
                false => &[(Origin::Network(network), max)],
            };
            for (origin, max) in origins {
                let counted = Counts::take(&self.origins, *origin, *max)?;
                is_crowded |= counted.rank > max / 2;
                of_origins.push(counted);
            }
        }
        let entry = Entry(self.links.clone().try_acquire_owned().ok()?);
        let address = if is_crowded { Address::ToBeProven } else { Address::Believed };
        Some(Begun { entry, handshake: Handshake { place, of_origins }, address })
    }

    fn free_handshakes(&self) -> usize {
        self.handshakes.available_permits()
    }

    /// What a peer counts as here.
    pub(crate) fn standing(&self, peer: Peer) -> Peer {
        match (peer, self.config.strangers) {
            (Peer::Node(node), Strangers::AsClients) if !self.config.admission.admits(&node) => {
                Peer::Client
            }
            (peer, Strangers::AsClients | Strangers::Refused) => peer,
        }
    }

    /// The places of a link whose peer is known now, or the code to close it with.
    pub(crate) fn admit(
        &self,
        entry: Entry,
        peer: Peer,
        remote: SocketAddr,
    ) -> Result<LinkPermit, Code> {
        let seat = match peer {
            Peer::Node(node) if !self.config.admission.admits(&node) => {
                return Err(Code::NOT_ALLOWED);
            }
            Peer::Node(node) => {
                let count = Counts::take(&self.nodes, node, self.config.links_per_node_max);
                Seat::Node(count.ok_or(Code::BUSY)?)
            }
            Peer::Client => {
                let permit = self.clients.clone().try_acquire_owned().map_err(|_| Code::BUSY)?;
                let address = prefix_of(remote.ip());
                let max = self.config.clients_per_address_max;
                let count = Counts::take(&self.addresses, address, max).ok_or(Code::BUSY)?;
                Seat::Client(permit, count)
            }
        };
        Ok(LinkPermit { entry, seat })
    }

    /// How long a reply may stand on an accepted link.
    pub(crate) const fn stall(&self) -> Duration {
        self.config.timing.stall
    }

    /// A place for an accepted stream.
    pub(crate) fn stream(&self) -> Option<OwnedSemaphorePermit> {
        self.streams.clone().try_acquire_owned().ok()
    }
}

/// What one client can be expected to have: an IPv4 address, or all of an IPv6 /64.
fn prefix_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// What one owner can be expected to have at little cost: an IPv4 /24, or an IPv6 /48.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// How many places each key holds. Keys without a place are not in the map.
#[derive(Debug)]
struct Counts<K: Ord>(Mutex<BTreeMap<K, u32>>);

impl<K: Ord> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Copy> Counts<K> {
    fn take(counts: &Arc<Self>, key: K, max: u32) -> Option<Counted<K>> {
        let mut map = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = map.get(&key).copied().unwrap_or(0);
        if held >= max {
            return None;
        }
        map.insert(key, held + 1);
        Some(Counted { key, rank: held + 1, counts: counts.clone() })
    }
}

#[derive(Debug)]
struct Counted<K: Ord> {
    key: K,
    /// How many places the key held when this was taken, this one among them.
    rank: u32,
    counts: Arc<Counts<K>>,
}

impl<K: Ord> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut map = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                map.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Admission;

    fn gate() -> Gate {
        let known = NodeId::from_bytes([1; 32]);
        let mut config = LinkConfig::new(Admission::new(move |node| *node == known));
        config.links_max = 4;
        config.clients_max = 3;
        config.clients_per_address_max = 2;
        config.links_per_node_max = 1;
        Gate::new(config)
    }

    fn admit(gate: &Gate, peer: Peer, ip: &str) -> Result<LinkPermit, Code> {
        let remote = SocketAddr::new(ip.parse().unwrap(), 9);
        gate.admit(gate.begin(remote).unwrap().entry, peer, remote)
    }

    #[test]
    fn every_limit_is_its_own_and_a_dropped_permit_frees_its_places() {
        let gate = gate();
        let one = admit(&gate, Peer::Client, "192.0.2.1").unwrap();
        let _two = admit(&gate, Peer::Client, "192.0.2.1").unwrap();
        assert_eq!(admit(&gate, Peer::Client, "192.0.2.1").unwrap_err(), Code::BUSY);
        let _three = admit(&gate, Peer::Client, "192.0.2.2").unwrap();
        assert_eq!(admit(&gate, Peer::Client, "192.0.2.3").unwrap_err(), Code::BUSY);
        let _node = admit(&gate, Peer::Node(NodeId::from_bytes([1; 32])), "192.0.2.1").unwrap();
        assert!(gate.begin("192.0.2.9:9".parse().unwrap()).is_none(), "four links are in");
        drop(one);
        let node = admit(&gate, Peer::Node(NodeId::from_bytes([1; 32])), "192.0.2.1");
        assert_eq!(node.unwrap_err(), Code::BUSY);
        let stranger = admit(&gate, Peer::Node(NodeId::from_bytes([2; 32])), "192.0.2.1");
        assert_eq!(stranger.unwrap_err(), Code::NOT_ALLOWED);
        assert!(admit(&gate, Peer::Client, "192.0.2.1").is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one_and_mapped_ones_as_ipv4() {
        let gate = gate();
        let _one = admit(&gate, Peer::Client, "2001:db8::1").unwrap();
        let _two = admit(&gate, Peer::Client, "2001:db8::ffff:2").unwrap();
        assert_eq!(admit(&gate, Peer::Client, "2001:db8::3").unwrap_err(), Code::BUSY);
        assert!(admit(&gate, Peer::Client, "2001:db8:0:1::1").is_ok());
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(prefix_of("::ffff:192.0.2.1".parse().unwrap()), v4);
    }

    fn begin(gate: &Gate, remote: &str) -> Option<Begun> {
        gate.begin(SocketAddr::new(remote.parse().unwrap(), 9))
    }

    #[test]
    fn one_network_has_16_handshakes_under_way_and_proves_its_addresses_from_8_on() {
        let gate = Gate::new(LinkConfig::new(Admission::everyone()));
        for (network, same, other) in [
            ("192.0.2.1", "192.0.2.255", "192.0.3.1"),
            ("2001:db8::1", "2001:db8:0:7::1", "2001:db8:1::1"),
        ] {
            let begun: Vec<Begun> = (0..16).map(|_| begin(&gate, network).unwrap()).collect();
            let proven = begun.iter().filter(|begun| begun.address == Address::ToBeProven);
            assert_eq!(proven.count(), 8);
            assert!(begin(&gate, same).is_none());
            assert_eq!(begin(&gate, other).unwrap().address, Address::Believed);
            drop(begun);
            assert_eq!(begin(&gate, same).unwrap().address, Address::Believed);
        }
    }

    #[test]
    fn neighbours_of_an_expected_address_cannot_keep_it_out() {
        let expected: IpAddr = "192.0.2.7".parse().unwrap();
        let admission = Admission::everyone().expecting(move |ip| ip == expected);
        let gate = Gate::new(LinkConfig::new(admission));
        let mut begun: Vec<Begun> = Vec::new();
        begun.extend((0..16).map(|_| begin(&gate, "192.0.2.1").unwrap()));
        assert!(begin(&gate, "192.0.2.1").is_none());
        assert_eq!(begin(&gate, "::ffff:192.0.2.7").unwrap().address, Address::Believed);
        // Nor can any others, who have three quarters of all.
        for network in 1..12 {
            let remote = format!("198.51.{network}.1");
            begun.extend((0..16).map_while(|_| begin(&gate, &remote)));
        }
        assert_eq!(gate.free_handshakes(), 256 / 4);
        assert!(begin(&gate, "203.0.113.1").is_none());
        // It is believed no more than they are, and has no more than a network has.
        let own: Vec<Begun> = (0..16).map(|_| begin(&gate, "192.0.2.7").unwrap()).collect();
        assert!(own.iter().all(|begun| begun.address == Address::ToBeProven));
        assert!(begin(&gate, "192.0.2.7").is_none());
    }

    #[test]
    fn network_of_many_expected_addresses_has_twice_what_another_has() {
        let expected = network_of("2001:db8::1".parse().unwrap());
        let admission = Admission::everyone().expecting(move |ip| network_of(ip) == expected);
        let gate = Gate::new(LinkConfig::new(admission));
        let all = (0..256).map_while(|host| begin(&gate, &format!("2001:db8::{host:x}")));
        let all: Vec<Begun> = all.collect();
        assert_eq!(all.len(), 32);
        assert!(begin(&gate, "192.0.2.1").is_some());
        drop(all);
        assert_eq!(begin(&gate, "2001:db8::1").unwrap().address, Address::Believed);
    }

    #[test]
    fn ended_handshake_frees_its_places_while_its_link_lives() {
        let gate = Gate::new(LinkConfig::new(Admission::everyone()));
        let mut links = Vec::new();
        for _ in 0..17 {
            let Begun { entry, handshake, .. } = begin(&gate, "192.0.2.1").unwrap();
            links.push(entry);
            drop(handshake);
        }
        assert_eq!(gate.free_handshakes(), 256);
    }

    #[test]
    fn loopback_is_counted_only_where_it_is_said() {
        let mut config = LinkConfig::new(Admission::everyone());
        config.handshakes_per_prefix_max = 1;
        let exempt = Gate::new(config.clone());
        let _one = begin(&exempt, "127.0.0.1").unwrap();
        assert!(begin(&exempt, "::ffff:127.0.0.1").is_some());
        config.loopback = LoopbackPeers::Counted;
        let counting = Gate::new(config);
        let _one = begin(&counting, "127.0.0.1").unwrap();
        assert!(begin(&counting, "127.0.0.2").is_none());
    }
}
