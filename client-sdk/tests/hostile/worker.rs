//! Who makes the requests: over which links, along which paths, and in which mixture.

use std::sync::Arc;

use enjambre_link::{Endpoint, Identity, Link, LinkConfig, LinkError};
use enjambre_protocol::link::StreamHead;
use enjambre_protocol::onion::{HopTarget, Item, Packet, ReplyOpener, SizeClass, build};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::support::onion::{ANSWER_WITHIN, exchange, now};
use crate::{Answer, Field, REPLY_MAX, any_address};

/// Makes one request after another and judges every answer.
pub(crate) struct Worker {
    pub(crate) number: u64,
    pub(crate) field: Arc<Field>,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) client: Endpoint,
    pub(crate) steps: u64,
    /// To the node under attack and to another one, as a client.
    pub(crate) links: [Option<Link>; 2],
    /// A packet that the node under attack would relay, to be damaged.
    pub(crate) packet: Option<(Packet, u32)>,
}

/// As whom a link is made, and to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// A client's, to the node under attack.
    Direct,
    /// A client's, to another node.
    Guard,
    /// The hostile node's, to the node under attack.
    AsNode,
}

impl Worker {
    pub(crate) fn new(number: u64, field: Arc<Field>) -> Self {
        let config = LinkConfig::client();
        let client = Endpoint::bind(any_address(), Identity::Client, config).unwrap();
        let rng = ChaCha20Rng::seed_from_u64(number);
        Self { number, field, rng, client, steps: 0, links: [None, None], packet: None }
    }

    pub(crate) async fn step(&mut self) {
        self.steps += 1;
        let kind = self.rng.random_range(0..100);
        let (name, judged) = match kind {
            0..30 => ("a packet with a flipped bit", self.flipped_packet().await),
            30..45 => ("a packet of random bytes", self.random_packet().await),
            45..50 => ("a packet cut short", self.short_packet().await),
            50..58 => ("a packet that leads nowhere", self.misled_packet().await),
            58..68 => ("bad mailbox calls through a path", self.bad_calls().await),
            68..72 => ("a garbage request through a path", self.garbage_request().await),
            72..82 => ("a garbage directory request", self.garbage_question().await),
            82..86 => ("a false length", self.false_length().await),
            86..90 => ("a peer request of a client", self.peer_request_of_client().await),
            90..96 => ("a forged forward of a node", self.forged_forward().await),
            _ => ("a stream given up", self.given_up().await),
        };
        if let Err(error) = judged {
            panic!("worker {}, request {}, {name}: {error}", self.number, self.steps);
        }
    }

    pub(crate) async fn link(&mut self, way: Way) -> Link {
        let (slot, to) = match way {
            Way::Direct => (&mut self.links[0], &self.field.nodes[0]),
            Way::Guard => (&mut self.links[1], &self.field.nodes[self.field.guard(self.number)]),
            Way::AsNode => {
                let to = &self.field.nodes[0];
                return self.field.traitor.link(to.hop.node, &to.addresses).await.unwrap();
            }
        };
        if let Some(link) = slot.as_ref().filter(|link| link.close_reason().is_none()) {
            return link.clone();
        }
        slot.insert(self.client.connect(to.hop.node, &to.addresses).await.unwrap()).clone()
    }

    /// Sends raw bytes behind a head, ends, and reads what comes.
    pub(crate) async fn send(
        &mut self,
        way: Way,
        head: StreamHead,
        bytes: &[u8],
    ) -> Result<Answer, String> {
        let link = self.link(way).await;
        let asked = async {
            let mut stream = link.open(head).await?;
            // A peer that has seen enough may reset before all is written; its answer counts.
            if stream.send.write_all(bytes).await.is_ok() {
                let _ = stream.send.finish().await;
            }
            stream.recv.read_to_end(REPLY_MAX).await
        };
        match tokio::time::timeout(ANSWER_WITHIN, asked).await {
            Ok(Ok(bytes)) => Ok(Answer::Bytes(bytes)),
            Ok(Err(error)) => Ok(Answer::Refused(error)),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    /// Sends a packet over a path and gives what the client would see.
    pub(crate) async fn onion(
        &mut self,
        way: Way,
        packet: &Packet,
        opener: ReplyOpener,
    ) -> Result<Result<Item, LinkError>, String> {
        let link = self.link(way).await;
        let asked = exchange(&link, packet, opener, REPLY_MAX);
        tokio::time::timeout(ANSWER_WITHIN, asked).await.map_err(|_| "no answer".to_owned())
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// Small classes mostly: the large ones cost their length.
    pub(crate) fn class(&mut self) -> SizeClass {
        match self.rng.random_range(0..64) {
            0 => SizeClass::K128,
            1..4 => SizeClass::K32,
            4..16 => SizeClass::K8,
            _ => SizeClass::K2,
        }
    }

    /// The node under attack and three others.
    pub(crate) fn path(&mut self) -> [HopTarget; 4] {
        let mut others: Vec<usize> = (1..self.field.nodes.len()).collect();
        others.shuffle(&mut self.rng);
        let hop = |at: usize| self.field.nodes[at].hop;
        [hop(0), hop(others[0]), hop(others[1]), hop(others[2])]
    }

    /// A path to the node under attack, whose guard is the one this worker has a link to.
    pub(crate) fn path_to_target(&mut self) -> [HopTarget; 4] {
        let guard = self.field.guard(self.number);
        let mut rest: Vec<usize> =
            (1..self.field.nodes.len()).filter(|place| *place != guard).collect();
        rest.shuffle(&mut self.rng);
        let hop = |at: usize| self.field.nodes[at].hop;
        [hop(guard), hop(rest[0]), hop(rest[1]), hop(0)]
    }

    pub(crate) fn build(
        &mut self,
        path: &[HopTarget; 4],
        class: SizeClass,
        request: &[u8],
    ) -> (Packet, ReplyOpener) {
        let (network, minute) = (self.field.network, now().minute());
        build(&mut self.rng, &network, path, class, SizeClass::K2, minute, request).unwrap()
    }
}
