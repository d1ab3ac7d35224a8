//! Names of received files, made harmless.
//!
//! A name comes from another person and ends up in somebody's file system and on a screen.
//! Specified in 07 end to end, section 7.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::identity::is_deceptive;

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a file name has 1 to {max} bytes, no path and no control characters", max = FileName::MAX)]
pub struct FileNameError;

/// A file's name: one path component, printable, visible, at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FileName(String);

impl FileName {
    /// Longest name in bytes of UTF-8: the limit of common file systems.
    pub const MAX: usize = 255;

    /// Accepts a name that is harmless as it stands.
    pub fn new(name: &str) -> Result<Self, FileNameError> {
        let is_hidden = name.starts_with('.') || name.ends_with('.');
        let is_fit = !name.is_empty() && name.len() <= Self::MAX && name.trim() == name;
        if !is_fit || is_hidden || name.chars().any(is_forbidden) {
            return Err(FileNameError);
        }
        Ok(Self(name.to_owned()))
    }

    /// Makes a harmless name of any: the last path component, forbidden characters replaced, cut to
    /// length before its extension is lost.
    pub fn sanitise(name: &str) -> Self {
        let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let clean: String = last.chars().map(|c| if is_forbidden(c) { '_' } else { c }).collect();
        let clean = clean.trim_matches(|c: char| c.is_whitespace() || c == '.');
        let (stem, extension) = match clean.rsplit_once('.') {
            Some((stem, extension)) if extension.len() <= 16 => (stem, Some(extension)),
            _ => (clean, None),
        };
        let room = Self::MAX - extension.map_or(0, |e| e.len() + 1);
        let mut end = stem.len().min(room);
        while !stem.is_char_boundary(end) {
            end -= 1;
        }
        let stem = stem[..end].trim_end();
        let name = extension.map_or_else(|| stem.to_owned(), |e| format!("{stem}.{e}"));
        Self::new(&name).unwrap_or_else(|_| Self("file".to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Separators of any system, characters some systems refuse, and those that deceive the eye.
fn is_forbidden(c: char) -> bool {
    is_deceptive(c) || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::new(&name).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn harmful_names_are_refused() {
        let long = "x".repeat(256);
        let names = [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            ".bashrc",
            "a\u{202e}gpj.exe",
            "c:x",
            " a",
            "a\n",
            &long,
        ];
        for name in names {
            assert_eq!(FileName::new(name), Err(FileNameError), "{name:?}");
        }
        assert!(FileName::new("ñandú 2.tar.gz").is_ok());
    }

    #[test]
    fn sanitising_keeps_the_last_component_and_the_extension() {
        let clean = |name: &str| FileName::sanitise(name).as_str().to_owned();
        assert_eq!(clean("/home/ana/photo.jpg"), "photo.jpg");
        assert_eq!(clean("C:\\Users\\ana\\a:b?.txt"), "a_b_.txt");
        assert_eq!(clean("../../.."), "file");
        assert_eq!(clean(".bashrc"), "bashrc");
        let long = clean(&format!("{}.jpg", "ñ".repeat(200)));
        assert!(long.len() <= 255 && long.ends_with("ñ.jpg"));
    }

    proptest! {
        #[test]
        fn sanitised_names_are_accepted(name in "(\\PC|[./\\\\ \u{0}\u{202e}]){0,300}") {
            let clean = FileName::sanitise(&name);
            prop_assert_eq!(FileName::new(clean.as_str()), Ok(clean));
        }
    }
}
