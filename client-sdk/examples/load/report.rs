//! What was measured, as a table beside its targets and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

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
            "client_cpu_us_each": self.micros_each(self.client_cpu),
        })
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
        println!("Requests are of 2 KiB packets through three hops to a fourth node.\n");
        let (alone, busy) = ("one in flight".to_owned(), format!("{} in flight", self.in_flight));
        let mebi = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let mut rows: Vec<[String; 4]> = vec![
            ["what", "figure", "CPU each", "target"].map(str::to_owned),
            row(&format!("request, {alone}"), &self.request_alone, "p50 <= 1.2 ms, p99 <= 3 ms"),
            row(
                &format!("request, {busy}"),
                &self.request,
                ">= 2 x a deployed server's 2 267/s through three of its nodes",
            ),
            row(&format!("store of {} B, {alone}", self.message), &self.store_alone, ""),
            row(&format!("store of {} B, {busy}", self.message), &self.stores, ">= 1 500/s"),
        ];
        if let Some(file) = &self.file {
            let what = format!("file of {} MB", file.bytes / 1_000_000);
            let figure = |took| format!("{:.1} MB/s", file.rate(took));
            let (up, down) = (figure(file.up), figure(file.down));
            rows.push([format!("{what}, up"), up, String::new(), ">= 25 MB/s".to_owned()]);
            rows.push([format!("{what}, down"), down, String::new(), ">= 50 MB/s".to_owned()]);
        }
        let resident = self.idle.resident.last().copied().unwrap_or_default();
        rows.push([
            "node, idle".to_owned(),
            format!("{:.1} MiB, at most {:.1}", mebi(self.middle()), mebi(resident)),
            format!("{:.2} % of a core", 100.0 * self.idle.core_share),
            "<= 60 MB, <= 0.5 % of a core".to_owned(),
        ]);
        print_rows(&rows);
    }
}

fn row(what: &str, load: &Load, target: &str) -> [String; 4] {
    [what.to_owned(), load.figure(), load.cpu(), target.to_owned()]
}

fn print_rows(rows: &[[String; 4]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let [a, b, c, d] = [0, 1, 2, 3].map(width);
    for (i, [what, figure, cpu, target]) in rows.iter().enumerate() {
        println!("| {what:<a$} | {figure:<b$} | {cpu:<c$} | {target:<d$} |");
        if i == 0 {
            let [a, b, c, d] = [a, b, c, d].map(|width| "-".repeat(width));
            println!("| {a} | {b} | {c} | {d} |");
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}
