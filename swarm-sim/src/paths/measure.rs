//! What clients lived through in one replicate, and the figures over all.

use super::client::Record;
use crate::metric::{Curve, Metric, Share, Table, Times, Unit};
use crate::scenario::{AdversaryChurn, Owned, Paths, Selection, Weights};
use crate::stats::survival::Observed;
use crate::stats::{both_malicious, first_and_another_malicious};
use crate::theory::{any_malicious, guard_set_compromise};

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// Points of a curve.
const POINTS: u64 = 120;

const COLUMNS: &[&str] = &[
    "replicate",
    "client",
    "began_ms",
    "watched_ms",
    "requests",
    "guards",
    "requests_guard_malicious",
    "requests_both_ends",
    "first_guard_malicious_ms",
    "first_both_ends_ms",
    "first_guard_seen_ms",
];

/// The days at which curves are told as metrics: names for guards, both ends, and guards that a middle sees.
const DAYS: [(u64, [&str; 3]); 5] = [
    (0, ["guard_malicious_by_day_0", "both_ends_seen_by_day_0", "guard_seen_by_day_0"]),
    (30, ["guard_malicious_by_day_30", "both_ends_seen_by_day_30", "guard_seen_by_day_30"]),
    (90, ["guard_malicious_by_day_90", "both_ends_seen_by_day_90", "guard_seen_by_day_90"]),
    (180, ["guard_malicious_by_day_180", "both_ends_seen_by_day_180", "guard_seen_by_day_180"]),
    (365, ["guard_malicious_by_day_365", "both_ends_seen_by_day_365", "guard_seen_by_day_365"]),
];

/// Clients of one replicate.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    pub(super) clients: Vec<Record>,
}

impl Record {
    /// What the digest is over. Requests that were not served are told by the fold.
    pub(super) fn to_bytes(self) -> [u8; 80] {
        let or_max = |time: Option<u64>| time.unwrap_or(u64::MAX);
        let fields = [
            self.began,
            self.watched,
            self.requests,
            self.guards,
            self.guard_malicious,
            self.both_ends,
            or_max(self.first_guard),
            or_max(self.first_both),
            or_max(self.first_middle),
            self.fold,
        ];
        let mut bytes = [0; 80];
        for (chunk, field) in bytes.chunks_exact_mut(8).zip(fields) {
            chunk.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    fn cells(&self, replicate: u64, client: u64) -> Vec<Option<u64>> {
        vec![
            Some(replicate),
            Some(client),
            Some(self.began),
            Some(self.watched),
            Some(self.requests),
            Some(self.guards),
            Some(self.guard_malicious),
            Some(self.both_ends),
            self.first_guard,
            self.first_both,
            self.first_middle,
        ]
    }

    /// Days to a first time, or to where it was watched.
    fn observed(&self, first: Option<u64>) -> Observed {
        let days = |ms: u64| ms as f64 / DAY as f64;
        Observed { time: days(first.unwrap_or(self.watched)), event: first.is_some() }
    }
}

type First = fn(&Record) -> Option<u64>;

/// When something first happened to clients.
fn times(replicates: &[Measures], first: First) -> Times {
    let observed = |measures: &Measures| -> Vec<Observed> {
        measures.clients.iter().map(|client| client.observed(first(client))).collect()
    };
    Times::of(&replicates.iter().map(observed).collect::<Vec<_>>())
}

/// The figures of a run, from its replicates in their order.
pub(crate) fn merge(paths: &Paths, replicates: &[Measures]) -> (Vec<Metric>, Table, Vec<Curve>) {
    let clients = || replicates.iter().flat_map(|measures| &measures.clients);
    let share = |name, hits: fn(&Record) -> u64| {
        let of = |client: &Record| Share { hits: hits(client), of: client.requests };
        let each = replicates.iter().map(|m| m.clients.iter().map(of).collect());
        Metric::share_over_clients(name, &each.collect::<Vec<_>>())
    };
    let theory = Theory::of(paths);
    let mut metrics = vec![
        Metric::count("clients", "clients", clients().count() as u64),
        Metric::count("requests", "requests", clients().map(|c| c.requests).sum()),
        share("requests_guard_malicious", |c| c.guard_malicious)
            .with_expected_if(theory.map(Theory::guard)),
        share("requests_both_ends", |c| c.both_ends).with_expected_if(theory.map(Theory::both)),
    ];
    if paths.churn.is_some() {
        let of = |client: &Record| Share {
            hits: client.unserved,
            of: client.requests + client.unserved,
        };
        let each = replicates.iter().map(|m| m.clients.iter().map(of).collect());
        let each: Vec<Vec<Share>> = each.collect();
        metrics.push(Metric::share_over_clients("requests_without_nodes", &each));
    }
    let mut of_clients: Vec<f64> = clients()
        .filter(|client| client.requests > 0)
        .map(|client| client.both_ends as f64 / client.requests as f64)
        .collect();
    of_clients.sort_by(f64::total_cmp);
    for (name, percent) in [
        ("client_both_ends_share_p5", 5),
        ("client_both_ends_share_p50", 50),
        ("client_both_ends_share_p95", 95),
    ] {
        metrics.push(Metric::quantile_of(name, "share", Unit::Client, &of_clients, percent));
    }
    let guards = |m: &Measures| {
        let guards: u64 = m.clients.iter().map(|client| client.guards).sum();
        guards as f64 / m.clients.len().max(1) as f64
    };
    let guards: Vec<f64> = replicates.iter().map(guards).collect();
    metrics.push(Metric::mean("guards_a_client", "guards", &guards));

    let guard = times(replicates, |client| client.first_guard);
    let both = times(replicates, |client| client.first_both);
    let told = || DAYS.into_iter().filter(|(day, ..)| day * DAY <= paths.span);
    let seen = times(replicates, |client| client.first_middle);
    for (day, [name, ..]) in told() {
        let expected = theory.and_then(|theory| theory.guard_by(paths, day));
        metrics.push(guard.by(name, day as f64).with_expected_if(expected));
    }
    metrics.extend(told().skip(1).map(|(day, [_, name, _])| both.by(name, day as f64)));
    metrics.extend(told().skip(1).map(|(day, [.., name])| seen.by(name, day as f64)));
    metrics.push(guard.median("days_to_guard_malicious_p50", "d"));
    metrics.push(both.median("days_to_both_ends_p50", "d"));
    metrics.push(seen.median("days_to_guard_seen_p50", "d"));

    let rows = (0..).zip(replicates).flat_map(|(replicate, measures)| {
        let clients = (0..).zip(&measures.clients);
        clients.map(move |(at, client)| client.cells(replicate, at))
    });
    let table = Table { name: "clients", columns: COLUMNS, rows: rows.collect() };
    let end = paths.span as f64 / DAY as f64;
    let places = || (0..=POINTS).map(|at| end * at as f64 / POINTS as f64);
    let curves = vec![
        guard.curve("guard_malicious", "d", places()),
        both.curve("both_ends_seen", "d", places()),
        seen.curve("guard_seen", "d", places()),
    ];
    (metrics, table, curves)
}

/// Closed forms for an adversary that owns a uniformly drawn number of nodes: then any four distinct nodes that are
/// chosen without regard to whose they are, by whatever weight, rule and churn, are a uniform draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theory {
    nodes: u64,
    malicious: u64,
}

impl Theory {
    pub(crate) fn of(paths: &Paths) -> Option<Self> {
        let nodes = usize::try_from(paths.network.nodes).unwrap_or(usize::MAX);
        let malicious = paths.network.malicious.of(nodes) as u64;
        // Nodes that stay while others go are guards for longer.
        let alike = paths.churn.is_none_or(|churn| churn.adversary == AdversaryChurn::AsOthers);
        let uniform = paths.owned == Owned::Nodes && alike;
        uniform.then_some(Self { nodes: nodes as u64, malicious })
    }

    /// One given node is malicious.
    pub(crate) fn guard(self) -> f64 {
        self.malicious as f64 / self.nodes as f64
    }

    /// The guard is, and so is exit or destination.
    pub(crate) fn both(self) -> f64 {
        first_and_another_malicious(self.nodes, self.malicious)
    }

    /// Guard and exit are.
    pub(crate) fn guard_and_exit(self) -> f64 {
        both_malicious(self.nodes, self.malicious)
    }

    /// A malicious guard was in use by a day: exact on day 0; later where weights are
    /// equal and no node comes or goes, but for taking guards as
    /// drawn with replacement from the whole network.
    pub(crate) fn guard_by(self, paths: &Paths, day: u64) -> Option<f64> {
        let (guards, (least, most)) = match paths.selection {
            Selection::Machine
                if paths.network.families.is_some() || paths.network.subnets.is_some() =>
            {
                return None;
            }
            Selection::Machine => (crate::scenario::GUARDS, crate::scenario::GUARD_LIFE),
            Selection::Sampler(sampler) => (sampler.guards, sampler.guard_life),
            Selection::Deployed { .. } if day > 0 => return None,
            Selection::Deployed { .. } => (2, (u64::MAX, u64::MAX)),
        };
        // Where nodes are down, there may be fewer guards than are wanted.
        if paths.churn.is_some_and(|churn| churn.up_and_down.is_some()) {
            return None;
        }
        let at_once = any_malicious(self.nodes, self.malicious, guards as u64);
        if day == 0 {
            return Some(at_once);
        }
        let days = |ms: u64| ms as f64 / DAY as f64;
        let life = (days(least), days(most));
        let plain = paths.weights == Weights::Equal && paths.churn.is_none();
        let later = || guard_set_compromise(self.guard(), guards as u64, life, day as f64);
        plain.then(|| later().max(at_once))
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::scenario::{Network, PathsChurn, Sampler, Share as Part};

    fn paths(selection: Selection) -> Paths {
        Paths {
            network: Network {
                nodes: 100,
                malicious: Part::percent(10),
                subnets: None,
                families: None,
            },
            weights: Weights::Equal,
            owned: Owned::Nodes,
            clients: 1,
            contacts: 1,
            every: DAY,
            join_within: 0,
            selection,
            churn: None,
            span: 90 * DAY,
        }
    }

    /// A client whose numbers all differ.
    fn client() -> Record {
        Record {
            began: 7,
            watched: 90 * DAY - 7,
            requests: 40,
            unserved: 11,
            guards: 3,
            guard_malicious: 30,
            both_ends: 20,
            first_guard: Some(10 * DAY),
            first_both: Some(20 * DAY),
            first_middle: Some(50 * DAY),
            fold: 5,
        }
    }

    fn merged(replicates: &[Vec<Record>]) -> (Vec<Metric>, Table, Vec<Curve>) {
        let churn = PathsChurn { life: Some(Duration::from_secs(86_400)), ..PathsChurn::default() };
        let paths = Paths { churn: Some(churn), ..paths(Selection::Machine) };
        let replicates: Vec<Measures> =
            replicates.iter().map(|clients| Measures { clients: clients.clone() }).collect();
        merge(&paths, &replicates)
    }

    #[track_caller]
    fn holds(metrics: &[Metric], name: &str, value: f64) {
        let found = metrics.iter().find(|metric| metric.name == name).unwrap();
        assert_eq!(found.value, Some(value), "{name}");
    }

    #[test]
    fn cells_stand_in_the_columns_of_their_names() {
        let (_, table, _) = merged(&[Vec::new(), vec![Record::default(), client()]]);
        let row: Vec<_> =
            table.columns.iter().copied().zip(table.rows[1].iter().copied()).collect();
        let expected = [
            ("replicate", 1),
            ("client", 1),
            ("began_ms", 7),
            ("watched_ms", 90 * DAY - 7),
            ("requests", 40),
            ("guards", 3),
            ("requests_guard_malicious", 30),
            ("requests_both_ends", 20),
            ("first_guard_malicious_ms", 10 * DAY),
            ("first_both_ends_ms", 20 * DAY),
            ("first_guard_seen_ms", 50 * DAY),
        ];
        assert_eq!(row, expected.map(|(name, cell)| (name, Some(cell))));
        assert_eq!(table.rows[0][8..], [None; 3]);
    }

    #[test]
    fn bytes_tell_every_two_clients_apart() {
        let same = client();
        let all = [
            same,
            Record { began: 0, ..same },
            Record { watched: 0, ..same },
            Record { requests: 0, ..same },
            Record { guards: 0, ..same },
            Record { guard_malicious: 0, ..same },
            Record { both_ends: 0, ..same },
            Record { first_guard: None, ..same },
            Record { first_both: None, ..same },
            Record { first_middle: None, ..same },
            Record { fold: 0, ..same },
        ];
        let bytes: std::collections::BTreeSet<_> = all.map(Record::to_bytes).into();
        assert_eq!(bytes.len(), all.len());
    }

    #[test]
    fn figures_of_a_few_clients_are_those_that_one_can_count() {
        let free = Record { requests: 40, watched: 90 * DAY, ..Record::default() };
        let idle = Record { watched: 90 * DAY, ..Record::default() };
        let some = Record { both_ends: 10, ..free };
        let (metrics, _, curves) = merged(&[vec![client(), free], vec![idle, some]]);
        for (name, value) in [
            ("clients", 4.0),
            ("requests", 120.0),
            ("requests_guard_malicious", 30.0 / 120.0),
            ("requests_both_ends", 30.0 / 120.0),
            ("requests_without_nodes", 11.0 / 131.0),
            // Of 20, 0 and 10 in 40 requests; who asked nothing does not count.
            ("client_both_ends_share_p5", 0.0),
            ("client_both_ends_share_p50", 0.25),
            ("client_both_ends_share_p95", 0.5),
            ("guards_a_client", 0.75),
            ("guard_malicious_by_day_0", 0.0),
            ("guard_malicious_by_day_30", 0.25),
            ("both_ends_seen_by_day_30", 0.25),
            ("guard_seen_by_day_30", 0.0),
            ("guard_seen_by_day_90", 0.25),
        ] {
            holds(&metrics, name, value);
        }
        assert!(metrics.iter().all(|metric| metric.name != "guard_malicious_by_day_180"));
        for (curve, (name, first)) in curves.iter().zip([
            ("guard_malicious", 10.5),
            ("both_ends_seen", 20.25),
            ("guard_seen", 50.25),
        ]) {
            // Places stand every three quarters of a day.
            let place = curve.places.iter().find(|place| place.share > 0.0).unwrap();
            assert_eq!((curve.name, place.time, place.share), (name, first, 0.25));
            assert_eq!(curve.places.last().map(|place| place.time), Some(90.0));
        }
        let (metrics, ..) = merged(&[vec![client()]]);
        holds(&metrics, "days_to_guard_malicious_p50", 10.0);
        holds(&metrics, "days_to_both_ends_p50", 20.0);
        holds(&metrics, "days_to_guard_seen_p50", 50.0);
    }

    #[test]
    fn client_who_came_late_says_nothing_of_days_after_it_was_watched() {
        let late = Record { began: 60 * DAY, watched: 30 * DAY, ..Record::default() };
        let (metrics, ..) = merged(&[vec![client(), late]]);
        holds(&metrics, "guard_malicious_by_day_30", 0.5);
        let (metrics, ..) = merged(&[vec![late]]);
        let by = metrics.iter().find(|metric| metric.name == "guard_malicious_by_day_90").unwrap();
        assert_eq!(by.value, None);
    }

    #[test]
    fn theory_speaks_only_where_it_holds() {
        let by = |paths: &Paths, day| Theory::of(paths)?.guard_by(paths, day);
        let machine = paths(Selection::Machine);
        // Two of a hundred, ten of which are malicious.
        let at_once = 1.0 - 0.9 * 89.0 / 99.0;
        let near = |found: Option<f64>| found.is_some_and(|found| (found - at_once).abs() < 1e-12);
        assert!(near(by(&machine, 0)) && by(&machine, 90) > by(&machine, 1));
        // Taken with replacement it would be less on the first day.
        assert_eq!(by(&machine, 1), by(&machine, 0));
        let with = |change: fn(&mut Paths)| {
            let mut paths = machine.clone();
            change(&mut paths);
            [by(&paths, 0).is_some(), by(&paths, 30).is_some()]
        };
        let neither = [false, false];
        assert_eq!(with(|paths| paths.owned = Owned::Weight), neither);
        assert_eq!(with(|paths| paths.network.families = Some(9)), neither);
        assert_eq!(with(|paths| paths.network.subnets = Some(9)), neither);
        let day = Duration::from_secs(86_400);
        let churn = PathsChurn::default();
        let (leaves, stays) = (Some(day), AdversaryChurn::Stays);
        for (churn, expected) in [
            (PathsChurn { life: leaves, ..churn }, [true, false]),
            (PathsChurn { life: leaves, adversary: stays, ..churn }, neither),
            (PathsChurn { up_and_down: Some((day, day)), ..churn }, neither),
        ] {
            let paths = Paths { churn: Some(churn), ..machine.clone() };
            assert_eq!([by(&paths, 0).is_some(), by(&paths, 30).is_some()], expected);
        }
        let first = [true, false];
        assert_eq!(with(|paths| paths.weights = Weights::Pareto { shape: 1.5 }), first);
        assert_eq!(with(|paths| paths.selection = Selection::Deployed { restart: DAY }), first);
        let one = Sampler { guards: 1, ..Sampler::PROTOCOL };
        assert_eq!(by(&paths(Selection::Sampler(one)), 0), Some(0.1));
    }
}
