//! What was measured, as a table beside its targets, and as JSON.
//!
//! Beside some figures stands the ratio to the same figure of a deployed storage server (2.8, C++),
//! taken on a machine of this kind and not in this run: it does not sync what it stores, and its
//! own client is not counted.

use std::time::Duration;

use serde_json::{Value, json};

/// Relays between a client and its destination.
const HOPS: f64 = 3.0;

/// The deployed server's figures: requests a second through three of its nodes, CPU microseconds
/// of a signed poll and of one added hop (the lower of 250 to 330), MiB of an idle node (25 to 33).
const THEIR_REQUESTS: f64 = 2_267.0;
const THEIR_POLL: f64 = 337.0;
const THEIR_HOP: f64 = 250.0;
const THEIR_MEMORY: f64 = 33.0;

/// What a store is to reach, a second.
const STORES: f64 = 1_500.0;

/// What the network does when nobody asks anything.
pub(crate) struct Idle {
    /// Resident memory of each node, bytes, ascending.
    pub(crate) resident: Vec<u64>,
    /// Share of one core that a node takes, mean.
    pub(crate) core_share: f64,
}

/// One measurement under load.
pub(crate) struct Load {
    /// How long each piece of work took, ascending.
    pub(crate) times: Vec<Duration>,
    pub(crate) failed: u64,
    pub(crate) took: Duration,
    /// CPU time of all nodes.
    pub(crate) nodes_cpu: Duration,
    /// The share of the one node that all was for, where there is one.
    pub(crate) target_cpu: Duration,
    /// CPU time of this program.
    pub(crate) client_cpu: Duration,
}

impl Load {
    fn a_second(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    fn percentile(&self, percent: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get(last * percent / 100).copied().unwrap_or_default()
    }

    fn micros_each(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.times.len() as f64
    }

    fn json(&self) -> Value {
        json!({
            "per_second": self.a_second(),
            "p50_ms": millis(self.percentile(50)),
            "p99_ms": millis(self.percentile(99)),
            "count": self.times.len(),
            "failed": self.failed,
            "nodes_cpu_us_each": self.micros_each(self.nodes_cpu),
            "target_cpu_us_each": self.micros_each(self.target_cpu),
            "client_cpu_us_each": self.micros_each(self.client_cpu),
        })
    }

    /// CPU time of a relay for one piece of work, both directions and both its links: what the
    /// nodes other than the target took, over the three of them.
    fn micros_each_hop(&self) -> f64 {
        self.micros_each(self.nodes_cpu.saturating_sub(self.target_cpu)) / HOPS
    }

    fn figure(&self) -> String {
        format!(
            "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
            self.a_second(),
            millis(self.percentile(50)),
            millis(self.percentile(99))
        )
    }

    fn cpu(&self) -> String {
        let (nodes, client) = (self.micros_each(self.nodes_cpu), self.micros_each(self.client_cpu));
        let failed =
            if self.failed == 0 { String::new() } else { format!(", {} failed", self.failed) };
        format!("{nodes:.0} us nodes + {client:.0} us client{failed}")
    }
}

/// A file sent and fetched.
pub(crate) struct Transfer {
    pub(crate) bytes: usize,
    pub(crate) up: Duration,
    pub(crate) down: Duration,
}

impl Transfer {
    fn rate(&self, took: Duration) -> f64 {
        self.bytes as f64 / 1e6 / took.as_secs_f64()
    }
}

/// Everything measured.
pub(crate) struct Report {
    pub(crate) nodes: usize,
    pub(crate) ready_after: Duration,
    pub(crate) in_flight: usize,
    pub(crate) message: usize,
    pub(crate) idle: Idle,
    pub(crate) request_alone: Load,
    pub(crate) request: Load,
    /// Requests that all went to one node.
    pub(crate) to_one: Load,
    /// Signed by the account's key.
    pub(crate) poll_owner: Load,
    /// Signed by a device's key, with a token.
    pub(crate) poll_device: Load,
    /// Members of each swarm, ascending.
    pub(crate) swarms: Vec<usize>,
    pub(crate) store_alone: Load,
    pub(crate) stores: Load,
    pub(crate) file: Option<Transfer>,
}

impl Report {
    /// All figures as one JSON object.
    pub(crate) fn json(&self) -> Value {
        json!({
            "nodes": self.nodes,
            "cores": cores(),
            "ready_after_ms": millis(self.ready_after),
            "in_flight": self.in_flight,
            "message_bytes": self.message,
            "idle": {
                "rss_median_bytes": self.middle(),
                "rss_max_bytes": self.idle.resident.last(),
                "core_share": self.idle.core_share,
            },
            "request_alone": self.request_alone.json(),
            "request": self.request.json(),
            "request_to_one": self.to_one.json(),
            "hop_cpu_us": self.to_one.micros_each_hop(),
            "poll_owner": self.poll_owner.json(),
            "poll_device": self.poll_device.json(),
            "swarms": self.swarms,
            "client_aws_lc": cfg!(feature = "aws-lc"),
            "store_alone": self.store_alone.json(),
            "store": self.stores.json(),
            "file": self.file.as_ref().map(|file| json!({
                "bytes": file.bytes,
                "up_mb_per_second": file.rate(file.up),
                "down_mb_per_second": file.rate(file.down),
            })),
        })
    }

    fn middle(&self) -> u64 {
        self.idle.resident.get(self.idle.resident.len() / 2).copied().unwrap_or_default()
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        println!(
            "\n{} nodes, an authority and the clients on the {} cores of this machine; ready after {:.1} s.",
            self.nodes,
            cores(),
            self.ready_after.as_secs_f64()
        );
        let sizes: Vec<String> = self.swarms.iter().map(usize::to_string).collect();
        let backend = if cfg!(feature = "aws-lc") { "AWS-LC" } else { "the portable primitives" };
        println!(
            "Requests are of 2 KiB packets through three hops to a fourth node; clients build them by"
        );
        println!("{backend}. Swarms have {} members.\n", sizes.join(" and "));
        let (alone, busy) = ("one in flight", format!("{} in flight", self.in_flight));
        let mut rows: Vec<[String; 5]> =
            vec![["what", "figure", "CPU each", "target", "ratio"].map(str::to_owned)];
        let mut row = |what: &str, figure: String, cpu: String, target: &str, ratio: String| {
            rows.push([what.to_owned(), figure, cpu, target.to_owned(), ratio]);
        };
        let load = |load: &Load| (load.figure(), load.cpu());

        let (figure, cpu) = load(&self.request_alone);
        let target = "p50 <= 1.2 ms, p99 <= 3 ms";
        row(&format!("request, {alone}"), figure, cpu, target, String::new());
        let (figure, cpu) = load(&self.request);
        let ratio = theirs(self.request.a_second(), THEIR_REQUESTS, "/s");
        row(&format!("request, {busy}"), figure, cpu, ">= 2 x a deployed server's", ratio);
        let hop = self.to_one.micros_each_hop();
        let ratio = theirs(hop, THEIR_HOP, " us");
        row("one hop, both ways", String::new(), format!("{hop:.0} us node"), "<= 110 us", ratio);
        for (by, poll) in [("account", &self.poll_owner), ("device", &self.poll_device)] {
            let micros = poll.micros_each(poll.target_cpu);
            let (what, cpu) =
                (format!("poll signed by {by}, {busy}"), format!("{micros:.0} us node"));
            row(&what, poll.figure(), cpu, "<= 120 us", theirs(micros, THEIR_POLL, " us"));
        }
        let what = format!("store of {} B", self.message);
        let (figure, cpu) = load(&self.store_alone);
        row(&format!("{what}, {alone}"), figure, cpu, "", String::new());
        let (figure, cpu) = load(&self.stores);
        let ratio = format!("{:.2} x the target", self.stores.a_second() / STORES);
        row(&format!("{what}, {busy}"), figure, cpu, ">= 1 500/s", ratio);
        if let Some(file) = &self.file {
            let what = format!("file of {} MB", file.bytes / 1_000_000);
            for (way, took, target) in [("up", file.up, 25.0), ("down", file.down, 50.0)] {
                let rate = file.rate(took);
                let (figure, target_text) =
                    (format!("{rate:.1} MB/s"), format!(">= {target} MB/s"));
                let ratio = format!("{:.2} x the target", rate / target);
                row(&format!("{what}, {way}"), figure, String::new(), &target_text, ratio);
            }
        }
        let mebi = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let most = mebi(self.idle.resident.last().copied().unwrap_or_default());
        let figure = format!("{:.1} MiB, at most {most:.1}", mebi(self.middle()));
        let cpu = format!("{:.2} % of a core", 100.0 * self.idle.core_share);
        let ratio = theirs(most, THEIR_MEMORY, " MiB");
        row("node, idle", figure, cpu, "<= 60 MB, <= 0.5 % of a core", ratio);
        print_rows(&rows);
    }
}

/// A ratio to the deployed server's figure.
fn theirs(figure: f64, theirs: f64, unit: &str) -> String {
    format!("{:.2} x its {theirs:.0}{unit}", figure / theirs)
}

fn print_rows(rows: &[[String; 5]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(width);
    for (i, [what, figure, cpu, target, ratio]) in rows.iter().enumerate() {
        println!("| {what:<a$} | {figure:<b$} | {cpu:<c$} | {target:<d$} | {ratio:<e$} |");
        if i == 0 {
            let [a, b, c, d, e] = [a, b, c, d, e].map(|width| "-".repeat(width));
            println!("| {a} | {b} | {c} | {d} | {e} |");
        }
    }
}
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}
