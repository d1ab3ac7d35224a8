//! What a process shows on its HTTP address: metrics, health, readiness, status, a small page.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Json};
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How long a command waits for the status of a process on this machine.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(3);

/// What a process shows.
pub trait Shown: Send + Sync + 'static {
    /// The object of `/status`.
    fn status(&self) -> Value;
    /// Whether the process does its work: `/ready`.
    fn is_ready(&self) -> bool;
    /// The metrics, brought up to date.
    fn metrics(&self) -> &Metrics;
}

/// Serves `shown` on `listener` until `stop`.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    shown: Arc<dyn Shown>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(page))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/status", get(async |State(shown): State<Arc<dyn Shown>>| Json(shown.status())))
        .route("/metrics", get(metrics))
        .with_state(shown);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn ready(State(shown): State<Arc<dyn Shown>>) -> impl IntoResponse {
    if shown.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: not in the directory yet\n")
    }
}

async fn metrics(State(shown): State<Arc<dyn Shown>>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shown.metrics().text())
}

async fn page(State(shown): State<Arc<dyn Shown>>) -> Html<String> {
    let status = shown.status();
    let rows: String =
        status.as_object().into_iter().flatten().fold(String::new(), |rows, (name, value)| {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            rows + &format!("<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(&value))
        });
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>\
         <title>Enjambre node</title><style>body{{font:16px sans-serif;margin:2em}}\
         th{{text-align:left;padding-right:2em;vertical-align:top}}td{{font-family:monospace;\
         overflow-wrap:anywhere}}</style><h1>Enjambre</h1><table>{rows}</table>\
         <p><a href=/metrics>metrics</a> · <a href=/status>status</a></html>"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Reads JSON from a process on this machine, for the commands.
///
/// # Errors
///
/// When nothing answers in time, or not with JSON.
pub fn get_json(address: SocketAddr, path: &str) -> Result<Value, String> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(CLIENT_TIMEOUT)).build().into();
    let mut answer =
        agent.get(format!("http://{address}{path}")).call().map_err(|error| error.to_string())?;
    let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}
