//! Files of received messages: whose are fetched and when, and their chunks fetched and put together.
//!
//! # Invariants
//!
//! - *Of contacts only*: nothing that a stranger names is fetched, which would tell the swarms of his
//!   choice when the receiver reads.
//! - *Bounded*: a file that cannot be had is tried [`FETCH_TRIES`] times, ever more seldom, and every
//!   failure is told once.
//! - *Kept*: what came of a file in a try that failed is not fetched again, whether other parts could
//!   not be had or the whole could not be written here; of a try that was cut off nothing is kept.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use enjambre_protocol::envelope::{ChunkId, FileRef};
use enjambre_protocol::mailbox::{Call, ChunkHash, MailboxError, Reply};
use enjambre_protocol::onion::SizeClass;
use enjambre_protocol::path::IsolationKey;
use enjambre_protocol::swarm::point;
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;
use tokio::task::JoinSet;

use super::saving::{self, SaveError};
use crate::client::Client;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::mailbox::SwarmError;
use crate::net::{Net, NetError, Waits};
use crate::store::{FileKey, FileRow, InboxKey, InboxRow, StoreError, View};
use crate::system;
use crate::types::{FetchedFile, Received, ReceivedFile, ReceivedMessage};

/// Chunks fetched at a time.
const CHUNKS_AT_ONCE: usize = 8;

/// How long a file is left after the first try that failed; twice as long after each further one.
const FETCH_PAUSE: Duration = Duration::from_secs(10);

/// The longest such pause.
const FETCH_PAUSE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a file is left that could not be written here.
pub(super) const UNWRITTEN_PAUSE: Duration = Duration::from_secs(10);

/// Tries to fetch a file: 14 within two days, then one a day until its chunks must have expired.
const FETCH_TRIES: u32 = 27;

/// Which files are to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilesOf {
    /// All whose time has come.
    All,
    /// Of these, those of one message.
    Message(InboxKey),
}

/// Why a file was not fetched.
#[derive(Debug)]
enum Missed {
    /// Its chunks or their list are not what they should be, and will not be.
    Unfit(String),
    /// They could not be had.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Missed {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A file that is whole, and the chunks of it that no try before had kept.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) content: Vec<u8>,
    pub(super) fetched: Vec<(usize, Vec<u8>)>,
}

/// What follows from a failure: what is said of it, and when the next try may be made.
#[derive(Debug, PartialEq, Eq)]
struct Consequence {
    reason: String,
    next_try: Option<Timestamp>,
}

impl Missed {
    /// What follows for a file that failed `tries` times before.
    fn consequence(self, tries: u32, expires: Option<Timestamp>, now: Timestamp) -> Consequence {
        let error = match self {
            Self::Unfit(reason) => return Consequence { reason, next_try: None },
            Self::Failed(error) => error,
        };
        // A clock alone can be wrong; a swarm that answers has nothing more.
        if error.kind() == ErrorKind::Refused && expires.is_some_and(|expires| expires <= now) {
            let reason = "it has expired: ask its sender to send it again".to_owned();
            return Consequence { reason, next_try: None };
        }
        if tries + 1 >= FETCH_TRIES {
            let reason = format!("given up after {FETCH_TRIES} tries ({error})");
            return Consequence { reason, next_try: None };
        }
        let pause = FETCH_PAUSE.saturating_mul(1 << tries.min(16)).min(FETCH_PAUSE_MAX);
        let reason = format!("{error}; tried again after {} s", pause.as_secs());
        Consequence { reason, next_try: Some(now.saturating_add(pause)) }
    }
}

/// A message as it is shown, with what became of its files so far.
pub(super) fn described(view: View<'_>, row: &InboxRow) -> Result<ReceivedMessage, StoreError> {
    let contact = view.contact(&row.message.sender)?;
    let is_stranger = contact.is_none();
    let files = view.files(row.key)?.into_iter();
    Ok(ReceivedMessage {
        id: row.message.message,
        from: row.message.sender,
        warning: row.message.warning,
        name: contact.and_then(|contact| contact.name),
        text: row.message.text.clone(),
        files: files.map(|file| described_file(file, is_stranger)).collect(),
        sent: row.message.sent,
        received: row.message.received,
    })
}

fn described_file(row: FileRow, is_stranger: bool) -> ReceivedFile {
    let reason = match row.path {
        Some(_) => None,
        None if is_stranger => Some(
            "its sender is no contact: add them with `enjambre contact add`, then receive with --save"
                .to_owned(),
        ),
        None => row.reason,
    };
    ReceivedFile { name: row.file.name, bytes: row.file.size, path: row.path, reason }
}

/// What became of a file whose message was shown.
fn fetched(view: View<'_>, key: FileKey) -> Result<Option<FetchedFile>, StoreError> {
    let Some(row) = view.incoming_at(key.inbox)? else { return Ok(None) };
    let file = view.files(key.inbox)?.into_iter().find(|file| file.key == key);
    Ok(file.map(|file| FetchedFile {
        message: row.message.message,
        from: row.message.sender,
        file: described_file(file, false),
    }))
}

impl Client {
    /// Says what became of files of messages that were shown, as far as that was not said.
    pub(super) fn tell_files(
        &self,
        on_received: &mut impl FnMut(Received<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        for file in self.store().read(|view| view.files_unshown())? {
            if self.tell(file.key, on_received)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn tell(
        &self,
        key: FileKey,
        on_received: &mut impl FnMut(Received<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let told = self.store().read(|view| fetched(view, key))?;
        if told.is_some_and(|file| on_received(Received::File(&file)).is_break()) {
            return Ok(ControlFlow::Break(()));
        }
        self.store().write(|change| change.file_shown(key))?;
        Ok(ControlFlow::Continue(()))
    }

    /// Fetches files of contacts whose time has come, and says of each what became of it. What could
    /// not be begun in time is left to a later call.
    pub(super) async fn fetch_due(
        &self,
        dir: &Path,
        of: FilesOf,
        on_received: &mut impl FnMut(Received<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let mut due = self.store().read(|view| view.files_due(system::now()))?;
        due.retain(|file| of == FilesOf::All || of == FilesOf::Message(file.key.inbox));
        let bytes = due.iter().fold(0, |sum: u64, file| sum.saturating_add(file.file.size));
        let deadline = self.deadline_for(bytes);
        for file in due {
            if deadline.has_passed() {
                break;
            }
            self.fetch(&file, dir, deadline).await?;
            if self.tell(file.key, on_received)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Fetches a file and saves it, or takes note of why not.
    pub(super) async fn fetch(
        &self,
        row: &FileRow,
        dir: &Path,
        deadline: Deadline,
    ) -> Result<(), Error> {
        if let Some(path) = saving::found(row) {
            return Ok(self.store().write(|change| change.file_saved(row.key, &path))?);
        }
        let reference: Option<FileRef> =
            wire::decode(&row.file.reference, row.file.reference.len()).ok();
        let whole = async {
            let reference = reference.as_ref();
            let reference = reference
                .ok_or_else(|| Missed::Unfit("its list of parts is damaged".to_owned()))?;
            self.fetch_content(row.key, reference, deadline).await
        };
        let missed = match whole.await {
            Ok(whole) => return self.put(row, dir, &whole),
            Err(missed) => missed,
        };
        let expires = reference.as_ref().map(FileRef::expires);
        let Consequence { reason, next_try } =
            missed.consequence(row.tries, expires, system::now());
        tracing::warn!(%reason, "a file was not fetched");
        Ok(self.store().write(|change| change.file_failed(row.key, &reason, next_try))?)
    }

    /// Saves a file that is whole. If it cannot be written, its chunks are kept for the next try.
    pub(super) fn put(&self, row: &FileRow, dir: &Path, whole: &Whole) -> Result<(), Error> {
        let error = match saving::save(self.store(), row, dir, &whole.content) {
            Ok(_) => return Ok(()),
            Err(SaveError::Store(error)) => return Err(error.into()),
            Err(SaveError::Unwritable(error)) => error,
        };
        tracing::warn!(%error, "a file was not written");
        // Where the disk is full they may have no room: then they are fetched again, ever more seldom.
        if let Err(unkept) = self.keep_parts(row.key, &whole.fetched) {
            tracing::warn!(error = %unkept, "the parts of a file were not kept");
            let Consequence { reason, next_try } =
                Missed::Failed(error).consequence(row.tries, None, system::now());
            return Ok(self
                .store()
                .write(|change| change.file_failed(row.key, &reason, next_try))?);
        }
        let reason = format!("{error}; tried again after {UNWRITTEN_PAUSE:?}");
        let next = system::now().saturating_add(UNWRITTEN_PAUSE);
        Ok(self.store().write(|change| change.file_unwritten(row.key, &reason, next))?)
    }

    fn keep_parts(&self, key: FileKey, parts: &[(usize, Vec<u8>)]) -> Result<(), StoreError> {
        self.store().write(|change| {
            parts.iter().try_for_each(|(part, chunk)| change.keep_file_part(key, *part, chunk))
        })
    }

    /// Fetches the chunks of a file that are not kept from a try before, and puts the file together.
    /// If one cannot be had, those that came are kept.
    async fn fetch_content(
        &self,
        key: FileKey,
        reference: &FileRef,
        deadline: Deadline,
    ) -> Result<Whole, Missed> {
        let own = self.own_account()?.id().to_bytes();
        let kept = self.store().read(|view| view.file_parts(key))?;
        let mut chunks: BTreeMap<usize, Vec<u8>> = kept.into_iter().collect();
        // What does not fit is as good as not there.
        chunks.retain(|index, chunk| {
            let id = reference.chunks().get(*index);
            id.is_some_and(|id| *ChunkHash::of(chunk).as_bytes() == *id.as_bytes())
        });
        let all = reference.chunks().iter().copied().enumerate();
        let missing: Vec<_> = all.filter(|(index, _)| !chunks.contains_key(index)).collect();
        let (fetched, failure) = if missing.is_empty() {
            (Vec::new(), None)
        } else {
            let net = self.net(deadline).await?;
            let fetch = |id: ChunkId| {
                let (net, hash) = (Arc::clone(&net), ChunkHash::from_bytes(*id.as_bytes()));
                async move { fetch_chunk(&net, &own, hash, deadline).await.map_err(Error::from) }
            };
            fetch_all(missing, fetch).await
        };
        if let Some(error) = failure {
            if let Err(error) = self.keep_parts(key, &fetched) {
                tracing::warn!(%error, "the parts of a file were not kept");
            }
            return Err(error.into());
        }
        let new = fetched.iter().map(|(index, chunk)| (index, chunk));
        let parts: BTreeMap<_, _> = chunks.iter().chain(new).collect();
        let network = self.network()?.network();
        let mut content = Vec::new();
        for (index, chunk) in parts {
            let piece = reference
                .open_chunk(&network, *index, chunk)
                .map_err(|error| Missed::Unfit(error.to_string()))?;
            content.extend(piece);
        }
        if content.len() as u64 == reference.size() {
            return Ok(Whole { content, fetched });
        }
        Err(Missed::Unfit("it is not whole: ask its sender to send it again".to_owned()))
    }
}

/// Fetches parts, some at a time, and begins no more when one could not be had. Gives those that came,
/// and why the first one did not.
async fn fetch_all<T: Send + 'static, F: Future<Output = Result<T, Error>> + Send + 'static>(
    missing: Vec<(usize, ChunkId)>,
    fetch: impl Fn(ChunkId) -> F,
) -> (Vec<(usize, T)>, Option<Error>) {
    let mut waiting = missing.into_iter();
    let (mut fetched, mut failure) = (Vec::new(), None);
    let mut under_way = JoinSet::new();
    loop {
        while failure.is_none()
            && under_way.len() < CHUNKS_AT_ONCE
            && let Some((index, id)) = waiting.next()
        {
            let chunk = fetch(id);
            under_way.spawn(async move { (index, chunk.await) });
        }
        let Some(ended) = under_way.join_next().await else { break };
        match ended {
            Ok((index, Ok(chunk))) => fetched.push((index, chunk)),
            Ok((_, Err(error))) => failure = failure.or(Some(error)),
            Err(_) => {
                let text = "a part of the file was not fetched: try again";
                failure = failure.or_else(|| Some(Error::new(ErrorKind::Refused, text)));
            }
        }
    }
    (fetched, failure)
}

/// Asks the members of a chunk's swarm until one has it.
async fn fetch_chunk(
    net: &Net,
    own: &[u8],
    hash: ChunkHash,
    deadline: Deadline,
) -> Result<Vec<u8>, SwarmError> {
    let swarm = net.swarm(point(hash.as_bytes()), deadline).await?;
    let key = IsolationKey::new(own, hash.as_bytes(), "get-chunk");
    let mut last = SwarmError::Mailbox(MailboxError::NotFound);
    for member in net.shuffled(&swarm) {
        let call = Call::GetChunk(hash);
        match net.call(&key, member, call, Waits::Read, SizeClass::K128, deadline).await {
            Ok((Reply::Chunk(data), _)) => {
                let data = data.into_bytes();
                if ChunkHash::of(&data) == hash {
                    return Ok(data);
                }
            }
            Ok(_) => last = NetError::Malformed.into(),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    fn failed(kind: ErrorKind) -> Missed {
        Missed::Failed(Error::new(kind, "no answer"))
    }

    #[test]
    fn file_that_cannot_be_had_is_tried_ever_more_seldom_and_then_given_up() {
        let (mut now, mut tries) = (at(0), 0);
        let expires = Some(at(14 * 24 * 60 * 60));
        let last = loop {
            let told = failed(ErrorKind::Unreachable).consequence(tries, expires, now);
            tries += 1;
            let Some(next) = told.next_try else { break told };
            let pause = next.saturating_since(now);
            assert!(pause >= FETCH_PAUSE && pause <= FETCH_PAUSE_MAX, "{pause:?}");
            assert!(told.reason.contains("tried again after"), "{}", told.reason);
            now = next;
        };
        assert_eq!((tries, last.reason.starts_with("given up after 27 tries")), (27, true));
        // 10 s doubled 13 times, then a day each: not before the chunks have expired.
        assert!(now > at(13 * 24 * 60 * 60) && now < at(15 * 24 * 60 * 60), "{now:?}");
    }

    #[test]
    fn file_that_its_swarm_has_no_more_has_expired_by_the_time_it_names_and_not_before() {
        let refused = |now| failed(ErrorKind::Refused).consequence(0, Some(at(100)), now);
        assert!(refused(at(99)).next_try.is_some());
        let told = refused(at(100));
        assert!(told.next_try.is_none() && told.reason.contains("expired"), "{told:?}");
        // A clock that is ahead does not end what cannot be asked for.
        let unasked = failed(ErrorKind::Unreachable).consequence(0, Some(at(100)), at(200));
        assert!(unasked.next_try.is_some());
    }

    #[test]
    fn file_that_will_never_be_whole_is_not_tried_again() {
        let told = Missed::Unfit("broken".to_owned()).consequence(0, None, at(0));
        assert_eq!(told, Consequence { reason: "broken".to_owned(), next_try: None });
    }

    #[tokio::test]
    async fn what_came_beside_a_part_that_cannot_be_had_is_given_and_no_more_is_begun() {
        let missing = (0..20_u8).map(|number| (number.into(), ChunkId::from_bytes([number; 32])));
        let begun = std::sync::atomic::AtomicUsize::new(0);
        let fetch = |id: ChunkId| {
            begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let number = id.as_bytes()[0];
            async move {
                // Those after the one that fails end after it.
                for _ in 0..number {
                    tokio::task::yield_now().await;
                }
                if number == 2 {
                    Err(Error::new(ErrorKind::Unreachable, "no answer"))
                } else {
                    Ok(number)
                }
            }
        };
        let (mut fetched, failure) = fetch_all(missing.collect(), fetch).await;
        fetched.sort_unstable();
        let begun = begun.into_inner();
        assert_eq!(failure.unwrap().kind(), ErrorKind::Unreachable);
        assert!((CHUNKS_AT_ONCE..20).contains(&begun), "{begun} were begun");
        let others: Vec<_> = (0..begun).filter(|index| *index != 2).collect();
        assert_eq!(fetched.iter().map(|(index, _)| *index).collect::<Vec<_>>(), others);
    }
}
