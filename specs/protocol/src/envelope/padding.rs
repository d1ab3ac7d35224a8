//! The sizes a stored message can have.
//!
//! They are the payloads of the onion size classes, so that a message padded once fills its packet
//! exactly and nothing is padded twice. Specified in 07 end to end, section 3.

use super::hpke_slot::SLOT_LEN;
use crate::limits::MESSAGE_MAX;

/// Bytes of a store request beside the data: account, namespace, signatures, token, stamp, and the
/// method's framing, about 420, rounded up.
pub const STORE_OVERHEAD: usize = 512;

/// Header and tags of the four onion layers, and the payload's length field.
const ONION_OVERHEAD: usize = 4 * 103 + 4;

/// Bytes in front of the slots: format and suite.
pub(super) const HEADER_LEN: usize = 2;

/// The body's tag.
const TAG_LEN: usize = 16;

/// The content's length in front of it, inside the body.
pub(super) const LENGTH_LEN: usize = 4;

/// One size of a stored message, and the slots that come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Bytes of the stored record.
    pub data: usize,
    /// Slots in it: a function of the size, so that it tells nothing more.
    pub slots: usize,
}

impl Bucket {
    const fn of_class(class: usize, slots: usize) -> Self {
        let data = class - ONION_OVERHEAD - STORE_OVERHEAD;
        Self { data: if data < MESSAGE_MAX { data } else { MESSAGE_MAX }, slots }
    }

    /// Bytes of the sealed body, tag included.
    pub(super) const fn body_len(self) -> usize {
        self.data - HEADER_LEN - self.slots * SLOT_LEN
    }

    /// Bytes of content that fit.
    pub const fn content_max(self) -> usize {
        self.body_len() - TAG_LEN - LENGTH_LEN
    }

    /// The smallest bucket for so many devices and so much content.
    pub(super) fn fitting(devices: usize, content: usize) -> Option<Self> {
        BUCKETS.into_iter().find(|b| devices <= b.slots && content <= b.content_max())
    }

    /// The bucket of a record of this length.
    pub(super) fn of_record(len: usize) -> Option<Self> {
        BUCKETS.into_iter().find(|b| b.data == len)
    }
}

/// All sizes of a stored message: the 8, 32 and 128 KiB classes of an onion packet less its layers
/// and [`STORE_OVERHEAD`]; the last is cut to [`MESSAGE_MAX`]. The 2 KiB class is for control.
pub const BUCKETS: [Bucket; 3] =
    [Bucket::of_class(8 << 10, 4), Bucket::of_class(32 << 10, 8), Bucket::of_class(128 << 10, 8)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_what_a_store_request_of_each_class_carries() {
        // Class − 4 layers of 103 − length 4 − store request 512; the last is the mailbox's limit.
        let expected = [(7_776 - 512, 4), (32_352 - 512, 8), (76_800, 8)];
        assert_eq!(BUCKETS.map(|b| (b.data, b.slots)), expected);
        assert_eq!(BUCKETS.map(Bucket::content_max), [1_034, 19_402, 64_362]);
    }

    #[test]
    fn bucket_is_the_smallest_with_room_and_slots() {
        let data = |devices, content| Bucket::fitting(devices, content).map(|b| b.data);
        assert_eq!(data(1, 0), Some(7_264));
        assert_eq!(data(4, 1_034), Some(7_264));
        assert_eq!(data(4, 1_035), Some(31_840));
        assert_eq!(data(5, 0), Some(31_840));
        assert_eq!(data(8, 64_362), Some(76_800));
        assert_eq!(data(8, 64_363), None);
        assert_eq!(data(9, 0), None);
    }
}
