//! What a process counts. No label ever holds an account id or a client's address.

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

/// The metrics of one process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Onion layers peeled, by what became of them.
    pub onion_layers: IntCounterVec,
    /// Requests served as the destination of an onion packet, by method.
    pub requests: IntCounterVec,
    /// Time a mailbox request took at its destination, in seconds.
    pub request_seconds: Histogram,
    /// Records committed by one disk sync.
    pub commit_batch: Histogram,
    /// Height of the newest document.
    pub directory_height: IntGauge,
    /// Messages kept.
    pub stored_messages: IntGauge,
    /// Bytes of messages and chunks kept.
    pub stored_bytes: IntGauge,
    /// Bytes offered.
    pub limit_bytes: IntGauge,
    /// 1 while the disk has no room for more.
    pub disk_full: IntGauge,
    /// Bytes free on the disk.
    pub free_bytes: IntGauge,
    /// Documents decided by this authority.
    pub decisions: IntCounter,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    ///
    /// When a name is registered twice: a mistake in this function.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, label: &str| -> prometheus::Result<IntCounterVec> {
            let metric = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let histogram = |name: &str, help: &str, buckets| -> prometheus::Result<Histogram> {
            let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let decisions =
            IntCounter::new("enjambre_decisions_total", "Documents decided by this authority.")?;
        registry.register(Box::new(decisions.clone()))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            onion_layers: counter(
                "enjambre_onion_layers_total",
                "Onion layers received, by outcome: relayed, delivered, refused.",
                "outcome",
            )?,
            requests: counter(
                "enjambre_requests_total",
                "Requests served as the destination of an onion packet, by method.",
                "method",
            )?,
            request_seconds: histogram(
                "enjambre_request_seconds",
                "Time a mailbox request took at its destination, the swarm's majority included, in seconds.",
                prometheus::exponential_buckets(0.0005, 2.0, 15)?,
            )?,
            commit_batch: histogram(
                "enjambre_commit_batch_records",
                "Records made durable by one disk sync.",
                prometheus::exponential_buckets(1.0, 2.0, 11)?,
            )?,
            directory_height: gauge(
                "enjambre_directory_height",
                "Height of the newest directory document held.",
            )?,
            stored_messages: gauge("enjambre_stored_messages", "Messages kept.")?,
            stored_bytes: gauge(
                "enjambre_stored_bytes",
                "Bytes of messages and chunks kept, with their keys.",
            )?,
            limit_bytes: gauge("enjambre_limit_bytes", "Bytes this node offers.")?,
            disk_full: gauge(
                "enjambre_disk_full",
                "1 while records are refused because the disk has less than the headroom free, or \
                 a write failed.",
            )?,
            free_bytes: gauge("enjambre_disk_free_bytes", "Bytes free on the database's disk.")?,
            decisions,
            registry,
        })
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        // Writing to memory fails only for a metric without a value, and there is none.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_registers_and_shows_its_help() -> prometheus::Result<()> {
        let metrics = Metrics::new()?;
        metrics.decisions.inc();
        metrics.requests.with_label_values(&["store"]).inc();
        let text = metrics.text();
        assert!(text.contains("# HELP enjambre_decisions_total Documents decided"));
        assert!(text.contains("enjambre_requests_total{method=\"store\"} 1"));
        Ok(())
    }
}
