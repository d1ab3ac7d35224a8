//! Virtual time: takes one event after the other and tells whom it concerns.

use core::time::Duration;

use enjambre_protocol::onion::{OnionError, SizeClass};
use enjambre_protocol::time::Instant;

use super::OnionSimError;
use super::client::Client;
use super::measure::Measures;
use super::message::{Action, Happening, Message, StreamId, Tag};
use super::node::{Duty, Node, Power};
use super::world::{Founded, World};
use crate::net::{Net, Transit};
use crate::queue::{EventKey, EventQueue};
use crate::run::Outcome;
use crate::scenario::{Failures, Onion};
use crate::stream::Streams;
use crate::trace::Trace;

/// A network with its nodes, clients and links. Parties are numbered: nodes first, then clients.
#[derive(Debug)]
pub(super) struct Simulation<'a> {
    onion: &'a Onion,
    world: World,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    net: Net,
    queue: EventQueue<Happening>,
    trace: Trace,
    measures: Measures,
    /// Clients that have something to send or wait for an answer.
    busy: u32,
}

impl<'a> Simulation<'a> {
    /// The network at the start, with the first event of each party in the queue.
    pub(super) fn new(onion: &'a Onion, streams: &Streams) -> Self {
        let Founded { world, keyrings } = World::found(&onion.network, streams);
        let settings = &onion.clients;
        let duty = Duty { reply: settings.reply, timeout: settings.timeout };
        let nodes: Vec<Node> = (0..)
            .zip(keyrings)
            .map(|(index, keyring)| Node::new(index, keyring, duty, streams))
            .collect();
        let first = onion.network.nodes;
        let clients: Vec<Client> = (0..settings.count)
            .map(|index| Client::new(first + index, index, settings, &world, streams))
            .collect();
        let parties = first + settings.count;
        let mut simulation = Self {
            onion,
            world,
            net: Net::new(onion.links.clone(), streams.clone(), parties),
            queue: EventQueue::new(nodes.len() + clients.len()),
            trace: Trace::new(),
            measures: Measures::default(),
            busy: settings.count,
            nodes,
            clients,
        };
        simulation.start();
        simulation
    }

    fn start(&mut self) {
        for index in 0..self.onion.network.nodes {
            self.start_node(index);
        }
        for client in 0..self.onion.clients.count {
            self.request_later(client, Instant::START);
        }
    }

    /// Puts a node into the state that it would be found in after a long time.
    fn start_node(&mut self, index: u32) {
        let Some(Failures { up, down }) = self.onion.failures.clone() else { return };
        let node = &mut self.nodes[index as usize];
        let all = up.as_secs_f64() + down.as_secs_f64();
        if node.fate.unit() * all <= down.as_secs_f64() {
            node.stop();
        }
        self.turn_later(index, up, down);
    }

    fn turn_later(&mut self, index: u32, up: Duration, down: Duration) {
        let node = &mut self.nodes[index as usize];
        let mean = if node.power == Power::Up { up } else { down };
        let at = self.queue.now().saturating_add(node.fate.exponential(mean));
        self.queue.push(at, index, Happening::Turn { node: index });
    }

    fn request_later(&mut self, client: u32, now: Instant) {
        let at = now.saturating_add(
            self.clients[client as usize].pace.exponential(self.onion.clients.every),
        );
        self.queue.push(at, self.party(client), Happening::Request { client });
    }

    const fn party(&self, client: u32) -> u32 {
        self.onion.network.nodes + client
    }

    /// Whether a party is a client, and which.
    const fn client(&self, party: u32) -> Option<u32> {
        party.checked_sub(self.onion.network.nodes)
    }

    /// Runs until every client has sent all its requests and knows what became of them.
    pub(super) fn run(mut self) -> Result<Outcome<Measures>, OnionSimError> {
        while self.busy > 0 {
            let Some((key, happening)) = self.queue.pop() else { break };
            self.note(&key, &happening);
            self.happen(key.at, happening)?;
        }
        let Self { trace, mut measures, clients, queue, .. } = self;
        measures.finish(&clients, queue.now());
        Ok(Outcome { events: trace.events(), digest: trace.finish(), measures })
    }

    fn note(&mut self, key: &EventKey, happening: &Happening) {
        let EventKey { at, kind, source, counter } = key;
        let mut fields = [0; 21];
        fields[..8].copy_from_slice(&at.as_nanos().to_le_bytes());
        fields[8] = *kind;
        fields[9..13].copy_from_slice(&source.to_le_bytes());
        fields[13..].copy_from_slice(&counter.to_le_bytes());
        let stream_bytes = |stream: &StreamId| {
            let mut bytes = stream.number.to_le_bytes().to_vec();
            bytes.extend(stream.opener.to_le_bytes());
            bytes
        };
        match happening {
            Happening::Arrive { to, stream, message } => {
                let (variant, bytes) = message.to_trace();
                let stream = stream_bytes(stream);
                self.trace.event(&[&fields, &to.to_le_bytes(), &stream, &[variant], &bytes]);
            }
            Happening::Unreachable { stream } | Happening::Deadline { stream } => {
                self.trace.event(&[&fields, &stream_bytes(stream)]);
            }
            Happening::Turn { node: party }
            | Happening::Wake { client: party }
            | Happening::Request { client: party } => {
                self.trace.event(&[&fields, &party.to_le_bytes()]);
            }
        }
    }

    fn happen(&mut self, now: Instant, happening: Happening) -> Result<(), OnionSimError> {
        match happening {
            Happening::Turn { node } => self.turn(node),
            Happening::Arrive { to, stream, message } => self.arrive(now, to, stream, message)?,
            Happening::Unreachable { stream } => match self.client(stream.opener) {
                Some(client) => self.with_client(client, now, |client, world| {
                    client.handle_unreachable(world, now, stream.number)
                })?,
                None => self.fail(now, stream, &OnionError::NextUnreachable),
            },
            Happening::Deadline { stream } => match self.client(stream.opener) {
                Some(client) => self.with_client(client, now, |client, world| {
                    client.handle_deadline(world, now, stream.number)
                })?,
                None => self.fail(now, stream, &OnionError::NextTimedOut),
            },
            Happening::Wake { client } => self.with_client(client, now, |client, _| {
                client.handle_wake(now);
                Ok(Vec::new())
            })?,
            Happening::Request { client } => {
                self.with_client(client, now, |client, world| client.handle_request(world, now))?;
                if !self.has_sent_all(client) {
                    self.request_later(client, now);
                }
            }
        }
        Ok(())
    }

    fn has_sent_all(&self, client: u32) -> bool {
        let sent = self.clients[client as usize].requests.len();
        sent as u64 >= u64::from(self.onion.clients.requests)
    }

    fn turn(&mut self, index: u32) {
        let Some(Failures { up, down }) = self.onion.failures.clone() else { return };
        let node = &mut self.nodes[index as usize];
        match node.power {
            Power::Up => {
                node.stop();
                self.measures.stops += 1;
            }
            Power::Down => node.power = Power::Up,
        }
        self.turn_later(index, up, down);
    }

    /// A node learns that a packet it passed on will not be answered.
    fn fail(&mut self, now: Instant, stream: StreamId, error: &OnionError) {
        let node = &mut self.nodes[stream.opener as usize];
        let action = node.handle_failure(stream.number, error);
        self.act(now, stream.opener, action);
    }

    fn arrive(
        &mut self,
        now: Instant,
        to: u32,
        stream: StreamId,
        message: Message,
    ) -> Result<(), OnionSimError> {
        if let Some(client) = self.client(to) {
            return self.with_client(client, now, |client, world| match message {
                Message::Frames { frames } => {
                    client.handle_frames(world, now, stream.number, &frames)
                }
                Message::Reset { .. } => client.handle_reset(world, now, stream.number),
                Message::Pong => {
                    client.handle_pong(now, stream.number);
                    Ok(Vec::new())
                }
                Message::Packet { .. } | Message::Ping => Ok(Vec::new()),
            });
        }
        let node = &mut self.nodes[to as usize];
        if node.power == Power::Down {
            if stream.opener != to {
                let at = now.saturating_add(self.net.give_up());
                self.queue.push(at, to, Happening::Unreachable { stream });
            }
            return Ok(());
        }
        match message {
            Message::Packet { bytes, tag } => {
                self.measures.peeled += 1;
                let actions = node.handle_packet(&self.world, now, stream, tag, &bytes)?;
                self.check(&actions)?;
                self.act(now, to, actions);
            }
            Message::Frames { frames } => {
                let action = node.handle_frames(stream.number, frames);
                self.act(now, to, action);
            }
            Message::Reset { reason } => {
                let error = OnionError::NextRefused { reason };
                let action = node.handle_failure(stream.number, &error);
                self.act(now, to, action);
            }
            Message::Ping => {
                let message = Message::Pong;
                self.act(now, to, [Action::Send { to: stream.opener, stream, message }]);
            }
            Message::Pong => {}
        }
        Ok(())
    }

    /// Lets a client do something, then follows up on what it and its path machine want.
    fn with_client(
        &mut self,
        index: u32,
        now: Instant,
        f: impl FnOnce(&mut Client, &World) -> Result<Vec<Action>, OnionSimError>,
    ) -> Result<(), OnionSimError> {
        let party = self.party(index);
        let was_done = self.is_done(index);
        let client = &mut self.clients[index as usize];
        let actions = f(client, &self.world)?;
        let (more, wake) = client.settle(&self.world, now);
        if let Some(at) = wake {
            self.queue.push(at, party, Happening::Wake { client: index });
        }
        self.check(&actions)?;
        self.act(now, party, actions);
        self.act(now, party, more);
        if !was_done && self.is_done(index) {
            self.busy -= 1;
        }
        Ok(())
    }

    fn is_done(&self, client: u32) -> bool {
        self.has_sent_all(client) && !self.clients[client as usize].is_busy()
    }

    /// The observer's look at what a party puts on a link: *one size* and *sealed*.
    fn check(&self, actions: &[Action]) -> Result<(), OnionSimError> {
        for action in actions {
            let Action::Send { message, .. } = action else { continue };
            match message {
                Message::Packet { bytes, tag } => {
                    let class = SizeClass::for_request(self.onion.clients.request);
                    one_size(bytes, class.unwrap_or(SizeClass::K128))?;
                    self.check_sealed(bytes, *tag)?;
                }
                Message::Frames { frames } => {
                    let first = frames.first().and_then(|f| SizeClass::from_len(f.len()));
                    for frame in frames {
                        one_size(frame, first.unwrap_or(SizeClass::K2))?;
                    }
                }
                Message::Reset { .. } | Message::Ping | Message::Pong => {}
            }
        }
        Ok(())
    }

    fn check_sealed(&self, packet: &[u8], tag: Tag) -> Result<(), OnionSimError> {
        let marker = self.clients[tag.client as usize].marker(tag.request).unwrap_or_default();
        let stands = |marker: &[u8]| packet.windows(marker.len()).any(|window| window == marker);
        if marker.is_empty() || stands(marker) {
            return Err(OnionSimError::Sealed { client: tag.client });
        }
        Ok(())
    }

    fn act(&mut self, now: Instant, from: u32, actions: impl IntoIterator<Item = Action>) {
        for action in actions {
            match action {
                Action::Wait { stream, time } => {
                    let at = now.saturating_add(time);
                    self.queue.push(at, from, Happening::Deadline { stream });
                }
                Action::Send { to, stream, message } => {
                    let transit = match &message {
                        Message::Ping | Message::Pong => Transit::Arrives(self.net.sign(from, to)),
                        Message::Packet { .. } | Message::Frames { .. } | Message::Reset { .. } => {
                            self.measures.messages += 1;
                            self.net.transit(from, to)
                        }
                    };
                    match transit {
                        Transit::Arrives(after) => {
                            let arrive = Happening::Arrive { to, stream, message };
                            self.queue.push(now.saturating_add(after), from, arrive);
                        }
                        Transit::Lost => self.measures.lost += 1,
                    }
                }
            }
        }
    }
}

fn one_size(bytes: &[u8], class: SizeClass) -> Result<(), OnionSimError> {
    let (len, expected) = (bytes.len(), class.bytes());
    if len == expected { Ok(()) } else { Err(OnionSimError::OneSize { len, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Engine, Scenario};

    /// What the observer says of a packet that a client with one open request puts on a link.
    fn observed(packet: impl Fn(&[u8], usize) -> Vec<u8>) -> Result<(), OnionSimError> {
        let Engine::Onion(onion) = Scenario::load("onion").unwrap().engine else {
            unreachable!("the built-in scenario is one of this engine")
        };
        let mut simulation = Simulation::new(&onion, &Streams::new(1, "test", 0));
        let sent = simulation.clients[0].handle_request(&simulation.world, Instant::START)?;
        simulation.check(&sent)?;
        let marker = simulation.clients[0].marker(0).unwrap_or_default();
        let class = SizeClass::for_request(onion.clients.request).unwrap();
        let message = Message::Packet {
            bytes: packet(marker, class.bytes()),
            tag: Tag { client: 0, request: 0 },
        };
        let stream = StreamId { opener: onion.network.nodes, number: 9 };
        simulation.check(&[Action::Send { to: 0, stream, message }])
    }

    #[test]
    fn observer_finds_a_request_in_clear() {
        let found = observed(|marker, len| {
            let mut bytes = vec![0; len];
            bytes[100..100 + marker.len()].copy_from_slice(marker);
            bytes
        });
        assert!(matches!(found, Err(OnionSimError::Sealed { client: 0 })));
        assert!(observed(|_, len| vec![0; len]).is_ok());
    }

    #[test]
    fn observer_finds_a_packet_of_another_length() {
        let found = observed(|_, len| vec![0; len - 1]);
        assert!(matches!(found, Err(OnionSimError::OneSize { len: 2_047, expected: 2_048 })));
    }
}
