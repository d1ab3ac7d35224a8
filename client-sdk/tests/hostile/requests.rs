//! The bad requests, each with what a node has to answer.

use std::sync::atomic::Ordering;

use enjambre_link::LinkError;
use enjambre_protocol::crypto::{SecretKey, Signed};
use enjambre_protocol::directory::{DirectoryReply, DirectoryRequest};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::identity::AccountSeed;
use enjambre_protocol::link::{DIRECTORY_REQUEST_MAX, PEER_MESSAGE_MAX, StreamHead};
use enjambre_protocol::mailbox::{
    Author, Call, ChangeCall, ChunkHash, ConfigurationId, Forward, MessageHash, Mutation,
    Namespace, Op, PutChunkCall, ReceiptNonce, Request, Response, RetrieveCall, Scope, StoreCall,
};
use enjambre_protocol::onion::{Hop, Item, OnionError, OnionPublicKey, SizeClass};
use enjambre_protocol::service::{PeerReply, PeerRequest, ServiceReply, ServiceRequest};
use enjambre_protocol::wire;
use rand::RngExt;

use crate::support::onion::now;
use crate::worker::{Way, Worker};
use crate::{Answer, Judged, REPLY_MAX};

impl Worker {
    pub(crate) async fn flipped_packet(&mut self) -> Judged {
        let minute = now().minute();
        if self.packet.as_ref().is_none_or(|(_, built)| *built != minute) {
            let (path, class) = (self.path(), self.class());
            self.packet = Some((self.build(&path, class, b"x").0, minute));
        }
        let (packet, _) = self.packet.as_ref().unwrap();
        let (class, mut bytes) = (packet.class(), packet.as_bytes().to_vec());
        let at = self.rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << self.rng.random_range(0..8);
        one_frame_or_reset(&self.send(Way::Direct, StreamHead::Onion(class), &bytes).await?)
    }

    pub(crate) async fn random_packet(&mut self) -> Judged {
        let class = self.class();
        let mut bytes = self.bytes(class.bytes());
        if self.rng.random() {
            // As far as the key: suite and key number of the node.
            bytes[..2].copy_from_slice(&[1, self.field.nodes[0].hop.key_number.get()]);
        }
        one_frame_or_reset(&self.send(Way::Direct, StreamHead::Onion(class), &bytes).await?)
    }

    pub(crate) async fn short_packet(&mut self) -> Judged {
        let (class, path) = (self.class(), self.path());
        let (packet, _) = self.build(&path, class, b"x");
        let len = self.rng.random_range(0..class.bytes());
        let head = StreamHead::Onion(class);
        refused(&self.send(Way::Direct, head, &packet.as_bytes()[..len]).await?)
    }

    /// The node under attack relays it to a node that cannot read its layer, or that is none.
    pub(crate) async fn misled_packet(&mut self) -> Judged {
        let (class, mut path) = (self.class(), self.path());
        let hop = self.rng.random_range(1..4);
        let random = self.bytes(32).try_into().unwrap();
        if self.rng.random() {
            path[hop].key = OnionPublicKey::from_bytes(random);
        } else {
            path[hop].node = NodeId::from_bytes(random);
        }
        let (packet, opener) = self.build(&path, class, b"x");
        match self.onion(Way::Direct, &packet, opener).await? {
            // By the hop before, or by one that could not pass it on.
            Ok(Item::Failed { error, .. }) if error.blames_next() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    /// Sends a request to the node under attack over a path.
    pub(crate) async fn by_path(
        &mut self,
        request: &[u8],
    ) -> Result<Result<Item, LinkError>, String> {
        let path = self.path_to_target();
        let class = SizeClass::for_request(request.len()).ok_or("the request fits no packet")?;
        let (packet, opener) = self.build(&path, class, request);
        self.onion(Way::Guard, &packet, opener).await
    }

    pub(crate) async fn bad_calls(&mut self) -> Judged {
        let request = if self.rng.random() {
            Request::One(Box::new(self.bad_call()))
        } else {
            // More than twenty are refused as a whole.
            let calls = self.rng.random_range(0..25);
            Request::Batch((0..calls).map(|_| self.bad_call()).collect())
        };
        let bytes = wire::encode(&ServiceRequest::Mailbox(request));
        let reply = match self.by_path(&bytes).await? {
            Ok(Item::Reply(reply)) => reply,
            // A hop with too much to do; how often that may be is asserted at the end.
            Ok(Item::Failed { error, .. }) if error.blames_next() => return Ok(()),
            other => return Err(format!("{other:?}")),
        };
        self.field.answered.fetch_add(1, Ordering::Relaxed);
        match wire::decode(&reply, REPLY_MAX) {
            Ok(ServiceReply::Mailbox(Response::One(Err(_)))) => Ok(()),
            Ok(ServiceReply::Mailbox(Response::Batch(replies)))
                if replies.iter().all(Result::is_err) =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    }

    pub(crate) async fn garbage_request(&mut self) -> Judged {
        let len = self.rng.random_range(0..1000);
        let mut bytes = self.bytes(len);
        if let Some(version) = bytes.first_mut() {
            *version = wire::VERSION;
        }
        let reply = self.by_path(&bytes).await?;
        match (wire::decode::<ServiceRequest>(&bytes, 1000), reply) {
            (
                Err(_),
                Ok(Item::Failed { from_hop: Hop::Destination, error: OnionError::Malformed }),
            ) => Ok(()),
            (_, Ok(Item::Failed { error, .. })) if error.blames_next() => Ok(()),
            // Few random bytes may be a request, such as one for the genesis.
            (Ok(_), Ok(Item::Reply(_))) => Ok(()),
            (_, other) => Err(format!("{other:?}")),
        }
    }

    pub(crate) async fn garbage_question(&mut self) -> Judged {
        let question = match self.rng.random_range(0..4) {
            0 => {
                let key = SecretKey::generate(&mut self.rng);
                let body = self.bytes(300);
                let signed = Signed::new(&key, "enjambre/garbage/1", &self.field.network, body);
                wire::encode(&DirectoryRequest::Publish(signed))
            }
            1 => self.bytes(DIRECTORY_REQUEST_MAX + 1),
            _ => {
                let len = self.rng.random_range(0..200);
                let mut bytes = self.bytes(len);
                if let Some(version) = bytes.first_mut() {
                    *version = wire::VERSION;
                }
                bytes
            }
        };
        let answer = self.send(Way::Direct, StreamHead::Directory, &framed(&question)).await?;
        match (wire::decode(&question, DIRECTORY_REQUEST_MAX), &answer) {
            (Err(_), _) => refused(&answer),
            (Ok(DirectoryRequest::Publish(_)), Answer::Bytes(reply)) => {
                match wire::decode(&reply[4..], REPLY_MAX) {
                    Ok(DirectoryReply::Refused { .. }) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            }
            (Ok(_), Answer::Bytes(_)) => Ok(()),
            (Ok(_), other) => Err(format!("{other:?}")),
        }
    }

    /// A prefix that promises more than comes, or more than anybody may send.
    pub(crate) async fn false_length(&mut self) -> Judged {
        let mut bytes = if self.rng.random() {
            u32::MAX.to_le_bytes().to_vec()
        } else {
            1000_u32.to_le_bytes().to_vec()
        };
        let len = self.rng.random_range(0..900);
        bytes.extend(self.bytes(len));
        let (way, head) = if self.rng.random() {
            (Way::Direct, StreamHead::Directory)
        } else {
            (Way::AsNode, StreamHead::Peer)
        };
        refused(&self.send(way, head, &bytes).await?)
    }

    pub(crate) async fn peer_request_of_client(&mut self) -> Judged {
        let len = self.rng.random_range(0..2000);
        let bytes = self.bytes(len);
        refused(&self.send(Way::Direct, StreamHead::Peer, &framed(&bytes)).await?)
    }

    pub(crate) async fn forged_forward(&mut self) -> Judged {
        let swarm = self.field.swarms[self.rng.random_range(0..self.field.swarms.len())];
        let configuration = ConfigurationId { swarm, number: self.rng.random_range(0..3) };
        let call = self.bad_call();
        let forward = Forward { configurations: [configuration; 2], stamp: None, call };
        let mut bytes = wire::encode(&PeerRequest::Forward(forward));
        if self.rng.random() {
            let at = self.rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << self.rng.random_range(0..8);
        }
        match self.send(Way::AsNode, StreamHead::Peer, &framed(&bytes)).await? {
            Answer::Refused(_) => Ok(()),
            Answer::Bytes(reply) => match wire::decode(&reply[4..], PEER_MESSAGE_MAX) {
                Ok(PeerReply::Forward(Err(_))) => Ok(()),
                other => Err(format!("{other:?}")),
            },
        }
    }

    /// Nobody waits for the answer, and often not all of the request comes.
    pub(crate) async fn given_up(&mut self) -> Judged {
        let (class, path) = (self.class(), self.path());
        let (packet, _) = self.build(&path, class, b"x");
        let len = self.rng.random_range(0..=class.bytes());
        let link = self.link(Way::Direct).await;
        let mut stream = match link.open(StreamHead::Onion(class)).await {
            Ok(stream) => stream,
            Err(error) => return Err(error.to_string()),
        };
        // Whether it still took the bytes is nobody's concern.
        let _ = stream.send.write_all(&packet.as_bytes()[..len]).await;
        Ok(())
    }

    /// A call that no member may carry out, whichever swarm the account is in.
    pub(crate) fn bad_call(&mut self) -> Call {
        let owner = AccountSeed::generate(&mut self.rng).key();
        let (account, network) = (owner.id(), self.field.network);
        let (own, inbox) = (Namespace::new(3), Namespace::INBOX);
        let nonce = ReceiptNonce::from_bytes(self.bytes(ReceiptNonce::LEN).try_into().unwrap());
        let forger = SecretKey::generate(&mut self.rng);
        let forged = |namespace, op| {
            let author = Author::Owner(owner.public());
            let scope = Scope::One(namespace);
            Mutation::signed(&forger, author, &network, &account, scope, now(), op).by
        };
        match self.rng.random_range(0..8) {
            // A lifetime that is on no list.
            0 => {
                let len = self.rng.random_range(0..300);
                let data = self.bytes(len).into();
                Call::Store(StoreCall { account, namespace: inbox, ttl: 7, data, by: None, nonce })
            }
            1 => {
                let data = self.bytes(100).into();
                Call::Store(StoreCall { account, namespace: own, ttl: 3600, data, by: None, nonce })
            }
            2 => {
                let data = self.bytes(100);
                let hash = MessageHash::of(&account, own, &data);
                let by = Some(forged(own, Op::Store { hash, ttl: 3600 }));
                let data = data.into();
                Call::Store(StoreCall { account, namespace: own, ttl: 3600, data, by, nonce })
            }
            3 => {
                let by = Some(forged(inbox, Op::Retrieve));
                let max_bytes = self.rng.random();
                Call::Retrieve(RetrieveCall {
                    account,
                    namespace: inbox,
                    after: None,
                    max_bytes,
                    by,
                })
            }
            4 => Call::Retrieve(RetrieveCall {
                account,
                namespace: inbox,
                after: None,
                max_bytes: u32::MAX,
                by: None,
            }),
            5 => {
                let scope = Scope::One(inbox);
                let ops = [Op::DeleteAll];
                let author = Author::Owner(owner.public());
                let change = ChangeCall::signed(
                    &forger,
                    author,
                    &network,
                    account,
                    scope,
                    now(),
                    ops,
                    nonce,
                );
                Call::Change(change)
            }
            6 => {
                let len = self.rng.random_range(0..300);
                let data = self.bytes(len).into();
                Call::PutChunk(PutChunkCall { ttl: 3600, data, nonce })
            }
            _ => Call::GetChunk(ChunkHash::from_bytes(self.bytes(32).try_into().unwrap())),
        }
    }
}

/// A message with its length prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap();
    [len.to_le_bytes().as_slice(), message].concat()
}

fn refused(answer: &Answer) -> Judged {
    match answer {
        Answer::Refused(LinkError::Reset(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// A guard that cannot use a packet says so in one sealed frame, or resets where it has no key.
fn one_frame_or_reset(answer: &Answer) -> Judged {
    match answer {
        Answer::Bytes(bytes) if bytes.len() == SizeClass::K2.bytes() => Ok(()),
        other => refused(other),
    }
}
