//! The metrics in Prometheus' text form. Collected in this process; the operations listener shows them.

use maypole_core::limits;
use metrics::Recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio_util::sync::CancellationToken;

use super::metrics::{Kind, METRICS};

/// Why metrics could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Metrics were started before.
    #[error("metrics were already started in this process")]
    AlreadyStarted,
    /// A histogram of the table has no buckets.
    #[error("the metrics' table cannot be used: {0}")]
    Table(String),
}

/// What was measured so far.
#[derive(Clone)]
pub struct Exposition(PrometheusHandle);

impl std::fmt::Debug for Exposition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exposition")
    }
}

impl Exposition {
    /// Starts collecting, for the whole process. Metrics recorded before are lost.
    pub fn install() -> Result<Self, MetricsError> {
        let (recorder, exposition) = Self::build()?;
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::AlreadyStarted)?;
        Ok(exposition)
    }

    fn build() -> Result<(PrometheusRecorder, Self), MetricsError> {
        let mut builder = PrometheusBuilder::new();
        for metric in METRICS {
            if let Kind::Histogram(buckets) = metric.kind {
                builder = builder
                    .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
                    .map_err(|error| MetricsError::Table(error.to_string()))?;
            }
        }
        let recorder = builder.build_recorder();
        for metric in METRICS {
            let (name, help) = (metric.name.into(), metric.help.into());
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Gauge => recorder.describe_gauge(name, None, help),
                Kind::Histogram(_) => recorder.describe_histogram(name, None, help),
            }
        }
        let handle = recorder.handle();
        handle.run_upkeep();
        Ok((recorder, Self(handle)))
    }

    /// Everything, in Prometheus' text form.
    pub fn text(&self) -> String {
        self.0.render()
    }

    /// Sorts measured durations into their buckets from time to time, until the service stops.
    pub async fn keep(self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(limits::METRICS_UPKEEP)).await.is_some() {
            self.0.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::record::tests::record_everything;

    #[test]
    fn the_text_has_every_metric_with_its_help_and_kind() {
        let (recorder, exposition) = Exposition::build().unwrap();
        metrics::with_local_recorder(&recorder, record_everything);
        let text = exposition.text();
        for metric in METRICS {
            let (name, kind) = (metric.name, metric.kind.name());
            assert!(text.contains(&format!("# HELP {name} {}\n", metric.help)), "{name}: {text}");
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}: {text}");
        }
        assert!(text.contains("maypole_owed_rows 2\n"), "{text}");
        assert!(
            text.contains("maypole_http_requests_total{route=\"/live\",method=\"GET\",status=\"2xx\"} 1\n")
        );
        assert!(
            text.contains("maypole_write_seconds_bucket{transaction=\"answer\",le=\"0.005\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("maypole_write_seconds_bucket{transaction=\"answer\",le=\"0.0025\"} 0\n"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn keeping_ends_with_the_service() {
        let (_recorder, exposition) = Exposition::build().unwrap();
        let shutdown = CancellationToken::new();
        let keeping = tokio::spawn(exposition.keep(shutdown.clone()));
        shutdown.cancel();
        keeping.await.unwrap();
    }
}
