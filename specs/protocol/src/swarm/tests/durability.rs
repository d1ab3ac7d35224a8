//! The rule behind the rules: what was acknowledged is found, through every change.
//!
//! A small model keeps records on members. Writes reach exactly what the lists ask for, members
//! copy only when they reconcile, some never do, some nodes die, some lose their disk.

use super::*;

/// One record: where it belongs and who holds it.
struct Record {
    point: Point,
    holders: BTreeSet<Member>,
}

struct Model {
    history: History,
    records: Vec<Record>,
    written: usize,
    lost: usize,
    /// What members said last, by swarm and member.
    said: BTreeMap<(SwarmId, Member), (u32, Progress)>,
    refused: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            history: History::new(seed, STATED),
            records: Vec::new(),
            written: 0,
            lost: 0,
            said: BTreeMap::new(),
            refused: 0,
        }
    }

    fn present(&self) -> BTreeSet<Member> {
        self.history.nodes.iter().map(|n| Member { node: n.node, store: n.store }).collect()
    }

    /// A broken node adopts but never reconciles: one in eight.
    fn broken(member: Member) -> bool {
        member.node.as_bytes()[31].is_multiple_of(8)
    }

    /// The members of a swarm that say something.
    fn speakers(configuration: &Configuration) -> BTreeSet<Member> {
        configuration.stable.iter().chain(configuration.planned()).copied().collect()
    }

    /// The number a member acts by in one swarm.
    fn acts_by(&self, swarm: SwarmId, member: Member) -> Option<u32> {
        self.said.get(&(swarm, member)).map(|(number, _)| *number)
    }

    /// Members adopt the newest configuration at random times, and reconcile after it.
    fn speak(&mut self) {
        let present = self.present();
        let state = self.history.state.clone();
        for configuration in &state.configurations {
            let (swarm, number) = (configuration.swarm, configuration.number);
            for member in Self::speakers(configuration) {
                if !present.contains(&member) || below(&mut self.history.rng, 3) == 0 {
                    continue;
                }
                match self.said.get(&(swarm, member)) {
                    Some((n, Progress::Ready)) if *n == number => {}
                    Some((n, Progress::Adopted)) if *n == number => {
                        if !Self::broken(member)
                            && self.reconcile(&state, configuration, member, &present)
                        {
                            self.said.insert((swarm, member), (number, Progress::Ready));
                        }
                    }
                    _ => {
                        self.said.insert((swarm, member), (number, Progress::Adopted));
                    }
                }
            }
        }
    }

    /// Copies the member's arcs from a random read quorum of each owner, all of which have adopted
    /// their configuration. False if some owner has none.
    fn reconcile(
        &mut self,
        state: &SwarmState,
        configuration: &Configuration,
        member: Member,
        present: &BTreeSet<Member>,
    ) -> bool {
        let arcs = state.arcs(configuration.swarm);
        let ring = state.stable_ring();
        let mut sources: BTreeMap<SwarmId, BTreeSet<Member>> = BTreeMap::new();
        let mine = [configuration.swarm].into_iter().filter(|s| ring.contains(s));
        let others = state.hand_overs().into_iter().filter(|h| h.to == configuration.swarm);
        for swarm in mine.chain(others.map(|h| h.from)).collect::<Vec<_>>() {
            let source = state.configuration(swarm).unwrap();
            let mut able: Vec<Member> = source
                .stable
                .iter()
                .filter(|m| present.contains(m))
                .filter(|m| self.acts_by(swarm, **m) == Some(source.number))
                .copied()
                .collect();
            let needed = read_quorum(source.stable.len());
            if able.len() < needed {
                return false;
            }
            while able.len() > needed {
                let at = below(&mut self.history.rng, able.len());
                able.swap_remove(at);
            }
            sources.insert(swarm, able.into_iter().collect());
        }
        for record in &mut self.records {
            let concerns = arcs.iter().any(|arc| arc.contains(record.point));
            let from = concerns.then(|| owner(record.point, &ring)).flatten();
            let found = from.and_then(|from| sources.get(&from));
            if found.is_some_and(|found| found.iter().any(|m| record.holders.contains(m))) {
                record.holders.insert(member);
            }
        }
        true
    }

    /// Writes one record by the route of a state that may be up to one step old, to a random
    /// minimal set of members. A member that acts by another number refuses.
    fn write(&mut self, state: &SwarmState) {
        let point = Point(self.history.rng.next_u64());
        let Some(route) = state.route(point) else { return };
        let present = self.present();
        let mut acks = BTreeSet::new();
        for configuration in [route.stable, route.target] {
            let numbers = |m: &&Member| {
                let acts_by = self.acts_by(configuration.swarm, **m);
                acts_by.is_none_or(|number| number <= configuration.number)
            };
            let lists =
                [Some(&configuration.stable), configuration.target.as_ref().map(|t| &t.members)];
            for list in lists.into_iter().flatten() {
                let able = list.iter().filter(|m| present.contains(m)).filter(numbers);
                acks.extend(able.copied());
            }
        }
        let mut acks: Vec<Member> = acks.into_iter().collect();
        if !route.write_satisfied(&acks) {
            self.refused += 1;
            return;
        }
        for _ in 0..acks.len() {
            let at = below(&mut self.history.rng, acks.len());
            let member = acks.swap_remove(at);
            if !route.write_satisfied(&acks) {
                acks.push(member);
            }
        }
        // Whoever takes the write acts by that configuration from then on.
        for configuration in [route.stable, route.target] {
            for member in acks.iter().filter(|m| Self::speakers(configuration).contains(m)) {
                let said = self.said.entry((configuration.swarm, *member));
                let said = said.or_insert((configuration.number, Progress::Adopted));
                if said.0 < configuration.number {
                    *said = (configuration.number, Progress::Adopted);
                }
            }
        }
        self.records.push(Record { point, holders: acks.into_iter().collect() });
        self.written += 1;
    }

    /// Every record is held by a majority of the stable members of its owner, so that no read
    /// quorum misses it. Where the configuration says that a loss is possible it may be gone.
    fn check(&mut self, before: &SwarmState) {
        let state = &self.history.state;
        let height = self.history.height;
        let mut lost = 0;
        self.records.retain(|record| {
            let route = state.route(record.point).unwrap();
            let old = before.route(record.point).unwrap();
            for (new, old) in [(route.stable, old.stable), (route.target, old.target)] {
                let said = (new.loss_possible == Some(new.number)) && new.number != old.number;
                if said {
                    lost += 1;
                    return false;
                }
            }
            let stable = &route.stable.stable;
            let held = stable.iter().filter(|m| record.holders.contains(m)).count();
            assert!(
                held >= majority(stable.len()),
                "height {height}: {held} of {} hold {:?} of {}",
                stable.len(),
                record.point,
                route.stable.swarm,
            );
            true
        });
        self.lost += lost;
    }

    fn statements(&self) -> Statements {
        let all = self.said.iter().map(|((swarm, member), (number, progress))| Statement {
            swarm: *swarm,
            number: *number,
            member: *member,
            progress: *progress,
        });
        all.collect()
    }

    fn run(&mut self, steps: usize, most: usize, half: usize) -> (usize, usize) {
        let (mut formed, mut dissolved) = (0, 0);
        for _ in 0..steps {
            for _ in 0..below(&mut self.history.rng, 3) {
                if self.history.nodes.len() < most {
                    self.history.happen();
                }
            }
            if below(&mut self.history.rng, 400) < half || self.history.nodes.len() >= most {
                for _ in 0..self.history.nodes.len() / 2 {
                    self.history.leave();
                }
            }
            let old = self.history.state.clone();
            self.speak();
            for _ in 0..3 {
                let state = self.history.state.clone();
                self.write(&state);
            }
            let before = self.history.step(&self.statements());
            let (was, is) = (before.stable_ring(), self.history.state.stable_ring());
            formed += is.iter().filter(|s| !was.contains(s)).count();
            dissolved += was.iter().filter(|s| !is.contains(s)).count();
            self.check(&before);
            for _ in 0..2 {
                self.write(&old);
            }
            if self.records.len() > 200 {
                self.records.drain(..100);
            }
            let state = &self.history.state;
            self.said.retain(|(swarm, _), _| state.configuration(*swarm).is_some());
        }
        (formed, dissolved)
    }
}

#[test]
fn acknowledged_is_found_through_changes_of_members() {
    let mut model = Model::new(11);
    model.run(3000, 60, 0);
    assert!(model.written > 3000, "only {} writes", model.written);
}

#[test]
fn acknowledged_is_found_through_splits_and_merges_of_swarms() {
    let (mut formed, mut dissolved, mut written) = (0, 0, 0);
    for seed in 0..20 {
        let mut model = Model::new(100 + seed);
        let (f, d) = model.run(500, 140, 2);
        formed += f;
        dissolved += d;
        written += model.written;
    }
    assert!(formed > 50 && dissolved > 50, "{formed} formed, {dissolved} dissolved");
    assert!(written > 10_000, "only {written} writes");
}
