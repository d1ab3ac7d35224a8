//! A message made of words and files: sealed, signed and queued before anything is sent.

use std::io::Read;
use std::path::{Path, PathBuf};

use enjambre_protocol::envelope::{
    self, Content, ConversationId, FILE_MAX, FILES_MAX, FileName, FileRef, FileSealer, Kind,
    MessageId, SignedContent, TEXT_MAX,
};
use enjambre_protocol::id::Digest;
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;
use rand::Rng;

use super::{TTL, held_until};
use crate::account::Account;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::net::Net;
use crate::store::{ConversationPosition, NewOutboxMessage, NewPart, OutboxKind, PartKind};
use crate::system;
use crate::types::SendRequest;

/// A file on its way into a message.
struct SealedFile {
    reference: FileRef,
    chunks: Vec<Vec<u8>>,
}

impl Client {
    /// Seals the files, signs the content and queues all of it.
    pub(super) fn compose(
        &self,
        account: &Account,
        net: &Net,
        recipient: AccountId,
        request: SendRequest,
        deadline: Deadline,
    ) -> Result<MessageId, Error> {
        let text = request.text.unwrap_or_default();
        if text.len() > TEXT_MAX {
            let text = format!("the text has {} bytes: at most {TEXT_MAX} can be sent", text.len());
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        if request.files.len() > FILES_MAX {
            let text = format!("at most {FILES_MAX} files go into one message: send several");
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        if text.is_empty() && request.files.is_empty() {
            let text = "there is nothing to send: give a text or a --file";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let now = system::now();
        let expires = now.saturating_add(TTL.as_duration());
        let files = request
            .files
            .iter()
            .map(|path| seal_file(net, path, expires))
            .collect::<Result<Vec<_>, _>>()?;
        let references = files.iter().map(|file| file.reference.clone()).collect();
        let (id, fresh) = net.with_rng(|rng| {
            let (mut id, mut fresh) = ([0; MessageId::LEN], [0; ConversationId::LEN]);
            rng.fill_bytes(&mut id);
            rng.fill_bytes(&mut fresh);
            (MessageId::from_bytes(id), ConversationId::from_bytes(fresh))
        });
        self.store().write(|change| {
            let position = change.conversation(&recipient)?.unwrap_or(ConversationPosition {
                conversation: fresh,
                counter: 0,
                previous: Digest::from_bytes([0; 32]),
            });
            let content = Content {
                id,
                recipient,
                device: account.device().signer().public(),
                list_version: account.list().version(),
                list_digest: account.list().digest(),
                conversation: position.conversation,
                counter: position.counter,
                previous: position.previous,
                sent: now,
                kind: Kind::Message { text, files: references },
            };
            let network = account.network();
            let signed = SignedContent::sign(account.device(), account.list(), &network, &content)
                .map_err(|error| Error::new(ErrorKind::TooLarge, error.to_string()))?;
            change.queue(&NewOutboxMessage {
                id,
                recipient,
                kind: OutboxKind::Message,
                content: wire::encode(&signed),
                conversation: position.conversation,
                counter: position.counter,
                created: now,
                expires,
                reason: "not tried yet".to_owned(),
            })?;
            change.set_next_try(&id, held_until(deadline))?;
            for bytes in files.into_iter().flat_map(|file| file.chunks) {
                let kind = PartKind::Chunk;
                change.add_part(&id, &NewPart { kind, namespace: 0, sealed_at: now, bytes })?;
            }
            let next = ConversationPosition {
                counter: position.counter.saturating_add(1),
                previous: signed.digest(&network),
                ..position
            };
            change.set_conversation(&recipient, &next)?;
            Ok(id)
        })
    }
}

/// Bytes of the files that can be read; those that cannot are told when they are sealed.
pub(super) fn bytes_of(files: &[PathBuf]) -> u64 {
    let sizes = files.iter().filter_map(|path| Some(path.metadata().ok()?.len()));
    sizes.fold(0, u64::saturating_add)
}

/// Reads and seals one file, chunk by chunk.
fn seal_file(net: &Net, path: &Path, expires: Timestamp) -> Result<SealedFile, Error> {
    let unreadable = |error: std::io::Error| {
        let text = format!("`{}` cannot be read ({error}): check its name", path.display());
        Error::new(ErrorKind::File, text).with_source(error)
    };
    let too_large = |size: u64| {
        let text = format!("`{}` has {size} bytes: at most {FILE_MAX} can be sent", path.display());
        Error::new(ErrorKind::TooLarge, text)
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if size > FILE_MAX {
        return Err(too_large(size));
    }
    let mut content = Vec::new();
    // A file that grows while it is read is read no further than it may be sent.
    file.take(FILE_MAX + 1).read_to_end(&mut content).map_err(unreadable)?;
    let size = content.len() as u64;
    if size > FILE_MAX {
        return Err(too_large(size));
    }
    let sealing = |error: envelope::FileError| Error::new(ErrorKind::File, error.to_string());
    let mut sealer =
        net.with_rng(|rng| FileSealer::new(rng, net.network(), size)).map_err(sealing)?;
    let mut chunks = Vec::with_capacity(sealer.count());
    let mut rest = content.as_slice();
    while let Some(len) = sealer.next_len() {
        let (piece, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        rest = after;
        chunks.push(sealer.seal_next(piece).map_err(sealing)?.bytes);
    }
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let reference = sealer.finish(FileName::sanitise(&name), expires).map_err(sealing)?;
    Ok(SealedFile { reference, chunks })
}
