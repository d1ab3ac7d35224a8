//! The contact card: what two people exchange to find each other, as a link or a QR code.
//!
//! Binary fields in base32, which survives capitals (a QR code of capitals and digits is a third
//! smaller) and being read aloud. Specified in 01 identities, section 9.
//!
//! # Invariants
//!
//! - *Typing is noticed*: five bytes of digest close the card, so a changed character is refused.
//! - *One spelling*: but for case and white space, a card has one text.

use core::fmt;
use core::str::FromStr;

use data_encoding::BASE32_NOPAD;

use super::AccountId;
use crate::crypto::digest;
use crate::id::{Digest, NetworkId};

const CHECK_LABEL: &str = "enjambre/card-check/1";

/// In front of every card, in either case.
const SCHEME: &str = "enjambre:";

/// The first byte of a card.
const VERSION: u8 = 1;

/// Bytes before the name: version, account, network, first list.
const FIXED_LEN: usize = 1 + AccountId::LEN + NetworkId::LEN + Digest::LEN;

/// Bytes of digest at the end: a random change passes once in 2⁴⁰.
const CHECK_LEN: usize = 5;

/// Characters of a card before which nothing is decoded: scheme, 171 bytes in base32, with as much
/// white space again for a card broken over lines.
const TEXT_MAX: usize = 1024;

/// Why a text is not a contact card. Each says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// No `enjambre:` in front.
    #[error("a contact card begins with `enjambre:`, copy it whole or scan its QR code")]
    Scheme,
    /// Too short, too long, or mistyped.
    #[error("the contact card is damaged, copy it again or scan its QR code")]
    Damaged,
    /// Made by a later version.
    #[error("the contact card is of a newer kind, update this program to read it")]
    Version,
    /// Of no valid account id.
    #[error("the contact card names nobody, ask your contact for a new one")]
    Account,
    /// A name that is too long or not printable.
    #[error("a name has 1 to {max} bytes and no control characters, choose another",
        max = CardName::MAX)]
    Name,
    /// A bare id was expected.
    #[error("this is not an account id, which is 66 characters 0-9 and a-f: copy it again, whole")]
    BareId,
}

/// A person's name as shown on a card: chosen by its owner, proved by nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CardName(String);

impl CardName {
    /// Longest name in bytes of UTF-8: enough for a full name in any script, small in a QR code.
    pub const MAX: usize = 64;

    /// Accepts a name of 1 to [`Self::MAX`] bytes that begins and ends with something visible and
    /// holds no control characters, nor those that turn the direction of text.
    pub fn new(name: &str) -> Result<Self, CardError> {
        let is_fit = !name.is_empty() && name.len() <= Self::MAX && name.trim() == name;
        if !is_fit || name.chars().any(is_deceptive) {
            return Err(CardError::Name);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, those that reorder text, and most of those that show nothing, by which one name
/// or line can look like another.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0001}')
}

/// What a person hands out: where to write, in which network, and what to hold it against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactCard {
    /// Whose card it is.
    pub account: AccountId,
    /// The network it is in.
    pub network: NetworkId,
    /// The digest of the account's first device list, against which later ones are held.
    pub first_list: Digest,
    /// The name its owner wishes to be listed under.
    pub name: Option<CardName>,
}

impl ContactCard {
    /// The card in capitals, for a QR code in its alphanumeric mode.
    pub fn to_qr_text(&self) -> String {
        self.to_string().to_uppercase()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let name = self.name.as_ref().map_or("", CardName::as_str);
        let mut bytes = Vec::with_capacity(FIXED_LEN + name.len() + CHECK_LEN);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.account.to_bytes());
        bytes.extend_from_slice(self.network.as_bytes());
        bytes.extend_from_slice(self.first_list.as_bytes());
        bytes.extend_from_slice(name.as_bytes());
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CardError> {
        let (bytes, found) = bytes.split_last_chunk::<CHECK_LEN>().ok_or(CardError::Damaged)?;
        if check(bytes) != *found {
            return Err(CardError::Damaged);
        }
        let (&version, rest) = bytes.split_first().ok_or(CardError::Damaged)?;
        if version != VERSION {
            return Err(CardError::Version);
        }
        let (account, rest) = rest.split_first_chunk().ok_or(CardError::Damaged)?;
        let (network, rest) = rest.split_first_chunk().ok_or(CardError::Damaged)?;
        let (first_list, name) = rest.split_first_chunk().ok_or(CardError::Damaged)?;
        let name = core::str::from_utf8(name).map_err(|_| CardError::Name)?;
        Ok(Self {
            account: AccountId::from_bytes(account).map_err(|_| CardError::Account)?,
            network: NetworkId::from_bytes(*network),
            first_list: Digest::from_bytes(*first_list),
            name: if name.is_empty() { None } else { Some(CardName::new(name)?) },
        })
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK_LEN] {
    let digest = digest(CHECK_LABEL, &[bytes]);
    let [a, b, c, d, e, ..] = *digest.as_bytes();
    [a, b, c, d, e]
}

impl fmt::Display for ContactCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = BASE32_NOPAD.encode(&self.to_bytes()).to_lowercase();
        write!(f, "{SCHEME}{body}")
    }
}

impl FromStr for ContactCard {
    type Err = CardError;

    /// Takes either case, and white space anywhere.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > TEXT_MAX {
            return Err(CardError::Damaged);
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (scheme, body) = text.split_at_checked(SCHEME.len()).ok_or(CardError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(CardError::Scheme);
        }
        let body = body.to_ascii_uppercase();
        let bytes = BASE32_NOPAD.decode(body.as_bytes()).map_err(|_| CardError::Damaged)?;
        Self::from_bytes(&bytes)
    }
}

/// Reads an account id given without a card, white space around it allowed. It says neither the
/// network nor the first device list, so nothing can be held against a card later.
pub fn parse_bare_id(text: &str) -> Result<AccountId, CardError> {
    text.trim().parse().map_err(|_| CardError::BareId)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::identity::AccountSeed;

    fn card(name: Option<&str>) -> ContactCard {
        ContactCard {
            account: AccountSeed::from_bytes([1; 16]).key().id(),
            network: NetworkId::from_bytes([2; 32]),
            first_list: Digest::from_bytes([3; 32]),
            name: name.map(|name| CardName::new(name).unwrap()),
        }
    }

    #[test]
    fn card_is_taken_back_from_link_capitals_and_broken_lines() {
        for card in [card(None), card(Some("Ana Núñez")), card(Some(&"x".repeat(64)))] {
            assert_eq!(card.to_string().parse(), Ok(card.clone()));
            assert_eq!(card.to_qr_text().parse(), Ok(card.clone()));
            let broken = card.to_string().replace('a', " \r\n a");
            assert_eq!(broken.parse(), Ok(card));
        }
    }

    #[test]
    fn qr_text_is_alphanumeric() {
        let text = card(Some("Ana Núñez")).to_qr_text();
        let is_alphanumeric = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase() || c == ':';
        assert!(text.chars().all(is_alphanumeric));
        assert_eq!(card(None).to_qr_text().len(), 174); // 9 + ⌈8 · 103 / 5⌉
    }

    #[test]
    fn names_are_short_and_printable() {
        let refused = ["", " a", "a ", "a\nb", "a\u{202e}b", "a\u{0}"];
        for name in refused {
            assert_eq!(CardName::new(name), Err(CardError::Name), "{name:?}");
        }
        assert_eq!(CardName::new(&"ñ".repeat(33)), Err(CardError::Name));
        assert!(CardName::new(&"ñ".repeat(32)).is_ok());
    }

    #[test]
    fn errors_tell_scheme_damage_version_and_account_apart() {
        let parse = |text: &str| text.parse::<ContactCard>();
        assert_eq!(parse("ENJAMBR"), Err(CardError::Scheme));
        assert_eq!(parse(&card(None).account.to_string()), Err(CardError::Scheme));
        assert_eq!(parse("enjambre:"), Err(CardError::Damaged));
        assert_eq!(parse(&" ".repeat(2000)), Err(CardError::Damaged));
        let remade = |at: usize, value: u8| {
            let mut bytes = card(None).to_bytes();
            bytes.truncate(bytes.len() - CHECK_LEN);
            bytes[at] = value;
            let check = check(&bytes);
            bytes.extend_from_slice(&check);
            parse(&format!("{SCHEME}{}", BASE32_NOPAD.encode(&bytes)))
        };
        assert_eq!(remade(0, 2), Err(CardError::Version));
        assert_eq!(remade(1, 9), Err(CardError::Account));
    }

    #[test]
    fn bare_id_is_read_by_its_own_function() {
        let id = card(None).account;
        assert_eq!(parse_bare_id(&format!(" {id}\n")), Ok(id));
        assert_eq!(parse_bare_id("0511"), Err(CardError::BareId));
        assert_eq!(parse_bare_id(&card(None).to_string()), Err(CardError::BareId));
    }

    proptest! {
        #[test]
        fn any_changed_character_is_noticed(
            at in any::<prop::sample::Index>(),
            by in "[a-z0-9:]",
            name in prop::option::of("[a-z]{1,64}"),
        ) {
            let text = card(name.as_deref()).to_string();
            let at = at.index(text.len());
            prop_assume!(text[at..=at] != *by);
            let changed = format!("{}{by}{}", &text[..at], &text[at + 1..]);
            prop_assert!(changed.parse::<ContactCard>().is_err());
        }

        #[test]
        fn a_lost_doubled_or_swapped_character_is_noticed(at in any::<prop::sample::Index>()) {
            let text = card(Some("ana")).to_string();
            let at = at.index(text.len() - 1);
            let (left, right) = (&text[at..=at], &text[at + 1..at + 2]);
            let rest = &text[at + 2..];
            let lost = format!("{}{right}{rest}", &text[..at]);
            prop_assert!(lost.parse::<ContactCard>().is_err());
            let doubled = format!("{}{left}{left}{right}{rest}", &text[..at]);
            prop_assert!(doubled.parse::<ContactCard>().is_err());
            prop_assume!(left != right);
            let swapped = format!("{}{right}{left}{rest}", &text[..at]);
            prop_assert!(swapped.parse::<ContactCard>().is_err());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            prop_assert!(text.parse::<ContactCard>().is_err());
            let text = format!("{SCHEME}{text}");
            prop_assert!(text.parse::<ContactCard>().is_err());
        }
    }
}
