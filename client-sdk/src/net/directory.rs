//! How a client comes by the directory, and which of its documents paths are drawn from.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use enjambre_link::{LinkError, ask};
use enjambre_protocol::directory::{DirectoryReply, DirectoryRequest, VerifiedDocument};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::path::{Candidate, Prefix};
use enjambre_protocol::wire;
use rand::seq::SliceRandom;

use super::transport::LINK_WITHIN;
use super::{Net, NetError, directory_time, lock};
use crate::deadline::Deadline;
use crate::system as clock;

/// Sources asked at the first start: two, so that one alone cannot keep a client on an old document.
const FIRST_CONTACTS: usize = 2;

/// How long is looked for a newer document while the one at hand may still be used: two dead guards,
/// called at once, and an authority.
const REFRESH_WITHIN: Duration = Duration::from_secs(6);

/// How long one source may take to answer over its link.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Guard,
    Authority,
}

/// A place to ask.
#[derive(Clone, Debug)]
struct Source {
    role: Role,
    key: NodeId,
    addresses: Vec<SocketAddr>,
}

fn late() -> NetError {
    NetError::NoDirectory("no source answered in time".to_owned())
}

impl Net {
    /// Makes sure that there is a document and that it is not stale; fetches a newer one if an
    /// epoch has passed since. Without a newer one the last is used for as long as the network's
    /// parameters allow.
    pub(crate) async fn ensure_fresh(
        &self,
        deadline: Deadline,
    ) -> Result<Arc<VerifiedDocument>, NetError> {
        let params = &self.genesis.params;
        let mut until = deadline;
        if let Some(newest) = self.newest() {
            let age = clock::now().saturating_since(newest.document().time);
            if age < params.epoch() {
                return Ok(newest);
            }
            if age <= params.stale_after() {
                until = deadline.within(REFRESH_WITHIN);
            }
        }
        let refreshed = self.refresh(until).await;
        let newest = match (self.newest(), refreshed) {
            (Some(newest), _) => newest,
            (None, Err(error)) => return Err(error),
            (None, Ok(())) => return Err(NetError::NoDirectory("there is none yet".to_owned())),
        };
        let age = clock::now().saturating_since(newest.document().time);
        if age > params.stale_after() {
            return Err(NetError::Stale { hours: age.as_secs() / 3600 });
        }
        Ok(newest)
    }

    /// Asks for a newer document: first the guards in use, then the authorities. Without any
    /// document yet, two authorities at least. Who waits for another's round takes what it brought.
    pub(crate) async fn refresh(&self, deadline: Deadline) -> Result<(), NetError> {
        let before = self.rounds.load(Ordering::Acquire);
        let Some(_one) = deadline.wait(self.refreshing.lock()).await else { return Err(late()) };
        if self.rounds.load(Ordering::Acquire) != before && self.newest().is_some() {
            return Ok(());
        }
        self.warm();
        let result = self.ask_sources(deadline).await;
        self.rounds.fetch_add(1, Ordering::Release);
        result
    }

    async fn ask_sources(&self, deadline: Deadline) -> Result<(), NetError> {
        let have = self.newest();
        let (above, base) =
            have.as_ref().map_or((0, None), |have| (have.document().height, Some(*have.digest())));
        let request = DirectoryRequest::Latest { above, base };
        let wanted =
            if have.is_some() { 1 } else { FIRST_CONTACTS.min(self.genesis.authorities.len()) };
        let mut answered = 0;
        let mut last = NetError::NoDirectory("no source is known".to_owned());
        for source in self.sources(have.as_deref()) {
            if deadline.has_passed() {
                break;
            }
            let reply = match self.ask_source(&source, &request, deadline).await {
                Ok(reply) => reply,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            match self.take(reply, have.as_deref()) {
                Ok(()) => answered += 1,
                Err(error) => last = error,
            }
            if answered >= wanted && self.newest().is_some() {
                return Ok(());
            }
        }
        if answered > 0 && self.newest().is_some() { Ok(()) } else { Err(last) }
    }

    /// Asks one source; a guard that does not answer is known to be down from then on.
    async fn ask_source(
        &self,
        source: &Source,
        request: &DirectoryRequest,
        deadline: Deadline,
    ) -> Result<DirectoryReply, NetError> {
        if source.role == Role::Guard {
            let link = self.pool.link(source.key, &source.addresses);
            match deadline.within(LINK_WITHIN).wait(link).await {
                Some(Ok(_)) => lock(&self.paths).handle_guard_reachable(self.now(), source.key),
                None if deadline.has_passed() => return Err(late()),
                lost => {
                    lock(&self.paths).handle_guard_unreachable(self.now(), source.key);
                    let error = lost.and_then(Result::err).unwrap_or(LinkError::Unreachable);
                    return Err(error.into());
                }
            }
        }
        let answer = ask(&self.pool, source.key, &source.addresses, request);
        let answer = deadline.within(ANSWER_WITHIN).wait(answer).await;
        Ok(answer.ok_or_else(late)??)
    }

    fn sources(&self, have: Option<&VerifiedDocument>) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::new();
        if let Some(have) = have {
            let guards = lock(&self.paths).guards_in_use();
            let entries = guards.iter().filter_map(|guard| have.document().node(guard));
            sources.extend(entries.map(|node| Source {
                role: Role::Guard,
                key: node.id,
                addresses: node.addresses.clone(),
            }));
        }
        let mut authorities: Vec<Source> = self
            .genesis
            .authorities
            .iter()
            .map(|authority| Source {
                role: Role::Authority,
                key: NodeId::from_bytes(*authority.id.as_bytes()),
                addresses: authority.addresses.clone(),
            })
            .collect();
        self.with_rng(|rng| authorities.shuffle(rng));
        sources.extend(authorities);
        sources
    }

    fn take(&self, reply: DirectoryReply, base: Option<&VerifiedDocument>) -> Result<(), NetError> {
        let wrong = |error: String| NetError::NoDirectory(error);
        let document = match reply {
            DirectoryReply::Unchanged { .. } => return Ok(()),
            DirectoryReply::Document(signed) => {
                signed.verify(&self.genesis).map_err(|error| wrong(error.to_string()))?
            }
            DirectoryReply::Diff(diff) => {
                let base = base.ok_or(NetError::Malformed)?;
                diff.apply(base, &self.genesis).map_err(|error| wrong(error.to_string()))?
            }
            DirectoryReply::Refused { reason } => return Err(wrong(reason)),
            _ => return Err(NetError::Malformed),
        };
        self.adopt(document)
    }

    /// Takes a verified document if it is above the one in use; on disk before it is used.
    fn adopt(&self, document: VerifiedDocument) -> Result<(), NetError> {
        let height = document.document().height;
        if self.newest().is_some_and(|newest| newest.document().height >= height) {
            return Ok(());
        }
        let bytes = wire::encode(document.signed());
        self.keep.keep_document(&bytes).map_err(NetError::Keep)?;
        self.with_rng(|rng| {
            let mut documents = lock(&self.documents);
            // Its own time counts already: the clock may be behind it.
            let now = directory_time(clock::now(), Some(&document), &self.genesis);
            documents.take(Arc::new(document), now, rng);
        });
        self.advance_anchor()
    }

    /// Draws paths from a newer anchor if its time has come; on disk before it is used.
    pub(super) fn advance_anchor(&self) -> Result<(), NetError> {
        let now = self.now();
        let changed = lock(&self.documents).advance(now);
        if let Some(pending) = &changed.pending {
            self.keep.keep_pending(pending).map_err(NetError::Keep)?;
        }
        if let Some(anchor) = &changed.anchor {
            self.keep.keep_anchor(anchor).map_err(NetError::Keep)?;
            self.use_anchor()?;
        }
        Ok(())
    }

    /// Hands the anchor's relays to the path machine.
    pub(super) fn use_anchor(&self) -> Result<(), NetError> {
        let anchor = lock(&self.documents).anchor().cloned();
        let Some(anchor) = anchor else { return Ok(()) };
        let params = self.path_params();
        let document = anchor.document();
        let candidates: Vec<Candidate> = document
            .nodes
            .iter()
            .filter_map(|node| {
                Some(Candidate {
                    node: node.id,
                    family: node.family,
                    prefix: Prefix::new(node.addresses.first()?.ip(), &params),
                    swarm: document.swarms.swarm_of(node.id),
                    weight: node.weight,
                })
            })
            .collect();
        self.with_rng(|rng| {
            lock(&self.paths).handle_directory(self.now(), &candidates, rng);
        });
        self.keep_paths()
    }
}
