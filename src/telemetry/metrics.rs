//! The table of every metric. [`super::record`] writes them, `docs/metrics.md` lists them, and tests hold the three together.

use std::fmt::Write;

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often each size occurred; the buckets' upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What is counted or measured.
    pub unit: &'static str,
    /// What it says.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

const SECONDS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Makes the constants of the metrics, and their table.
macro_rules! metrics {
    ($($constant:ident: $kind:expr, $name:literal, $unit:literal, [$($label:literal),*], $help:literal;)*) => {
        $(pub(super) const $constant: Metric =
            Metric { name: $name, kind: $kind, unit: $unit, help: $help, labels: &[$($label),*] };)*

        /// Every metric of the service.
        pub const METRICS: &[Metric] = &[$($constant,)*];
    };
}

metrics! {
    INBOX_ROWS: Kind::Gauge, "maypole_inbox_rows", "rows", [],
        "Messages that were received and are not answered yet.";
    OWED_ROWS: Kind::Gauge, "maypole_owed_rows", "rows", [],
        "Messages that are owed and not delivered yet.";
    SET_ASIDE_ROWS: Kind::Gauge, "maypole_set_aside_rows", "rows", [],
        "What could not be handled and is kept for the operator.";
    ANSWERS_REMEMBERED: Kind::Gauge, "maypole_answers_remembered", "answers", [],
        "Answers that the same question would get again.";
    GROUPS: Kind::Gauge, "maypole_groups", "groups", [],
        "Groups that are registered.";
    STAGED: Kind::Gauge, "maypole_staged_commands", "commands", [],
        "Commands that wait for what must happen at the homeserver first.";
    TO_DEVICE_RECEIVED: Kind::Counter, "maypole_to_device_received_total", "messages", ["kind"],
        "To-device messages that came in.";
    ANSWERED: Kind::Counter, "maypole_answered_total", "answers", ["code"],
        "Questions answered for the first time, by error code.";
    ACCEPTED: Kind::Counter, "maypole_accepted_total", "commands", [],
        "Registrations and commits that were accepted.";
    EVENTS_POISONED: Kind::Counter, "maypole_events_poisoned_total", "events", [],
        "Events that could not be read and were set aside.";
    SYNC_REQUESTS: Kind::Counter, "maypole_sync_requests_total", "requests", ["outcome"],
        "Requests to the homeserver for new messages.";
    HOMESERVER_CALLS: Kind::Counter, "maypole_homeserver_calls_total", "requests", ["call", "outcome"],
        "Requests to the homeserver, every one.";
    DELIVERIES: Kind::Counter, "maypole_deliveries_total", "attempts", ["outcome"],
        "Attempts to deliver what is owed.";
    PUSH_TRANSACTIONS: Kind::Counter, "maypole_push_transactions_total", "transactions", ["outcome"],
        "Push transactions of the homeserver.";
    INVITES: Kind::Counter, "maypole_invites_total", "invitations", ["outcome"],
        "Invitations of the service to rooms.";
    HTTP_REQUESTS: Kind::Counter, "maypole_http_requests_total", "requests", ["route", "method", "status"],
        "Requests to the service, by the route's pattern.";
    HTTP_CONNECTIONS: Kind::Gauge, "maypole_http_connections", "connections", ["listener"],
        "Connections that are open.";
    HTTP_CUT: Kind::Counter, "maypole_http_connections_cut_total", "connections", ["listener", "reason"],
        "Connections that ended before their time.";
    WRITE_SECONDS: Kind::Histogram(SECONDS), "maypole_write_seconds", "seconds", ["transaction"],
        "How long a durable write took, from the request to the disk.";
    WRITE_RETRIES: Kind::Counter, "maypole_write_retries_total", "tries", ["transaction"],
        "How often a durable write was tried again, because others were in its way.";
    WRITE_GROUP: Kind::Histogram(SIZES), "maypole_write_group_batches", "batches", [],
        "How many batches shared one sync of the disk.";
    STORE_FAILURES: Kind::Counter, "maypole_store_failures_total", "failures", [],
        "How often the store failed and was opened anew.";
    QUARANTINED: Kind::Counter, "maypole_store_quarantined_total", "records", ["record"],
        "Records that were found damaged and moved out of the way.";
    SHARES: Kind::Gauge, "maypole_shares", "shares", [],
        "How many of the 64 shares of the work this process holds.";
    READY: Kind::Gauge, "maypole_ready", "0 or 1", ["condition"],
        "Whether each condition of readiness holds.";
}

/// `docs/metrics.md`, as the table makes it.
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         The operations listener shows these at `/metrics`, in Prometheus' text form. No label carries a user, a room or a URL.\n\
         Made from the table in `src/telemetry/metrics.rs`.\n\n\
         | name | kind | unit | labels | what it says |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, unit) = (metric.name, metric.kind.name(), metric.unit);
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{name}` | {kind} | {unit} | {} | {} |", labels.join(", "), metric.help);
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let mut seen = BTreeSet::new();
        for metric in METRICS {
            assert!(seen.insert(metric.name), "{} stands in the table twice", metric.name);
            let body = metric.name.strip_prefix("maypole_").expect(metric.name);
            assert!(body.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{}", metric.name);
        }
    }

    #[test]
    fn docs_metrics_md_is_current() {
        maypole_testkit::generated::assert_current(
            env!("CARGO_MANIFEST_DIR"),
            "docs/metrics.md",
            &reference(),
        );
    }
}
