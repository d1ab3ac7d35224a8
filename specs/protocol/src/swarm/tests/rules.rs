//! Each rule of chapter 03 by itself.

use super::*;
use crate::wire;

/// Node `n`: its own network, no family.
fn node(n: u16) -> StorageNode {
    let [low, high] = n.to_le_bytes();
    let (mut id, mut store) = ([0; 32], [0; 16]);
    (id[0], id[1], store[0], store[1]) = (high, low, high, low);
    StorageNode {
        node: NodeId::from_bytes(id),
        store: StoreId::from_bytes(store),
        prefix: [1, high, low],
        family: None,
        listed: 0,
    }
}

fn nodes(numbers: impl IntoIterator<Item = u16>) -> Vec<StorageNode> {
    numbers.into_iter().map(node).collect()
}

fn member(node: &StorageNode) -> Member {
    Member { node: node.node, store: node.store }
}

/// One step at `seconds`, with the invariants checked.
fn step(
    before: &SwarmState,
    nodes: &[StorageNode],
    statements: &Statements,
    seconds: u64,
    params: &SwarmParams,
) -> SwarmState {
    let now = Timestamp::from_secs(seconds);
    let after = transition(before, nodes, statements, &beacon(seconds), now, params);
    assert_eq!(invariants::check(&after, nodes, params), Ok(()));
    after
}

fn first(nodes: &[StorageNode], params: &SwarmParams) -> SwarmState {
    step(&SwarmState::default(), nodes, &Statements::none(), 0, params)
}

/// What the members of every swarm say if `says` gives them something to say.
fn said(
    state: &SwarmState,
    says: impl Fn(&Configuration, Member) -> Option<Progress>,
) -> Statements {
    let mut all = Vec::new();
    for c in &state.configurations {
        for &member in c.stable.iter().chain(c.planned()) {
            let (swarm, number) = (c.swarm, c.number);
            let progress = says(c, member).into_iter();
            all.extend(progress.map(|progress| Statement { swarm, number, member, progress }));
        }
    }
    all.into_iter().collect()
}

fn only(state: &SwarmState) -> &Configuration {
    assert_eq!(state.configurations.len(), 1);
    &state.configurations[0]
}

#[test]
fn number_of_swarms_follows_the_nodes_with_hysteresis() {
    // Nodes joining one by one, then leaving one by one: swarms and reserves at each number.
    let grown = [
        (4, 1, 0),
        (7, 1, 0),
        (9, 1, 2),
        (11, 1, 4),
        (12, 2, 0),
        (16, 2, 2),
        (17, 3, 0),
        (22, 4, 0),
        (28, 5, 0),
    ];
    let shrunk = [
        (25, 5, 0),
        (24, 4, 0),
        (20, 4, 0),
        (19, 3, 0),
        (15, 3, 0),
        (14, 2, 0),
        (10, 2, 0),
        (9, 1, 2),
        (3, 1, 0),
    ];
    let mut state = SwarmState::default();
    let mut counts = BTreeMap::new();
    for n in (1..=28).chain((0..28).rev()) {
        let nodes = nodes(0..n);
        state = step(&state, &nodes, &Statements::none(), u64::from(n), &AT_ONCE);
        let up = counts.contains_key(&(n, true));
        counts.insert((n, !up), (state.configurations.len(), state.reserves(&nodes).len()));
    }
    for (n, swarms, reserves) in grown {
        assert_eq!(counts[&(n, true)], (swarms, reserves), "{n} nodes, growing");
    }
    for (n, swarms, reserves) in shrunk {
        assert_eq!(counts[&(n, false)], (swarms, reserves), "{n} nodes, shrinking");
    }
}

#[test]
fn formation_and_dissolution_numbers_are_those_of_the_chapter() {
    let forms: Vec<usize> = (1..=8).map(forms_at).collect();
    assert_eq!(forms, [1, 12, 17, 22, 28, 33, 39, 44]);
    let dissolves: Vec<usize> = (1..=4).map(dissolves_below).collect();
    assert_eq!(dissolves, [0, 10, 15, 20]);
}

#[test]
fn first_document_is_stable_at_once_in_either_mode() {
    for params in [AT_ONCE, STATED] {
        let state = first(&nodes(0..30), &params);
        assert_eq!(state.configurations.len(), 5);
        for c in &state.configurations {
            assert_eq!(
                (c.number, c.phase, &c.target, c.loss_possible),
                (1, Phase::Owner, &None, None)
            );
        }
    }
}

#[test]
fn change_is_committed_only_on_adoption_by_stable_and_readiness_of_target() {
    let old = first(&nodes(0..6), &STATED);
    let now = nodes(1..6);
    let change = step(&old, &now, &Statements::none(), 10, &STATED);
    let target: Vec<Member> = now.iter().map(member).collect();
    assert_eq!(only(&change).stable, only(&old).stable, "the dead member counts until commit");
    assert_eq!(only(&change).planned(), target);

    let after = |statements: &Statements| step(&change, &now, statements, 20, &STATED);
    let first = |n: usize, progress| {
        said(&change, move |c, m| c.planned()[..n].contains(&m).then_some(progress))
    };
    // Six stable: a majority is four, a read quorum three. Five in target: a majority is three.
    assert_eq!(after(&first(5, Progress::Adopted)), change, "nobody is ready");
    assert_eq!(after(&first(2, Progress::Ready)), change, "two of five are ready");
    let done = after(&first(3, Progress::Ready));
    assert_eq!((&only(&done).stable, only(&done).number), (&target, 3));
    assert_eq!(only(&done).target, None);
}

#[test]
fn readiness_without_adoption_commits_nothing() {
    let old = first(&nodes([1, 2, 3]), &STATED);
    let now = nodes([1, 2, 3, 4, 5, 6, 7]);
    let change = step(&old, &now, &Statements::none(), 10, &STATED);
    let joiners = said(&change, |c, m| (!c.stable.contains(&m)).then_some(Progress::Ready));
    assert_eq!(step(&change, &now, &joiners, 20, &STATED), change);
    let with_one = |progress| {
        said(&change, move |c, m| {
            let adopter = c.stable[..2].contains(&m).then_some(progress);
            if c.stable.contains(&m) { adopter } else { Some(Progress::Ready) }
        })
    };
    let done = step(&change, &now, &with_one(Progress::Adopted), 20, &STATED);
    assert_eq!(only(&done).stable.len(), 7);
}

#[test]
fn statements_about_another_number_or_store_do_not_count() {
    let old = first(&nodes(0..6), &STATED);
    let now = nodes(1..6);
    let change = step(&old, &now, &Statements::none(), 10, &STATED);
    let c = only(&change);
    let all = |number, store: Option<StoreId>| -> Statements {
        let members = c.planned().iter().map(|m| Member { store: store.unwrap_or(m.store), ..*m });
        let (swarm, progress) = (c.swarm, Progress::Ready);
        members.map(|member| Statement { swarm, number, member, progress }).collect()
    };
    let after = |statements| step(&change, &now, &statements, 20, &STATED);
    assert_eq!(after(all(c.number - 1, None)), change);
    assert_eq!(after(all(c.number + 1, None)), change);
    assert_eq!(after(all(c.number, Some(StoreId::from_bytes([9; 16])))), change);
    assert_ne!(after(all(c.number, None)), change);
}

#[test]
fn emptied_member_is_absent_in_stable_and_new_in_target() {
    let mut now = nodes(0..6);
    let old = first(&now, &STATED);
    let before = member(&now[2]);
    now[2].store = StoreId::from_bytes([0xee; 16]);
    let change = step(&old, &now, &Statements::none(), 10, &STATED);
    let c = only(&change);
    assert!(c.stable.contains(&before) && !c.planned().contains(&before));
    assert!(c.planned().contains(&member(&now[2])) && !c.stable.contains(&member(&now[2])));
    let acks = |store: Member| [1, 3, 4].map(|i: usize| member(&now[i])).into_iter().chain([store]);
    let (new, old): (Vec<Member>, Vec<Member>) =
        (acks(member(&now[2])).collect(), acks(member(&now[5])).collect());
    assert!(!write_satisfied(&new, c), "three of six in stable, four in target");
    assert!(write_satisfied(&old, c));
}

#[test]
fn overdue_change_gets_another_joiner_under_the_next_number() {
    // Ten nodes, one swarm of seven, three in reserve; a member dies.
    let all = nodes(0..10);
    let old = first(&all[..7], &STATED);
    let now = all[1..].to_vec();
    let change = step(&old, &now, &Statements::none(), 10, &STATED);
    let joins = |state: &SwarmState| -> Vec<NodeId> {
        let c = only(state);
        c.planned().iter().filter(|m| !c.stable.contains(m)).map(|m| m.node).collect()
    };
    let broken = joins(&change);
    assert_eq!(broken.len(), 1);
    let adopted = said(&change, |c, m| c.stable.contains(&m).then_some(Progress::Adopted));
    let waiting = step(&change, &now, &adopted, 59, &STATED);
    assert_eq!(waiting, change, "it is left its fifty seconds");
    let next = step(&change, &now, &adopted, 60, &STATED);
    assert_eq!(only(&next).number, only(&change).number + 1);
    assert_eq!(joins(&next).len(), 1);
    assert_ne!(joins(&next), broken);
    // Without adoption it was not the joiner's fault.
    assert_eq!(step(&change, &now, &Statements::none(), 60, &STATED), change);
}

#[test]
fn change_in_hand_is_left_alone_by_further_joiners() {
    let old = first(&nodes(0..5), &STATED);
    let change = step(&old, &nodes(0..6), &Statements::none(), 10, &STATED);
    let later = step(&change, &nodes(0..7), &Statements::none(), 20, &STATED);
    assert_eq!(later, change);
    assert_eq!(later.reserves(&nodes(0..7)).len(), 1);
    let ready = said(&later, |_, _| Some(Progress::Ready));
    let done = step(&later, &nodes(0..7), &ready, 30, &STATED);
    assert_eq!((only(&done).stable.len(), only(&done).planned().len()), (6, 7));
}

#[test]
fn swarm_without_read_quorum_goes_on_with_its_survivors_and_says_so() {
    let old = first(&nodes(0..5), &STATED);
    let now = nodes(3..8);
    let mut state = step(&old, &now, &Statements::none(), 10, &STATED);
    assert_eq!(only(&state).unread_since, Some(Timestamp::from_secs(10)));
    state = step(&state, &now, &Statements::none(), 309, &STATED);
    assert_eq!((only(&state).stable.len(), only(&state).loss_possible), (5, None));
    state = step(&state, &now, &Statements::none(), 310, &STATED);
    let survivors: Vec<Member> = nodes(3..5).iter().map(member).collect();
    let c = only(&state);
    assert_eq!((&c.stable, c.loss_possible, c.unread_since), (&survivors, Some(c.number), None));
    assert_eq!(c.planned().len(), 5);
}

#[test]
fn swarm_without_survivors_starts_anew_and_says_so() {
    let old = first(&nodes(0..5), &STATED);
    let now = nodes(5..10);
    let change = step(&old, &now, &Statements::none(), 10, &STATED);
    let state = step(&change, &now, &Statements::none(), 310, &STATED);
    let c = only(&state);
    assert_eq!((c.stable.len(), &c.target, c.loss_possible), (5, &None, Some(c.number)));
    assert_eq!(c.stable[0], member(&now[0]));
}

#[test]
fn read_quorum_that_comes_back_in_time_loses_nothing() {
    let old = first(&nodes(0..5), &STATED);
    let gone = step(&old, &nodes(3..8), &Statements::none(), 10, &STATED);
    let back = step(&gone, &nodes(2..8), &Statements::none(), 309, &STATED);
    assert_eq!(only(&back).unread_since, None);
    let state = step(&back, &nodes(2..8), &Statements::none(), 311, &STATED);
    assert_eq!((only(&state).stable.len(), only(&state).loss_possible), (5, None));
}

#[test]
fn joiners_at_once_after_a_majority_died_says_loss_possible() {
    let old = first(&nodes(0..5), &AT_ONCE);
    let two_died = step(&old, &nodes(2..8), &Statements::none(), 10, &AT_ONCE);
    assert_eq!(only(&two_died).loss_possible, None);
    let three_died = step(&old, &nodes(3..8), &Statements::none(), 10, &AT_ONCE);
    assert_eq!(only(&three_died).loss_possible, Some(2));
}

#[test]
fn new_swarm_answers_reads_only_once_it_is_ready() {
    let old = first(&nodes(0..11), &STATED);
    let now = nodes(0..12);
    let forming = step(&old, &now, &Statements::none(), 10, &STATED);
    let [zero, half] = &*forming.configurations else { panic!("two swarms") };
    assert_eq!((zero.phase, half.phase), (Phase::Owner, Phase::Forming));
    assert_eq!(half.swarm.position(), 1 << 63);
    let point = Point(half.swarm.position());
    let route = forming.route(point).unwrap();
    assert_eq!((route.stable.swarm, route.target.swarm), (zero.swarm, half.swarm));
    assert!(!route.write_satisfied(&zero.stable), "the new swarm has to take part");
    let both: Vec<Member> =
        zero.stable.iter().chain(zero.planned()).chain(half.planned()).copied().collect();
    assert!(route.write_satisfied(&both) && route.read_satisfied(&zero.stable));

    let not_new = said(&forming, |c, _| (c.swarm == zero.swarm).then_some(Progress::Ready));
    let waits = step(&forming, &now, &not_new, 20, &STATED);
    assert_eq!(waits.configuration(half.swarm).unwrap().phase, Phase::Forming);
    let all = said(&forming, |_, _| Some(Progress::Ready));
    let done = step(&forming, &now, &all, 20, &STATED);
    assert!(done.configurations.iter().all(|c| c.phase == Phase::Owner && c.target.is_none()));
}

#[test]
fn dissolving_swarm_answers_reads_until_the_others_are_ready() {
    let old = first(&nodes(0..12), &STATED);
    let now = nodes(0..9);
    let change = step(&old, &now, &Statements::none(), 10, &STATED);
    let leaving = change.configurations.iter().find(|c| c.phase == Phase::Dissolving).unwrap();
    let staying = change.configurations.iter().find(|c| c.phase == Phase::Owner).unwrap();
    assert_eq!(&leaving.stable, &old.configuration(leaving.swarm).unwrap().stable);
    let route = change.route(Point(leaving.swarm.position())).unwrap();
    assert_eq!((route.stable.swarm, route.target.swarm), (leaving.swarm, staying.swarm));
    let adopted = said(&change, |_, _| Some(Progress::Adopted));
    assert_eq!(step(&change, &now, &adopted, 20, &STATED), change);
    let ready = said(&change, |_, _| Some(Progress::Ready));
    let done = step(&change, &now, &ready, 20, &STATED);
    assert_eq!(done.configurations.len(), 1);
    assert_eq!(done.retired, leaving.number);
}

#[test]
fn id_that_is_used_again_goes_on_above_its_old_numbers() {
    let two = first(&nodes(0..12), &AT_ONCE);
    let one = step(&two, &nodes(0..9), &Statements::none(), 10, &AT_ONCE);
    let again = step(&one, &nodes(0..12), &Statements::none(), 20, &AT_ONCE);
    for c in &two.configurations {
        assert!(again.configuration(c.swarm).unwrap().number > c.number);
    }
}

#[test]
fn network_that_is_dead_keeps_its_last_swarm() {
    for params in [AT_ONCE, STATED] {
        let old = first(&nodes(0..5), &params);
        let dead = step(&old, &[], &Statements::none(), 10, &params);
        assert_eq!(only(&dead).stable, only(&old).stable);
        let back = step(&dead, &nodes(0..5), &Statements::none(), 20, &params);
        assert_eq!(only(&back).stable, only(&old).stable);
        assert_eq!(only(&back).loss_possible, None);
    }
}

#[test]
fn place_of_a_joiner_follows_the_beacon() {
    let old = first(&nodes(0..30), &AT_ONCE);
    let now = nodes(0..31);
    let placed: BTreeSet<Option<SwarmId>> = (100..140)
        .map(|s| step(&old, &now, &Statements::none(), s, &AT_ONCE).swarm_of(now[30].node))
        .collect();
    assert!(placed.len() > 2 && !placed.contains(&None), "{placed:?}");
}

#[test]
fn nodes_that_join_together_get_no_majority_of_a_new_swarm() {
    // 54 nodes, nine swarms; the 55th would form the tenth, and five join at once.
    let old = first(&nodes(0..50), &AT_ONCE);
    let old = step(&old, &nodes(0..54), &Statements::none(), 1, &AT_ONCE);
    let now = nodes(0..59);
    for seconds in 10..60 {
        let state = step(&old, &now, &Statements::none(), seconds, &AT_ONCE);
        assert_eq!(state.configurations.len(), old.configurations.len() + 1);
        let joined: Vec<NodeId> = now[54..].iter().map(|n| n.node).collect();
        for c in &state.configurations {
            let joiners = c.stable.iter().filter(|m| joined.contains(&m.node)).count();
            assert!(joiners <= 2, "{joiners} of {}", c.stable.len());
        }
        assert!(moves(&old, &state, &now) <= 5);
    }
}

#[test]
fn joiner_is_placed_away_from_its_network_and_family() {
    let mut now = nodes(0..31);
    let old = first(&now[..30], &AT_ONCE);
    let mut free = old.configurations.iter().filter(|c| c.stable.len() < SWARM_MAX);
    let kept = free.next_back().unwrap().swarm;
    let mates: Vec<SwarmId> =
        old.configurations.iter().map(|c| c.swarm).filter(|s| *s != kept).collect();
    for (i, swarm) in mates.iter().enumerate() {
        let mate = old.configuration(*swarm).unwrap().stable[0].node;
        let family = (i % 2 == 0).then(|| FamilyId::from_bytes([7; 32]));
        let at = now.iter().position(|n| n.node == mate).unwrap();
        (now[at].prefix, now[at].family) =
            if family.is_some() { (now[at].prefix, family) } else { ([9; 3], None) };
    }
    (now[30].prefix, now[30].family) = ([9; 3], Some(FamilyId::from_bytes([7; 32])));
    for seconds in 100..130 {
        let state = step(&old, &now, &Statements::none(), seconds, &AT_ONCE);
        assert_eq!(state.swarm_of(now[30].node), Some(kept));
    }
}

#[test]
fn difference_leads_from_one_state_exactly_to_the_other() {
    let mut history = History::new(21, AT_ONCE);
    let mut old = history.state.clone();
    for step in 0..400 {
        history.happen();
        history.step(&Statements::none());
        if step % 7 == 0 {
            let diff = SwarmState::diff(&old, &history.state);
            assert_eq!(old.apply(diff), history.state);
            old = history.state.clone();
        }
    }
}

#[test]
fn encoded_state_takes_at_most_fifty_two_bytes_a_node_and_is_read_back() {
    let mut history = History::new(22, AT_ONCE);
    for _ in 0..500 {
        history.join();
    }
    history.step(&Statements::none());
    let bytes = wire::encode(&history.state);
    // 48 for node and store, the rest for id, number and lengths of a swarm of 5.5.
    assert!(bytes.len() <= 52 * 500, "{} bytes", bytes.len());
    assert_eq!(wire::decode(&bytes, bytes.len()), Ok(history.state));
}

#[test]
fn malformed_states_are_told() {
    let good = first(&nodes(0..12), &AT_ONCE);
    assert!(good.is_well_formed());
    let broken = |change: &dyn Fn(&mut SwarmState)| {
        let mut state = good.clone();
        change(&mut state);
        assert!(!state.is_well_formed(), "{state:?}");
        invariants::check_form(&state)
    };
    let target = |members| Some(Target { members, since: Timestamp::EPOCH });
    let swarm = good.configurations[0].swarm;
    let order = broken(&|s| s.configurations.reverse());
    assert_eq!(order, Err(invariants::Violation::Order));
    let list = Err(invariants::Violation::List { swarm });
    assert_eq!(broken(&|s| s.configurations[0].stable.swap(0, 1)), list);
    let twice = |s: &mut SwarmState| s.configurations[0].stable[1] = s.configurations[0].stable[0];
    assert_eq!(broken(&twice), list);
    let long = |s: &mut SwarmState| {
        s.configurations[0].target = target(nodes(0..8).iter().map(member).collect());
    };
    assert_eq!(broken(&long), list);
    let phase = Err(invariants::Violation::Phase { swarm });
    assert_eq!(broken(&|s| s.configurations[0].stable.clear()), phase);
    assert_eq!(broken(&|s| s.configurations[0].target = target(Vec::new())), phase);
    assert_eq!(broken(&|s| s.configurations[0].phase = Phase::Forming), phase);
    let leaving = |s: &mut SwarmState| {
        for c in &mut s.configurations {
            c.phase = Phase::Dissolving;
        }
    };
    assert_eq!(broken(&leaving), Err(invariants::Violation::NoOwner));
}

#[test]
fn one_node_listed_twice_counts_once_whatever_the_order() {
    let mut now = nodes(0..5);
    now.push(StorageNode { store: StoreId::from_bytes([9; 16]), ..node(3) });
    let run = |now: &[StorageNode]| {
        let empty = SwarmState::default();
        transition(&empty, now, &Statements::none(), &beacon(0), Timestamp::EPOCH, &AT_ONCE)
    };
    let state = run(&now);
    assert_eq!(only(&state).stable.len(), 5);
    now.reverse();
    assert_eq!(run(&now), state);
}

#[test]
fn addresses_of_one_network_have_one_prefix() {
    let prefix = |text: &str| storage_prefix(text.parse().ok());
    assert_eq!(prefix("192.0.2.7"), [192, 0, 2]);
    assert_eq!(prefix("::ffff:192.0.2.9"), [192, 0, 2]);
    assert_eq!(prefix("2001:db8:1:2::3"), prefix("2001:db8:1:9::"));
    assert_ne!(prefix("2001:db8:1::"), prefix("2001:db8:2::"));
    assert_eq!(storage_prefix(None), [0; 3]);
}
