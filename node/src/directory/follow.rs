//! How a node keeps up with the chain and gets itself listed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use enjambre_link::{Pool, ask};
use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::directory::{
    Descriptor, DescriptorParts, DirectoryReply, DirectoryRequest, NodeEntry, VerifiedDocument,
};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::onion::{OnionKeyNumber, OnionPublicKey};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Directory;
use crate::clock;

/// Pause after every source failed, doubled up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(20));

/// Nodes asked besides the authorities, so that the chain is followed when no authority answers.
const NODES_ASKED: usize = 5;

/// A node's current onion key, as the directory is to show it.
#[derive(Clone, Copy, Debug)]
pub struct OnionKeyEntry {
    /// Its number.
    pub number: OnionKeyNumber,
    /// The public key.
    pub key: OnionPublicKey,
}

/// What a node publishes of itself.
#[derive(Debug)]
pub struct Publication {
    /// The node's key.
    pub key: SecretKey,
    /// What it says; the sequence number is set when it is signed.
    pub parts: DescriptorParts,
}

/// Keeps `directory` up to date until `stop`: waits at one source for the next document, and at
/// another one when that fails.
pub async fn follow(directory: Arc<Directory>, pool: Pool, stop: CancellationToken) {
    let mut pause = PAUSE.0;
    while !stop.is_cancelled() {
        let advanced = tokio::select! {
            advanced = follow_once(&directory, &pool) => advanced,
            () = stop.cancelled() => return,
        };
        if advanced {
            pause = PAUSE.0;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Asks the sources in random order; whether one of them was of use. One that has no news of a
/// document that is late may hold us on it, so that the next is asked, and has to wait for none.
async fn follow_once(directory: &Arc<Directory>, pool: &Pool) -> bool {
    let mut was_late = false;
    for (node, addresses) in sources(directory) {
        let have = directory.newest();
        let (above, base) =
            have.as_ref().map_or((0, None), |have| (have.document().height, Some(*have.digest())));
        let request = if was_late {
            DirectoryRequest::Latest { above, base }
        } else {
            DirectoryRequest::Wait { above, base }
        };
        let source = node.short();
        match ask(pool, node, &addresses, &request).await {
            Ok(DirectoryReply::Unchanged { .. }) if is_late(directory) => {
                was_late = true;
                tracing::debug!(source, "a directory source has no news though they are due");
            }
            Ok(reply) => match take(directory, have, reply).await {
                Ok(()) => return true,
                Err(error) => tracing::warn!(%error, source, "a directory source is of no use"),
            },
            Err(error) => tracing::debug!(%error, source, "a directory source does not answer"),
        }
    }
    false
}

/// Whether a newer document than the newest at hand should long be there.
fn is_late(directory: &Directory) -> bool {
    directory.newest().is_some_and(|newest| {
        directory.genesis().params.is_late(newest.document().time, clock::now())
    })
}

/// Fetches the newest document from a source that is known to be ahead.
pub(crate) async fn catch_up(
    directory: &Arc<Directory>,
    pool: &Pool,
    source: NodeId,
    addresses: &[SocketAddr],
) -> anyhow::Result<()> {
    let have = directory.newest();
    let above = have.as_ref().map_or(0, |have| have.document().height);
    let base = have.as_ref().map(|have| *have.digest());
    let request = DirectoryRequest::Latest { above, base };
    let reply = ask(pool, source, addresses, &request).await?;
    take(directory, have, reply).await
}

/// The authorities, then some nodes, each group in random order.
fn sources(directory: &Directory) -> Vec<(NodeId, Vec<SocketAddr>)> {
    let mut rng: StdRng = rand::make_rng();
    let authorities = directory.genesis().authorities.iter();
    let mut sources: Vec<_> = authorities
        .map(|authority| {
            (NodeId::from_bytes(*authority.id.as_bytes()), authority.addresses.clone())
        })
        .collect();
    sources.shuffle(&mut rng);
    if let Some(newest) = directory.newest() {
        let nodes = newest.document().nodes.iter();
        let mut nodes: Vec<_> = nodes.map(|node| (node.id, node.addresses.clone())).collect();
        nodes.shuffle(&mut rng);
        sources.extend(nodes.into_iter().take(NODES_ASKED));
    }
    sources
}

async fn take(
    directory: &Arc<Directory>,
    base: Option<Arc<VerifiedDocument>>,
    reply: DirectoryReply,
) -> anyhow::Result<()> {
    let directory = Arc::clone(directory);
    // Signatures and a synced file: not on a thread that others wait for.
    tokio::task::spawn_blocking(move || {
        let document = match reply {
            DirectoryReply::Unchanged { .. } => return Ok(()),
            DirectoryReply::Document(signed) => signed.verify(directory.genesis())?,
            DirectoryReply::Diff(diff) => {
                let base = base.ok_or_else(|| anyhow::anyhow!("a difference from nothing"))?;
                diff.apply(&base, directory.genesis())?
            }
            DirectoryReply::Refused { reason } => anyhow::bail!("refused: {reason}"),
            _ => anyhow::bail!("an answer to another question"),
        };
        directory.adopt(document)?;
        Ok(())
    })
    .await?
}

impl Publication {
    /// Sends the descriptor to every authority, once an epoch, until the document shows what it
    /// says; then watches, and sends again when the document says something else.
    pub async fn run(
        mut self,
        directory: Arc<Directory>,
        pool: Pool,
        mut onion_keys: watch::Receiver<OnionKeyEntry>,
        stop: CancellationToken,
    ) {
        let mut newest = directory.subscribe();
        let mut sequence = 0;
        let epoch = directory.genesis().params.epoch();
        loop {
            let current = *onion_keys.borrow_and_update();
            self.parts.onion_number = current.number;
            self.parts.onion_key = current.key;
            let listed = self.is_listed(newest.borrow_and_update().as_deref());
            if !listed {
                // Above what is listed, which an earlier run may have signed by a faster clock.
                let newest = newest.borrow().clone();
                let entry = newest.as_deref().and_then(|newest| self.entry(newest));
                // What this run signed by a clock that was ahead since then, no authority took.
                let latest =
                    clock::now().saturating_add(directory.genesis().params.descriptor_window());
                let signed = if sequence > latest.as_millis() { 0 } else { sequence };
                let above = entry.map_or(0, |entry| entry.sequence).max(signed).saturating_add(1);
                sequence = clock::now().as_millis().max(above);
                self.publish(&directory, &pool, sequence).await;
            }
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { return },
                changed = onion_keys.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(epoch) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    fn entry<'a>(&self, newest: &'a VerifiedDocument) -> Option<&'a NodeEntry> {
        newest.document().node(&self.parts.node)
    }

    fn is_listed(&self, newest: Option<&VerifiedDocument>) -> bool {
        let entry = newest.and_then(|newest| self.entry(newest));
        entry.is_some_and(|entry| {
            entry.onion_key == self.parts.onion_key
                && entry.onion_number == self.parts.onion_number
                && entry.addresses == self.parts.addresses
                && entry.store == self.parts.store
                && entry.family == self.parts.family.as_ref().map(|(family, _)| *family)
        })
    }

    async fn publish(&self, directory: &Directory, pool: &Pool, sequence: u64) {
        let network = directory.genesis().network();
        let parts = DescriptorParts { sequence, ..self.parts.clone() };
        let signed = Descriptor::sign(&self.key, &network, parts).signed().clone();
        for authority in &directory.genesis().authorities {
            let node = NodeId::from_bytes(*authority.id.as_bytes());
            let request = DirectoryRequest::Publish(signed.clone());
            match ask(pool, node, &authority.addresses, &request).await {
                Ok(DirectoryReply::Accepted) => {}
                Ok(DirectoryReply::Refused { reason }) => {
                    tracing::warn!(%reason, "an authority refuses this node's descriptor");
                }
                Ok(_) => tracing::warn!("an authority answers another question"),
                Err(error) => tracing::debug!(%error, "an authority does not answer"),
            }
        }
    }
}
