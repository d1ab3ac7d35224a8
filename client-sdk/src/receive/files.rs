//! Files of received messages: their chunks fetched, put together, and written under a free name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use enjambre_protocol::envelope::FileRef;
use enjambre_protocol::mailbox::{Call, ChunkHash, MailboxError, Reply};
use enjambre_protocol::onion::SizeClass;
use enjambre_protocol::path::IsolationKey;
use enjambre_protocol::swarm::point;
use enjambre_protocol::wire;
use tokio::task::JoinSet;

use crate::account::Account;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::mailbox::SwarmError;
use crate::net::{Net, NetError, Waits};
use crate::store::{FileRow, StoreError};

/// Bytes of a numbered file's name without its number: 255, less ` (999).`.
const NAME_MAX: usize = 248;

/// Chunks fetched at a time.
const CHUNKS_AT_ONCE: usize = 8;

impl Client {
    /// Fetches files of messages that were shown before they could be, or were to be, saved.
    pub(super) async fn save_what_is_left(&self, dir: &Path) -> Result<(), Error> {
        for file in self.store().read(|view| view.files_to_fetch())? {
            match self.save_file(&file, dir).await {
                Err(error) if error.kind() == ErrorKind::File => return Err(error),
                Err(error) => tracing::warn!(%error, "a file was not fetched"),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Fetches a file's chunks and writes it under a name that is free.
    pub(super) async fn save_file(&self, row: &FileRow, dir: &Path) -> Result<PathBuf, Error> {
        let reference: FileRef = wire::decode(&row.file.reference, row.file.reference.len())
            .map_err(|_| StoreError::Damaged { what: "file reference" })?;
        let account = self.own_account()?;
        let deadline = self.deadline_for(row.file.size);
        let net = self.net(deadline).await?;
        let content = fetch_file(&net, &account, &reference, deadline).await?;
        let path = write_file(dir, &row.file.name, &content)?;
        self.store().write(|change| change.file_saved(row.key, &path))?;
        Ok(path)
    }
}

/// Fetches every chunk of a file and puts the file together.
async fn fetch_file(
    net: &Arc<Net>,
    account: &Account,
    reference: &FileRef,
    deadline: Deadline,
) -> Result<Vec<u8>, Error> {
    let own = account.id().to_bytes();
    let mut pieces: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut waiting = reference.chunks().iter().copied().enumerate();
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < CHUNKS_AT_ONCE
            && let Some((index, id)) = waiting.next()
        {
            let net = Arc::clone(net);
            under_way.spawn(async move {
                let hash = ChunkHash::from_bytes(*id.as_bytes());
                (index, fetch_chunk(&net, &own, hash, deadline).await)
            });
        }
        let Some(ended) = under_way.join_next().await else { break };
        let (index, chunk) = ended.map_err(|_| {
            Error::new(ErrorKind::Refused, "a part of the file was not fetched: try again")
        })?;
        let piece = reference
            .open_chunk(net.network(), index, &chunk?)
            .map_err(|error| Error::new(ErrorKind::Refused, error.to_string()))?;
        pieces.insert(index, piece);
    }
    let content: Vec<u8> = pieces.into_values().flatten().collect();
    if content.len() as u64 == reference.size() {
        return Ok(content);
    }
    Err(Error::new(ErrorKind::Refused, "the file is not whole: ask its sender to send it again"))
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

/// Writes a new file below `dir`: never over another, with a number if the name is taken.
fn write_file(dir: &Path, name: &str, content: &[u8]) -> Result<PathBuf, Error> {
    use std::io::Write;
    let unwritable = |error: std::io::Error| {
        let text =
            format!("`{}` cannot be written ({error}): choose another --save", dir.display());
        Error::new(ErrorKind::File, text).with_source(error)
    };
    std::fs::create_dir_all(dir).map_err(unwritable)?;
    let (stem, extension) = name.rsplit_once('.').map_or((name, None), |(s, e)| (s, Some(e)));
    // Room for the number within what file systems take.
    let stem_end = stem.floor_char_boundary(NAME_MAX.saturating_sub(extension.map_or(0, str::len)));
    let short = &stem[..stem_end];
    for number in 0..1000 {
        let numbered = match (number, extension) {
            (0, _) => name.to_owned(),
            (number, Some(extension)) => format!("{short} ({number}).{extension}"),
            (number, None) => format!("{short} ({number})"),
        };
        let path = dir.join(numbered);
        let opened = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        match opened {
            Ok(mut file) => {
                file.write_all(content).and_then(|()| file.sync_all()).map_err(unwritable)?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unwritable(error)),
        }
    }
    let text = format!(
        "`{}` holds a thousand files called `{name}`: choose another --save",
        dir.display()
    );
    Err(Error::new(ErrorKind::File, text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn file_is_never_written_over_another() {
        let temp = tempfile::tempdir().unwrap();
        let write = |content: &[u8]| write_file(temp.path(), "photo.jpg", content).unwrap();
        let paths = [write(b"1"), write(b"2"), write(b"3")];
        let names = paths.each_ref().map(|path| path.file_name().unwrap().to_str().unwrap());
        assert_eq!(names, ["photo.jpg", "photo (1).jpg", "photo (2).jpg"]);
        let contents = paths.map(|path| std::fs::read(path).unwrap());
        assert_eq!(contents, [b"1", b"2", b"3"]);
    }

    #[test]
    fn numbered_name_of_the_longest_file_still_fits_and_keeps_its_end() {
        let temp = tempfile::tempdir().unwrap();
        // 255 bytes, of which those before the end are two each.
        let name = format!("a{}.jpg", "é".repeat(125));
        assert_eq!(name.len(), 255);
        write_file(temp.path(), &name, b"1").unwrap();
        let second = write_file(temp.path(), &name, b"2").unwrap();
        let second = second.file_name().unwrap().to_str().unwrap();
        assert!(second.len() <= 255 && second.ends_with(" (1).jpg"), "{second}");
    }

    #[test]
    fn folder_that_cannot_be_written_is_named() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("file"), b"").unwrap();
        let error = write_file(&temp.path().join("file"), "a", b"1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
        assert!(error.to_string().contains("choose another --save"), "{error}");
    }
}
