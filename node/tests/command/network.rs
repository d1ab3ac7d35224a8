//! `network start`, cards and families: a home network that a stranger's node joins by its card.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use serde_json::Value;

use crate::harness::Temp;

/// An address whose port, and the four after it, are free.
fn free_range() -> SocketAddr {
    let is_free = |port: u16| {
        let udp = UdpSocket::bind(("127.0.0.1", port));
        udp.is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
    };
    for _ in 0..1000 {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if first.port() < 65_000 && (first.port()..first.port() + 5).all(is_free) {
            return first;
        }
    }
    panic!("no five ports in a row are free");
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn home_network_is_joined_by_its_card_and_goes_on_after_a_restart() {
    let temp = Temp::new();
    let listen = free_range().to_string();
    let first = ["network", "start", "--dir", "home", "--listen", &listen, "--epoch", "300ms"];
    let running = temp.start_told(&[&first[..], &["--json"]].concat());
    let started = running.line();
    assert_eq!((text(&started, "event"), text(&started, "address")), ("started", &*listen));
    let card = text(&started, "card").to_owned();
    let ready = running.line();
    assert_eq!(text(&ready, "event"), "ready");

    let family = temp.json(&["key", "family", "family.key"]);
    let node = temp.node_with("guest", &card, &["--family", "family.key"]);
    assert!(
        temp.read("guest/config.toml").contains(&format!("family = \"{}:", text(&family, "id")))
    );
    let guest = temp.start(&["run", "--dir", "guest"]);
    node.wait(|status| status["ready"] == true);

    let shown = temp.json(&["network", "show", "--network", &card]);
    assert_eq!(
        (text(&shown, "network"), text(&shown, "card")),
        (text(&started, "network"), &*card)
    );
    let nodes = shown["nodes"].as_array().unwrap();
    let family_of = |listed: &Value| text(listed, "family").to_owned();
    let (theirs, ours): (Vec<&Value>, Vec<&Value>) =
        nodes.iter().partition(|listed| text(listed, "id") == node.id);
    assert_eq!(
        theirs.iter().map(|listed| family_of(listed)).collect::<Vec<_>>(),
        [text(&family, "id")]
    );
    assert_eq!(ours.len(), 4);
    assert!(ours.iter().all(|listed| family_of(listed) == family_of(ours[0])));
    assert_ne!(family_of(ours[0]), text(&family, "id"));

    let plain = temp.command(&["network", "show", "--network", &card]).output().unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(plain.contains('█') && plain.trim_end().ends_with(&card), "{plain}");

    assert_eq!(guest.stop(), Some(0));
    assert_eq!(running.stop(), Some(0));
    let running = temp.start_told(&["network", "start", "--dir", "home", "--json"]);
    assert_eq!(text(&running.line(), "card"), card);
    let again = running.line();
    assert!(again["height"].as_u64() >= ready["height"].as_u64(), "{again} after {ready}");
    temp.refused(&["network", "start", "--dir", "home"]).is(1, "file", &["another process runs"]);
    assert_eq!(running.stop(), Some(0));
    let words = ["network", "start", "--dir", "home", "--listen", "127.0.0.1:9"];
    temp.refused(&words).is(2, "usage", &[&listen, "leave out --listen"]);
}

#[test]
fn home_network_needs_an_address_ports_and_nodes() {
    let temp = Temp::new();
    let start =
        |more: &[&str]| temp.refused(&[&["network", "start", "--dir", "home"][..], more].concat());
    start(&["--listen", "0.0.0.0:22100"]).is(2, "usage", &["--advertise"]);
    start(&["--listen", "127.0.0.1:65533"]).is(2, "usage", &["5 ports from 65533"]);
    start(&["--listen", "127.0.0.1:0"]).is(2, "usage", &["choose a port"]);
    start(&["--listen", "127.0.0.1:9", "--nodes", "0"]).is(2, "usage", &["1 to 16 nodes"]);
    start(&["--listen", "127.0.0.1:9", "--epoch", "1ms"]).is(2, "usage", &["epoch_ms"]);
    assert!(!temp.path("home").exists());
}

#[test]
fn family_must_be_a_key_and_its_consent_the_nodes_own() {
    let temp = Temp::new();
    let authority = temp.authority("a");
    temp.network(&authority, "net.toml");
    temp.json(&["key", "family", "family.key"]);
    let init = |family| {
        let words = ["init", "--dir", "m", "--network", "net.toml", "--listen", "127.0.0.1:9"];
        temp.refused(&[&words[..], &["--family", family]].concat())
    };
    init("a/identity.key").is(2, "file", &["enjambre family key 1"]);
    init("none.key").is(2, "file", &["none.key does not exist"]);
    temp.node_with("one", "net.toml", &["--family", "family.key"]);
    temp.node_with("two", "net.toml", &["--family", "family.key"]);
    temp.write("one/config.toml", &temp.read("two/config.toml"));
    temp.refused(&["run", "--dir", "one"]).is(1, "node", &["has not consented to this node"]);
}
