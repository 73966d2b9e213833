//! The worker over a real store: who is answered, once, and what a flood costs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::ids::{SyncToken, UserId};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::records::{Delivery, InboxItem, Incoming};
use maypole_room::names::Prefix;
use maypole_testkit::wait::eventually;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Lanes, Road, Worker};
use crate::clock;
use crate::dialects::matrix::Matrix;
use crate::dialects::matrix::describe::SelfDescription;
use crate::dialects::matrix::invites::Invites;
use crate::hold::Hold;
use crate::homeserver::tests::adapter_with;
use crate::keys::Keys;
use crate::storage::sled::Store;

const BOUND: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "a test stands in for main")]
fn message(sender: &str, content: &Value) -> InboxItem {
    let caller = Authenticated::by(AuthToken::make(), UserId::parse(format!("@{sender}:a.org")).unwrap());
    let content = content.to_string().into_bytes();
    InboxItem::new(caller, clock::now(), Incoming::ToDevice { kind: "m.mls.message".into(), content })
}

fn numbered(n: usize) -> Value {
    json!({"device_id": "D", "txn_id": n.to_string(), "message": "AAE"})
}

/// Lets a worker answer what stands in the inbox of a new store in `folder`; gives the codes of what is owed, by account.
async fn answers_to(folder: &Path, pages: Vec<Vec<InboxItem>>) -> BTreeMap<String, Vec<String>> {
    let ledger = Arc::new(Ledger::new(Store::open(folder).unwrap()));
    let mut from = None;
    for (n, page) in pages.into_iter().enumerate() {
        let to = SyncToken::parse(format!("s{n}")).unwrap();
        ledger.receive(from.as_ref(), &to, page, Vec::new()).await.unwrap();
        from = Some(to);
    }
    let stop = CancellationToken::new();
    let homeserver = adapter_with("http://127.0.0.1:1", |_| {});
    let (inbox, outbox) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let keys = Arc::new(Keys::open_or_create(&folder.join("keys"), false).unwrap());
    let user = UserId::parse("@:a.org").unwrap();
    let described = SelfDescription::new(&user, Prefix::Stable, &keys, Arc::default());
    let description = described.description().clone();
    let matrix = Arc::new(Matrix::new(homeserver.clone(), "@:a.org".try_into().unwrap(), &keys, description));
    let lanes = Arc::new(Lanes::new(Road::new(ledger.clone(), matrix.clone(), outbox.clone())));
    let invites = Invites::new(ledger.clone(), homeserver, "@:a.org".try_into().unwrap());
    let worker = Worker::new(ledger.clone(), matrix, invites, lanes, Hold::of_everything(), inbox, outbox);
    let working = worker.run(stop.clone());
    let drained = async {
        eventually(BOUND, "the inbox to drain", || async {
            Ok((ledger.depths().await?.inbox == 0).then_some(()))
        })
        .await
        .unwrap();
        stop.cancel();
    };
    tokio::join!(working, drained);
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
