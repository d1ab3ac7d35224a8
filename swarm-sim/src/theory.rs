//! Metrics that have a closed form: their values, and Monte Carlo estimates of the same quantities.
//!
//! [`FORMS`] is the one list of them. Help, errors, `metrics`, `analytic`, `estimate` and `selfcheck` read names,
//! parameters, fields, formulas, units and sources from it. Nodes are drawn uniformly, distinct and without
//! replacement unless a formula says otherwise; nothing here knows weights, churn or a scenario.
//!
//! # Invariants
//!
//! - *Right*: a value is right to a relative 1e-9, tiny ones too: no probability is 1 minus a sum near 1.
//! - *Exact parameters*: 0.3 days are three lives of 0.1 days.
//! - *Repeatable*: an estimate is a function of name, parameters, samples and seed, not of threads.

mod chain;
mod check;
mod draw;
mod forms;
mod guards;
mod lifetime;
mod params;
mod rare;
mod registry;
mod sample;

pub use chain::Copies;
pub use check::{Check, selfcheck};
pub use params::{Args, COUNT_MAX, Kind, Param};
pub use registry::FORMS;
pub use sample::{Estimate, SAMPLES_MAX};

use forms::Found;
pub(crate) use forms::all_of;
pub(crate) use guards::{any_malicious, guard_set_compromise};
use sample::Sampler;

/// A metric with a closed form.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
    /// Names of its values; one called `value` where there is only one.
    pub fields: &'static [&'static str],
    /// Unit of the values.
    pub unit: &'static str,
    /// What it is, as a formula.
    pub formula: &'static str,
    /// Where the formula is from.
    pub source: &'static str,
    evaluate: fn(&Args) -> Found,
    sampler: Option<Sampler>,
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TheoryError {
    /// No metric has this name.
    #[error("there is no metric `{name}`; the metrics are {}", names(|_| true))]
    Name {
        /// What was asked for.
        name: String,
    },
    /// A parameter is unknown, missing, given twice, or impossible.
    #[error("{name}: {wrong}; allowed: {allowed}")]
    Parameter {
        /// The metric.
        name: &'static str,
        /// What is wrong.
        wrong: String,
        /// All parameters with what they may be.
        allowed: String,
    },
    /// The metric cannot be sampled.
    #[error("{name} cannot be sampled; these can: {}", names(Form::can_be_sampled))]
    NotSampled {
        /// The metric.
        name: &'static str,
    },
}

fn names(which: impl Fn(&Form) -> bool) -> String {
    let names: Vec<_> = FORMS.iter().filter(|form| which(form)).map(|form| form.name).collect();
    names.join(", ")
}

impl Form {
    /// The metric of this name.
    pub fn find(name: &str) -> Result<&'static Self, TheoryError> {
        let found = FORMS.iter().find(|form| form.name == name);
        found.ok_or_else(|| TheoryError::Name { name: name.to_owned() })
    }

    /// Whether [`Query::estimate`] works.
    pub const fn can_be_sampled(&self) -> bool {
        self.sampler.is_some()
    }

    /// All parameters with what they may be.
    pub fn allowed(&self) -> String {
        let params: Vec<_> = self.params.iter().map(ToString::to_string).collect();
        params.join(", ")
    }
}

/// A metric with parameters that are possible together.
#[derive(Clone, Debug)]
pub struct Query {
    form: &'static Form,
    args: Args,
    values: Vec<f64>,
}

impl Query {
    /// Reads a name and `key=value` words.
    pub fn parse(name: &str, words: &[String]) -> Result<Self, TheoryError> {
        let form = Form::find(name)?;
        let wrong = |wrong: String| TheoryError::Parameter {
            name: form.name,
            wrong,
            allowed: form.allowed(),
        };
        let args = Args::read(form, words).map_err(wrong)?;
        let values = (form.evaluate)(&args).map_err(wrong)?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(wrong("the value is beyond the largest floating-point number".to_owned()));
        }
        Ok(Self { form, args, values })
    }

    /// The metric.
    pub const fn form(&self) -> &'static Form {
        self.form
    }

    /// The closed form's values, in the order of the metric's fields.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}
