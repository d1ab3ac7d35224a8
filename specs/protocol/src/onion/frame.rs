//! What stands in a frame under its seals: flags, length, payload, padding.

use super::size::{LENGTH_LEN, SizeClass, reply_capacity};

const KIND_BITS: u8 = 0b0011;
const MORE_BIT: u8 = 0b0100;
const LAST_BIT: u8 = 0b1000;

/// What a frame's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A piece of an answer.
    Reply,
    /// An [`OnionError`](super::OnionError).
    Error,
    /// A sign of life in a long answer, with what the destination has to say of itself.
    Heartbeat,
}

/// What comes after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// The item goes on in the next reply frame.
    More,
    /// The item is whole; the answer goes on.
    Whole,
    /// The item and the answer end here.
    Last,
}

/// A frame in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: FrameKind,
    /// What comes after it.
    pub flow: Flow,
    /// At most [`reply_capacity`] bytes.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A heartbeat: never in parts, never the last.
    pub const fn heartbeat(payload: &'a [u8]) -> Self {
        Self { kind: FrameKind::Heartbeat, flow: Flow::Whole, payload }
    }

    /// Whether kind and flow fit: an error is the last frame, a heartbeat stands alone.
    pub(super) const fn is_consistent(&self) -> bool {
        matches!(
            (self.kind, self.flow),
            (FrameKind::Reply, _)
                | (FrameKind::Error, Flow::Last)
                | (FrameKind::Heartbeat, Flow::Whole)
        )
    }

    fn flags(&self) -> u8 {
        let kind = match self.kind {
            FrameKind::Reply => 0,
            FrameKind::Error => 1,
            FrameKind::Heartbeat => 2,
        };
        kind | match self.flow {
            Flow::More => MORE_BIT,
            Flow::Whole => 0,
            Flow::Last => LAST_BIT,
        }
    }

    /// Writes the frame into all of `place`. `None` if the payload is too long for it.
    pub(super) fn write(&self, place: &mut [u8]) -> Option<()> {
        let (flags, rest) = place.split_first_mut()?;
        let (length, rest) = rest.split_first_chunk_mut::<LENGTH_LEN>()?;
        let (payload, padding) = rest.split_at_mut_checked(self.payload.len())?;
        *flags = self.flags();
        *length = u32::try_from(self.payload.len()).ok()?.to_le_bytes();
        payload.copy_from_slice(self.payload);
        padding.fill(0);
        Some(())
    }

    /// Reads a frame that fills `bytes`. `None` if it is not one that [`Self::write`] would write.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<LENGTH_LEN>()?;
        let kind = match flags & KIND_BITS {
            0 => FrameKind::Reply,
            1 => FrameKind::Error,
            2 => FrameKind::Heartbeat,
            _ => return None,
        };
        let flow = match flags & !KIND_BITS {
            MORE_BIT => Flow::More,
            0 => Flow::Whole,
            LAST_BIT => Flow::Last,
            _ => return None,
        };
        let len = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (payload, padding) = rest.split_at_checked(len)?;
        let frame = Self { kind, flow, payload };
        (padding.iter().all(|byte| *byte == 0) && frame.is_consistent()).then_some(frame)
    }
}

/// Splits one item of an answer over as many frames as it takes, at least one. `end` is the flow
/// of the last of them: [`Flow::Last`] ends the answer, [`Flow::Whole`] only the item.
pub fn frames_for(
    reply_class: SizeClass,
    item: &[u8],
    end: Flow,
) -> impl ExactSizeIterator<Item = Frame<'_>> {
    let capacity = reply_capacity(reply_class);
    let count = item.len().div_ceil(capacity).max(1);
    (0..count).map(move |n| {
        let from = n * capacity;
        let to = item.len().min(from + capacity);
        let flow = if n + 1 == count { end } else { Flow::More };
        Frame { kind: FrameKind::Reply, flow, payload: &item[from..to] }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_last_frame_of_a_long_reply_says_so() {
        // 2 027 bytes a frame: two full ones and a byte.
        let reply = vec![7; 2 * 2_027 + 1];
        let frames: Vec<_> = frames_for(SizeClass::K2, &reply, Flow::Last).collect();
        let flows: Vec<_> = frames.iter().map(|frame| (frame.flow, frame.payload.len())).collect();
        assert_eq!(flows, [(Flow::More, 2_027), (Flow::More, 2_027), (Flow::Last, 1)]);
    }

    #[test]
    fn empty_reply_is_one_frame() {
        let frames: Vec<_> = frames_for(SizeClass::K2, &[], Flow::Last).collect();
        assert_eq!(frames, [Frame { kind: FrameKind::Reply, flow: Flow::Last, payload: &[] }]);
    }

    proptest! {
        /// There is one way to write a frame: what can be read is what would be written.
        #[test]
        fn frame_that_is_read_would_be_written_so(
            flags in 0u8..16, len in 0u32..24, mut bytes in proptest::collection::vec(0u8..2, 5..24),
        ) {
            bytes[0] = flags;
            bytes[1..5].copy_from_slice(&len.to_le_bytes());
            if let Some(frame) = Frame::read(&bytes) {
                let mut again = vec![0xff; bytes.len()];
                prop_assert_eq!(frame.write(&mut again), Some(()));
                prop_assert_eq!(again, bytes);
            }
        }

        #[test]
        fn frame_that_is_written_is_read_back(
            payload in proptest::collection::vec(any::<u8>(), 0..40), room in 40usize..60,
            kind in 0..3, flow in 0..3,
        ) {
            let kind = [FrameKind::Reply, FrameKind::Error, FrameKind::Heartbeat][kind as usize];
            let flow = [Flow::More, Flow::Whole, Flow::Last][flow as usize];
            let frame = Frame { kind, flow, payload: &payload };
            let mut place = vec![0xff; 5 + room];
            prop_assert_eq!(frame.write(&mut place), Some(()));
            prop_assert_eq!(Frame::read(&place), frame.is_consistent().then_some(frame));
        }
    }
}
