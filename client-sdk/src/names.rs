//! Names of contacts: what may be one, and when two look alike.
//!
//! A name stands for a person wherever a message is shown. Its owner's card proposes it, so it may be
//! made to look like another contact's: by characters that show nothing, by capitals or by blanks.
//! Not here: letters of different scripts that look alike; for those there are ids.

use enjambre_protocol::identity::{AccountId, CardName, is_deceptive};

use crate::error::{Error, ErrorKind};
use crate::store::{StoreError, View};

/// Whether a character shows nothing by itself, or changes how others are shown: with it two names
/// that differ can look the same.
pub fn is_invisible(c: char) -> bool {
    is_deceptive(c)
        || matches!(c,
            // Soft hyphen, joiners, fillers of Hangul, inherent vowels of Khmer, marks of Mongolian.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}'
            // Word joiner, invisible operators, old controls of direction; a blank of Braille.
            | '\u{2060}'..='\u{206f}' | '\u{2800}'
            // Variation selectors, annotations, controls of shorthand and music, tags.
            | '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A name that a contact may be listed under, or the account may have on its card.
pub(crate) fn visible(name: CardName) -> Result<CardName, Error> {
    if !name.as_str().chars().any(is_invisible) {
        return Ok(name);
    }
    let text = "the name holds characters that cannot be seen, by which it could look like \
                another's: choose one with --name";
    Err(Error::new(ErrorKind::InvalidInput, text))
}

/// Refuses a name that looks like another contact's.
pub(crate) fn check_free(view: View<'_>, id: &AccountId, name: &str) -> Result<(), StoreError> {
    let like = likeness(name);
    let others = view.contacts()?.into_iter().filter(|other| other.id != *id);
    let mut names = others.filter_map(|other| other.name);
    if names.any(|other| likeness(&other) == like) {
        return Err(StoreError::NameTaken);
    }
    Ok(())
}

/// What is left of a name when all is taken off that is easily overlooked.
fn likeness(name: &str) -> String {
    let visible: String = name.chars().filter(|c| !is_invisible(*c)).collect();
    let words: Vec<String> = visible.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_what_cannot_be_seen_are_alike() {
        for name in ["Ben  Ito", "ben\u{a0}ito", "BEN\u{3000}ITO", "Be\u{2060}n Ito\u{fe0f}"] {
            assert_eq!(likeness(name), "ben ito", "{name:?}");
        }
        assert_eq!(likeness("ÉVA"), likeness("éva"));
        assert_ne!(likeness("Ben Ito"), likeness("Benito"));
    }
}
