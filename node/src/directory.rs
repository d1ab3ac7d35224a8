//! The directory as a process holds it: the newest document, a few before it, and who waits for
//! the next one.
//!
//! A node and an authority hold it alike and serve it alike; how they come by a new document is
//! [`follow`] and [`crate::authority`].

mod fetch;
mod follow;

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use enjambre_link::Admission;
use enjambre_protocol::directory::{
    DirectoryReply, DirectoryRequest, DocumentDiff, Genesis, SignedDocument, VerifiedDocument,
    VerifyError,
};
use enjambre_protocol::id::{AuthorityId, Digest, NodeId};
use enjambre_protocol::limits::DIRECTORY_MAX;
use enjambre_protocol::wire;
use tokio::sync::watch;

pub use fetch::{FetchError, fetch_latest};
pub(crate) use follow::catch_up;
pub use follow::{OnionKeyEntry, Publication, follow};

use crate::files::{self, FileError};

/// Documents kept to compute differences from: the newest anchor, 6 and 24 anchors back, at the
/// default distance of six heights.
const RECENT_MAX: usize = 150;

/// How long an asker may wait for a newer document: below the idle time of a link.
const WAIT_MAX: Duration = Duration::from_secs(25);

/// Bytes of a kept document with its signatures.
const KEPT_MAX: usize = 2 * DIRECTORY_MAX;

const DOCUMENT_FILE: &str = "directory.bin";
const CONFLICT_FILE: &str = "conflict.bin";

/// What to do with the data of another network.
const OTHER_NETWORK: &str = "network.toml is of another one: put back the file of that network, or \
                             choose another directory";

/// What to do about an authority's document.
const SIGNED_HERE: &str = "an authority does not sign again what it has signed: put back a good \
                           copy of the file; only if other authorities still decide, move it away \
                           and it is fetched from them; else begin with a new network";

/// Why a kept document cannot be used.
#[derive(Debug, thiserror::Error)]
enum KeptError {
    /// The system refused.
    #[error("{0}")]
    Read(std::io::Error),
    /// Not an encoding of a signed document.
    #[error("this is no document ({0})")]
    Decode(wire::DecodeError),
    /// Not a document of this network, or of this version.
    #[error("{0}")]
    Verify(VerifyError),
}

impl KeptError {
    const fn is_of_another_network(&self) -> bool {
        matches!(self, Self::Verify(VerifyError::Network { .. }))
    }

    fn at(&self, dir: &Path, hint: &str) -> FileError {
        FileError::Content { path: dir.join(DOCUMENT_FILE), text: format!("{self}; {hint}") }
    }
}

fn read_kept(dir: &Path, genesis: &Genesis) -> Result<Option<VerifiedDocument>, KeptError> {
    let bytes = match files::read_at_most(&dir.join(DOCUMENT_FILE), KEPT_MAX as u64) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(KeptError::Read)?,
    };
    let signed: SignedDocument = wire::decode(&bytes, KEPT_MAX).map_err(KeptError::Decode)?;
    signed.verify(genesis).map(Some).map_err(KeptError::Verify)
}

/// The newest verified document of a process, and some before it.
#[derive(Debug)]
pub struct Directory {
    genesis: Arc<Genesis>,
    dir: PathBuf,
    newest: watch::Sender<Option<Arc<VerifiedDocument>>>,
    recent: Mutex<VecDeque<Arc<VerifiedDocument>>>,
    /// Where nodes and authorities are, by the document of a height.
    expected: Mutex<(Option<u64>, HashSet<IpAddr>)>,
}

impl Directory {
    /// Opens the directory kept below `dir`, empty if there is none. What cannot be used is said so
    /// and left behind: a document is fetched again at no loss.
    ///
    /// # Errors
    ///
    /// When what is kept is another network's: the data below `dir` belongs to that one.
    pub fn open(dir: &Path, genesis: Arc<Genesis>) -> Result<Self, FileError> {
        let document = match read_kept(dir, &genesis) {
            Err(error) if error.is_of_another_network() => return Err(error.at(dir, OTHER_NETWORK)),
            Err(error) => {
                tracing::warn!(%error, "the kept directory is not used, and is fetched anew");
                None
            }
            Ok(document) => document,
        };
        Ok(Self::holding(dir, genesis, document))
    }

    /// The same for an authority, which must not begin the chain again where it has signed already.
    ///
    /// # Errors
    ///
    /// When what is kept cannot be used.
    pub fn open_signed_here(dir: &Path, genesis: Arc<Genesis>) -> Result<Self, FileError> {
        let document = read_kept(dir, &genesis).map_err(|error| {
            let hint = if error.is_of_another_network() { OTHER_NETWORK } else { SIGNED_HERE };
            error.at(dir, hint)
        })?;
        Ok(Self::holding(dir, genesis, document))
    }

    fn holding(dir: &Path, genesis: Arc<Genesis>, document: Option<VerifiedDocument>) -> Self {
        let document = document.map(Arc::new);
        let recent = Mutex::new(document.iter().cloned().collect());
        let (newest, _) = watch::channel(document);
        Self { genesis, dir: dir.to_path_buf(), newest, recent, expected: Mutex::default() }
    }

    /// The network's genesis.
    pub const fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// The newest document.
    pub fn newest(&self) -> Option<Arc<VerifiedDocument>> {
        self.newest.borrow().clone()
    }

    /// Whether a key is that of a listed node or of an authority.
    fn knows(&self, key: &NodeId) -> bool {
        let newest = self.newest.borrow();
        let listed = newest.as_ref().is_some_and(|newest| newest.document().node(key).is_some());
        listed || self.genesis().index(&AuthorityId::from_bytes(*key.as_bytes())).is_some()
    }

    /// Lets in the nodes that it knows, and expects them at their addresses.
    pub fn admission(self: &Arc<Self>) -> Admission {
        let (known, expected) = (Arc::clone(self), Arc::clone(self));
        Admission::new(move |node| known.knows(node)).expecting(move |ip| expected.expects(ip))
    }

    /// Whether a listed node or an authority has an address here.
    fn expects(&self, ip: IpAddr) -> bool {
        let newest = self.newest.borrow().clone();
        let height = newest.as_ref().map_or(0, |newest| newest.document().height);
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        // Made anew with each document: it is asked for with each handshake.
        if expected.0 != Some(height) {
            let nodes = newest.iter().flat_map(|newest| &newest.document().nodes);
            let listed = nodes.flat_map(|node| &node.addresses);
            let authorities = self.genesis().authorities.iter().flat_map(|entry| &entry.addresses);
            let all = listed.chain(authorities).map(|address| address.ip().to_canonical());
            *expected = (Some(height), all.collect());
        }
        expected.1.contains(&ip)
    }

    /// Its height; 0 for none.
    pub fn height(&self) -> u64 {
        self.newest.borrow().as_ref().map_or(0, |newest| newest.document().height)
    }

    /// Is told of each newer document.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<VerifiedDocument>>> {
        self.newest.subscribe()
    }

    /// Takes a verified document if it is above the newest one: keeps it on disk, then tells
    /// everyone. Another document of the same height is proof that authorities lied; both are
    /// kept.
    pub fn adopt(&self, document: VerifiedDocument) -> Result<bool, FileError> {
        // Held throughout: of two that adopt at a time, the later sees what the earlier did.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = self.newest() {
            if document.document().height < newest.document().height {
                return Ok(false);
            }
            if document.document().height == newest.document().height {
                if document.digest() != newest.digest() {
                    let height = document.document().height;
                    tracing::error!(height, "two signed documents of one height: kept as proof");
                    let proof = wire::encode(&(newest.signed(), document.signed()));
                    files::write_atomic(&self.dir.join(CONFLICT_FILE), &proof)?;
                }
                return Ok(false);
            }
        }
        files::write_atomic(&self.dir.join(DOCUMENT_FILE), &wire::encode(document.signed()))?;
        let document = Arc::new(document);
        recent.push_back(Arc::clone(&document));
        if recent.len() > RECENT_MAX {
            recent.pop_front();
        }
        self.newest.send_replace(Some(document));
        Ok(true)
    }

    fn known(&self, digest: &Digest) -> Option<Arc<VerifiedDocument>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().rev().find(|document| document.digest() == digest).cloned()
    }

    /// Answers what anybody may ask; `None` for what only an authority answers.
    pub async fn answer(
        &self,
        request: &DirectoryRequest,
        asker: SocketAddr,
    ) -> Option<DirectoryReply> {
        match request {
            DirectoryRequest::Genesis => {
                Some(DirectoryReply::Genesis(Genesis::clone(&self.genesis)))
            }
            DirectoryRequest::Latest { above, base } => Some(self.above(*above, base.as_ref())),
            DirectoryRequest::Wait { above, base } => {
                let mut newest = self.subscribe();
                let newer = newest.wait_for(|newest| {
                    newest.as_ref().is_some_and(|newest| newest.document().height > *above)
                });
                // Either way the answer is what there is now.
                let _ = tokio::time::timeout(WAIT_MAX, newer).await;
                Some(self.above(*above, base.as_ref()))
            }
            DirectoryRequest::WhoAmI => Some(DirectoryReply::Seen(asker)),
            DirectoryRequest::Publish(_) => None,
        }
    }

    fn above(&self, above: u64, base: Option<&Digest>) -> DirectoryReply {
        match self.newest() {
            Some(newest) if newest.document().height > above => {
                match base.and_then(|base| self.known(base)) {
                    Some(base) => DirectoryReply::Diff(DocumentDiff::between(&base, &newest)),
                    None => DirectoryReply::Document(newest.signed().clone()),
                }
            }
            newest => DirectoryReply::Unchanged {
                height: newest.map_or(0, |newest| newest.document().height),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use enjambre_protocol::crypto::SecretKey;
    use enjambre_protocol::directory::agreement::{AgreementEvent, AgreementMachine};
    use enjambre_protocol::directory::{AuthorityEntry, Params};
    use enjambre_protocol::time::{Instant, Timestamp};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// A network of one authority, and its first document.
    fn decided() -> Result<(Arc<Genesis>, SignedDocument), Box<dyn std::error::Error>> {
        let key = SecretKey::from_seed(&[1; 32]);
        let id = AuthorityId::from_bytes(*key.public().as_bytes());
        let authorities = vec![AuthorityEntry { id, addresses: Vec::new() }];
        let genesis = Arc::new(Genesis::new(1, authorities, Params::devnet())?);
        let clock = Timestamp::from_millis(1);
        let mut machine =
            AgreementMachine::new(Arc::clone(&genesis), key, None, Instant::START, clock)?;
        machine.handle_timeout(Instant::START, clock, &mut StdRng::seed_from_u64(1));
        let decided = std::iter::from_fn(|| machine.poll_event()).find_map(|event| match event {
            AgreementEvent::Decided { document, .. } => Some(document),
            _ => None,
        });
        Ok((genesis, decided.ok_or("nothing was decided")?))
    }

    #[test]
    fn kept_document_of_no_use_is_left_by_a_node_and_stops_an_authority() -> Outcome {
        let (genesis, signed) = decided()?;
        let temp = tempfile::tempdir()?;
        let dir = temp.path();
        let kept =
            |bytes: &[u8]| -> Result<(u64, Result<u64, String>), Box<dyn std::error::Error>> {
                std::fs::write(dir.join(DOCUMENT_FILE), bytes)?;
                let node = Directory::open(dir, Arc::clone(&genesis))?.height();
                let authority = Directory::open_signed_here(dir, Arc::clone(&genesis));
                let authority = authority.map(|directory| directory.height());
                Ok((node, authority.map_err(|error| error.to_string())))
            };
        assert_eq!(kept(&wire::encode(&signed))?, (1, Ok(1)));
        let mut old = signed.clone();
        old.document[0] = 1;
        for (bytes, said) in [
            (wire::encode(&old), "version 1, and this program reads version 2"),
            (wire::encode(&signed)[..9].to_vec(), "no document"),
            (Vec::new(), "no document"),
        ] {
            let (node, authority) = kept(&bytes)?;
            assert_eq!(node, 0);
            let refused = authority.err().unwrap_or_default();
            let told = refused.contains(said) && refused.contains("put back a good copy");
            assert!(told && refused.contains(DOCUMENT_FILE), "{refused}");
        }
        std::fs::remove_file(dir.join(DOCUMENT_FILE))?;
        assert_eq!(Directory::open_signed_here(dir, genesis)?.height(), 0);
        Ok(())
    }
}
