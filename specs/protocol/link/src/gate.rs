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

use crate::config::{LinkConfig, Peer};

/// Counts what one endpoint holds for others.
#[derive(Debug)]
pub(crate) struct Gate {
    links: Arc<Semaphore>,
    clients: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    nodes: Arc<Counts<NodeId>>,
    addresses: Arc<Counts<IpAddr>>,
    config: LinkConfig,
}

/// A place for one link, from its first packet on.
#[derive(Debug)]
pub(crate) struct Entry(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

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
            nodes: Arc::default(),
            addresses: Arc::default(),
            config,
        }
    }

    /// A place for a link whose handshake begins.
    pub(crate) fn enter(&self) -> Option<Entry> {
        self.links.clone().try_acquire_owned().ok().map(Entry)
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
        if map.get(&key).copied().unwrap_or(0) >= max {
            return None;
        }
        *map.entry(key).or_insert(0) += 1;
        Some(Counted { key, counts: counts.clone() })
    }
}

#[derive(Debug)]
struct Counted<K: Ord> {
    key: K,
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
        gate.admit(gate.enter().unwrap(), peer, remote)
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
        assert!(gate.enter().is_none(), "four links are in");
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
}
