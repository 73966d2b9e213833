//! The one place that writes metrics: a typed function for each, whose labels come from closed sets.
//!
//! Where a set belongs to another room (codes of answers, names of calls and transactions), the label is a
//! `&'static str`: what came from the network cannot become one.

use std::time::Duration;

use maypole_core::records::Depths;
use metrics::{counter, gauge, histogram};

use super::labels::{
    CallOutcome, Condition, Cut, DeliveryOutcome, Door, InviteOutcome, MessageKind, Method, PushOutcome,
    StatusClass,
};
use super::metrics as table;

/// How much waits in the store.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; no store holds 2^53 rows")]
pub fn depths(depths: Depths) {
    gauge!(table::INBOX_ROWS.name).set(depths.inbox as f64);
    gauge!(table::OWED_ROWS.name).set(depths.owed as f64);
    gauge!(table::SET_ASIDE_ROWS.name).set(depths.set_aside as f64);
    gauge!(table::ANSWERS_REMEMBERED.name).set(depths.answers as f64);
    gauge!(table::GROUPS.name).set(depths.groups as f64);
    gauge!(table::STAGED.name).set(depths.staged as f64);
}

/// A to-device message came in.
pub fn to_device_received(kind: MessageKind) {
    counter!(table::TO_DEVICE_RECEIVED.name, "kind" => kind.label()).increment(1);
}

/// An answer was given, with this error code.
pub fn answered(code: &'static str) {
    counter!(table::ANSWERED.name, "code" => code).increment(1);
}

/// A registration or a commit was accepted.
pub fn accepted() {
    counter!(table::ACCEPTED.name).increment(1);
}

/// An event could not be read and was set aside.
pub fn event_poisoned() {
    counter!(table::EVENTS_POISONED.name).increment(1);
}

/// A request for new messages ended.
pub fn sync_request(outcome: CallOutcome) {
    counter!(table::SYNC_REQUESTS.name, "outcome" => outcome.label()).increment(1);
}

/// A call to the homeserver ended.
pub fn homeserver_call(call: &'static str, outcome: CallOutcome) {
    counter!(table::HOMESERVER_CALLS.name, "call" => call, "outcome" => outcome.label()).increment(1);
}

/// An attempt to deliver something owed ended.
pub fn delivery(outcome: DeliveryOutcome) {
    counter!(table::DELIVERIES.name, "outcome" => outcome.label()).increment(1);
}

/// A push transaction was dealt with.
pub fn push_transaction(outcome: PushOutcome) {
    counter!(table::PUSH_TRANSACTIONS.name, "outcome" => outcome.label()).increment(1);
}

/// An invitation was dealt with.
pub fn invite(outcome: InviteOutcome) {
    counter!(table::INVITES.name, "outcome" => outcome.label()).increment(1);
}

/// A request to the service was answered. `route` is the pattern of the route table, never the path that came.
pub fn http_request(route: &'static str, method: Method, status: StatusClass) {
    let (method, status) = (method.label(), status.label());
    counter!(table::HTTP_REQUESTS.name, "route" => route, "method" => method, "status" => status)
        .increment(1);
}

/// A connection that is counted as open as long as this lives.
#[derive(Debug)]
pub struct OpenConnection(Door);

impl OpenConnection {
    /// One more is open.
    pub fn at(door: Door) -> Self {
        gauge!(table::HTTP_CONNECTIONS.name, "listener" => door.label()).increment(1.0);
        Self(door)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        gauge!(table::HTTP_CONNECTIONS.name, "listener" => self.0.label()).decrement(1.0);
    }
}

/// A connection ended before its time.
pub fn connection_cut(door: Door, reason: Cut) {
    counter!(table::HTTP_CUT.name, "listener" => door.label(), "reason" => reason.label()).increment(1);
}

/// A durable write of this name took this long.
pub fn write_took(transaction: &'static str, duration: Duration) {
    histogram!(table::WRITE_SECONDS.name, "transaction" => transaction).record(duration.as_secs_f64());
}

/// A durable write of this name is tried again, because others were in its way.
pub fn write_retried(transaction: &'static str) {
    counter!(table::WRITE_RETRIES.name, "transaction" => transaction).increment(1);
}

/// So many batches shared one sync of the disk.
#[expect(clippy::cast_precision_loss, reason = "a group holds a few hundred batches")]
pub fn write_group(batches: usize) {
    histogram!(table::WRITE_GROUP.name).record(batches as f64);
}

/// The store failed and is opened anew.
pub fn store_failed() {
    counter!(table::STORE_FAILURES.name).increment(1);
}

/// This process works on so many shares.
pub fn shares(count: u32) {
    gauge!(table::SHARES.name).set(f64::from(count));
}

/// A damaged record of this kind was moved out of the way.
pub fn quarantined(record: &'static str) {
    counter!(table::QUARANTINED.name, "record" => record).increment(1);
}

/// A condition of readiness holds, or does not.
pub fn ready(condition: Condition, holds: bool) {
    gauge!(table::READY.name, "condition" => condition.label()).set(if holds { 1.0 } else { 0.0 });
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use super::super::metrics::METRICS;
    use super::*;

    /// Notes under which name, kind and labels something is recorded.
    #[derive(Default)]
    struct Notes(Mutex<BTreeMap<String, (&'static str, Vec<String>)>>);

    impl Notes {
        fn note(&self, key: &Key, kind: &'static str) {
            let labels = key.labels().map(|label| label.key().to_owned()).collect();
            self.0.lock().unwrap().insert(key.name().to_owned(), (kind, labels));
        }
    }

    impl Recorder for Notes {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            self.note(key, "counter");
            Counter::noop()
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            self.note(key, "gauge");
            Gauge::noop()
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            self.note(key, "histogram");
            Histogram::noop()
        }
    }

    /// Records everything that can be recorded, once.
    pub(in super::super) fn record_everything() {
        depths(Depths { inbox: 1, owed: 2, set_aside: 3, answers: 4, groups: 5, staged: 6 });
        to_device_received(MessageKind::Known);
        answered("M_BAD_JSON");
        accepted();
        event_poisoned();
        sync_request(CallOutcome::Ok);
        homeserver_call("sync", CallOutcome::Limited);
        delivery(DeliveryOutcome::Retried);
        push_transaction(PushOutcome::Repeated);
        invite(InviteOutcome::Left);
        http_request("/live", Method::Get, StatusClass::Success);
        drop(OpenConnection::at(Door::Matrix));
        connection_cut(Door::Operations, Cut::Stalled);
        write_took("answer", Duration::from_millis(3));
        write_retried("decide");
        write_group(7);
        store_failed();
        quarantined("answer");
        shares(64);
        ready(Condition::Store, true);
    }

    #[test]
    fn what_is_recorded_is_exactly_the_table() {
        let notes = Notes::default();
        metrics::with_local_recorder(&notes, record_everything);
        let recorded = notes.0.into_inner().unwrap();
        let table: BTreeMap<String, (&'static str, Vec<String>)> = METRICS
            .iter()
            .map(|metric| {
                let labels = metric.labels.iter().map(|label| (*label).to_owned()).collect();
                (metric.name.to_owned(), (metric.kind.name(), labels))
            })
            .collect();
        assert_eq!(recorded, table);
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn nobody_else_makes_metrics() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        sources(&root.join("src"), &mut found);
        sources(&root.join("crates"), &mut found);
        assert!(found.len() > 10, "the sources were not found");
        for path in found {
            let text = std::fs::read_to_string(&path).unwrap();
            let makes = ["counter!(", "gauge!(", "histogram!("].iter().any(|call| text.contains(call));
            assert!(!makes || path.ends_with("src/telemetry/record.rs"), "{} makes a metric", path.display());
        }
    }
}
