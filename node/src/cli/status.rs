//! `status`: what a running node says of itself.

use std::path::Path;

use serde_json::Value;

use super::{CliError, answer};
use crate::config::NodeConfig;

pub(crate) fn status(dir: &Path, json: bool) -> Result<(), CliError> {
    let config = NodeConfig::load(dir)?;
    let value = crate::http::get_json(config.http, "/status").map_err(|error| {
        CliError::later(
            "not-running",
            format!(
                "the node does not answer on {} ({error}); start it with `enjambre-node run --dir {}`",
                config.http,
                dir.display()
            ),
        )
    })?;
    answer(json, &value, &lines(&value));
    Ok(())
}

/// One line a field.
fn lines(value: &Value) -> String {
    let Some(fields) = value.as_object() else { return value.to_string() };
    let lines = fields.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}: {text}"),
        Value::Array(items) => format!("{name}: {}", items.len()),
        other => format!("{name}: {other}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}
