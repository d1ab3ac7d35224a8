//! Closed forms, estimates and checks, as they are printed.

use core::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::counted;
use crate::theory::{Check, Estimate, FORMS, Query};

fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// The values of a closed form.
pub fn analytic(query: &Query, as_json: bool) -> String {
    let form = query.form();
    let (unit, formula, source) = (form.unit, form.formula, form.source);
    let mut text = String::new();
    if as_json {
        let mut object =
            json!({"name": form.name, "unit": unit, "formula": formula, "source": source});
        if let [value] = query.values() {
            object["value"] = json!(value);
        } else {
            let named = form.fields.iter().zip(query.values());
            let values: Map<String, Value> =
                named.map(|(field, value)| ((*field).to_owned(), json!(value))).collect();
            object["values"] = Value::Object(values);
        }
        return line(&object);
    }
    for (field, value) in form.fields.iter().zip(query.values()) {
        let field = if *field == "value" { form.name } else { *field };
        let _ = writeln!(text, "{field} = {value:?}");
    }
    let _ = writeln!(text, "unit: {unit}\nformula: {formula}\nsource: {source}");
    text
}

/// An estimate and the seconds that it took.
pub fn estimate(query: &Query, found: &Estimate, seconds: f64, as_json: bool) -> String {
    let Estimate { estimate, ci_low, ci_high, samples } = found;
    if as_json {
        return line(&json!({
            "estimate": estimate, "ci_low": ci_low, "ci_high": ci_high, "samples": samples, "seconds": seconds,
        }));
    }
    let (name, unit) = (query.form().name, query.form().unit);
    format!(
        "{name} = {estimate:?} [{ci_low:?}, {ci_high:?}] {unit}, {}, {seconds:.2} s\n",
        counted(*samples, "sample")
    )
}

/// All metrics that have a closed form.
pub fn metrics(as_json: bool) -> String {
    let mut text = String::new();
    for form in FORMS {
        let (name, unit, formula, source) = (form.name, form.unit, form.formula, form.source);
        if as_json {
            let params: Vec<String> = form.params.iter().map(ToString::to_string).collect();
            text.push_str(&line(&json!({
                "name": name, "parameters": params, "fields": form.fields, "unit": unit,
                "formula": formula, "source": source, "estimate": form.can_be_sampled(),
            })));
        } else {
            let also = if form.can_be_sampled() { "analytic, estimate" } else { "analytic" };
            let _ = writeln!(
                text,
                "{name} ({also})\n  parameters: {}\n  unit: {unit}\n  formula: {formula}\n  source: {source}",
                form.allowed()
            );
        }
    }
    text
}

/// A table of checks.
pub fn checks(checks: &[Check], as_json: bool) -> String {
    let failed = checks.iter().filter(|check| !check.pass).count();
    if as_json {
        return line(&json!({"checks": checks, "failed": failed, "pass": failed == 0}));
    }
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = format!(
        "{:width$}  result  {:>12}  {:>12}  passes from .. to\n",
        "check", "closed form", "found"
    );
    for check in checks {
        let result = if check.pass { "pass" } else { "FAIL" };
        let Check { name, expected, found, low, high, .. } = check;
        let _ = writeln!(
            text,
            "{name:width$}  {result:6}  {expected:12.6e}  {found:12.6e}  {low:.6e} .. {high:.6e}"
        );
    }
    let _ = writeln!(text, "{}, {failed} failed", counted(checks.len() as u64, "check"));
    text
}
