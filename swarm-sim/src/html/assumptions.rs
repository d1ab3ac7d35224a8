//! Settings, and what is not simulated.

use core::fmt::Write as _;

use super::text::{Cell, escape, table};
use crate::results::Setting;

/// What a run assumes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Assumed<'a> {
    pub(super) scenario: &'a str,
    pub(super) about: &'a str,
    pub(super) settings: &'a [Setting],
    pub(super) leaves_out: &'a [String],
}

/// Adds what runs of these names assume: once where all assume the same.
pub(super) fn assumptions(page: &mut String, all: &[(String, Assumed<'_>)], source: &str) {
    page.push_str("<h2>Assumptions</h2>\n");
    let of = |assumed: &Assumed<'_>| {
        (assumed.about.to_owned(), assumed.settings.to_vec(), assumed.leaves_out.to_vec())
    };
    let same = all.windows(2).all(|pair| of(&pair[0].1) == of(&pair[1].1));
    let shown = if same { 1 } else { all.len() };
    for (name, assumed) in all.iter().take(shown) {
        if !same {
            let _ = writeln!(page, "<h3>{}</h3>", escape(name));
        }
        let (scenario, about) = (escape(assumed.scenario), escape(assumed.about));
        let _ = writeln!(page, "<p>{scenario}: {about}.</p>");
        let row = |set: &Setting| vec![Cell::Head(set.key.clone()), Cell::Text(set.value.clone())];
        table(page, &["setting", "value"], assumed.settings.iter().map(row));
        page.push_str("<p>Not simulated:</p>\n<ul>\n");
        for left in assumed.leaves_out {
            let _ = writeln!(page, "<li>{}</li>", escape(left));
        }
        page.push_str("</ul>\n");
    }
    let _ = writeln!(page, "<p>Source: {source}.</p>");
}
