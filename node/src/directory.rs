//! The directory as a process holds it: the newest document, a few before it, and who waits for
//! the next one.
//!
//! A node and an authority hold it alike and serve it alike; how they come by a new document is
//! [`follow`] and [`crate::authority`].

mod fetch;
mod follow;

use std::collections::VecDeque;
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

const DOCUMENT_FILE: &str = "directory.bin";
const CONFLICT_FILE: &str = "conflict.bin";

/// The newest verified document of a process, and some before it.
#[derive(Debug)]
pub struct Directory {
    genesis: Arc<Genesis>,
    dir: PathBuf,
    newest: watch::Sender<Option<Arc<VerifiedDocument>>>,
    recent: Mutex<VecDeque<Arc<VerifiedDocument>>>,
}

impl Directory {
    /// Opens the directory kept below `dir`, empty if there is none. One that does not verify is
    /// left alone and said so: a document is fetched again at no loss.
    ///
    /// # Errors
    ///
    /// When what is kept is another network's: the data below `dir` belongs to that one.
    pub fn open(dir: &Path, genesis: Arc<Genesis>) -> Result<Self, FileError> {
        let path = dir.join(DOCUMENT_FILE);
        let kept = std::fs::read(&path).ok();
        let signed =
            kept.and_then(|bytes| wire::decode::<SignedDocument>(&bytes, 2 * DIRECTORY_MAX).ok());
        let document = match signed.map(|signed| signed.verify(&genesis)) {
            Some(Ok(document)) => Some(Arc::new(document)),
            Some(Err(VerifyError::Network { found })) => {
                let text = format!(
                    "what is kept here is of network {found}, and network.toml of another; put \
                     back the file of that network, or choose another directory"
                );
                return Err(FileError::Content { path, text });
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the kept directory is not used");
                None
            }
            None => None,
        };
        let recent = Mutex::new(document.iter().cloned().collect());
        let (newest, _) = watch::channel(document);
        Ok(Self { genesis, dir: dir.to_path_buf(), newest, recent })
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
        let newest = self.newest.borrow();
        let nodes = newest.iter().flat_map(|newest| &newest.document().nodes);
        let listed = nodes.flat_map(|node| &node.addresses);
        let authorities = self.genesis().authorities.iter().flat_map(|entry| &entry.addresses);
        listed.chain(authorities).any(|address| address.ip().to_canonical() == ip)
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
