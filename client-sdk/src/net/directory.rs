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

use super::attempt::LINK_WITHIN;
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

/// How long what was heard of several sources about a late document is believed.
const LATE_PAUSE: Duration = Duration::from_secs(30);

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Guard,
    Authority,
}

/// Who has answered in one round.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    guards: usize,
    authorities: usize,
}

impl Heard {
    fn note(&mut self, role: Role) {
        match role {
            Role::Guard => self.guards += 1,
            Role::Authority => self.authorities += 1,
        }
    }

    const fn count(self) -> usize {
        self.guards + self.authorities
    }

    /// Whether `wanted` sources have answered; where the newest document is late, two at least, of
    /// which one is an authority: a guard alone could hold its client on an old document.
    const fn is_enough(self, wanted: usize, is_late: IsLate) -> bool {
        let is_confirmed = match is_late {
            IsLate::No => true,
            IsLate::Yes => self.authorities > 0 && self.count() >= 2,
        };
        self.count() >= wanted && is_confirmed
    }
}

/// Whether a newer document should long be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IsLate {
    No,
    Yes,
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

    /// Asks for a newer document: first the guards in use, then the authorities. Where the one at
    /// hand is late, a source that has no newer one is not believed alone. Without any
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
        let mut heard = Heard::default();
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
                Ok(()) => heard.note(source.role),
                Err(error) => last = error,
            }
            if self.newest().is_some() && heard.is_enough(wanted, self.is_late()) {
                break;
            }
        }
        if heard.count() == 0 || self.newest().is_none() {
            return Err(last);
        }
        if self.is_late() == IsLate::Yes {
            // Several agree, or all there is was asked: that has to do for a while.
            *lock(&self.late_heard) = Some(Deadline::after(LATE_PAUSE));
        }
        Ok(())
    }

    /// Whether the newest document is so old that a source which has none is not believed alone.
    fn is_late(&self) -> IsLate {
        let was_heard = lock(&self.late_heard).is_some_and(|until| !until.has_passed());
        let late = |newest: &VerifiedDocument| {
            self.genesis.params.is_late(newest.document().time, clock::now())
        };
        match self.newest() {
            Some(newest) if late(&newest) && !was_heard => IsLate::Yes,
            _ => IsLate::No,
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use enjambre_protocol::directory::Params;
    use enjambre_protocol::time::Timestamp;

    use super::super::chain::Chain;
    use super::super::{Keep, Kept};
    use super::*;

    /// Keeps what it is told, in order.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Keep for Told {
        fn keep_document(&self, bytes: &[u8]) -> Result<(), String> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Ok(())
        }

        fn keep_anchor(&self, _: &[u8]) -> Result<(), String> {
            Ok(())
        }

        fn keep_pending(&self, _: &[u8]) -> Result<(), String> {
            Ok(())
        }

        fn keep_paths(&self, _: &mut dyn FnMut(Option<&[u8]>) -> Vec<u8>) -> Result<(), String> {
            Ok(())
        }

        fn keep_health(&self, _: &[u8]) -> Result<(), String> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn client_never_goes_back_to_an_older_document() {
        let mut chain = Chain::new(Params::devnet());
        let signed = [0, 2, 4].map(|secs| {
            let document = chain.next(Timestamp::from_secs(1_800_000_000 + secs));
            document.signed().clone()
        });
        let told = Told::default();
        let open =
            |kept: &Kept| Net::open(chain.genesis.clone(), kept, Box::new(told.clone())).unwrap();
        let take = |net: &Net, height: usize| {
            let reply = DirectoryReply::Document(signed[height - 1].clone());
            net.take(reply, net.newest().as_deref()).unwrap();
            net.newest().unwrap().document().height
        };
        let net = open(&Kept::default());
        // A source that was asked before another one gave height 3 comes late with heights 1 and 2.
        assert_eq!([1, 3, 2, 1, 3].map(|height| take(&net, height)), [1, 3, 3, 3, 3]);
        let expected = [&signed[0], &signed[2]].map(wire::encode);
        assert_eq!(*told.0.lock().unwrap(), expected, "nor does what is kept go back");
        let document = told.0.lock().unwrap().last().cloned();
        let again = open(&Kept { document, ..Kept::default() });
        assert_eq!([2, 1].map(|height| take(&again, height)), [3, 3]);
        assert_eq!(told.0.lock().unwrap().len(), 2);
    }

    fn heard(guards: usize, authorities: usize) -> Heard {
        Heard { guards, authorities }
    }

    #[test]
    fn one_guard_is_enough_unless_the_document_is_late() {
        assert!(heard(1, 0).is_enough(1, IsLate::No));
        assert!(!heard(1, 0).is_enough(1, IsLate::Yes));
        assert!(!heard(2, 0).is_enough(1, IsLate::Yes), "guards do not answer for each other");
        assert!(heard(1, 1).is_enough(1, IsLate::Yes));
        assert!(heard(0, 2).is_enough(1, IsLate::Yes));
        assert!(!heard(0, 1).is_enough(1, IsLate::Yes));
    }

    #[test]
    fn first_start_asks_as_many_as_are_wanted() {
        assert!(!heard(0, 1).is_enough(2, IsLate::No));
        assert!(heard(0, 2).is_enough(2, IsLate::No));
    }
}
