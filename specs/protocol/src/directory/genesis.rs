//! What a network is: its authorities and its parameters, fixed at its birth.

use core::net::SocketAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crypto::{self, PublicKey};
use crate::id::{AuthorityId, NetworkId};
use crate::limits::AUTHORITIES_MAX;
use crate::time::Timestamp;
use crate::wire;

const LABEL: &str = "enjambre/genesis/1";

/// Epochs after which a document is late: a round or two may fail, three in a row hardly.
const LATE_EPOCHS: u32 = 3;

/// How far the clocks of a node and of the authorities may be apart when a descriptor is judged.
const DESCRIPTOR_SLACK: Duration = Duration::from_secs(120);

/// Signatures that make a document valid: floor(2n/3) + 1 of n authorities.
pub const fn threshold(authorities: usize) -> usize {
    2 * authorities / 3 + 1
}

/// Authorities that may be down or lie while the others still agree: n − k.
pub const fn tolerated(authorities: usize) -> usize {
    authorities.saturating_sub(threshold(authorities))
}

/// Why a genesis describes no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// No authority, or more than the limit.
    #[error("a network has between 1 and {AUTHORITIES_MAX} authorities, not {found}")]
    AuthorityCount {
        /// Authorities listed.
        found: usize,
    },
    /// One authority is listed twice.
    #[error("authority {id} is listed twice")]
    AuthorityTwice {
        /// The authority.
        id: AuthorityId,
    },
    /// An authority's key stands for no secret, or is spelled in a second way.
    #[error("{id} is no key that can sign: copy the authority's key again from who runs it")]
    AuthorityKey {
        /// The key.
        id: AuthorityId,
    },
    /// The network id does not belong to the rest.
    #[error("authorities or parameters were changed: they are not those of network {expected}")]
    Edited {
        /// The id the file states.
        expected: NetworkId,
    },
    /// A parameter outside its range.
    #[error("parameter {name} must be {allowed}")]
    Parameter {
        /// The parameter's name.
        name: &'static str,
        /// What is accepted.
        allowed: &'static str,
    },
}

/// The parameters of a network. Times are whole milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Least distance between two heights. 10 minutes; a devnet 2 s.
    pub epoch_ms: u64,
    /// Clients draw paths from each document whose height this divides. 6; a devnet 1.
    pub anchor_every: u32,
    /// A change of a swarm not ready within this time is replaced by another. 60 minutes.
    pub ready_within_ms: u64,
    /// A swarm without a read quorum for this long is re-formed from its survivors. 24 hours.
    pub lost_after_ms: u64,
    /// How long nodes and clients go on with the last document. 24 hours.
    pub stale_after_ms: u64,
    /// Random swaps of members at each join. 0: none.
    pub cuckoo_k: u8,
    /// Bits of an IPv4 address within which two hops of a path count as one network. 16.
    pub path_prefix_v4: u8,
    /// The same for IPv6. 32.
    pub path_prefix_v6: u8,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            epoch_ms: 600_000,
            anchor_every: 6,
            ready_within_ms: 3_600_000,
            lost_after_ms: 86_400_000,
            stale_after_ms: 86_400_000,
            cuckoo_k: 0,
            path_prefix_v4: 16,
            path_prefix_v6: 32,
        }
    }
}

impl Params {
    /// The parameters of a private network on one machine: everything that takes minutes takes
    /// seconds.
    pub fn devnet() -> Self {
        Self { epoch_ms: 2000, anchor_every: 1, ready_within_ms: 10_000, ..Self::default() }
    }

    /// [`Params::epoch_ms`] as a duration.
    pub const fn epoch(&self) -> Duration {
        Duration::from_millis(self.epoch_ms)
    }

    /// [`Params::stale_after_ms`] as a duration.
    pub const fn stale_after(&self) -> Duration {
        Duration::from_millis(self.stale_after_ms)
    }

    /// How long after a document a newer one should be there: three epochs.
    pub const fn late_after(&self) -> Duration {
        self.epoch().saturating_mul(LATE_EPOCHS)
    }

    /// Whether a newer document than one made at `made` should long be there. Who says at `now`
    /// that there is none is then not believed alone.
    pub fn is_late(&self, made: Timestamp, now: Timestamp) -> bool {
        now.saturating_since(made) > self.late_after()
    }

    /// How far from a document's time a descriptor may have been made to count for it: the time in
    /// which a node that sends it each epoch is heard, and a margin for clocks.
    pub const fn descriptor_window(&self) -> Duration {
        self.late_after().saturating_add(DESCRIPTOR_SLACK)
    }

    /// Whether a descriptor made at `made` counts for a document of `time`. An older one may have
    /// been taken back since; one of the future would stand above all that its node says until then.
    pub fn is_fresh(&self, made: Timestamp, time: Timestamp) -> bool {
        let apart = made.saturating_since(time).max(time.saturating_since(made));
        apart <= self.descriptor_window()
    }

    /// Checks that each parameter is within its range.
    pub fn check(&self) -> Result<(), GenesisError> {
        let wrong = |name, allowed| Err(GenesisError::Parameter { name, allowed });
        if !(200..=86_400_000).contains(&self.epoch_ms) {
            return wrong("epoch_ms", "between 200 and 86400000 (a day)");
        }
        if !(1..=1000).contains(&self.anchor_every) {
            return wrong("anchor_every", "between 1 and 1000");
        }
        if self.ready_within_ms < self.epoch_ms {
            return wrong("ready_within_ms", "at least epoch_ms");
        }
        if self.stale_after_ms < self.epoch_ms {
            return wrong("stale_after_ms", "at least epoch_ms");
        }
        if self.lost_after_ms < self.ready_within_ms {
            return wrong("lost_after_ms", "at least ready_within_ms");
        }
        if !(8..=32).contains(&self.path_prefix_v4) {
            return wrong("path_prefix_v4", "between 8 and 32 bits");
        }
        if !(16..=128).contains(&self.path_prefix_v6) {
            return wrong("path_prefix_v6", "between 16 and 128 bits");
        }
        Ok(())
    }
}

/// An authority and where it is first contacted. The addresses are no part of the network id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityEntry {
    /// Its Ed25519 key.
    pub id: AuthorityId,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
}

/// What the network id is the digest of.
#[derive(Serialize)]
struct GenesisCore<'a> {
    created_ms: u64,
    authorities: Vec<AuthorityId>,
    params: &'a Params,
}

/// The birth certificate of a network; also the content of `network.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// When it was made: tells apart two networks of the same authorities. Milliseconds.
    pub created_ms: u64,
    /// The authorities, in the order that signatures refer to: ascending by id.
    pub authorities: Vec<AuthorityEntry>,
    /// The parameters.
    pub params: Params,
}

impl Genesis {
    /// Sorts the authorities and checks everything against each other.
    pub fn new(
        created_ms: u64,
        mut authorities: Vec<AuthorityEntry>,
        params: Params,
    ) -> Result<Self, GenesisError> {
        authorities.sort_by_key(|authority| authority.id);
        let genesis = Self { created_ms, authorities, params };
        genesis.check()?;
        Ok(genesis)
    }

    /// Checks a genesis that was read from a file or received.
    pub fn check(&self) -> Result<(), GenesisError> {
        let found = self.authorities.len();
        if !(1..=AUTHORITIES_MAX).contains(&found) {
            return Err(GenesisError::AuthorityCount { found });
        }
        for pair in self.authorities.windows(2) {
            if let [a, b] = pair
                && a.id >= b.id
            {
                return Err(GenesisError::AuthorityTwice { id: b.id });
            }
        }
        let can_sign = |id: &AuthorityId| PublicKey::from_bytes(*id.as_bytes()).can_sign();
        if let Some(bad) = self.authorities.iter().find(|authority| !can_sign(&authority.id)) {
            return Err(GenesisError::AuthorityKey { id: bad.id });
        }
        self.params.check()
    }

    /// The network id.
    pub fn network(&self) -> NetworkId {
        let core = GenesisCore {
            created_ms: self.created_ms,
            authorities: self.authorities.iter().map(|authority| authority.id).collect(),
            params: &self.params,
        };
        NetworkId::from_bytes(*crypto::digest(LABEL, &[&wire::encode(&core)]).as_bytes())
    }

    /// Signatures that make a document valid.
    pub const fn threshold(&self) -> usize {
        threshold(self.authorities.len())
    }

    /// Liars that the accepted reports must outnumber: f of n = 3f + 1.
    pub const fn faulty(&self) -> usize {
        tolerated(self.authorities.len())
    }

    /// The place of an authority in the list.
    pub fn index(&self, id: &AuthorityId) -> Option<u8> {
        let place = self.authorities.binary_search_by_key(id, |authority| authority.id).ok()?;
        u8::try_from(place).ok()
    }
}

/// The content of `network.toml`: the genesis beside the id it must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkFile {
    /// The network id, so that a file edited by hand is noticed.
    pub network: NetworkId,
    /// The genesis.
    pub genesis: Genesis,
}

impl NetworkFile {
    /// The file of a network.
    pub fn new(genesis: Genesis) -> Self {
        Self { network: genesis.network(), genesis }
    }

    /// The checked genesis.
    pub fn into_genesis(self) -> Result<Genesis, GenesisError> {
        self.genesis.check()?;
        if self.genesis.network() == self.network {
            Ok(self.genesis)
        } else {
            Err(GenesisError::Edited { expected: self.network })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(byte: u8) -> AuthorityEntry {
        let key = crypto::SecretKey::from_seed(&[byte; 32]).public();
        AuthorityEntry { id: AuthorityId::from_bytes(*key.as_bytes()), addresses: Vec::new() }
    }

    #[test]
    fn document_is_late_after_three_epochs() {
        let (params, made) = (Params::default(), Timestamp::from_secs(1_000));
        let after = |secs| params.is_late(made, made.saturating_add(Duration::from_secs(secs)));
        assert_eq!([after(0), after(600), after(1800), after(1801)], [false, false, false, true]);
        assert!(!params.is_late(made, Timestamp::from_secs(0)));
    }

    #[test]
    fn threshold_is_the_published_table() {
        let table = [(1, 1, 0), (2, 2, 0), (3, 3, 0), (4, 3, 1), (5, 4, 1), (6, 5, 1), (7, 5, 2)];
        for (n, k, f) in table.into_iter().chain([(9, 7, 2)]) {
            assert_eq!((threshold(n), tolerated(n)), (k, f), "n = {n}");
        }
    }

    #[test]
    fn network_id_covers_authorities_parameters_and_birth_but_not_addresses() {
        let make = |created, bytes: &[u8], params| {
            let authorities = bytes.iter().map(|&byte| authority(byte)).collect();
            Genesis::new(created, authorities, params).map(|genesis| genesis.network())
        };
        let base = make(1, &[1, 2], Params::default());
        assert_eq!(base, make(1, &[2, 1], Params::default()), "order does not matter");
        assert_ne!(base, make(2, &[1, 2], Params::default()));
        assert_ne!(base, make(1, &[1, 3], Params::default()));
        assert_ne!(base, make(1, &[1, 2], Params::devnet()));
    }

    #[test]
    fn impossible_networks_are_refused_with_the_reason() {
        let twice = Genesis::new(0, vec![authority(1), authority(1)], Params::default());
        assert!(matches!(twice, Err(GenesisError::AuthorityTwice { .. })));
        let none = Genesis::new(0, Vec::new(), Params::default());
        assert_eq!(none, Err(GenesisError::AuthorityCount { found: 0 }));
        // The neutral point, and the second spelling of y = 3.
        let mut spelled = [0xff; 32];
        (spelled[0], spelled[31]) = (0xf0, 0x7f);
        let mut neutral = [0; 32];
        neutral[0] = 1;
        for key in [neutral, spelled, [0; 32]] {
            let id = AuthorityId::from_bytes(key);
            let weak = vec![authority(1), AuthorityEntry { id, addresses: Vec::new() }];
            let made = Genesis::new(0, weak, Params::default());
            assert_eq!(made, Err(GenesisError::AuthorityKey { id }));
        }
        let params = Params { epoch_ms: 0, ..Params::default() };
        let wrong = Genesis::new(0, vec![authority(1)], params);
        assert!(matches!(wrong, Err(GenesisError::Parameter { name: "epoch_ms", .. })));
    }
}
