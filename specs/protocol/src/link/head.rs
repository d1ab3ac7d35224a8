//! The first bytes of a stream: what it carries.
//!
//! One byte names the kind. An onion stream has a second one, the size class: exactly that many
//! bytes follow, and frames of the reply's class come back until the stream ends.

use crate::onion::SizeClass;

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// An onion packet, from a client or from the relay before.
    Onion,
    /// A request for directory documents, from anyone.
    Directory,
    /// A request of one node to another.
    Peer,
}

impl StreamKind {
    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Onion => 1,
            Self::Directory => 2,
            Self::Peer => 3,
        }
    }

    /// Only a node that has shown its key may open streams of this kind.
    pub const fn needs_node(self) -> bool {
        matches!(self, Self::Peer)
    }
}

/// Length of the longest head, bytes.
pub const HEAD_MAX: usize = 2;

/// What a stream carries, with what its receiver must know to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamHead {
    /// An onion packet of this size: exactly so many bytes follow.
    Onion(SizeClass),
    /// A directory request.
    Directory,
    /// A request between nodes.
    Peer,
}

/// Why bytes are not a stream head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// No kind has this number.
    #[error("stream kind {0} is not known")]
    Kind(u8),
    /// No size class has this number.
    #[error("size class {0} is not known")]
    Class(u8),
}

impl StreamHead {
    /// The kind of the stream.
    pub const fn kind(self) -> StreamKind {
        match self {
            Self::Onion(_) => StreamKind::Onion,
            Self::Directory => StreamKind::Directory,
            Self::Peer => StreamKind::Peer,
        }
    }

    /// Appends the head to `out`.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.push(self.kind().byte());
        if let Self::Onion(class) = self {
            out.push(class.bits());
        }
    }

    /// Reads the kind byte.
    pub const fn decode(kind: u8) -> Result<Decoded, HeadError> {
        match kind {
            1 => Ok(Decoded::NeedsClass),
            2 => Ok(Decoded::Head(Self::Directory)),
            3 => Ok(Decoded::Head(Self::Peer)),
            other => Err(HeadError::Kind(other)),
        }
    }

    /// The head of an onion stream, from its class byte.
    pub const fn decode_class(class: u8) -> Result<Self, HeadError> {
        if class > 3 {
            return Err(HeadError::Class(class));
        }
        Ok(Self::Onion(SizeClass::from_bits(class)))
    }
}

/// What the first byte of a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// All of the head.
    Head(StreamHead),
    /// An onion stream: the class byte follows, for [`StreamHead::decode_class`].
    NeedsClass,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<(StreamHead, usize)>, HeadError> {
        let Some(&kind) = bytes.first() else { return Ok(None) };
        match (StreamHead::decode(kind)?, bytes.get(1)) {
            (Decoded::Head(head), _) => Ok(Some((head, 1))),
            (Decoded::NeedsClass, Some(&class)) => {
                StreamHead::decode_class(class).map(|head| Some((head, 2)))
            }
            (Decoded::NeedsClass, None) => Ok(None),
        }
    }

    #[test]
    fn of_all_pairs_of_bytes_exactly_the_heads_are_understood_and_written_back() {
        let mut heads = std::collections::BTreeSet::new();
        for kind in 0..=u8::MAX {
            for class in 0..=u8::MAX {
                match decode(&[kind, class]) {
                    Ok(Some((head, len))) => {
                        let mut out = Vec::new();
                        head.encode(&mut out);
                        assert_eq!(out, [kind, class][..len]);
                        assert!(len <= HEAD_MAX);
                        heads.insert(head);
                    }
                    Ok(None) => panic!("two bytes are enough for every head"),
                    Err(HeadError::Kind(found)) => assert_eq!(found, kind),
                    Err(HeadError::Class(found)) => assert_eq!((kind, found), (1, class)),
                }
            }
        }
        assert_eq!(heads.len(), 6, "four classes of onion, directory, peer");
        assert_eq!(decode(&[]), Ok(None));
        assert_eq!(decode(&[1]), Ok(None));
    }

    #[test]
    fn only_peer_streams_need_a_node() {
        assert!(StreamKind::Peer.needs_node());
        assert!(!StreamKind::Onion.needs_node() && !StreamKind::Directory.needs_node());
    }
}
