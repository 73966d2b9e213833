//! The worker over a real store: who is answered, once, and what a flood costs.

mod crowds;
mod damaged;
pub(super) mod forged;
mod hall;
mod past;
mod turns;
mod working;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::batch::{Backend, BackendError, Batch};
use maypole_core::ids::{OwedId, SyncToken, UserId};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::records::{Delivery, InboxItem, Incoming};
use maypole_room::names::Prefix;
use maypole_testkit::wait::eventually;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::places::Places;
use super::{Lanes, Road, Worker};
use crate::clock;
use crate::dialects::matrix::Matrix;
use crate::dialects::matrix::describe::SelfDescription;
use crate::dialects::matrix::invites::Invites;
use crate::hold::Hold;
use crate::homeserver::Homeserver;
use crate::homeserver::tests::adapter_with;
use crate::keys::Keys;
use crate::storage::forward::forward_questions;
use crate::storage::sled::Store;

const BOUND: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "a test stands in for main")]
fn message(sender: &str, content: &Value) -> InboxItem {
    let caller = Authenticated::by(AuthToken::make(), UserId::parse(format!("@{sender}:a.org")).unwrap());
    let content = content.to_string().into_bytes();
    InboxItem::new(caller, clock::now(), Incoming::ToDevice { kind: "m.mls.message".into(), content })
}

/// A request.
#[expect(clippy::disallowed_methods, reason = "a test stands in for main")]
fn asked(sender: &str, content: &Value) -> InboxItem {
    let caller = Authenticated::by(AuthToken::make(), UserId::parse(format!("@{sender}:a.org")).unwrap());
    let content = content.to_string().into_bytes();
    InboxItem::new(caller, clock::now(), Incoming::ToDevice { kind: "m.mls.request".into(), content })
}

fn numbered(n: usize) -> Value {
    json!({"device_id": "D", "txn_id": n.to_string(), "message": "AAE"})
}

/// Lets a worker answer what stands in the inbox of a new store in `folder`; gives the codes of what is owed, by account.
async fn answers_to(folder: &Path, pages: Vec<Vec<InboxItem>>) -> BTreeMap<String, Vec<String>> {
    answers_through(Store::open(folder).unwrap(), folder, pages).await
}

/// The same, in a store that is there.
async fn answers_through<B: Backend>(
    store: B,
    folder: &Path,
    pages: Vec<Vec<InboxItem>>,
) -> BTreeMap<String, Vec<String>> {
    let ledger = Arc::new(Ledger::new(store));
    receive(&ledger, pages).await;
    work_until(&ledger, folder, 0).await;
    codes(&ledger).await
}

/// Messages come in, page by page.
async fn receive<B: Backend>(ledger: &Ledger<B>, pages: Vec<Vec<InboxItem>>) {
    let mut from = None;
    for (n, page) in pages.into_iter().enumerate() {
        let to = SyncToken::parse(format!("s{n}")).unwrap();
        ledger.receive(from.as_ref(), &to, page, Vec::new()).await.unwrap();
        from = Some(to);
    }
}

/// Lets a worker work until so many messages are left in the inbox.
async fn work_until<B: Backend>(ledger: &Arc<Ledger<B>>, folder: &Path, left: u64) {
    work_until_with(adapter_with("http://127.0.0.1:1", |_| {}), ledger, folder, left).await;
}

/// The same, beside this homeserver.
async fn work_until_with<B: Backend>(
    homeserver: Homeserver,
    ledger: &Arc<Ledger<B>>,
    folder: &Path,
    left: u64,
) {
    let (worker, _) = worker(homeserver, ledger, folder, limits::GROUPS_AT_WORK_KIB);
    let drained = async {
        let look = || async { Ok((ledger.queues().await?.inbox == left).then_some(())) };
        eventually(BOUND, "the inbox to drain", look).await.unwrap();
    };
    work_during(&worker, drained).await;
}

/// A worker over a ledger, and its lanes, with so much room for groups at work.
fn worker<B: Backend>(
    homeserver: Homeserver,
    ledger: &Arc<Ledger<B>>,
    folder: &Path,
    work_kib: u32,
) -> (Worker<B>, Arc<Lanes<Road<B>>>) {
    worker_holding(homeserver, ledger, folder, work_kib, (Hold::of_everything(), Arc::default()))
}

/// The same, of a process that holds this, and is woken by that.
fn worker_holding<B: Backend>(
    homeserver: Homeserver,
    ledger: &Arc<Ledger<B>>,
    folder: &Path,
    work_kib: u32,
    (hold, inbox): (Hold, Arc<Notify>),
) -> (Worker<B>, Arc<Lanes<Road<B>>>) {
    let outbox = Arc::new(Notify::new());
    let keys = Arc::new(Keys::open_or_create(&folder.join("keys"), false).unwrap());
    let user = UserId::parse("@:a.org").unwrap();
    let described = SelfDescription::new(&user, Prefix::Stable, &keys, Arc::default());
    let description = described.description().clone();
    let matrix = Arc::new(Matrix::new(homeserver.clone(), "@:a.org".try_into().unwrap(), &keys, description));
    let road = Road::within(ledger.clone(), matrix.clone(), outbox.clone(), Places::new(work_kib));
    let lanes = Arc::new(Lanes::new(road, hold.clone()));
    let invites = Invites::new(ledger.clone(), homeserver, "@:a.org".try_into().unwrap());
    (Worker::new(ledger.clone(), matrix, invites, lanes.clone(), hold, inbox, outbox), lanes)
}

/// Lets a worker work until something has ended.
async fn work_during<B: Backend>(worker: &Worker<B>, something: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let ended = async {
        something.await;
        stop.cancel();
    };
    tokio::join!(worker.run(stop.clone()), ended);
}

/// The codes of what is owed, by account.
async fn codes<B: Backend>(ledger: &Ledger<B>) -> BTreeMap<String, Vec<String>> {
    let mut codes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in ledger.owed(None, 10_000).await.unwrap() {
        let Delivery::ToDevice { content, recipients, .. } = &row.get().owed.delivery;
        let content: Value = serde_json::from_slice(content).unwrap();
        let code = content["errcode"].as_str().unwrap().to_owned();
        codes.entry(recipients[0].user.to_string()).or_default().push(code);
    }
    codes
}

fn count(codes: &[String], code: &str) -> usize {
    codes.iter().filter(|found| *found == code).count()
}

#[tokio::test]
async fn a_flood_is_not_answered_with_a_flood_and_others_are_answered_all() {
    let folder = tempfile::tempdir().unwrap();
    let burst = usize::try_from(limits::SENDER_BURST_MESSAGES).unwrap();
    let flood: Vec<_> = (0..3 * burst).map(|n| message("mallory", &numbered(n))).collect();
    let honest: Vec<_> = (0..50).map(|n| message("alice", &numbered(n))).collect();
    let codes = answers_to(&folder.path().join("store"), vec![flood, honest]).await;
    assert_eq!(count(&codes["@alice:a.org"], "M_MLS_MALFORMED"), 50);
    let mallory = &codes["@mallory:a.org"];
    let answered = count(mallory, "M_MLS_MALFORMED");
    assert!(answered >= burst, "{answered}");
    let told = count(mallory, "M_LIMIT_EXCEEDED");
    assert!(told >= 1 && told < burst / 10, "told {told} times");
    assert!(mallory.len() < 2 * burst, "{} answers to {} messages", mallory.len(), 3 * burst);
}

#[tokio::test]
async fn twins_of_one_page_get_one_answer_each_and_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let twins: Vec<_> = (0..20).map(|_| message("alice", &numbered(1))).collect();
    let mut other = numbered(1);
    other["message"] = json!("AAI");
    let codes = answers_to(&folder.path().join("store"), vec![twins, vec![message("alice", &other)]]).await;
    let alice = &codes["@alice:a.org"];
    assert_eq!((count(alice, "M_MLS_MALFORMED"), count(alice, "M_MLS_TXN_REUSED")), (20, 1), "{alice:?}");
}

#[tokio::test]
async fn more_than_a_page_is_answered_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let many: Vec<_> = (0..3 * limits::INBOX_PAGE + 7).map(|n| message("alice", &numbered(n))).collect();
    let expected = many.len();
    let codes = answers_to(&folder.path().join("store"), vec![many]).await;
    assert_eq!(codes["@alice:a.org"].len(), expected);
}

/// A store that fails some writes of one kind and then works.
struct Failing {
    store: Store,
    kind: &'static str,
    left: AtomicUsize,
}

/// What is asked of a failing store is asked of the one within.
macro_rules! within {
    ($this:expr, $store:ident => $asked:expr) => {{
        let $store = &$this.store;
        $asked
    }};
}

impl Backend for Failing {
    async fn apply(&self, batch: Batch) -> Result<Vec<OwedId>, BackendError> {
        let count_down = |left: usize| left.checked_sub(1);
        if batch.name == self.kind
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count_down).is_ok()
        {
            return Err(BackendError::Unavailable("this is part of the test".to_owned()));
        }
        self.store.apply(batch).await
    }

    forward_questions!(within);
}

/// Something that calls itself a commit of a group.
fn commit_of(group: &str, n: usize) -> Value {
    let length = u8::try_from(group.len()).unwrap();
    let rest = [&3_u64.to_be_bytes()[..], &[1, 0, 0, 0, 0, 0, 3, 0xaa]].concat();
    let commit = [&[0, 1, 0, 1, length][..], group.as_bytes(), &rest].concat();
    json!({"device_id": "D", "txn_id": format!("c{n}"), "message": BASE64_STANDARD_NO_PAD.encode(commit)})
}

#[tokio::test]
async fn an_answer_is_counted_once_however_often_its_write_fails_before() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counted = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    for (kind, code, content) in [
        ("answer_as_of", "M_MLS_UNKNOWN_GROUP", commit_of("g", 1)),
        ("answer", "M_MLS_MALFORMED", numbered(1)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("store");
        let store = Failing { store: Store::open(&folder).unwrap(), kind, left: AtomicUsize::new(2) };
        let codes = answers_through(store, &folder, vec![vec![message("alice", &content)]]).await;
        assert_eq!(codes["@alice:a.org"], [code]);
        let line = format!("maypole_answered_total{{code=\"{code}\"}} 1\n");
        assert!(counted.render().contains(&line), "{}", counted.render());
    }
}
