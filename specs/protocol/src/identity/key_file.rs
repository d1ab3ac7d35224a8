//! The text of a file that holds a signing key of a node, an authority or a family.
//!
//! Three lines: what it is, the secret, the public key as a check against damage. Reading and
//! writing the file, with access for its owner only, is the caller's. Specified in 01 identities,
//! section 10.

use core::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{PublicKey, SecretKey};
use crate::id::{from_hex, to_hex};

/// What a key is for: a file of one purpose is refused where another is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPurpose {
    /// A service node's identity.
    Node,
    /// A directory authority's.
    Authority,
    /// The key that vouches for the nodes of one operator.
    Family,
}

impl KeyPurpose {
    const fn heading(self) -> &'static str {
        match self {
            Self::Node => "enjambre node key 1",
            Self::Authority => "enjambre authority key 1",
            Self::Family => "enjambre family key 1",
        }
    }
}

/// Why a text is not a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// Another heading.
    #[error("not a key file of this kind: its first line must be `{expected}`")]
    Heading {
        /// The first line expected.
        expected: &'static str,
    },
    /// Lines missing, too many, or not hex.
    #[error("the key file is damaged: restore it from a backup")]
    Damaged,
    /// Secret and public key are not of one pair.
    #[error("the key file's two keys do not belong together: restore it from a backup")]
    Mismatch,
}

/// A key with its purpose.
#[derive(Clone)]
pub struct KeyFile {
    purpose: KeyPurpose,
    key: SecretKey,
}

impl KeyFile {
    /// A key for this purpose.
    pub const fn new(purpose: KeyPurpose, key: SecretKey) -> Self {
        Self { purpose, key }
    }

    /// The key.
    pub const fn key(&self) -> &SecretKey {
        &self.key
    }

    /// The text to write, wiped when dropped.
    pub fn encode(&self) -> Zeroizing<String> {
        let mut secret = to_hex(self.key.seed().expose());
        let heading = self.purpose.heading();
        let public = self.key.public();
        let text = format!("{heading}\nsecret {secret}\npublic {public}\n");
        secret.zeroize();
        Zeroizing::new(text)
    }

    /// Reads the text of a file that is expected to hold a key for `purpose`.
    pub fn parse(text: &str, purpose: KeyPurpose) -> Result<Self, KeyFileError> {
        let mut lines = text.lines().map(str::trim_end);
        let expected = purpose.heading();
        if text.trim().is_empty() {
            return Err(KeyFileError::Damaged);
        }
        if lines.next() != Some(expected) {
            return Err(KeyFileError::Heading { expected });
        }
        let mut seed = field(lines.next(), "secret ")?;
        let key = SecretKey::from_seed(&seed);
        seed.zeroize();
        let public = PublicKey::from_bytes(field(lines.next(), "public ")?);
        if lines.any(|line| !line.is_empty()) {
            return Err(KeyFileError::Damaged);
        }
        if key.public() != public {
            return Err(KeyFileError::Mismatch);
        }
        Ok(Self { purpose, key })
    }
}

fn field(line: Option<&str>, name: &str) -> Result<[u8; 32], KeyFileError> {
    let value = line.and_then(|line| line.strip_prefix(name)).ok_or(KeyFileError::Damaged)?;
    from_hex(value).map_err(|_| KeyFileError::Damaged)
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({:?}, {:?})", self.purpose, self.key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn text() -> String {
        let file = KeyFile::new(KeyPurpose::Node, SecretKey::from_seed(&[7; 32]));
        file.encode().to_string()
    }

    #[test]
    fn key_is_read_back_for_its_purpose_only() {
        let file = KeyFile::parse(&text(), KeyPurpose::Node).unwrap();
        assert_eq!(file.key().seed(), SecretKey::from_seed(&[7; 32]).seed());
        let crlf = text().replace('\n', "\r\n");
        assert!(KeyFile::parse(&crlf, KeyPurpose::Node).is_ok());
        let error = KeyFile::parse(&text(), KeyPurpose::Authority).err();
        let expected = "enjambre authority key 1";
        assert_eq!(error, Some(KeyFileError::Heading { expected }));
    }

    #[test]
    fn damage_is_told_from_a_wrong_pair() {
        let parse = |text: &str| KeyFile::parse(text, KeyPurpose::Node).err();
        assert_eq!(parse(&text().replacen("07", "08", 1)), Some(KeyFileError::Mismatch));
        assert_eq!(parse(&text().replacen("07", "0x", 1)), Some(KeyFileError::Damaged));
        assert_eq!(parse(&format!("{}more\n", text())), Some(KeyFileError::Damaged));
        assert_eq!(parse("enjambre node key 1\n"), Some(KeyFileError::Damaged));
        assert_eq!(parse(""), Some(KeyFileError::Damaged));
    }

    #[test]
    fn secret_is_not_shown() {
        let file = KeyFile::new(KeyPurpose::Node, SecretKey::from_seed(&[7; 32]));
        assert!(!format!("{file:?}").contains("0707"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(enjambre node key 1\n)?\\PC{0,80}") {
            prop_assert!(KeyFile::parse(&text, KeyPurpose::Node).is_err());
        }
    }
}
