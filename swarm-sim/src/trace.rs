//! The digest of everything that happened, by which two runs are compared.

use enjambre_protocol::crypto;
use enjambre_protocol::id::Digest;

const LABEL: &str = "enjambre/simulation-trace/1";
const RUN_LABEL: &str = "enjambre/simulation-run/1";

/// Bytes gathered before they are folded into the digest.
const FOLD_AT: usize = 1 << 16;

/// Folds events into a digest in their order.
#[derive(Clone, Debug)]
pub struct Trace {
    state: Digest,
    waiting: Vec<u8>,
    events: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Trace {
    /// Nothing happened yet.
    pub fn new() -> Self {
        Self { state: Digest::from_bytes([0; 32]), waiting: Vec::new(), events: 0 }
    }

    /// Takes note of one event, as fields that are kept apart.
    pub fn event(&mut self, fields: &[&[u8]]) {
        self.events += 1;
        self.waiting.extend((fields.len() as u64).to_le_bytes());
        for field in fields {
            self.waiting.extend((field.len() as u64).to_le_bytes());
            self.waiting.extend_from_slice(field);
        }
        if self.waiting.len() >= FOLD_AT {
            self.fold();
        }
    }

    /// Events noted.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The digest of all events.
    pub fn finish(mut self) -> Digest {
        self.fold();
        self.state
    }

    fn fold(&mut self) {
        self.state = crypto::digest(LABEL, &[self.state.as_bytes(), &self.waiting]);
        self.waiting.clear();
    }
}

/// The digest of a run: those of its replicates in their order.
pub fn run_digest(replicates: &[Digest]) -> Digest {
    let parts: Vec<&[u8]> = replicates.iter().map(|digest| &digest.as_bytes()[..]).collect();
    crypto::digest(RUN_LABEL, &parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(events: &[&[&[u8]]]) -> Digest {
        let mut trace = Trace::new();
        events.iter().for_each(|event| trace.event(event));
        trace.finish()
    }

    #[test]
    fn order_and_borders_of_events_show() {
        let base = digest(&[&[b"ab", b"c"], &[b"d"]]);
        assert_eq!(base, digest(&[&[b"ab", b"c"], &[b"d"]]));
        assert_ne!(base, digest(&[&[b"d"], &[b"ab", b"c"]]));
        assert_ne!(base, digest(&[&[b"a", b"bc"], &[b"d"]]));
        assert_ne!(base, digest(&[&[b"ab"], &[b"c"], &[b"d"]]));
        assert_ne!(base, digest(&[&[b"ab", b"c"]]));
    }

    #[test]
    fn an_event_long_past_counts_as_much_as_the_last() {
        let long = vec![7; FOLD_AT];
        let with = |first: &[u8]| digest(&[&[first], &[&long], &[&long]]);
        assert_ne!(with(b"a"), with(b"b"));
    }
}
