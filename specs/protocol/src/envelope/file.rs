//! Files: cut into chunks of one size, each sealed and stored by itself.
//!
//! One chunk at a time goes in and comes out, so a file need not be in memory. Specified in 07 end
//! to end, section 6.
//!
//! # Invariants
//!
//! - *One size*: every chunk is [`CHUNK_LEN`] bytes, and a file has one of [`CHUNK_COUNTS`] chunks.
//! - *One key, one file*: a [`FileSealer`] draws its key and seals each index once.
//! - *Named by content*: a chunk's id is the BLAKE3-256 of its bytes, so a wrong one is noticed
//!   before it is opened.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::file_name::FileName;
use crate::crypto::{self, Secret};
use crate::id::{NetworkId, byte_id, deserialize_bytes, serialize_bytes};
use crate::retry::Retry;
use crate::time::Timestamp;

const LABEL: &str = "enjambre/file-chunk/1";

/// Bytes of a stored chunk: the 128 KiB class carries 130 656, less 512 for the request's other
/// fields, rounded down to 1 KiB.
pub const CHUNK_LEN: usize = 130_048;

/// Bytes of file in a chunk: the rest is the tag.
pub const CHUNK_DATA: usize = CHUNK_LEN - 16;

/// Largest file, bytes. 77 chunks.
pub const FILE_MAX: u64 = 10_000_000;

/// How many chunks a file can have: each count up to eight, then four steps a doubling, so that the
/// count tells little and costs at most a quarter.
pub const CHUNK_COUNTS: [usize; 21] =
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80];

byte_id!(
    /// A stored chunk: the BLAKE3-256 of its bytes.
    ChunkId, 32
);

impl ChunkId {
    /// The id of these bytes.
    pub fn of(chunk: &[u8]) -> Self {
        Self::from_bytes(*blake3::hash(chunk).as_bytes())
    }
}

/// Why a file or a chunk is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Over [`FILE_MAX`].
    #[error("file has {size} bytes, at most {FILE_MAX} can be sent")]
    TooLarge {
        /// Bytes of the file.
        size: u64,
    },
    /// The sealer was given a piece of another length than it asked for.
    #[error(
        "a piece of {expected} bytes was due, {found} came: the file changed while it was read"
    )]
    PieceLength {
        /// Bytes due.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// A chunk after the last, or a file named before its last chunk was sealed.
    #[error("file has {count} chunks, this is not the time for that")]
    OutOfTurn {
        /// Chunks of the file.
        count: usize,
    },
    /// The bytes are not those the message named.
    #[error("chunk is not the one that was sent")]
    WrongChunk,
    /// The bytes are those named, but do not open.
    #[error("chunk does not open: its sender made it wrong")]
    Sealed,
}

impl FileError {
    /// A wrong chunk can be fetched from another member.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::WrongChunk => Retry::Elsewhere,
            Self::TooLarge { .. }
            | Self::PieceLength { .. }
            | Self::OutOfTurn { .. }
            | Self::Sealed => Retry::Never,
        }
    }
}

/// Chunks of a file of this size, padding included.
fn count_for(size: u64) -> Option<usize> {
    let needed = usize::try_from(size.div_ceil(CHUNK_DATA as u64)).ok()?;
    CHUNK_COUNTS.into_iter().find(|&count| size <= FILE_MAX && count >= needed)
}

/// Bytes of the file in the chunk at `index`: a whole chunk, the rest, or none.
fn piece_len(size: u64, index: usize) -> usize {
    let before = (index as u64).saturating_mul(CHUNK_DATA as u64);
    let rest = usize::try_from(size.saturating_sub(before)).unwrap_or(usize::MAX);
    rest.min(CHUNK_DATA)
}

/// The key of one file in one network, and what binds a chunk to its place.
struct ChunkCipher {
    cipher: Aes256Gcm,
    size: u64,
}

impl ChunkCipher {
    fn new(network: &NetworkId, key: &Secret<32>, size: u64) -> Self {
        let key = crypto::derive::<32>(LABEL, key.expose(), &[network.as_bytes()]);
        Self { cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.expose())), size }
    }

    /// Nonce = index; associated data = index and file size, little-endian u64.
    fn context(&self, index: usize) -> ([u8; 12], [u8; 16]) {
        let (mut nonce, mut associated) = ([0; 12], [0; 16]);
        let index = (index as u64).to_le_bytes();
        nonce[..8].copy_from_slice(&index);
        associated[..8].copy_from_slice(&index);
        associated[8..].copy_from_slice(&self.size.to_le_bytes());
        (nonce, associated)
    }

    fn seal(&self, index: usize, piece: &[u8]) -> Result<Vec<u8>, FileError> {
        let (nonce, aad) = self.context(index);
        let mut padded = vec![0; CHUNK_DATA];
        padded[..piece.len()].copy_from_slice(piece);
        let payload = Payload { msg: &padded, aad: &aad };
        self.cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| FileError::Sealed)
    }

    fn open(&self, index: usize, chunk: &[u8]) -> Result<Vec<u8>, FileError> {
        let (nonce, aad) = self.context(index);
        let payload = Payload { msg: chunk, aad: &aad };
        let sealed = self.cipher.decrypt(&Nonce::from(nonce), payload);
        let mut piece = sealed.map_err(|_| FileError::Sealed)?;
        let len = piece_len(self.size, index);
        let padding = piece.get(len..).ok_or(FileError::Sealed)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(FileError::Sealed);
        }
        piece.truncate(len);
        Ok(piece)
    }
}

/// One chunk ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedChunk {
    /// Where it is stored.
    pub id: ChunkId,
    /// Its [`CHUNK_LEN`] bytes.
    pub bytes: Vec<u8>,
}

/// Seals one file, chunk after chunk. Feed the pieces [`Self::next_len`] asks for.
pub struct FileSealer {
    key: Secret<32>,
    cipher: ChunkCipher,
    count: usize,
    chunks: Vec<ChunkId>,
}

impl FileSealer {
    /// Draws a key for a file of `size` bytes.
    pub fn new(
        rng: &mut impl CryptoRng,
        network: &NetworkId,
        size: u64,
    ) -> Result<Self, FileError> {
        let count = count_for(size).ok_or(FileError::TooLarge { size })?;
        let key = Secret::generate(rng);
        let cipher = ChunkCipher::new(network, &key, size);
        Ok(Self { key, cipher, count, chunks: Vec::with_capacity(count) })
    }

    /// Chunks in all.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Bytes of file the next chunk takes, zero for one of padding; `None` when all are sealed.
    pub fn next_len(&self) -> Option<usize> {
        let index = self.chunks.len();
        (index < self.count).then(|| piece_len(self.cipher.size, index))
    }

    /// Seals the next piece of the file.
    pub fn seal_next(&mut self, piece: &[u8]) -> Result<SealedChunk, FileError> {
        let expected = self.next_len().ok_or(FileError::OutOfTurn { count: self.count })?;
        if piece.len() != expected {
            return Err(FileError::PieceLength { expected, found: piece.len() });
        }
        let bytes = self.cipher.seal(self.chunks.len(), piece)?;
        let id = ChunkId::of(&bytes);
        self.chunks.push(id);
        Ok(SealedChunk { id, bytes })
    }

    /// What a message says of the file, once all chunks are sealed.
    pub fn finish(self, name: FileName, expires: Timestamp) -> Result<FileRef, FileError> {
        if self.chunks.len() != self.count {
            return Err(FileError::OutOfTurn { count: self.count });
        }
        let Self { key, cipher, chunks, .. } = self;
        Ok(FileRef { name, size: cipher.size, key: FileKey(key), expires, chunks })
    }
}

impl core::fmt::Debug for FileSealer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "FileSealer({} of {} chunks)", self.chunks.len(), self.count)
    }
}

/// A file's key inside a message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileKey(Secret<32>);

impl Serialize for FileKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(self.0.expose(), serializer)
    }
}

impl<'de> Deserialize<'de> for FileKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes(deserializer).map(|bytes| Self(Secret::from_bytes(bytes)))
    }
}

/// A file named in a message: enough to fetch and open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    name: FileName,
    size: u64,
    key: FileKey,
    expires: Timestamp,
    chunks: Vec<ChunkId>,
}

impl FileRef {
    /// Its name, harmless.
    pub const fn name(&self) -> &FileName {
        &self.name
    }

    /// Its size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Until when its chunks are stored.
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// All its chunks, padding last. All are fetched: fetching fewer would tell its size.
    pub fn chunks(&self) -> &[ChunkId] {
        &self.chunks
    }

    /// Opens the chunk at `index`: its piece of the file, empty for one of padding.
    pub fn open_chunk(
        &self,
        network: &NetworkId,
        index: usize,
        chunk: &[u8],
    ) -> Result<Vec<u8>, FileError> {
        let id = self.chunks.get(index);
        let id = id.ok_or(FileError::OutOfTurn { count: self.chunks.len() })?;
        if chunk.len() != CHUNK_LEN || ChunkId::of(chunk) != *id {
            return Err(FileError::WrongChunk);
        }
        ChunkCipher::new(network, &self.key.0, self.size).open(index, chunk)
    }

    /// Whether size and chunk count belong together.
    pub(super) fn is_valid(&self) -> bool {
        count_for(self.size) == Some(self.chunks.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
    const END: Timestamp = Timestamp::from_secs(1000);

    fn sealed(data: &[u8]) -> (FileRef, Vec<SealedChunk>) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut sealer = FileSealer::new(&mut rng, &NETWORK, data.len() as u64).unwrap();
        let (mut rest, mut chunks) = (data, Vec::new());
        while let Some(len) = sealer.next_len() {
            let (piece, after) = rest.split_at(len);
            chunks.push(sealer.seal_next(piece).unwrap());
            rest = after;
        }
        assert!(rest.is_empty());
        (sealer.finish(FileName::new("a.bin").unwrap(), END).unwrap(), chunks)
    }

    fn random(len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        ChaCha20Rng::seed_from_u64(2).fill_bytes(&mut data);
        data
    }

    #[test]
    fn file_comes_back_at_every_edge_of_the_chunk_size() {
        for len in [0, 1, CHUNK_DATA - 1, CHUNK_DATA, CHUNK_DATA + 1, 9 * CHUNK_DATA] {
            let data = random(len);
            let (file, chunks) = sealed(&data);
            assert!(file.is_valid());
            assert!(CHUNK_COUNTS.contains(&chunks.len()));
            assert!(chunks.iter().all(|chunk| chunk.bytes.len() == CHUNK_LEN));
            let mut read = Vec::new();
            for (i, chunk) in chunks.iter().enumerate() {
                read.extend(file.open_chunk(&NETWORK, i, &chunk.bytes).unwrap());
            }
            assert!(read == data, "{len} bytes");
        }
    }

    #[test]
    fn largest_file_has_80_chunks_and_a_larger_is_refused() {
        assert_eq!(FILE_MAX.div_ceil(CHUNK_DATA as u64), 77);
        assert_eq!(count_for(FILE_MAX), Some(80));
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let size = FILE_MAX + 1;
        let error = FileSealer::new(&mut rng, &NETWORK, size).err();
        assert_eq!(error, Some(FileError::TooLarge { size }));
        assert_eq!(count_for(u64::MAX), None);
    }

    #[test]
    fn chunk_count_costs_at_most_a_quarter() {
        for needed in 1..=77u64 {
            let count = count_for(needed * CHUNK_DATA as u64).unwrap_or(80) as u64;
            assert!(count >= needed && (count - needed) * 4 <= needed, "{needed} → {count}");
        }
    }

    #[test]
    fn chunk_opens_in_its_place_and_network_only() {
        let (file, chunks) = sealed(&random(2 * CHUNK_DATA));
        let open = |network, index, chunk: &SealedChunk| {
            file.open_chunk(network, index, &chunk.bytes).map(|_| ())
        };
        assert_eq!(open(&NETWORK, 0, &chunks[0]), Ok(()));
        assert_eq!(open(&NETWORK, 1, &chunks[0]), Err(FileError::WrongChunk));
        assert_eq!(open(&NETWORK, 2, &chunks[0]), Err(FileError::OutOfTurn { count: 2 }));
        let elsewhere = NetworkId::from_bytes([2; 32]);
        assert_eq!(open(&elsewhere, 0, &chunks[0]), Err(FileError::Sealed));
        let mut swapped = file.clone();
        swapped.chunks.swap(0, 1);
        let error = swapped.open_chunk(&NETWORK, 1, &chunks[0].bytes);
        assert_eq!(error, Err(FileError::Sealed));
        let mut shorter = file;
        shorter.size -= 1;
        let error = shorter.open_chunk(&NETWORK, 0, &chunks[0].bytes);
        assert_eq!(error, Err(FileError::Sealed));
    }

    #[test]
    fn sealer_takes_only_what_is_due() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut sealer = FileSealer::new(&mut rng, &NETWORK, 10).unwrap();
        let error = FileError::PieceLength { expected: 10, found: 9 };
        assert_eq!(sealer.seal_next(&[0; 9]), Err(error));
        assert!(sealer.seal_next(&[0; 10]).is_ok());
        assert_eq!(sealer.seal_next(&[]), Err(FileError::OutOfTurn { count: 1 }));
        let early = FileSealer::new(&mut rng, &NETWORK, 10).unwrap();
        let error = early.finish(FileName::new("a").unwrap(), END).err();
        assert_eq!(error, Some(FileError::OutOfTurn { count: 1 }));
    }

    #[test]
    fn same_file_sent_twice_shares_no_chunk() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut seal = || {
            let mut sealer = FileSealer::new(&mut rng, &NETWORK, 3).unwrap();
            sealer.seal_next(b"abc").unwrap()
        };
        assert_ne!(seal().id, seal().id);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn changed_chunk_is_noticed(at in 0..CHUNK_LEN, mask in 1u8..) {
            let (file, mut chunks) = sealed(b"abc");
            chunks[0].bytes[at] ^= mask;
            let opened = file.open_chunk(&NETWORK, 0, &chunks[0].bytes);
            prop_assert_eq!(opened, Err(FileError::WrongChunk));
        }
    }
}
