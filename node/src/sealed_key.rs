//! A signing key under a passphrase, as text to be kept elsewhere: what `key export` writes.
//!
//! Three lines: what it is, which key, the key itself encrypted. The passphrase is stretched with
//! argon2id, so that guessing it costs memory and time for each guess; the two lines above are
//! bound to the third, so that none of the three can be changed or exchanged. Specified in 01
//! identities, section 10.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64;
use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::identity::{KeyFile, KeyPurpose};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

const HEADING: &str = "enjambre encrypted key 1";

/// Memory that one guess costs, KiB: 64 MiB, the second choice of RFC 9106.
const MEMORY: u32 = 64 << 10;
/// Passes over it, of the same source.
const PASSES: u32 = 3;
/// Lanes, of the same source.
const LANES: u32 = 4;

const SALT_LEN: usize = 16;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// Bytes of the text, at most: much more than any key has.
pub const SEALED_MAX: u64 = 4096;

/// Characters of a passphrase, at least.
pub const PASSPHRASE_MIN: usize = 8;

/// Why a key was not sealed or opened. Each says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealedKeyError {
    /// Too few characters.
    #[error(
        "the passphrase is too short: take {PASSPHRASE_MIN} characters at least, better six random words"
    )]
    Short,
    /// Another heading.
    #[error("this is no exported key: its first line must be `{HEADING}`")]
    Heading,
    /// Not of the form.
    #[error("the exported key is damaged: take another copy of it")]
    Damaged,
    /// Passphrase and text do not fit.
    #[error(
        "the passphrase is wrong, or the exported key was changed: try again, or take another copy of it"
    )]
    Wrong,
    /// The system has not enough memory.
    #[error("{} MiB of memory are needed to stretch the passphrase: free some and try again", MEMORY >> 10)]
    Memory,
}

/// The name of a purpose in the second line.
pub const fn purpose_name(purpose: KeyPurpose) -> &'static str {
    match purpose {
        KeyPurpose::Node => "node",
        KeyPurpose::Authority => "authority",
        KeyPurpose::Family => "family",
    }
}

/// Encrypts a key.
///
/// # Errors
///
/// A passphrase that is too short; too little memory.
pub fn seal(
    purpose: KeyPurpose,
    key: &SecretKey,
    passphrase: &str,
    rng: &mut impl CryptoRng,
) -> Result<String, SealedKeyError> {
    if passphrase.chars().count() < PASSPHRASE_MIN {
        return Err(SealedKeyError::Short);
    }
    let head = format!("{HEADING}\n{} {}\n", purpose_name(purpose), key.public());
    let mut bytes = vec![0; SALT_LEN + NONCE_LEN];
    rng.fill_bytes(&mut bytes);
    let (salt, nonce) = bytes.split_at(SALT_LEN);
    let cipher = cipher(passphrase, salt)?;
    let nonce = nonce.try_into().map(|nonce: [u8; NONCE_LEN]| Nonce::from(nonce));
    let nonce = nonce.map_err(|_| SealedKeyError::Damaged)?;
    let text = KeyFile::new(purpose, key.clone()).encode();
    let payload = Payload { msg: text.as_bytes(), aad: head.as_bytes() };
    bytes.extend(cipher.encrypt(&nonce, payload).map_err(|_| SealedKeyError::Damaged)?);
    Ok(format!("{head}{}\n", BASE64.encode(&bytes)))
}

/// Decrypts what [`seal`] wrote.
///
/// # Errors
///
/// A wrong passphrase, a changed text.
pub fn open(text: &str, passphrase: &str) -> Result<(KeyPurpose, SecretKey), SealedKeyError> {
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some(HEADING) {
        return Err(SealedKeyError::Heading);
    }
    let named = lines.next().ok_or(SealedKeyError::Damaged)?;
    let body = lines.next().ok_or(SealedKeyError::Damaged)?;
    if lines.any(|line| !line.is_empty()) {
        return Err(SealedKeyError::Damaged);
    }
    let purpose = [KeyPurpose::Node, KeyPurpose::Authority, KeyPurpose::Family];
    let purpose = purpose
        .into_iter()
        .find(|&purpose| named.split(' ').next() == Some(purpose_name(purpose)))
        .ok_or(SealedKeyError::Damaged)?;
    let bytes = BASE64.decode(body.as_bytes()).map_err(|_| SealedKeyError::Damaged)?;
    let (salt, rest) = bytes.split_at_checked(SALT_LEN).ok_or(SealedKeyError::Damaged)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealedKeyError::Damaged)?;
    if sealed.len() <= TAG_LEN {
        return Err(SealedKeyError::Damaged);
    }
    let head = format!("{HEADING}\n{named}\n");
    let payload = Payload { msg: sealed, aad: head.as_bytes() };
    let cipher = cipher(passphrase, salt)?;
    let plain = cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| SealedKeyError::Wrong)?;
    let plain = Zeroizing::new(plain);
    let text = core::str::from_utf8(&plain).map_err(|_| SealedKeyError::Damaged)?;
    let file = KeyFile::parse(text, purpose).map_err(|_| SealedKeyError::Damaged)?;
    Ok((purpose, file.key().clone()))
}

fn cipher(passphrase: &str, salt: &[u8]) -> Result<Aes256Gcm, SealedKeyError> {
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(MEMORY, PASSES, LANES, Some(key.len()));
    let params = params.map_err(|_| SealedKeyError::Memory)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut())
        .map_err(|_| SealedKeyError::Memory)?;
    Ok(Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const PASSPHRASE: &str = "correct horse battery";

    fn sealed() -> String {
        let key = SecretKey::from_seed(&[7; 32]);
        seal(KeyPurpose::Node, &key, PASSPHRASE, &mut StdRng::seed_from_u64(1)).unwrap()
    }

    #[test]
    fn key_comes_back_with_its_passphrase_only() {
        let (purpose, key) = open(&sealed(), PASSPHRASE).unwrap();
        assert_eq!(purpose, KeyPurpose::Node);
        assert_eq!(key.public(), SecretKey::from_seed(&[7; 32]).public());
        assert_eq!(open(&sealed(), "correct horse batterz").err(), Some(SealedKeyError::Wrong));
        assert_eq!(open(&sealed(), "").err(), Some(SealedKeyError::Wrong));
    }

    #[test]
    fn line_ends_of_other_systems_are_read() {
        assert!(open(&sealed().replace('\n', "\r\n"), PASSPHRASE).is_ok());
    }

    #[test]
    fn secret_is_not_in_the_text_and_no_two_exports_are_alike() {
        let key = SecretKey::from_seed(&[7; 32]);
        let other =
            seal(KeyPurpose::Node, &key, PASSPHRASE, &mut StdRng::seed_from_u64(2)).unwrap();
        let body = |text: &str| BASE64.decode(text.lines().nth(2).unwrap().as_bytes()).unwrap();
        assert_ne!(body(&sealed())[..SALT_LEN], body(&other)[..SALT_LEN]);
        assert_ne!(body(&sealed())[28..], body(&other)[28..]);
        let needle = [b'0', b'7', b'0', b'7'];
        assert!(!body(&other).windows(4).any(|window| window == needle));
    }

    #[test]
    fn short_passphrase_seals_nothing() {
        let key = SecretKey::from_seed(&[7; 32]);
        let sealed = seal(KeyPurpose::Node, &key, "1234567", &mut StdRng::seed_from_u64(1));
        assert_eq!(sealed.err(), Some(SealedKeyError::Short));
    }

    #[test]
    fn changed_text_is_refused() {
        let text = sealed();
        let id = text.lines().nth(1).unwrap().split(' ').nth(1).unwrap().to_owned();
        let zero = "0".repeat(64);
        let refused = [
            (text.replace("node ", "authority "), SealedKeyError::Wrong),
            (text.replace(&id, &zero), SealedKeyError::Wrong),
            (text.replace("node ", "gnome "), SealedKeyError::Damaged),
            (text.replace("key 1", "key 2"), SealedKeyError::Heading),
            (format!("{text}more\n"), SealedKeyError::Damaged),
            (String::new(), SealedKeyError::Heading),
            (text.lines().take(2).collect::<Vec<_>>().join("\n"), SealedKeyError::Damaged),
        ];
        for (changed, error) in refused {
            assert_eq!(open(&changed, PASSPHRASE).err(), Some(error), "{changed}");
        }
    }

    #[test]
    fn no_byte_of_the_sealed_part_can_change() {
        let text = sealed();
        let head: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
        let body = BASE64.decode(text.lines().nth(2).unwrap().as_bytes()).unwrap();
        // One place of each part: salt, nonce, sealed text, tag; and a cut end.
        for at in [0, SALT_LEN, SALT_LEN + NONCE_LEN, body.len() - 1] {
            let mut changed = body.clone();
            changed[at] ^= 1;
            let text = format!("{head}{}\n", BASE64.encode(&changed));
            assert_eq!(open(&text, PASSPHRASE).err(), Some(SealedKeyError::Wrong), "byte {at}");
        }
        for len in [0, SALT_LEN, SALT_LEN + NONCE_LEN + TAG_LEN] {
            let text = format!("{head}{}\n", BASE64.encode(&body[..len]));
            assert_eq!(open(&text, PASSPHRASE).err(), Some(SealedKeyError::Damaged), "{len} bytes");
        }
    }
}
