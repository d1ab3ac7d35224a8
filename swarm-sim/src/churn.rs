//! Directory steps while nodes come and go: what the swarm map asks of its members.
//!
//! Each step is one document. Before it nodes join, leave or lose their stores; then the
//! protocol's own [`transition`](enjambre_protocol::swarm::transition) computes the swarms, and every step is checked against its
//! invariants. With the rules `deployed` the deployed network's own grouping takes its place. Members that have to state their readiness do so after a fixed number of
//! documents; what they would copy meanwhile is not simulated, nor are authorities that disagree.

mod deployed;
mod history;
mod measure;

pub(crate) use history::{History, Planned};
pub(crate) use measure::{RING, merge};

use enjambre_protocol::swarm::SwarmState;
use enjambre_protocol::swarm::invariants::{self, Violation};

use crate::run::Outcome;
use crate::scenario::{Churn, Rules};
use crate::stream::Streams;
use crate::trace::Trace;
pub(crate) use measure::Measures;

/// Why a history was given up: the protocol's code broke a promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChurnError {
    /// An invariant of the swarm map does not hold.
    #[error("step {step}: {violation}")]
    Violation {
        /// The document, counted from 1, which is the one that the history starts from.
        step: u32,
        /// What does not hold.
        violation: Violation,
    },
    /// The deployed rules left a node out, placed it twice, or let a swarm starve beside another.
    #[error(
        "step {step}: the deployed rules' swarms are not a partition of the nodes into swarms of five or more"
    )]
    Deployed {
        /// The step.
        step: u32,
    },
    /// The number of a configuration went back, or stayed although it changed.
    #[error("step {step}: a configuration changed without a higher number")]
    Number {
        /// The step.
        step: u32,
    },
}

/// Runs one replicate.
pub(crate) fn run(churn: &Churn, streams: &Streams) -> Result<Outcome<Measures>, ChurnError> {
    let mut history = History::new(churn, streams);
    let mut measures = Measures::default();
    let mut trace = Trace::new();
    // The first document is where the history starts; it moves nobody.
    history.advance();
    for steps in &churn.steps {
        for _ in 0..steps.times {
            let happened = history.happen(steps);
            let before = document(churn, &mut history, &mut trace)?;
            measures.step(&history, &before, happened);
        }
    }
    Ok(Outcome { events: trace.events(), digest: trace.finish(), measures })
}

/// Makes the next document, holds it against what its rules promise, and notes it. Returns the swarms of the one before.
pub(crate) fn document(
    churn: &Churn,
    history: &mut History<'_>,
    trace: &mut Trace,
) -> Result<SwarmState, ChurnError> {
    let before = history.advance();
    let step = history.step();
    match churn.rules {
        Rules::Ours => {
            invariants::check(history.state(), history.nodes(), &churn.params)
                .map_err(|violation| ChurnError::Violation { step, violation })?;
            if !history.numbers_grow(&before) {
                return Err(ChurnError::Number { step });
            }
        }
        Rules::Deployed => {
            if !deployed::holds(history.state(), history.nodes()) {
                return Err(ChurnError::Deployed { step });
            }
        }
    }
    trace.event(&[&step.to_le_bytes(), &history.encoded_state()]);
    Ok(before)
}
