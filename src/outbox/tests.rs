//! The outbox on a real store, before a homeserver that misbehaves.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use maypole_core::batch::{Backend, BackendError, Batch, Op};
use maypole_core::ids::{DeviceId, Lane, OwedId, UserId};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::records::{Delivery, Owed, Recipient};
use maypole_core::time::Timestamp;
use maypole_testkit::wait::eventually;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Outbox;
use crate::hold::Hold;
use crate::homeserver::tests::adapter_with;
use crate::homeserver::tests::faulty::{Faulty, Reply};
use crate::storage::forward::forward_questions;
use crate::storage::sled::Store;

const BOUND: Duration = Duration::from_secs(60);

fn user(name: &str) -> UserId {
    UserId::parse(format!("@{name}:a.org")).unwrap()
}

/// A message to one device of a user, in that user's lane.
fn to(name: &str, text: &str) -> Owed {
    let recipients = vec![Recipient { user: user(name), device: DeviceId::parse("PHONE") }];
    let content = format!(r#"{{"said":"{text}"}}"#).into_bytes();
    owed(name, content, recipients)
}

fn owed(lane: &str, content: Vec<u8>, recipients: Vec<Recipient>) -> Owed {
    let delivery = Delivery::ToDevice { kind: "m.mls.rejected".into(), content, recipients };
    Owed { lane: Lane::of_user(&user(lane)), delivery, owed_at: Timestamp::from_millis(7) }
}

fn taken() -> Reply {
    Reply::json(200, "{}")
}

fn refusal(status: u16, errcode: &str) -> Reply {
    Reply::json(status, &format!(r#"{{"errcode":"{errcode}","error":"no"}}"#))
}

/// An outbox at work.
struct Running<B> {
    ledger: Arc<Ledger<B>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl<B: Backend> Running<B> {
    fn start(backend: B, faulty: &Faulty) -> Self {
        Self::patient(backend, faulty, Duration::from_secs(20))
    }

    /// An outbox that waits so long for an answer.
    fn patient(backend: B, faulty: &Faulty, patience: Duration) -> Self {
        let homeserver = adapter_with(&faulty.url(), |settings| settings.bounds.request = patience);
        let ledger = Arc::new(Ledger::new(backend));
        let stop = CancellationToken::new();
        let outbox = Outbox::new(ledger.clone(), homeserver, Hold::of_everything(), Arc::new(Notify::new()));
        let task = tokio::spawn(outbox.run(stop.clone()));
        Self { ledger, stop, task }
    }

    /// Waits until so many rows are still owed.
    async fn until_owed(&self, rows: u64) {
        eventually(BOUND, "rows to leave the outbox", async || {
            Ok((self.ledger.depths().await?.owed == rows).then_some(()))
        })
        .await
        .unwrap();
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Ends in the middle of whatever it does.
    async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

async fn owe(store: &Store, rows: impl IntoIterator<Item = Owed>) {
    let ops = rows.into_iter().map(Op::Owe).collect();
    store.apply(Batch { name: "owe", expect: Vec::new(), ops }).await.unwrap();
}

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("store")).unwrap()
}

async fn until_asked(faulty: &Faulty, times: usize) {
    eventually(BOUND, "requests", async || Ok((faulty.requests().len() >= times).then_some(())))
        .await
        .unwrap();
}

/// What was said to a user's device, in the order of the requests.
fn said_to(faulty: &Faulty, name: &str) -> Vec<String> {
    let requests = faulty.requests();
    let bodies = requests.iter().map(|request| request.split_once("\r\n\r\n").unwrap().1);
    let sent = bodies.map(|body| serde_json::from_str::<serde_json::Value>(body).unwrap());
    sent.filter_map(|body| {
        let said = &body["messages"][user(name).as_str()]["PHONE"]["said"];
        said.as_str().map(str::to_owned)
    })
    .collect()
}

#[tokio::test]
async fn a_row_refused_for_good_is_set_aside_and_its_lane_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = Faulty::deciding(|request| match request {
        request if request.contains("forbidden") => refusal(403, "M_FORBIDDEN"),
        request if request.contains("large") => refusal(413, "M_TOO_LARGE"),
        _ => taken(),
    })
    .await;
    let store = open(folder.path());
    let lane = ["1", "forbidden", "2", "large", "3"];
    owe(&store, lane.map(|text| to("alice", text))).await;
    let running = Running::start(store.clone(), &faulty);
    running.until_owed(0).await;
    assert_eq!(said_to(&faulty, "alice"), lane, "each was sent once, in order");
    let aside = store.set_aside(10).await.unwrap();
    let reasons: Vec<_> = aside.iter().map(|aside| aside.reason.as_str()).collect();
    assert!(reasons.len() == 2 && reasons[0].contains("413 M_TOO_LARGE"), "{reasons:?}");
    assert!(reasons[1].contains("403 M_FORBIDDEN"), "{reasons:?}");
    running.stop().await;
    store.close().await;
}

#[tokio::test]
async fn what_passes_is_tried_again_with_the_same_bytes_under_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let html = |status| Reply::full(status, "Content-Type: text/html\r\n", b"<h1>too large</h1>");
    let bad = vec![
        refusal(500, "M_UNKNOWN"),
        refusal(429, "M_LIMIT_EXCEEDED"),
        refusal(401, "M_UNKNOWN_TOKEN"),
        html(413),
        html(200),
        Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    ];
    let failures = bad.len();
    let faulty = Faulty::serve(bad.into_iter().chain([taken()]).collect()).await;
    let store = open(folder.path());
    owe(&store, [to("alice", "once")]).await;
    let running = Running::start(store.clone(), &faulty);
    running.until_owed(0).await;
    let requests = faulty.requests();
    assert_eq!(requests.len(), failures + 1);
    assert!(requests.iter().all(|request| *request == requests[0]), "{requests:?}");
    assert_eq!(store.set_aside(1).await.unwrap(), [], "what passes is not set aside");
    running.stop().await;
    store.close().await;
}

#[tokio::test]
async fn after_a_crash_the_same_bytes_go_out_under_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = Faulty::serve(vec![Reply::Stall(Vec::new()), Reply::Stall(Vec::new()), taken()]).await;
    let rows = [to("alice", "large".repeat(5_000).as_str()), to("alice", "next")];
    let store = open(folder.path());
    owe(&store, rows).await;
    for crash in 1..=2 {
        let running = Running::start(open_again(&store, folder.path()).await, &faulty);
        until_asked(&faulty, crash).await;
        running.crash().await;
    }
    let store = open_again(&store, folder.path()).await;
    let running = Running::start(store.clone(), &faulty);
    running.until_owed(0).await;
    let requests = faulty.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests[..3].iter().all(|request| *request == requests[0]), "{:?}", faulty.lines());
    assert_ne!(requests[3].lines().next(), requests[0].lines().next(), "the next row has its own name");
    running.stop().await;
    store.close().await;
}

/// Lets go of a store without a word of farewell to what is in it, and opens its folder anew.
async fn open_again(store: &Store, folder: &Path) -> Store {
    store.close().await;
    open(folder)
}

#[tokio::test]
async fn lanes_keep_their_order_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let turn = AtomicUsize::new(0);
    // Every fifth request fails; the row behind must not overtake.
    let faulty = Faulty::deciding(move |_| {
        if turn.fetch_add(1, Ordering::SeqCst) % 5 == 4 { refusal(502, "M_UNKNOWN") } else { taken() }
    })
    .await;
    let store = open(folder.path());
    let names = ["alice", "bob", "mallory"];
    let rows = (0..8).flat_map(|n| names.map(|name| to(name, &format!("{n}"))));
    owe(&store, rows).await;
    let running = Running::start(store.clone(), &faulty);
    running.until_owed(0).await;
    for name in names {
        let mut said = said_to(&faulty, name);
        said.dedup();
        let expected: Vec<String> = (0..8).map(|n| n.to_string()).collect();
        assert_eq!(said, expected, "{name}");
    }
    running.stop().await;
    store.close().await;
}

#[tokio::test]
async fn a_lane_that_hangs_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = Faulty::deciding(|request| match request {
        request if request.contains("@mallory") => Reply::Stall(Vec::new()),
        _ => taken(),
    })
    .await;
    let store = open(folder.path());
    let mallorys = (0..20).map(|n| to("mallory", &n.to_string()));
    let others = (0..40).map(|n| to(["alice", "bob"][n % 2], &n.to_string()));
    owe(&store, mallorys.chain(others)).await;
    let running = Running::start(store.clone(), &faulty);
    running.until_owed(20).await;
    assert_eq!(said_to(&faulty, "mallory"), ["0"], "one at a time");
    running.stop().await;
    assert_eq!(store.depths().await.unwrap().owed, 20, "what was under way stays owed");
    store.close().await;
}

#[tokio::test]
async fn a_request_that_hangs_is_given_up_and_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = Faulty::serve(vec![Reply::Stall(Vec::new()), taken()]).await;
    let store = open(folder.path());
    owe(&store, [to("alice", "1")]).await;
    let running = Running::patient(store.clone(), &faulty, Duration::from_millis(200));
    running.until_owed(0).await;
    let requests = faulty.requests();
    assert_eq!((requests.len(), &requests[0]), (2, &requests[1]));
    running.stop().await;
    store.close().await;
}

#[tokio::test]
async fn large_content_to_many_reaches_everybody_in_several_requests() {
    let folder = tempfile::tempdir().unwrap();
    // One of the requests is refused: the others are sent all the same.
    let faulty = Faulty::deciding(|request| match request {
        request if request.contains("\"@bob50:a.org\"") => refusal(403, "M_FORBIDDEN"),
        _ => taken(),
    })
    .await;
    let names: Vec<UserId> = (0..100).map(|n| user(&format!("bob{n}"))).collect();
    let recipients = names.iter().map(|user| Recipient { user: user.clone(), device: None }).collect();
    let content = format!(r#"{{"said":"{}"}}"#, "x".repeat(limits::OUTGOING_CONTENT_BYTES - 11));
    let store = open(folder.path());
    owe(&store, [owed("alice", content.into_bytes(), recipients)]).await;
    let running = Running::start(store.clone(), &faulty);
    running.until_owed(0).await;
    let requests = faulty.requests();
    assert!(requests.len() > 1);
    assert_eq!(faulty.lines().iter().collect::<BTreeSet<_>>().len(), requests.len(), "each has its name");
    for request in &requests {
        assert!(request.len() <= limits::TO_DEVICE_REQUEST_BYTES + limits::TO_DEVICE_ADDRESS_BYTES);
    }
    for name in &names {
        let reached = requests.iter().filter(|request| request.contains(&format!("\"{name}\""))).count();
        assert_eq!(reached, 1, "{name}");
    }
    assert_eq!(store.set_aside(10).await.unwrap().len(), 1, "the operator learns of the refusal");
    running.stop().await;
    store.close().await;
}

/// A store whose first settlement panics.
struct Panicking {
    store: Store,
    armed: AtomicUsize,
}

/// What is asked of a panicking store is asked of the one within.
macro_rules! within {
    ($panicking:expr, $store:ident => $asked:expr) => {{
        let $store = &$panicking.store;
        $asked
    }};
}

impl Backend for Panicking {
    async fn apply(&self, batch: Batch) -> Result<Vec<OwedId>, BackendError> {
        let settles = matches!(batch.ops[..], [Op::Settle(_)]);
        assert!(!settles || self.armed.swap(0, Ordering::SeqCst) == 0, "this panic is part of the test");
        self.store.apply(batch).await
    }

    forward_questions!(within);
}

#[tokio::test]
async fn a_delivery_that_panics_loses_neither_its_lane_nor_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = Faulty::serve(vec![taken()]).await;
    let store = open(folder.path());
    owe(&store, ["1", "2", "3"].map(|text| to("alice", text))).await;
    let running = Running::start(Panicking { store: store.clone(), armed: AtomicUsize::new(1) }, &faulty);
    running.until_owed(1).await;
    running.stop().await;
    assert_eq!(said_to(&faulty, "alice"), ["1", "2", "3"]);
    let running = Running::start(store.clone(), &faulty);
    running.until_owed(0).await;
    assert_eq!(said_to(&faulty, "alice"), ["1", "2", "3", "1"], "its row was still owed");
    running.stop().await;
    store.close().await;
}
