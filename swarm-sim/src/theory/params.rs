//! Parameters of a closed form: what each may be, and how they are read.

use core::fmt;

use super::Form;
use crate::decimal::Decimal;

/// The largest count. Sums over a count of that size still end within a second.
pub const COUNT_MAX: u64 = 1_000_000_000;

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number from this one to [`COUNT_MAX`].
    Count(u64),
    /// A whole number between these two, both included.
    CountWithin(u64, u64),
    /// A decimal number from 0.
    Real,
    /// A decimal number above 0.
    Positive,
    /// A decimal number from 0 to 1, both included.
    Share,
    /// A decimal number above 0, up to and including 1.
    ShareAboveZero,
    /// A decimal number from 0 to below 1.
    ShareBelowOne,
    /// A decimal number above 0 and below 1.
    ShareWithin,
    /// One of these words, the first unless set.
    Choice(&'static [&'static str]),
    /// Shares between commas that sum to 1.
    Shares,
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its key.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Its value unless set.
    pub default: Option<&'static str>,
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match self.kind {
            Kind::Count(from) => write!(f, "{name} (whole number from {from} to {COUNT_MAX}"),
            Kind::CountWithin(from, to) => write!(f, "{name} (whole number from {from} to {to}"),
            Kind::Real => write!(f, "{name} (number from 0"),
            Kind::Positive => write!(f, "{name} (number above 0"),
            Kind::Share => write!(f, "{name} (0 to 1"),
            Kind::ShareAboveZero => write!(f, "{name} (above 0, up to 1"),
            Kind::ShareBelowOne => write!(f, "{name} (0 to below 1"),
            Kind::ShareWithin => write!(f, "{name} (above 0, below 1"),
            Kind::Choice(words) => write!(f, "{name} ({}", words.join("|")),
            Kind::Shares => write!(f, "{name} (shares that sum to 1, between commas"),
        }?;
        match self.default {
            Some(default) => write!(f, "; {default} unless set)"),
            None => f.write_str(")"),
        }
    }
}

#[derive(Clone, Debug)]
enum Value {
    Count(u64),
    Number(Decimal),
    Choice(&'static str),
    Shares(Vec<Decimal>),
}

/// Parameters of one form, read and each within its bounds.
#[derive(Clone, Debug)]
pub struct Args {
    form: &'static Form,
    values: Vec<Value>,
}

impl Args {
    /// Reads `key=value` words. The error says what is wrong, not what is allowed.
    pub(super) fn read(form: &'static Form, words: &[String]) -> Result<Self, String> {
        let mut given: Vec<Option<&str>> = vec![None; form.params.len()];
        for word in words {
            let Some((key, text)) = word.split_once('=') else {
                return Err(format!("`{word}` is not key=value"));
            };
            let Some(at) = form.params.iter().position(|param| param.name == key) else {
                return Err(format!("there is no parameter `{key}`"));
            };
            if given[at].replace(text).is_some() {
                return Err(format!("{key} is given twice"));
            }
        }
        let mut values = Vec::new();
        for (param, text) in form.params.iter().zip(given) {
            let Some(text) = text.or(param.default) else {
                return Err(format!("{} is missing", param.name));
            };
            let value = read_value(param.kind, text);
            values.push(value.ok_or_else(|| format!("{} cannot be `{text}`", param.name))?);
        }
        Ok(Self { form, values })
    }

    fn value(&self, name: &str) -> &Value {
        let at = self.form.params.iter().position(|param| param.name == name);
        at.and_then(|at| self.values.get(at)).unwrap_or(&Value::Count(0))
    }

    /// A count.
    pub(super) fn count(&self, name: &str) -> u64 {
        if let Value::Count(count) = self.value(name) { *count } else { 0 }
    }

    /// A number as it was written.
    pub(super) fn decimal(&self, name: &str) -> Decimal {
        if let Value::Number(number) = self.value(name) { *number } else { Decimal::ZERO }
    }

    /// A number.
    pub(super) fn real(&self, name: &str) -> f64 {
        self.decimal(name).value()
    }

    /// A list of shares.
    pub(super) fn shares(&self, name: &str) -> &[Decimal] {
        if let Value::Shares(shares) = self.value(name) { shares } else { &[] }
    }

    /// Whether the choice `name` is `word`.
    pub(super) fn is(&self, name: &str, word: &str) -> bool {
        matches!(self.value(name), Value::Choice(chosen) if *chosen == word)
    }
}

fn read_value(kind: Kind, text: &str) -> Option<Value> {
    let number = || Decimal::parse(text);
    let share = |zero: bool, one: bool| {
        let number = number()?;
        let value = number.value();
        let low = value > 0.0 || zero;
        // Compared exactly: 0.99999999999999999999 is below 1.
        let above = number.cmp_one();
        let high = above.is_lt() || above.is_eq() && one;
        (low && high).then_some(Value::Number(number))
    };
    let count = |from, to| {
        let count = number()?.whole()?;
        (from..=to).contains(&count).then_some(Value::Count(count))
    };
    match kind {
        Kind::Count(from) => count(from, COUNT_MAX),
        Kind::CountWithin(from, to) => count(from, to),
        Kind::Real => number().map(Value::Number),
        Kind::Positive => number().filter(|number| number.value() > 0.0).map(Value::Number),
        Kind::Share => share(true, true),
        Kind::ShareAboveZero => share(false, true),
        Kind::ShareBelowOne => share(true, false),
        Kind::ShareWithin => share(false, false),
        Kind::Choice(words) => {
            words.iter().find(|word| **word == text).map(|word| Value::Choice(word))
        }
        Kind::Shares => {
            let shares: Option<Vec<Decimal>> = text.split(',').map(Decimal::parse).collect();
            let shares = shares?;
            let sum: f64 = shares.iter().map(|share| share.value()).sum();
            let each = shares.iter().all(|share| share.cmp_one().is_le());
            // The slack of the definition, and what the sum itself rounds.
            (each && (sum - 1.0).abs() <= 1e-9 + 1e-15).then_some(Value::Shares(shares))
        }
    }
}
