//! Vectors: `specs/vectors/swarm-map.json` and `swarm-transition.json`, and properties of the
//! ring that they are drawn from.

use std::path::Path;

use proptest::prelude::{any, prop_assert_eq, proptest};
use serde_json::{Value, json};

use super::super::ring as ring_rules;
use super::*;
use crate::id::{from_hex, to_hex};

/// Writes the vectors when asked to, else compares them byte for byte.
fn check_file(name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(name);
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("ENJAMBRE_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{name} differs");
    }
}

fn id(position: u64) -> SwarmId {
    SwarmId::new(position).unwrap()
}

fn ring(positions: &[u64]) -> Vec<SwarmId> {
    let mut ring: Vec<SwarmId> = positions.iter().filter_map(|p| SwarmId::new(*p)).collect();
    ring.sort_unstable();
    ring.dedup();
    ring
}

fn hex(point: u64) -> String {
    format!("{point:016x}")
}

#[test]
fn point_is_the_xor_of_the_four_words() {
    let mut key = [0; 32];
    key[24..].copy_from_slice(&0x0123_4567_89ab_cdef_u64.to_be_bytes());
    assert_eq!(point(&key), Point(0x0123_4567_89ab_cdef));
    for word in 0..4 {
        let mut key = [0; 32];
        key[8 * word] = 0x80;
        assert_eq!(point(&key), Point(1 << 63));
    }
    assert_eq!(point(&[0x5a; 32]), Point(0), "equal words cancel out");
}

#[test]
fn tie_goes_to_the_lower_side_through_zero_too() {
    let two = ring(&[100, 200]);
    let owns = |p| owner(Point(p), &two).unwrap().position();
    assert_eq!([owns(100), owns(149), owns(150), owns(151), owns(200)], [100, 100, 100, 200, 200]);
    // The way from 200 up to 100 is 2^64 - 100: its middle is 200 + 2^63 - 50.
    let middle = 200 + (1 << 63) - 50;
    assert_eq!([owns(middle), owns(middle + 1), owns(u64::MAX), owns(0)], [200, 100, 100, 100]);
    assert_eq!(owner(Point(7), &[]), None);
    assert_eq!(owner(Point(u64::MAX), &ring(&[5])), Some(id(5)));
}

proptest! {
    #[test]
    fn owner_is_the_nearest_and_arcs_say_the_same(
        positions in proptest::collection::vec(any::<u64>(), 1..20),
        p in any::<u64>(),
    ) {
        let ring = ring(&positions);
        if !ring.is_empty() {
            let found = owner(Point(p), &ring);
            let distance = |s: &SwarmId| {
                let down = p.wrapping_sub(s.position());
                let up = s.position().wrapping_sub(p);
                (down.min(up), down > up)
            };
            prop_assert_eq!(found, ring.iter().copied().min_by_key(distance));
            let holding: Vec<SwarmId> = ring
                .iter()
                .copied()
                .filter(|s| arc_of(*s, &ring).is_some_and(|arc| arc.contains(Point(p))))
                .collect();
            prop_assert_eq!(holding, found.into_iter().collect::<Vec<_>>());
            let points: u128 = ring.iter().filter_map(|s| arc_of(*s, &ring)).map(Arc::points).sum();
            prop_assert_eq!(points, 1 << 64);
        }
    }

    #[test]
    fn hand_overs_are_exactly_the_points_whose_owner_changes(
        before in proptest::collection::vec(any::<u64>(), 1..12),
        after in proptest::collection::vec(any::<u64>(), 1..12),
        kept in 0_usize..12,
        p in any::<u64>(),
    ) {
        let after: Vec<u64> = before.iter().take(kept).chain(&after).copied().collect();
        let (before, after) = (ring(&before), ring(&after));
        let moved = hand_overs(&before, &after);
        let edges = moved.iter().flat_map(|h| [h.arc.first.0, h.arc.last.0]);
        let near = edges.flat_map(|e| [e.wrapping_sub(1), e, e.wrapping_add(1)]);
        for p in near.chain([p]).map(Point) {
            let (from, to) = (owner(p, &before), owner(p, &after));
            let told: Vec<_> = moved.iter().filter(|h| h.arc.contains(p)).collect();
            prop_assert_eq!(told.len(), usize::from(from != to), "{:?}", p);
            for hand_over in told {
                prop_assert_eq!((Some(hand_over.from), Some(hand_over.to)), (from, to));
            }
        }
    }
}

/// Keys with the points that the deployed network's own tests state for them.
const PUBLISHED: [(&str, u64); 5] = [
    ("0000000000000000000000000000000000000000000000000123456789abcdef", 81_985_529_216_486_895),
    (
        "3506f4a71324b7dd114eddbf4e311f39dde243e1f2cb97c40db1961f70ebaae8",
        17_589_930_838_143_112_648,
    ),
    (
        "cf27da303a50ac8c4b2d43d27259505c9bcd73fc21cf2a57902c3d050730b604",
        10_370_619_079_776_428_163,
    ),
    ("d3511706b8b34f6e8411bf07bd22ba6b2435ca56846fbccf6eb1e166a6cd15cc", 2_144_983_569_669_512_198),
    ("0f06693428fca9102a451e3f28d9cc743d8ea60a89ab6aa69eb119470c11cbd3", 9_690_840_703_409_570_833),
];

fn published_keys() -> Vec<[u8; 32]> {
    PUBLISHED.iter().map(|(text, _)| from_hex(text).unwrap()).collect()
}

#[test]
fn points_are_those_that_the_deployed_network_published() {
    for (key, (text, published)) in published_keys().iter().zip(PUBLISHED) {
        assert_eq!(point(key), Point(published), "{text}");
    }
}

#[test]
fn swarm_map_vectors() {
    let published = published_keys();
    let mut keys = vec![[0; 32], [0xff; 32], [0x5a; 32], published[0]];
    let made = (0_u8..6).map(|n| *crypto::digest("enjambre/swarm-vector/1", &[&[n]]).as_bytes());
    keys.extend(made);
    keys.extend(&published[1..]);
    let points: Vec<Value> =
        keys.iter().map(|key| json!({ "key": to_hex(key), "point": hex(point(key).0) })).collect();
    let half = 1 << 63;
    let rings = [
        vec![0],
        vec![0, half],
        vec![100, 200],
        vec![0, 1, 2],
        vec![1, half, u64::MAX - 1],
        vec![1 << 60, 3 << 60, 4 << 60, 11 << 60],
    ];
    let owners: Vec<Value> = rings
        .iter()
        .map(|positions| {
            let ring = ring(positions);
            let arcs: Vec<Value> = ring
                .iter()
                .map(|s| (*s, arc_of(*s, &ring).unwrap()))
                .map(|(s, arc)| json!({ "swarm": s, "first": hex(arc.first.0), "last": hex(arc.last.0) }))
                .collect();
            let edges = ring.iter().filter_map(|s| arc_of(*s, &ring));
            let asked = edges.flat_map(|arc| [arc.first, arc.last]).chain([Point(0), Point(u64::MAX)]);
            let owners: Vec<Value> = asked
                .map(|p| json!({ "point": hex(p.0), "owner": owner(p, &ring) }))
                .collect();
            let next = ring_rules::new_swarm_id(&ring);
            json!({ "ring": ring, "arcs": arcs, "owners": owners, "next_id": next })
        })
        .collect();
    let (before, after) = (ring(&[0, half]), ring(&[0, 1 << 62, half]));
    let hand_overs: Vec<Value> = hand_overs(&before, &after)
        .iter()
        .map(|h| json!({ "first": hex(h.arc.first.0), "last": hex(h.arc.last.0), "from": h.from, "to": h.to }))
        .collect();
    let value = json!({
        "recipe": {
            "points": "point = XOR of the four big-endian 64-bit words of the key. The first three keys are one byte repeated; the fourth is that of the deployed network's unit test; key 4 + n, for n from 0 to 5, is digest(\"enjambre/swarm-vector/1\", [byte n]); the last four are those of the deployed network too, with the points that it states.",
            "rings": "each ring with every swarm's arc (both ends included), the owner of both ends of every arc and of the first and last point, and the id that a new swarm would get.",
            "hand_overs": "what moves when the ring `before` becomes `after`.",
            "must_fail": "texts that are no swarm id."
        },
        "points": points,
        "rings": owners,
        "hand_overs": { "before": before, "after": after, "moved": hand_overs },
        "must_fail": ["ffffffffffffffff", "0", "000000000000000g", "00000000000000000"],
    });
    for text in value["must_fail"].as_array().unwrap() {
        assert!(serde_json::from_value::<SwarmId>(text.clone()).is_err(), "{text}");
    }
    check_file("swarm-map.json", &value);
}

/// Node `n` of the vectors.
fn vector_node(n: u8) -> StorageNode {
    let id = crypto::digest("enjambre/swarm-vector-node/1", &[&[n]]);
    let mut store = [0; 16];
    store.copy_from_slice(
        &crypto::digest("enjambre/swarm-vector-store/1", &[&[n]]).as_bytes()[..16],
    );
    StorageNode {
        node: NodeId::from_bytes(*id.as_bytes()),
        store: StoreId::from_bytes(store),
        prefix: [10, 0, n % 8],
        family: n.is_multiple_of(5).then(|| FamilyId::from_bytes([n % 3; 32])),
        listed: u64::from(n),
    }
}

/// Steps of the vectors: active nodes, and what is said about the state before.
fn vector_steps() -> Vec<(Vec<u8>, &'static str)> {
    let range = |from: u8, to: u8| (from..to).collect::<Vec<u8>>();
    vec![
        (range(0, 4), "none"),
        (range(0, 6), "none"),
        (range(0, 6), "all_adopted"),
        (range(0, 6), "all_ready"),
        (range(0, 12), "all_ready"),
        (range(0, 12), "all_ready"),
        (range(0, 17), "all_ready"),
        (range(2, 17), "none"),
        (range(2, 17), "all_ready"),
        (range(8, 17), "all_ready"),
        (range(8, 17), "all_ready"),
        (range(14, 17), "none"),
        (Vec::new(), "none"),
        (range(30, 36), "none"),
    ]
}

fn vector_statements(state: &SwarmState, said: &str) -> Statements {
    let progress = match said {
        "all_adopted" => Progress::Adopted,
        "all_ready" => Progress::Ready,
        _ => return Statements::none(),
    };
    let members = state.configurations.iter().flat_map(|c| {
        let members = c.stable.iter().chain(c.planned());
        members.map(|&member| Statement { swarm: c.swarm, number: c.number, member, progress })
    });
    members.collect()
}

fn vector_history(params: &SwarmParams) -> Value {
    let mut state = SwarmState::default();
    let mut steps = Vec::new();
    for (height, (numbers, said)) in (1..).zip(vector_steps()) {
        let nodes: Vec<StorageNode> = numbers.iter().map(|n| vector_node(*n)).collect();
        let statements = vector_statements(&state, said);
        let (beacon, time) = (beacon(height), Timestamp::from_secs(20 * height));
        state = transition(&state, &nodes, &statements, &beacon, time, params);
        assert_eq!(invariants::check(&state, &nodes, params), Ok(()));
        let digest =
            crypto::digest("enjambre/swarm-vector-state/1", &[&crate::wire::encode(&state)]);
        let swarms: Vec<Value> = state.configurations.iter().map(|c| summary(c, &nodes)).collect();
        steps.push(json!({
            "time_ms": time.as_millis(), "nodes": numbers, "statements": said, "beacon": beacon,
            "swarms": swarms, "retired": state.retired, "state_digest": digest,
        }));
    }
    Value::Array(steps)
}

/// A configuration with nodes as their numbers.
fn summary(configuration: &Configuration, nodes: &[StorageNode]) -> Value {
    let number = |m: &Member| (0..=u8::MAX).find(|n| vector_node(*n).node == m.node);
    let list = |members: &[Member]| members.iter().map(number).collect::<Vec<_>>();
    let present = nodes.iter().filter(|n| configuration.planned().iter().any(|m| m.node == n.node));
    json!({
        "swarm": configuration.swarm, "number": configuration.number,
        "phase": configuration.phase, "stable": list(&configuration.stable),
        "target": configuration.target.as_ref().map(|t| list(&t.members)),
        "since_ms": configuration.target.as_ref().map(|t| t.since.as_millis()),
        "unread_since_ms": configuration.unread_since.map(Timestamp::as_millis),
        "loss_possible": configuration.loss_possible, "planned_and_active": present.count(),
    })
}

#[test]
fn swarm_transition_vectors() {
    let value = json!({
        "recipe": {
            "nodes": "node n: id = digest(\"enjambre/swarm-vector-node/1\", [byte n]); store = first 16 bytes of digest(\"enjambre/swarm-vector-store/1\", [byte n]); prefix 10, 0, n mod 8; family 32 times the byte n mod 3 if n mod 5 = 0, else none; listed = n.",
            "beacon": "digest(\"enjambre/test-beacon/1\", [height as 8 little-endian bytes]); the first step has height 1.",
            "statements": "what every stable and target member of every configuration of the state before says about it: none, all_adopted, all_ready. Only active members count.",
            "parameters": "cuckoo_k 0, ready_within 50 s, lost_after 300 s.",
            "state_digest": "digest(\"enjambre/swarm-vector-state/1\", [the encoded state])."
        },
        "at_once": vector_history(&AT_ONCE),
        "stated": vector_history(&STATED),
    });
    check_file("swarm-transition.json", &value);
}
