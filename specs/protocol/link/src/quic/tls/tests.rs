//! Handshakes without a network: what is negotiated, and what a hello gives away.

use rustls::quic::{ClientConnection, Connection, KeyChange, ServerConnection, Version};

use super::*;

fn node(n: u8) -> (SecretKey, NodeId) {
    let key = SecretKey::from_seed(&[n; 32]);
    let id = NodeId::from_bytes(*key.public().as_bytes());
    (key, id)
}

fn keys(key: Option<&SecretKey>) -> Keys {
    Keys::new(key, enjambre_protocol::link::alpn()).unwrap()
}

fn pair(client: &Keys, server: &Keys, expected: NodeId) -> (Connection, Connection) {
    let mismatch = Arc::new(AtomicBool::new(false));
    let config = Arc::new(client.client_config(expected, mismatch).unwrap());
    let name = "enjambre".try_into().unwrap();
    let client = ClientConnection::new(config, Version::V1, name, vec![]).unwrap();
    let config = Arc::new(server.server_config().unwrap());
    let server = ServerConnection::new(config, Version::V1, vec![]).unwrap();
    (Connection::Client(client), Connection::Server(server))
}

/// Carries handshake bytes to and fro until neither side has any; returns how many the server
/// sent after its part of the handshake was over.
fn shake(client: &mut Connection, server: &mut Connection) -> Result<usize, rustls::Error> {
    let mut late = 0;
    loop {
        let mut quiet = true;
        for to_server in [true, false] {
            let (from, to) =
                if to_server { (&mut *client, &mut *server) } else { (&mut *server, &mut *client) };
            loop {
                let over = !from.is_handshaking();
                let mut bytes = Vec::new();
                let change: Option<KeyChange> = from.write_hs(&mut bytes);
                if bytes.is_empty() && change.is_none() {
                    break;
                }
                quiet = false;
                if over && !to_server {
                    late += bytes.len();
                }
                to.read_hs(&bytes)?;
            }
        }
        if quiet {
            return Ok(late);
        }
    }
}

#[test]
fn hybrid_post_quantum_group_is_negotiated_and_both_ends_are_known() {
    let ((a, a_id), (b, b_id)) = (node(1), node(2));
    let (mut client, mut server) = pair(&keys(Some(&a)), &keys(Some(&b)), b_id);
    shake(&mut client, &mut server).unwrap();
    for side in [&client, &server] {
        assert!(!side.is_handshaking());
        let group =
            side.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name);
        assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
        assert_eq!(side.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }
    let shown = |side: &Connection| {
        shown_node(
            &side
                .peer_certificates()
                .unwrap()
                .iter()
                .map(|c| c.clone().into_owned())
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(shown(&client), Ok(b_id));
    assert_eq!(shown(&server), Ok(a_id));
}

#[test]
fn peer_without_the_hybrid_falls_back_to_x25519() {
    let (b, b_id) = node(2);
    let mut old = keys(None);
    old.provider = Arc::new(provider(&[NamedGroup::X25519]));
    let (mut client, mut server) = pair(&old, &keys(Some(&b)), b_id);
    shake(&mut client, &mut server).unwrap();
    let group = server.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name);
    assert_eq!(group, Some(NamedGroup::X25519));
}

#[test]
fn anonymous_client_shows_nothing_and_gets_no_ticket() {
    let (b, b_id) = node(2);
    let (mut client, mut server) = pair(&keys(None), &keys(Some(&b)), b_id);
    assert_eq!(shake(&mut client, &mut server), Ok(0));
    assert!(!server.is_handshaking());
    assert!(server.peer_certificates().is_none());
}

#[test]
fn another_key_than_the_expected_one_ends_the_handshake() {
    let ((b, _), (_, other)) = (node(2), node(3));
    let client = keys(None);
    let mismatch = Arc::new(AtomicBool::new(false));
    let config = Arc::new(client.client_config(other, mismatch.clone()).unwrap());
    let name = "enjambre".try_into().unwrap();
    let connection = ClientConnection::new(config, Version::V1, name, vec![]).unwrap();
    let mut connection = Connection::Client(connection);
    let (_, mut server) = pair(&client, &keys(Some(&b)), other);
    assert!(shake(&mut connection, &mut server).is_err());
    assert!(mismatch.load(std::sync::atomic::Ordering::Relaxed));
}

#[test]
fn node_that_shows_a_key_it_does_not_hold_is_refused() {
    let ((a, _), (b, b_id), (_, victim)) = (node(1), node(2), node(3));
    // The key of `a` under the name of `victim`.
    let mut thief = keys(Some(&a));
    let own = certified(&a).unwrap();
    let shown = vec![CertificateDer::from(spki(&victim))];
    thief.own = Some(Arc::new(CertifiedKey::new(shown, own.key.clone())));
    let (mut client, mut server) = pair(&thief, &keys(Some(&b)), b_id);
    assert!(shake(&mut client, &mut server).is_err(), "as a client");
    let (mut client, mut server) = pair(&keys(Some(&b)), &thief, victim);
    assert!(shake(&mut client, &mut server).is_err(), "as a server");
}

#[test]
fn only_the_exact_form_of_an_ed25519_key_is_a_node() {
    let (_, id) = node(1);
    assert_eq!(node_of(&spki(&id)), Some(id));
    let longer = [&spki(&id)[..], &[0]].concat();
    assert_eq!(node_of(&longer), None);
    assert_eq!(node_of(&longer[1..]), None);
    assert_eq!(node_of(&spki(&id)[..43]), None);
    let mut x25519 = spki(&id);
    x25519[8] = 0x6e;
    assert_eq!(node_of(&x25519), None);
    assert!(shown_node(&Vec::<CertificateDer<'static>>::new()).is_err());
    assert!(shown_node(&"text").is_err());
}

#[test]
fn two_hellos_of_one_client_share_nothing_but_its_settings() {
    let (_, b_id) = node(2);
    let client = keys(None);
    let hello = || {
        let config = client.client_config(b_id, Arc::default()).unwrap();
        let name = "enjambre".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), Version::V1, name, vec![]);
        let mut bytes = Vec::new();
        Connection::Client(connection.unwrap()).write_hs(&mut bytes);
        bytes
    };
    let (one, two) = (hello(), hello());
    const SERVER_NAME: u16 = 0;
    const PRE_SHARED_KEY: u16 = 41;
    const EARLY_DATA: u16 = 42;
    for hello in [&one, &two] {
        let extensions = extensions(hello);
        assert!(extensions.iter().any(|(kind, _)| *kind == 16), "protocol names are there");
        for absent in [SERVER_NAME, PRE_SHARED_KEY, EARLY_DATA] {
            assert!(extensions.iter().all(|(kind, _)| *kind != absent), "extension {absent}");
        }
        assert!(!hello.windows(8).any(|bytes| bytes == b_id.as_bytes()[..8].as_ref()));
    }
    // Type 1, length 3, version 2, then 32 random bytes and an empty session id.
    assert_ne!(one[6..38], two[6..38]);
    assert_eq!((one[38], two[38]), (0, 0));
    let share = |hello: &[u8]| extensions(hello).into_iter().find(|(kind, _)| *kind == 51);
    assert_ne!(share(&one), share(&two));
    // A list of 2 bytes' length, and each share with group and length: the hybrid's 1184 bytes of
    // ML-KEM-768 and 32 of X25519, then 32 of X25519 alone.
    let lengths = share(&one).map(|(_, body)| body.len());
    assert_eq!(lengths, Some(2 + (4 + 1184 + 32) + (4 + 32)));
}

/// The extensions of a client hello: number and body.
fn extensions(hello: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let be16 = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let mut rest = &hello[38..];
    rest = &rest[1 + usize::from(rest[0])..];
    rest = &rest[2 + usize::from(be16(rest))..];
    rest = &rest[1 + usize::from(rest[0])..];
    rest = &rest[2..];
    let mut extensions = Vec::new();
    while !rest.is_empty() {
        let len = usize::from(be16(&rest[2..]));
        extensions.push((be16(rest), rest[4..4 + len].to_vec()));
        rest = &rest[4 + len..];
    }
    extensions
}
