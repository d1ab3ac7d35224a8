//! The network card: the little that a newcomer must be given, as a URI that fits a QR code.

use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::directory::Genesis;
use crate::id::{AuthorityId, NetworkId};
use crate::limits::AUTHORITIES_MAX;
use crate::{crypto, wire};

const SCHEME: &str = "enjambre-network:";
const CHECK_LABEL: &str = "enjambre/network-card/1";
const CHECK_LEN: usize = 4;

/// Bytes of a card: more does not fit a QR code that a telephone reads.
const CARD_MAX: usize = 2048;

/// Contacts in a card.
const CONTACTS_MAX: usize = 8;

/// Why a text is no network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// It does not start with the scheme.
    #[error("a network card starts with `{SCHEME}`; copy the whole line")]
    Scheme,
    /// Its check does not match: a character is wrong or missing.
    #[error("the network card is damaged; copy it again")]
    Damaged,
    /// It promises what no network has.
    #[error("the network card describes no network; ask for a new one")]
    Impossible,
    /// Made by another version.
    #[error("the network card is of a version this program does not know; update it")]
    Version,
}

/// A place to ask first, with the key it must prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The Ed25519 key of the node or authority.
    pub key: [u8; 32],
    /// Where it listens.
    pub address: SocketAddr,
}

/// Network id, threshold, authority keys and first contacts. Everything else is fetched from the
/// contacts and verified against these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkCard {
    /// The network.
    pub network: NetworkId,
    /// Signatures that make a document valid.
    pub threshold: u8,
    /// The authorities.
    pub authorities: Vec<AuthorityId>,
    /// Whom to ask first.
    pub contacts: Vec<Contact>,
}

impl NetworkCard {
    /// The card of a network, with its authorities as first contacts.
    pub fn new(genesis: &Genesis) -> Self {
        let contacts = genesis.authorities.iter().flat_map(|authority| {
            let key = *authority.id.as_bytes();
            authority.addresses.iter().take(1).map(move |&address| Contact { key, address })
        });
        Self {
            network: genesis.network(),
            threshold: u8::try_from(genesis.threshold()).unwrap_or(u8::MAX),
            authorities: genesis.authorities.iter().map(|authority| authority.id).collect(),
            contacts: contacts.take(CONTACTS_MAX).collect(),
        }
    }

    /// Whether a genesis received from a contact is the one the card names.
    pub fn matches(&self, genesis: &Genesis) -> bool {
        genesis.check().is_ok()
            && genesis.network() == self.network
            && genesis.threshold() == usize::from(self.threshold)
            && genesis.authorities.iter().map(|authority| &authority.id).eq(&self.authorities)
    }

    fn check(bytes: &[u8]) -> [u8; CHECK_LEN] {
        let digest = crypto::digest(CHECK_LABEL, &[bytes]);
        let mut check = [0; CHECK_LEN];
        check.copy_from_slice(&digest.as_bytes()[..CHECK_LEN]);
        check
    }
}

impl fmt::Display for NetworkCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = wire::encode(self);
        let check = Self::check(&bytes);
        bytes.extend_from_slice(&check);
        write!(f, "{SCHEME}{}", BASE64URL_NOPAD.encode(&bytes))
    }
}

impl FromStr for NetworkCard {
    type Err = CardError;

    fn from_str(text: &str) -> Result<Self, CardError> {
        let body = text.trim().strip_prefix(SCHEME).ok_or(CardError::Scheme)?;
        if body.len() > 2 * CARD_MAX {
            return Err(CardError::Damaged);
        }
        let bytes = BASE64URL_NOPAD.decode(body.as_bytes()).map_err(|_| CardError::Damaged)?;
        let (bytes, check) = bytes
            .len()
            .checked_sub(CHECK_LEN)
            .and_then(|len| bytes.split_at_checked(len))
            .ok_or(CardError::Damaged)?;
        if Self::check(bytes) != check {
            return Err(CardError::Damaged);
        }
        let card: Self = wire::decode(bytes, CARD_MAX).map_err(|error| match error {
            wire::DecodeError::Version { .. } => CardError::Version,
            wire::DecodeError::TooLong { .. } | wire::DecodeError::Malformed => CardError::Damaged,
        })?;
        let count = card.authorities.len();
        if !(1..=AUTHORITIES_MAX).contains(&count) || card.contacts.is_empty() {
            return Err(CardError::Impossible);
        }
        Ok(card)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;
    use crate::directory::{AuthorityEntry, Params};

    fn genesis() -> Result<Genesis, crate::directory::GenesisError> {
        let authorities = (1..=4)
            .map(|byte| AuthorityEntry {
                id: AuthorityId::from_bytes(*SecretKey::from_seed(&[byte; 32]).public().as_bytes()),
                addresses: vec![SocketAddr::from(([127, 0, byte, 1], 4000))],
            })
            .collect();
        Genesis::new(7, authorities, Params::devnet())
    }

    #[test]
    fn card_is_read_back_and_matches_its_genesis() -> Result<(), Box<dyn core::error::Error>> {
        let genesis = genesis()?;
        let card = NetworkCard::new(&genesis);
        assert_eq!(card.to_string().parse(), Ok(card.clone()));
        assert!(card.matches(&genesis));
        assert_eq!((card.threshold, card.contacts.len()), (3, 4));
        let other = Genesis { created_ms: 8, ..genesis };
        assert!(!card.matches(&other));
        Ok(())
    }

    #[test]
    fn every_changed_character_is_noticed() -> Result<(), Box<dyn core::error::Error>> {
        let text = NetworkCard::new(&genesis()?).to_string();
        for place in SCHEME.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed)?;
            assert!(changed.parse::<NetworkCard>().is_err(), "place {place}");
        }
        assert_eq!("hello".parse::<NetworkCard>(), Err(CardError::Scheme));
        Ok(())
    }
}
