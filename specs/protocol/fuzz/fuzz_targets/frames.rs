//! Replies under every kind of interference, one operation a byte.
//!
//! Oracle: a model that only counts. The client accepts a frame exactly if all parties on its way
//! have counted the same, unaltered, and nothing more after the first frame that is not due or is
//! the last. So what it accepts is a prefix of what was sent, and then at most one error.
#![no_main]

use enjambre_protocol::onion::{
    Flow, Frame, FrameError, FrameKind, Hop, Item, OnionError, OpenedFrame, ReplyAssembler,
    ReplyOpener, ReplyRelay, ReplySealer, SizeClass, Step,
};
use enjambre_protocol_fuzz::{packet, peel_at};
use libfuzzer_sys::fuzz_target;

/// Bytes of an item: a little more than two frames carry.
const ITEM_MAX: usize = 4_096;

struct Path {
    /// From the guard on; a relay that spoke is gone, and all behind it.
    relays: Vec<ReplyRelay>,
    destination: ReplySealer,
    opener: ReplyOpener,
    counts: Counts,
}

/// The frames that each party has counted: the model of what is due.
#[derive(Default)]
struct Counts {
    sealed: u64,
    covered: u64,
    received: u64,
    /// After the last frame, or after one that was not accepted.
    over: bool,
}

impl Path {
    fn new() -> Self {
        let (packet, opener) = packet(SizeClass::K2, b"request");
        let mut packet = packet.into_bytes();
        let mut relays = Vec::new();
        for hop in Hop::ALL {
            let Ok(peeled) = peel_at(hop, &packet) else { panic!("intact, at {hop:?}") };
            match peeled.step {
                Step::Relay { packet: inner, reply, .. } => {
                    packet = inner;
                    relays.push(reply);
                }
                Step::Deliver { reply: destination, .. } => {
                    return Self { relays, destination, opener, counts: Counts::default() };
                }
            }
        }
        panic!("not delivered");
    }

    /// All relays that are left cover `frame`.
    fn cover(&mut self, frame: &mut [u8]) {
        for relay in self.relays.iter_mut().rev() {
            relay.relay(frame).expect("the frame has the length of its class");
        }
        self.counts.covered += 1;
    }

    /// The client gets `frame`, which it must accept exactly if it is `due`.
    fn receive(&mut self, frame: &[u8], due: bool) -> Option<OpenedFrame> {
        let due = due && !self.counts.over;
        let opened = self.opener.open(frame);
        self.counts.received += 1;
        assert_eq!(opened.is_ok(), due, "{opened:?}");
        match &opened {
            Ok(opened) => self.counts.over = opened.is_last(),
            Err(_) => {
                self.counts.over = true;
                let again = self.opener.open(frame);
                assert!(matches!(again, Err(FrameError::Closed | FrameError::Ended)));
            }
        }
        opened.ok()
    }

    /// The relay at `hop` ends the reply. What was lost behind it is no matter: an error is due
    /// if the client got all that the relays covered.
    fn relay_speaks(&mut self, hop: Hop, code: u8) -> Vec<u8> {
        let due = self.counts.covered == self.counts.received;
        let speaker = self.relays.swap_remove(hop.index());
        self.relays.truncate(hop.index());
        let mut frame = speaker.fail(&OnionError::Other { code });
        self.cover(&mut frame);
        if let Some(opened) = self.receive(&frame, due) {
            assert_eq!((opened.from_hop, opened.kind), (hop, FrameKind::Error));
            assert!(opened.is_last());
        }
        frame
    }
}

fuzz_target!(|data: &[u8]| {
    let mut path = Path::new();
    let mut assembler = ReplyAssembler::new(ITEM_MAX);
    let mut before: Option<Vec<u8>> = None;
    for operation in data.chunks_exact(4).take(64) {
        let [what, a, b, c] = [operation[0], operation[1], operation[2], operation[3]];
        let hop = Hop::from_bits(a);
        if what % 8 == 6 && hop != Hop::Destination {
            let frame = path.relay_speaks(hop, b);
            // Nothing can come after that.
            assert!(path.receive(&frame, false).is_none());
            return;
        }
        if what % 8 == 5 {
            // The frame before, once more.
            before.iter().for_each(|frame| assert!(path.receive(frame, false).is_none()));
            continue;
        }
        let payload = vec![b; usize::from(c) * 8 % 2_028];
        let flow = [Flow::More, Flow::Whole, Flow::Last, Flow::Whole][usize::from(a >> 2 & 3)];
        let frame = match what % 8 {
            0 => Frame::heartbeat(&payload),
            _ => Frame { kind: FrameKind::Reply, flow, payload: &payload },
        };
        // After its last frame the destination seals no more.
        let Ok(mut sealed) = path.destination.seal(&frame) else { return };
        let Counts { sealed: index, covered, received, .. } = path.counts;
        let mut due = index == covered && covered == received;
        path.counts.sealed += 1;
        match (what % 8, b & 1) {
            // Lost before the exit.
            (3, 0) => continue,
            // Lost behind the guard.
            (3, _) => {
                path.cover(&mut sealed);
                continue;
            }
            // Altered on the link before the exit.
            (4, _) => {
                let at = (usize::from(b) << 8 | usize::from(c)) % sealed.len();
                sealed[at] ^= 1 << (a & 7);
                due = false;
            }
            _ => {}
        }
        path.cover(&mut sealed);
        if let Some(opened) = path.receive(&sealed, due) {
            assert_eq!(opened.from_hop, Hop::Destination);
            assert_eq!((opened.kind, opened.flow), (frame.kind, frame.flow));
            assert_eq!(opened.payload, frame.payload);
            match assembler.push(opened) {
                Ok(Some(Item::Reply(item))) => assert!(item.len() <= ITEM_MAX),
                Ok(_) => {}
                // A client gives the path up here.
                Err(_) => return,
            }
        }
        before = Some(sealed);
    }
});
