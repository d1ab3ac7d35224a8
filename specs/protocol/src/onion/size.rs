//! Size classes, hops, and the lengths that follow from the two.

use core::fmt;

use super::primitives::TAG_LEN;

/// Nodes on a path: guard, middle, exit and destination.
pub const HOPS: usize = 4;

/// Bytes of a layer in clear: suite 1, onion-key number 1, ephemeral key 32.
pub const CLEAR_LEN: usize = 34;

/// Bytes of a layer's sealed header: role 1, next node 32, minute 4, tag 16.
pub const HEADER_LEN: usize = ROLE_LEN + NEXT_LEN + MINUTE_LEN + TAG_LEN;

/// Bytes that a layer adds to what it carries: clear part, sealed header, tag of the body.
pub const LAYER_OVERHEAD: usize = CLEAR_LEN + HEADER_LEN + TAG_LEN;

pub(super) const ROLE_LEN: usize = 1;
pub(super) const NEXT_LEN: usize = 32;
pub(super) const MINUTE_LEN: usize = 4;

/// Where a layer's body starts.
pub(super) const BODY_AT: usize = CLEAR_LEN + HEADER_LEN;

/// Bytes of the request's length, in front of it in the innermost body.
pub(super) const LENGTH_LEN: usize = 4;

/// Bytes of a frame beside its payload: flags 1, length 4, tag 16.
const FRAME_OVERHEAD: usize = 1 + LENGTH_LEN + TAG_LEN;

/// The four lengths that packets and frames have.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum SizeClass {
    /// 2 KiB: polls, acknowledgements, subscriptions.
    K2,
    /// 8 KiB: messages.
    K8,
    /// 32 KiB: long messages and those for many devices.
    K32,
    /// 128 KiB: file chunks.
    K128,
}

impl SizeClass {
    /// All classes, smallest first.
    pub const ALL: [Self; 4] = [Self::K2, Self::K8, Self::K32, Self::K128];

    /// Length of a packet or a frame of this class.
    pub const fn bytes(self) -> usize {
        match self {
            Self::K2 => 2 << 10,
            Self::K8 => 8 << 10,
            Self::K32 => 32 << 10,
            Self::K128 => 128 << 10,
        }
    }

    /// The number of the class on the wire, below 4.
    pub const fn bits(self) -> u8 {
        match self {
            Self::K2 => 0,
            Self::K8 => 1,
            Self::K32 => 2,
            Self::K128 => 3,
        }
    }

    /// The class numbered by the two low bits; the other bits are not looked at.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::K2,
            1 => Self::K8,
            2 => Self::K32,
            _ => Self::K128,
        }
    }

    /// The class of a packet or frame of exactly `len` bytes.
    pub fn from_len(len: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.bytes() == len)
    }

    /// The smallest class whose packet takes a request of `len` bytes.
    pub fn for_request(len: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|class| payload_capacity(*class) >= len)
    }
}

impl fmt::Display for SizeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB", self.bytes() >> 10)
    }
}

/// A place on a path.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// The first relay: it sees the client's address.
    Guard,
    /// The second relay: it sees two relays.
    Middle,
    /// The third relay: it sees which node is asked.
    Exit,
    /// The node that serves the request.
    Destination,
}

impl Hop {
    /// The path, from the client outwards.
    pub const ALL: [Self; HOPS] = [Self::Guard, Self::Middle, Self::Exit, Self::Destination];

    /// Relays between the client and this hop; its number on the wire.
    pub const fn index(self) -> usize {
        self.bits() as usize
    }

    /// The number of the hop on the wire, below 4.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Guard => 0,
            Self::Middle => 1,
            Self::Exit => 2,
            Self::Destination => 3,
        }
    }

    /// The hop numbered by the two low bits; the other bits are not looked at.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Guard,
            1 => Self::Middle,
            2 => Self::Exit,
            _ => Self::Destination,
        }
    }
}

/// Bytes of the layer that `hop` peels in a packet of `class`. The packet's other bytes are
/// filler.
pub const fn layer_len(class: SizeClass, hop: Hop) -> usize {
    class.bytes() - LAYER_OVERHEAD * hop.index()
}

/// Bytes of request that a packet of `class` carries to the destination.
pub const fn payload_capacity(class: SizeClass) -> usize {
    class.bytes() - LAYER_OVERHEAD * HOPS - LENGTH_LEN
}

/// Bytes of payload that one frame of `reply_class` carries to the client.
pub const fn reply_capacity(reply_class: SizeClass) -> usize {
    reply_class.bytes() - FRAME_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_those_of_the_chapter() {
        assert_eq!((CLEAR_LEN, HEADER_LEN, LAYER_OVERHEAD), (34, 53, 103));
        let layers = SizeClass::ALL.map(|class| Hop::ALL.map(|hop| layer_len(class, hop)));
        assert_eq!(
            layers,
            [
                [2_048, 1_945, 1_842, 1_739],
                [8_192, 8_089, 7_986, 7_883],
                [32_768, 32_665, 32_562, 32_459],
                [131_072, 130_969, 130_866, 130_763],
            ]
        );
        // The destination's layer less its own overhead and the four bytes of length.
        assert_eq!(SizeClass::ALL.map(payload_capacity), [1_632, 7_776, 32_352, 130_656]);
        assert_eq!(SizeClass::ALL.map(reply_capacity), [2_027, 8_171, 32_747, 131_051]);
    }

    #[test]
    fn the_chapter_shows_every_row_of_the_capacity_table() {
        let chapter = include_str!("../../../05-onion.md");
        for class in SizeClass::ALL {
            let [guard, middle, exit, destination] = Hop::ALL.map(|hop| layer_len(class, hop));
            let (packet, reply) = (payload_capacity(class), reply_capacity(class));
            let row = format!(
                "| {class} | {guard} | {middle} | {exit} | {destination} | {packet} | {reply} |"
            );
            assert!(chapter.contains(&row), "05-onion.md lacks the row {row}");
        }
    }

    #[test]
    fn numbers_of_classes_and_hops_are_read_back() {
        for class in SizeClass::ALL {
            assert_eq!(SizeClass::from_bits(class.bits() | 0xfc), class);
            assert_eq!(SizeClass::from_len(class.bytes()), Some(class));
            assert_eq!(SizeClass::from_len(class.bytes() - 1), None);
        }
        for hop in Hop::ALL {
            assert_eq!(Hop::from_bits(hop.bits() | 0xfc), hop);
        }
    }

    #[test]
    fn smallest_class_that_holds_the_request_is_chosen() {
        assert_eq!(SizeClass::for_request(0), Some(SizeClass::K2));
        assert_eq!(SizeClass::for_request(1_632), Some(SizeClass::K2));
        assert_eq!(SizeClass::for_request(1_633), Some(SizeClass::K8));
        assert_eq!(SizeClass::for_request(130_657), None);
    }
}
