//! How far a command is and how long it still takes, where someone looks.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use swarm_sim::output::counted;

/// How often the line is drawn anew while nothing is done.
const TICK: Duration = Duration::from_millis(500);

/// A line on standard error, which is there only where that is a terminal and no JSON was asked for, and which is gone at
/// the end.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// So many of what is counted, by its word for one.
    pub(crate) fn new(of: u64, what: &str, json: bool) -> Self {
        Self::drawn(
            Some(of),
            &format!("{{bar:30}} {{pos}} of {}, {{eta}} left", counted(of, what)),
            json,
        )
    }

    /// What cannot be counted, with the seconds that it takes.
    pub(crate) fn uncounted(what: &str, json: bool) -> Self {
        Self::drawn(None, &format!("{{spinner}} {what}, {{elapsed}} so far{{msg}}"), json)
    }

    fn drawn(of: Option<u64>, template: &str, json: bool) -> Self {
        let target = if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(of, target);
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    pub(crate) fn is_shown(&self) -> bool {
        !self.0.is_hidden()
    }

    /// So many were done before, at no cost.
    pub(crate) fn begin_at(&self, done: u64) {
        self.0.set_position(done);
        self.0.reset_eta();
    }

    pub(crate) fn one_more(&self) {
        self.0.inc(1);
    }

    /// Says more.
    pub(crate) fn say(&self, text: String) {
        self.0.set_message(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
