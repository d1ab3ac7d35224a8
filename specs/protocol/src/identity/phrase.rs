//! Twelve words for paper: the account's seed as a BIP-39 mnemonic.
//!
//! The 16 bytes are the mnemonic's *entropy*; no password stretching is applied, so words and seed
//! are the same secret in two spellings. Specified in 01 identities, section 3.

use core::fmt;
use core::str::FromStr;

use bip39::{Language, Mnemonic};
use zeroize::{Zeroize, Zeroizing};

use super::AccountSeed;

/// Words of a phrase: 128 bits of entropy and 4 of check, 11 a word.
const WORDS: usize = 12;

/// Why words are not a recovery phrase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// Not twelve words.
    #[error("a recovery phrase has 12 words, this has {found}: add or remove the difference")]
    WordCount {
        /// Words found.
        found: usize,
    },
    /// A word outside the English list.
    #[error("word {position}, `{word}`, is not in the word list: check its spelling")]
    UnknownWord {
        /// Its place, from 1.
        position: usize,
        /// The word, cut to 16 characters: the longest in the list has 8.
        word: String,
    },
    /// All words are known, but they do not belong together.
    #[error("the words do not fit together: check their order, and each against the paper")]
    Checksum,
}

/// A recovery phrase: the seed of an account in twelve English words.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryPhrase(AccountSeed);

impl RecoveryPhrase {
    pub(super) fn of(seed: &AccountSeed) -> Self {
        Self(seed.clone())
    }

    /// The seed.
    pub const fn seed(&self) -> &AccountSeed {
        &self.0
    }

    /// The words, lower case, one space between. To be shown once, never logged.
    pub fn reveal(&self) -> Zeroizing<String> {
        // 16 bytes are always a valid entropy.
        let words = Mnemonic::from_entropy_in(Language::English, self.0.expose());
        debug_assert!(words.is_ok(), "16 bytes are an entropy");
        let mut text = Zeroizing::new(String::with_capacity(WORDS * 9));
        for word in words.iter().flat_map(Mnemonic::words) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }
}

impl FromStr for RecoveryPhrase {
    type Err = PhraseError;

    /// Takes any case and any white space; says which word is wrong.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = text.split_whitespace().count();
        if found != WORDS {
            return Err(PhraseError::WordCount { found });
        }
        let text = Zeroizing::new(text.to_lowercase());
        for (i, word) in text.split_whitespace().enumerate() {
            if Language::English.find_word(word).is_none() {
                let word = word.chars().take(16).collect();
                return Err(PhraseError::UnknownWord { position: i + 1, word });
            }
        }
        let words = Mnemonic::parse_in_normalized(Language::English, &text);
        let words = words.map_err(|_| PhraseError::Checksum)?;
        let (mut entropy, _) = words.to_entropy_array();
        let mut seed = [0; 16];
        seed.copy_from_slice(&entropy[..16]);
        entropy.zeroize();
        let phrase = Self(AccountSeed::from_bytes(seed));
        seed.zeroize();
        Ok(phrase)
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(12 words)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZEROS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                         abandon abandon about";

    #[test]
    fn phrase_takes_any_case_and_white_space() {
        let seed = AccountSeed::from_bytes([0; 16]);
        assert_eq!(*seed.phrase().reveal(), ZEROS);
        let spread = format!("  {}\n", ZEROS.to_uppercase().replace(' ', " \t\n"));
        assert_eq!(spread.parse(), Ok(seed.phrase()));
    }

    #[test]
    fn errors_name_the_count_the_word_or_the_order() {
        let parse = |text: &str| text.parse::<RecoveryPhrase>();
        assert_eq!(parse("abandon"), Err(PhraseError::WordCount { found: 1 }));
        assert_eq!(parse(&format!("{ZEROS} about")), Err(PhraseError::WordCount { found: 13 }));
        let typo = ZEROS.replacen("about", "abuot", 1);
        let word = "abuot".to_owned();
        assert_eq!(parse(&typo), Err(PhraseError::UnknownWord { position: 12, word }));
        let swapped = ZEROS.replacen("about", "abandon", 1);
        assert_eq!(parse(&swapped), Err(PhraseError::Checksum));
    }

    #[test]
    fn words_are_not_shown_by_debug() {
        let phrase = AccountSeed::from_bytes([0; 16]).phrase();
        assert_eq!(format!("{phrase:?}"), "RecoveryPhrase(12 words)");
    }

    proptest! {
        #[test]
        fn every_seed_comes_back_from_its_words(bytes in any::<[u8; 16]>()) {
            let seed = AccountSeed::from_bytes(bytes);
            prop_assert_eq!(seed.phrase().reveal().parse(), Ok(seed.phrase()));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,120}") {
            let _ = text.parse::<RecoveryPhrase>();
        }
    }
}
