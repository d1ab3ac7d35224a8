//! From reports to a certificate.
//!
//! One authority agrees with itself: its report is the list, and its signature the certificate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use enjambre_protocol::directory::{
    Certificate, PrecommitVote, SignedDocument,
};
use rand::rngs::SysRng;
use rand::TryRng;
use tokio_util::sync::CancellationToken;

use super::chain::Chain;
use crate::clock::now;
use crate::directory::Directory;
use crate::metrics::Metrics;

/// Decides height after height, an epoch apart, until `stop`.
pub(super) async fn decide(
    chain: &Arc<Chain>,
    directory: &Arc<Directory>,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let genesis = Arc::clone(directory.genesis());
    anyhow::ensure!(
        genesis.authorities.len() == 1,
        "this build runs networks of one authority; make one with `network create` and one --authority"
    );
    while !stop.is_cancelled() {
        let previous = directory.newest();
        let due = previous.as_ref().map_or(Duration::ZERO, |previous| {
            let next = previous.document().time.saturating_add(genesis.params.epoch());
            next.saturating_since(now())
        });
        tokio::select! {
            () = tokio::time::sleep(due) => {}
            () = stop.cancelled() => return Ok(()),
        }
        let mut share = [0; 32];
        SysRng.try_fill_bytes(&mut share).context("the system gives no randomness")?;
        let list = [chain.report(previous.as_deref(), now(), share)];
        let candidate = chain.candidate(previous.as_deref(), &list)?;
        let vote = PrecommitVote { height: candidate.height, round: 0, value: candidate.value };
        let signature = vote.sign(chain.key(), chain.network());
        let certificate = Certificate::new(0, candidate.list, [(0, signature)]);
        let document = SignedDocument { document: candidate.document, certificate };
        let directory = Arc::clone(directory);
        tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
            let verified = document.verify(directory.genesis())?;
            directory.adopt(verified).context("the signed document cannot be kept")?;
            Ok(())
        })
        .await??;
        metrics.decisions.inc();
    }
    Ok(())
}
