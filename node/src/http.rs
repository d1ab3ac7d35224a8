//! What a process shows on its HTTP address: metrics, health, readiness, status, a small page.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Json};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How long a command waits for the status of a process on this machine.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes of a request's head, at most.
const REQUEST_MAX: usize = 16 << 10;

/// The pause after the system gave no connection, as when there are no file descriptors left.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// What a process shows.
pub trait Shown: Send + Sync + 'static {
    /// The object of `/status`.
    fn status(&self) -> Value;
    /// Whether the process does its work: `/ready`.
    fn is_ready(&self) -> bool;
    /// The metrics, brought up to date.
    fn metrics(&self) -> &Metrics;
}

/// Serves `shown` on `listener` until `stop`, and ends then at once: an answer is written as soon as its
/// request is there, so nothing but unfinished requests and slow readers are cut off.
pub async fn serve(listener: TcpListener, shown: Arc<dyn Shown>, stop: CancellationToken) {
    serve_within(listener, shown, Limits::default(), stop).await;
}

/// What those who connect may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at a time; others wait in the system's queue.
    connections: usize,
    /// A connection's whole life: it carries one request.
    within: Duration,
}

impl Default for Limits {
    /// 32: a few collectors of metrics and people with a browser. 5 s: a request and its answer are
    /// some KiB.
    fn default() -> Self {
        Self { connections: 32, within: Duration::from_secs(5) }
    }
}

async fn serve_within(
    listener: TcpListener,
    shown: Arc<dyn Shown>,
    limits: Limits,
    stop: CancellationToken,
) {
    let router = router(shown);
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            while connections.len() >= limits.connections {
                connections.join_next().await;
            }
            listener.accept().await
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = stop.cancelled() => break,
        };
        // Those that ended give their places back.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let service = TowerToHyperService::new(router.clone());
                let connection = http1::Builder::new()
                    .keep_alive(false)
                    .max_buf_size(REQUEST_MAX)
                    .serve_connection(TokioIo::new(stream), service);
                // What goes wrong with a connection concerns the one who made it.
                connections.spawn(async move {
                    let _ = tokio::time::timeout(limits.within, connection).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection was not accepted");
                tokio::select! {
                    () = tokio::time::sleep(ACCEPT_RETRY) => {}
                    () = stop.cancelled() => break,
                }
            }
        }
    }
    connections.shutdown().await;
}

fn router(shown: Arc<dyn Shown>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/status", get(async |State(shown): State<Arc<dyn Shown>>| Json(shown.status())))
        .route("/metrics", get(metrics))
        .with_state(shown)
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;

    struct Nothing(Metrics);

    impl Shown for Nothing {
        fn status(&self) -> Value {
            Value::Null
        }

        fn is_ready(&self) -> bool {
            true
        }

        fn metrics(&self) -> &Metrics {
            &self.0
        }
    }

    struct Served {
        address: SocketAddr,
        stop: CancellationToken,
        server: JoinHandle<()>,
    }

    impl Served {
        async fn new(limits: Limits) -> Self {
            let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let stop = CancellationToken::new();
            let shown = Arc::new(Nothing(Metrics::new().unwrap()));
            let server = tokio::spawn(serve_within(listener, shown, limits, stop.clone()));
            Self { address, stop, server }
        }

        async fn send(&self, request: &[u8]) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request).await.unwrap();
            stream
        }

        async fn answer(&self, request: &[u8]) -> String {
            let mut answer = Vec::new();
            // Who is cut off within a request that is too long may see a reset after the answer.
            let _ = self.send(request).await.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        }
    }

    /// Fails what would otherwise hang.
    async fn guarded<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(60), future).await.expect("hangs")
    }

    const WHOLE: &[u8] = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n";
    const HALF: &[u8] = b"GET /health HTTP/1.1\r\nhost: a\r\n";
    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn half_a_request_holds_no_stop() {
        let served = Served::new(Limits { connections: 2, within: LONG }).await;
        let _half = served.send(HALF).await;
        // Answered after the first was accepted.
        let answer = guarded(served.answer(WHOLE)).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{answer}");
        served.stop.cancel();
        guarded(served.server).await.unwrap();
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_until_silent_ones_are_cut_off() {
        let served = Served::new(Limits { connections: 1, within: LONG }).await;
        let half = served.send(HALF).await;
        let mut next = std::pin::pin!(served.answer(WHOLE));
        let short = Served::new(Limits { connections: 1, within: Duration::from_millis(10) }).await;
        let _silent = short.send(HALF).await;
        tokio::select! {
            biased;
            _ = &mut next => panic!("there was no place"),
            answer = guarded(short.answer(WHOLE)) => assert!(answer.ends_with("ok\n"), "{answer}"),
        }
        drop(half);
        assert!(guarded(next).await.ends_with("ok\n"));
    }

    #[tokio::test]
    async fn request_that_is_too_long_is_refused() {
        let served = Served::new(Limits { connections: 1, within: LONG }).await;
        let request = [HALF, b"x: ", &[b'x'; 2 * REQUEST_MAX]].concat();
        let answer = guarded(served.answer(&request)).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}
