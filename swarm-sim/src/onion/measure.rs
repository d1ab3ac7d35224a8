//! What became of the requests of one replicate, and the figures over all.

use enjambre_protocol::time::Instant;

use super::client::{Client, Ending, Ends, Failures, Request};
use crate::metric::{Metric, Share, Table};
use crate::scenario::Onion;
use crate::stats::{both_malicious, first_and_another_malicious};
use crate::stream::{Entity, Streams};

const COLUMNS: &[&str] = &[
    "replicate",
    "client",
    "request",
    "sent_ms",
    "delivered",
    "latency_us",
    "tries",
    "rules_relaxed",
    "guard_malicious",
    "exit_malicious",
    "destination_malicious",
];

/// Counts of one replicate.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    requests: Vec<Record>,
    failures: Failures,
    guards: u64,
    clients: u64,
    /// Virtual time of the whole run, in nanoseconds.
    span: u64,
    /// Packets that nodes took off links.
    pub(super) peeled: u64,
    /// Packets and answers put on links.
    pub(super) messages: u64,
    /// Those that vanished.
    pub(super) lost: u64,
    /// How often a node went down.
    pub(super) stops: u64,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    client: u64,
    number: u64,
    sent: Instant,
    /// Nanoseconds from the first try to the answer; `None` if it was given up.
    latency: Option<u64>,
    tries: u64,
    relaxed: u64,
    first: Option<Ends>,
    ever_both: bool,
}

impl Record {
    fn of(client: u64, number: u64, request: &Request) -> Self {
        let latency = match request.ended {
            Some((at, Ending::Delivered)) => {
                Some(at.as_nanos().saturating_sub(request.sent.as_nanos()))
            }
            Some((_, Ending::GivenUp)) | None => None,
        };
        Self {
            client,
            number,
            sent: request.sent,
            latency,
            tries: request.tries.into(),
            relaxed: request.relaxed.len() as u64,
            first: request.first,
            ever_both: request.ever_both,
        }
    }

    fn cells(&self, replicate: u64) -> Vec<Option<u64>> {
        let end = |end: fn(Ends) -> bool| self.first.map(|first| u64::from(end(first)));
        vec![
            Some(replicate),
            Some(self.client),
            Some(self.number),
            Some(self.sent.as_nanos() / 1_000_000),
            Some(u64::from(self.latency.is_some())),
            self.latency.map(|nanos| nanos / 1_000),
            Some(self.tries),
            Some(self.relaxed),
            end(|first| first.guard),
            end(|first| first.exit),
            end(|first| first.destination),
        ]
    }
}

impl Measures {
    /// Takes over what the clients know at the end.
    pub(super) fn finish(&mut self, clients: &[Client], now: Instant) {
        self.span = now.as_nanos();
        for (index, client) in (0..).zip(clients) {
            self.clients += 1;
            self.guards += client.guards() as u64;
            let Failures { guard_unreachable, edge, hop, silent, no_path } = client.failures;
            self.failures.guard_unreachable += guard_unreachable;
            self.failures.edge += edge;
            self.failures.hop += hop;
            self.failures.silent += silent;
            self.failures.no_path += no_path;
            for (number, request) in (0..).zip(&client.requests) {
                self.requests.push(Record::of(index, number, request));
            }
        }
    }

    /// Hits among the requests of each client for which it is known.
    fn shares(&self, hit: impl Fn(&Record) -> Option<bool>) -> Vec<Share> {
        let of_client = |requests: &[Record]| {
            let known: Vec<bool> = requests.iter().filter_map(&hit).collect();
            let hits = known.iter().filter(|hit| **hit).count() as u64;
            Share { hits, of: known.len() as u64 }
        };
        self.requests.chunk_by(|a, b| a.client == b.client).map(of_client).collect()
    }

    fn tries_mean(&self) -> f64 {
        let tries: u64 = self.requests.iter().map(|request| request.tries).sum();
        tries as f64 / self.requests.len().max(1) as f64
    }
}

/// Quantiles of the latency of requests that were answered, of clients that had an answer.
fn latencies(replicates: &[Measures], streams: &Streams) -> [Metric; 3] {
    let (mut sorted, mut clients) = (Vec::new(), 0);
    let all = replicates.iter().flat_map(|m| m.requests.chunk_by(|a, b| a.client == b.client));
    for requests in all {
        let before = sorted.len();
        let answered = requests.iter().filter_map(|request| request.latency);
        sorted.extend(answered.map(|nanos| (nanos as f64 / 1e6, clients)));
        clients += usize::from(sorted.len() > before);
    }
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let names = ["latency_p50", "latency_p95", "latency_p99"];
    let mut stream = streams.stream(Entity::World, "bootstrap");
    Metric::quantiles_over_clients(names, [50, 95, 99], &sorted, clients, &mut stream)
}

/// The figures of a run, from its replicates in their order.
pub(crate) fn merge(
    onion: &Onion,
    streams: &Streams,
    replicates: &[Measures],
) -> (Vec<Metric>, Table) {
    let nodes = u64::from(onion.network.nodes);
    let malicious = usize::try_from(onion.network.nodes).unwrap_or(usize::MAX);
    let malicious = onion.network.malicious.of(malicious) as u64;
    let share = |name, hit: fn(&Record) -> Option<bool>| {
        let shares: Vec<_> = replicates.iter().map(|measures| measures.shares(hit)).collect();
        Metric::share_over_clients(name, &shares)
    };
    let ends = |name, both: fn(Ends) -> bool| {
        let shares = replicates.iter().map(|m| m.shares(|request| request.first.map(both)));
        Metric::share_over_clients(name, &shares.collect::<Vec<_>>())
    };
    let sum = |name, unit, value: fn(&Measures) -> u64| {
        Metric::count(name, unit, replicates.iter().map(value).sum())
    };
    let means = |value: fn(&Measures) -> f64| replicates.iter().map(value).collect::<Vec<f64>>();
    let [p50, p95, p99] = latencies(replicates, streams);
    let pair = both_malicious(nodes, malicious);
    let metrics = vec![
        sum("requests", "requests", |m| m.requests.len() as u64),
        share("delivered", |request| Some(request.latency.is_some())),
        share("delivered_at_first_try", |request| {
            Some(request.latency.is_some() && request.tries == 1)
        }),
        p50,
        p95,
        p99,
        Metric::mean("tries_mean", "tries", &means(Measures::tries_mean)),
        ends("guard_and_exit_malicious", |e| e.guard && e.exit).with_expected(pair),
        ends("guard_and_destination_malicious", |e| e.guard && e.destination).with_expected(pair),
        ends("request_both_ends_malicious", Ends::both)
            .with_expected(first_and_another_malicious(nodes, malicious)),
        share("request_both_ends_malicious_in_any_try", |request| Some(request.ever_both)),
        share("rules_relaxed", |request| Some(request.relaxed > 0)),
        Metric::mean(
            "guards_a_client",
            "guards",
            &means(|m| m.guards as f64 / m.clients.max(1) as f64),
        ),
        sum("tries_failed_guard_unreachable", "tries", |m| m.failures.guard_unreachable),
        sum("tries_failed_edge_named", "tries", |m| m.failures.edge),
        sum("tries_failed_hop_named", "tries", |m| m.failures.hop),
        sum("tries_failed_in_silence", "tries", |m| m.failures.silent),
        sum("requests_without_path", "requests", |m| m.failures.no_path),
        sum("packets_peeled", "packets", |m| m.peeled),
        sum("messages", "messages", |m| m.messages),
        sum("messages_lost", "messages", |m| m.lost),
        sum("nodes_stopped", "stops", |m| m.stops),
        Metric::mean("virtual_time", "s", &means(|m| m.span as f64 / 1e9)),
    ];
    let rows = (0..).zip(replicates).flat_map(|(replicate, measures)| {
        measures.requests.iter().map(move |request| request.cells(replicate))
    });
    (metrics, Table { name: "requests", columns: COLUMNS, rows: rows.collect() })
}
