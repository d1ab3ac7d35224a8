//! A directory authority: takes descriptors, agrees with the others on each document, serves it.
//!
//! Specified in 02 directory. The rules of agreement are in
//! [`enjambre_protocol::directory::agreement`]; `agreement` gives them links, a log and a clock.

mod agreement;
mod log;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use enjambre_link::{Identity, LinkConfig, Pool, PoolConfig, Strangers};
use enjambre_protocol::directory::{DirectoryReply, DirectoryRequest, Genesis};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::identity::KeyPurpose;
use enjambre_protocol::link::Code;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{KEY_FILE, NETWORK_FILE, NodeConfig};
use crate::directory::Directory;
use crate::http::{self, Shown};
use crate::metrics::Metrics;
use crate::sockets::{listen, listen_http};
use crate::{files, server};

struct Authority {
    genesis: Arc<Genesis>,
    directory: Arc<Directory>,
    agreement: agreement::Agreement,
    metrics: Metrics,
}

impl Shown for Authority {
    fn status(&self) -> Value {
        json!({
            "id": self.agreement.id(), "height": self.directory.height(),
            "epoch": self.genesis.params.epoch_ms, "ready": self.is_ready(),
            "threshold": self.genesis.threshold(),
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    fn is_ready(&self) -> bool {
        self.directory.height() > 0
    }

    fn metrics(&self) -> &Metrics {
        self.metrics.directory_height.set(i64::try_from(self.directory.height()).unwrap_or(0));
        &self.metrics
    }
}

impl server::Service for Authority {
    async fn directory(
        self: Arc<Self>,
        request: DirectoryRequest,
        asker: std::net::SocketAddr,
    ) -> DirectoryReply {
        if let Some(reply) = self.directory.answer(&request, asker).await {
            return reply;
        }
        let DirectoryRequest::Publish(signed) = request else {
            return DirectoryReply::Refused { reason: "not answered here".to_owned() };
        };
        match self.agreement.publish(signed).await {
            Ok(()) => DirectoryReply::Accepted,
            Err(error) => DirectoryReply::Refused { reason: error.to_string() },
        }
    }

    fn takes_from(&self, from: &NodeId) -> bool {
        self.agreement.knows(from)
    }

    async fn peer(self: Arc<Self>, from: NodeId, message: Vec<u8>) -> Option<Vec<u8>> {
        self.agreement.receive(from, &message)
    }
}

/// Runs the authority of a directory until `stop`.
///
/// # Errors
///
/// When it cannot start, or cannot keep what it signed.
pub async fn run(dir: PathBuf, stop: CancellationToken) -> anyhow::Result<()> {
    let config = NodeConfig::load(&dir)?;
    let _lock = files::lock_directory(&dir)?;
    let genesis = Arc::new(files::load_network(&dir.join(NETWORK_FILE))?);
    let key = files::load_key(&dir.join(KEY_FILE), KeyPurpose::Authority)?;
    let directory = Arc::new(Directory::open_signed_here(&dir, Arc::clone(&genesis))?);
    let admission = directory.admission();
    // Nodes publish here before anybody lists them.
    let mut link = LinkConfig::new(admission);
    link.strangers = Strangers::AsClients;
    let (endpoint, acceptor) = listen(config.listen, Identity::Node(&key), link)?;
    let listener = listen_http(config.http).await?;
    let metrics = Metrics::new()?;
    let pool = Pool::new(endpoint.clone(), PoolConfig::default())?;
    let log = log::Log::open(&dir).context("the agreement's log cannot be read")?;
    let (agreement, driver) = agreement::prepare(&key, log, &directory, &pool, &metrics, &stop)?;
    tracing::info!(network = %genesis.network(), listen = %config.listen, "authority");
    let authority = Arc::new(Authority { genesis, directory, agreement, metrics });
    let tasks = TaskTracker::new();
    tasks.spawn(http::serve(listener, Arc::clone(&authority) as Arc<dyn Shown>, stop.clone()));
    let limits = server::Limits { client_requests: config.client_requests, ..Default::default() };
    let server = tasks.spawn(server::serve(acceptor, authority, limits, stop.clone()));
    let result = driver.run().await;
    stop.cancel();
    // Running requests get their answers before their links are closed.
    let served = server.await.context("the server of links failed");
    endpoint.close(Code::SHUTDOWN).await;
    tasks.close();
    tasks.wait().await;
    result.and(served)
}
