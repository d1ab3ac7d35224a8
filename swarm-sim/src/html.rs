//! One page about runs, or about a sweep: what was run, a drawing for every figure, the assumptions, and where each
//! figure comes from. Every drawing can be had as a file, with its numbers.
//!
//! # Invariants
//!
//! - *Self-contained*: one file, no script, nothing loaded.
//! - *Same bytes*: the page is a function of what the folders hold and of the order in which they were given; it holds
//!   no date, and the page about one folder does not say where that lies.
//! - *Text is text*: whatever a file says is escaped, and can become neither an element nor an attribute.

mod assumptions;
mod chart;
mod over_time;
mod plot;
mod runs;
mod sweep;
mod text;

pub use plot::Plot;
pub use runs::runs;
pub use sweep::sweep;

use crate::output::atomic::MADE;
use text::escape;

/// A page with its drawings.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The page.
    pub html: String,
    /// What is drawn in it, in that order.
    pub plots: Vec<Plot>,
}

const LAYOUT: &str = "\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:0 auto;padding:1rem}
table{border-collapse:collapse;font-size:.875rem}th,td{border-bottom:1px solid var(--soft);padding:.2rem .6rem;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.d{font-family:monospace;overflow-wrap:anywhere;min-width:16ch}
.scroll{overflow-x:auto}figure{margin:1.5rem 0}figcaption{font-size:.875rem}svg{width:100%;height:auto}
h3 small{font-weight:normal}th[scope=row]{min-width:5rem}dt{font-weight:bold}dd{margin:0 0 .4rem 1.5rem}summary{font-size:.875rem}";

/// The page up to its title.
fn opened(title: &str) -> String {
    let (title, style) = (escape(title), chart::style());
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" content=\"{MADE}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{style}\n{LAYOUT}\n</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    )
}

const CLOSED: &str = "</main>\n</body>\n</html>\n";

/// The words of the page, for those who meet them for the first time.
const WORDS: &str = "\
<h2>Words on this page</h2>
<dl>
<dt>replicate</dt><dd>One repetition of the whole simulation with random numbers of its own. What differs between replicates is chance.</dd>
<dt>95 % interval</dt><dd>Made so that it holds the true value in 95 of 100 cases. It says how sure the simulation is of its figure, not
how far from the real world its assumptions are. Where two are given, the wider one is drawn: that over replicates also counts what the
clients of one simulated network have in common, but a few replicates may agree by chance.</dd>
<dt>wilson, replicates, order-statistics, bootstrap, kaplan-meier, none</dt><dd>How the interval was made: Wilson's for shares; Student's t over the
replicates' means; ranks of the sample for quantiles, or resamples of clients; Kaplan-Meier's for times that were not all watched to their end; not at all, as for
counts, extremes and single replicates.</dd>
<dt>expected</dt><dd>What theory says in a formula, for those figures that have one. <code>swarm-sim explain</code> prints the formulas.</dd>
<dt>p5, p50, p95, p99 in a name</dt><dd>Quantiles: so many percent of the sample lie at or below the value.</dd>
<dt>share, ms, d</dt><dd>Units: a share is a part of 1, so that 0.05 are 5 %; ms are milliseconds, d are days. Other units are what is counted.</dd>
<dt>samples</dt><dd>Observations behind the figure: requests, clients, steps or replicates, by figure.</dd>
<dt>engine</dt><dd>The part of the simulator that ran: <code>churn</code> goes from one directory document to the next (each is a step),
<code>onion</code> sends packets in virtual time, <code>paths</code> follows clients over months.</dd>
<dt>events</dt><dd>What happened in all replicates, as far as the engine counts it.</dd>
<dt>seed, digest</dt><dd>The same scenario, seed and number of replicates give the same run again on any machine. The digest is a
fingerprint of all its events: equal digests, equal runs.</dd>
</dl>
";

/// Adds what a scenario is for, below the title.
fn purpose(page: &mut String, about: &str) {
    let mut letters = about.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    page.push_str(&format!("<p>{}.</p>\n", escape(&(first + letters.as_str()))));
}

/// What the page says about a figure below its heading: its unit, and what it is where the file says so.
fn heading(page: &mut String, name: &str, unit: &str, about: Option<&str>) {
    let (name, unit) = (escape(name), escape(unit));
    page.push_str(&format!("<h3>{name} <small>({unit})</small></h3>\n"));
    if let Some(about) = about {
        page.push_str(&format!("<p>{}</p>\n", escape(about)));
    }
}
