//! A service node: peels, passes on, brings back, answers.

use core::time::Duration;
use std::collections::BTreeMap;

use enjambre_protocol::onion::{
    Flow, Hop, Keyring, OnionError, OpenedLayer, PeelError, ReplayError, ReplaySet, ReplyRelay,
    ReplySealer, Step, frames_for,
};
use enjambre_protocol::time::Instant;

use super::OnionSimError;
use super::message::{Action, Message, StreamId, Tag};
use super::world::{World, answer, calendar};
use crate::stream::{Entity, Stream, Streams};

/// Whether a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    Up,
    Down,
}

/// How nodes behave, the same for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Duty {
    /// Bytes of an answer.
    pub(super) reply: usize,
    /// How long a client waits.
    pub(super) timeout: Duration,
}

/// A packet that was passed on and not answered yet.
#[derive(Debug)]
struct Waiting {
    back: StreamId,
    reply: ReplyRelay,
}

#[derive(Debug)]
pub(super) struct Node {
    index: u32,
    duty: Duty,
    keyring: Keyring,
    replays: ReplaySet,
    /// What fills packets up, and when the node fails.
    filler: Stream,
    pub(super) fate: Stream,
    pub(super) power: Power,
    waiting: BTreeMap<u64, Waiting>,
    streams: u64,
}

impl Node {
    pub(super) fn new(index: u32, keyring: Keyring, duty: Duty, streams: &Streams) -> Self {
        let stream = |purpose| streams.stream(Entity::Node(index), purpose);
        Self {
            index,
            duty,
            keyring,
            replays: ReplaySet::new(),
            filler: stream("filler"),
            fate: stream("failures"),
            power: Power::Up,
            waiting: BTreeMap::new(),
            streams: 0,
        }
    }

    /// Stops: open streams are lost, keys and replay set are on disk.
    pub(super) fn stop(&mut self) {
        self.power = Power::Down;
        self.waiting.clear();
    }

    fn broken(&self, source: PeelError) -> OnionSimError {
        OnionSimError::Peel { node: self.index, source }
    }

    /// Takes a packet off a stream.
    pub(super) fn handle_packet(
        &mut self,
        world: &World,
        now: Instant,
        stream: StreamId,
        tag: Tag,
        packet: &[u8],
    ) -> Result<Vec<Action>, OnionSimError> {
        let time = calendar(now);
        let opened = OpenedLayer::open(&world.network, &self.keyring, packet);
        let opened = opened.map_err(|source| self.broken(source))?;
        let view = *opened.view();
        match self.replays.insert(view.minute, &view.ephemeral, time.minute()) {
            Ok(()) => {}
            Err(ReplayError::Replayed) => return Err(OnionSimError::Once { node: self.index }),
            Err(error) => {
                let message = Message::Reset { reason: error.reset() };
                return Ok(vec![Action::Send { to: stream.opener, stream, message }]);
            }
        }
        let peeled = opened.peel(self.filler.rng()).map_err(|source| self.broken(source))?;
        match peeled.step {
            Step::Relay { next, packet, reply } => {
                let to = world.index(&next).ok_or(OnionSimError::NoSuchNode)?;
                let number = self.streams;
                self.streams += 1;
                self.waiting.insert(number, Waiting { back: stream, reply });
                let stream = StreamId { opener: self.index, number };
                let message = Message::Packet { bytes: packet, tag };
                let time = patience(self.duty.timeout, view.hop);
                Ok(vec![Action::Send { to, stream, message }, Action::Wait { stream, time }])
            }
            Step::Deliver { request, reply } => {
                let frames = self.serve(&request, reply);
                Ok(vec![back(stream, frames)])
            }
        }
    }

    fn serve(&self, request: &[u8], mut sealer: ReplySealer) -> Vec<Vec<u8>> {
        let reply = answer(request, self.duty.reply);
        let class = sealer.reply_class();
        frames_for(class, &reply, Flow::Last).filter_map(|frame| sealer.seal(&frame).ok()).collect()
    }

    /// The answer to a packet that this node passed on.
    pub(super) fn handle_frames(&mut self, number: u64, frames: Vec<Vec<u8>>) -> Option<Action> {
        let Waiting { back: stream, mut reply } = self.waiting.remove(&number)?;
        let mut covered = frames;
        for frame in &mut covered {
            if reply.relay(frame).is_err() {
                covered = vec![reply.fail(&OnionError::NextBroke)];
                break;
            }
        }
        Some(back(stream, covered))
    }

    /// No answer will come: tells the client why.
    pub(super) fn handle_failure(&mut self, number: u64, error: &OnionError) -> Option<Action> {
        let Waiting { back: stream, reply } = self.waiting.remove(&number)?;
        Some(back(stream, vec![reply.fail(error)]))
    }
}

const fn back(stream: StreamId, frames: Vec<Vec<u8>>) -> Action {
    Action::Send { to: stream.opener, stream, message: Message::Frames { frames } }
}

/// How long a relay waits: a quarter less for each hop, so that the one nearest to a fault is the
/// first to speak.
fn patience(timeout: Duration, hop: Hop) -> Duration {
    let quarters = match hop {
        Hop::Guard => 3,
        Hop::Middle => 2,
        Hop::Exit | Hop::Destination => 1,
    };
    timeout.saturating_mul(quarters) / 4
}
