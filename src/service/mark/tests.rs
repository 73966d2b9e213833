//! A store that is as far as was noted, ahead, or behind; and homeservers that do not say.

use maypole_core::batch::{Backend as _, Op};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::homeserver::tests::facing;
use crate::homeserver::tests::faulty::{Faulty, Reply};
use crate::storage::conformance::samples::{
    batch, frozen, group, head, key_package, message, reference, staged, user,
};
use crate::storage::sled::Store;

const NOTHING: &str = r#"{"errcode":"M_NOT_FOUND","error":"No."}"#;

/// A store with two groups, a message and a staged command, a KeyPackage: its progress is 2, 0, 0.
async fn ledger() -> (TempDir, Ledger<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let mut ops = vec![Op::Bind(user("_mls_ds")), Op::Receive(message(0, 9)), Op::Receive(message(1, 9))];
    ops.extend([1, 2].map(|number| Op::SetHead(head(number, 3, 9))));
    ops.extend([Op::Stage(staged(1, 1, 9)), Op::Freeze(group(2), frozen(7, 9))]);
    ops.push(Op::Shelve(key_package("bob", 0, 50, 100)));
    store.apply(batch(Vec::new(), ops)).await.unwrap();
    (folder, Ledger::new(store))
}

async fn noted(inbox: u64, owed: u64, issued: u64) -> (Faulty, Homeserver) {
    let note = json!({"inbox": inbox, "owed": owed, "issued": issued});
    facing(Reply::json(200, &note.to_string())).await
}

/// What was written last.
fn written(faulty: &Faulty) -> Option<serde_json::Value> {
    let requests = faulty.requests();
    let put = requests.iter().rev().find(|request| request.starts_with("PUT "))?;
    serde_json::from_str(put.split("\r\n\r\n").nth(1)?).ok()
}

async fn is_as_it_was(ledger: &Ledger<Store>) -> bool {
    let store = ledger.backend();
    store.frozen(&group(1)).await.unwrap().is_none()
        && store.staged(&group(1)).await.unwrap().is_some()
        && store.inbox(None, 9).await.unwrap().len() == 2
        && store.any_stocked(9).await.unwrap() == [reference(0)]
}

#[test]
fn a_note_comes_back_and_what_cannot_be_one_is_none() {
    let progress = Progress { inbox: 7, owed: LARGEST - 1, issued: 0 };
    assert_eq!(progress_of(&note_of(progress)), Some(progress));
    for odd in [
        json!({}),
        json!({"inbox": 1, "owed": 2}),
        json!({"inbox": 1, "owed": 2, "issued": -1}),
        json!({"inbox": 1, "owed": 2, "issued": "3"}),
        json!({"inbox": 1, "owed": 2, "issued": 1.5}),
        json!({"inbox": 1, "owed": LARGEST, "issued": 3}),
    ] {
        assert_eq!(progress_of(odd.as_object().unwrap()), None, "{odd}");
    }
}

#[test]
fn the_words_for_members_are_a_reason() {
    assert!(FreezeReason::parse(IN_DOUBT).is_some());
}

#[tokio::test]
async fn a_store_that_is_not_behind_stays_as_it_is_and_is_noted() {
    for note in [(2, 0, 0), (1, 0, 0), (0, 0, 0)] {
        let (_folder, ledger) = ledger().await;
        let (faulty, homeserver) = noted(note.0, note.1, note.2).await;
        check(&ledger, &homeserver).await.unwrap();
        assert!(is_as_it_was(&ledger).await, "{note:?}");
        assert_eq!(written(&faulty), Some(json!({"inbox": 2, "owed": 0, "issued": 0})));
    }
    let (_folder, ledger) = ledger().await;
    let (faulty, homeserver) = facing(Reply::json(404, NOTHING)).await;
    check(&ledger, &homeserver).await.unwrap();
    assert!(is_as_it_was(&ledger).await);
    assert!(
        faulty.lines().iter().any(|line| line.contains("/user/@:localhost/account_data/")),
        "{:?}",
        faulty.lines()
    );
}

#[tokio::test]
async fn a_store_that_is_behind_goes_on_with_nothing_that_may_have_been_decided_otherwise() {
    for note in [(3, 0, 0), (2, 1, 0), (2, 0, 1)] {
        let (_folder, ledger) = ledger().await;
        let (faulty, homeserver) = noted(note.0, note.1, note.2).await;
        check(&ledger, &homeserver).await.unwrap();
        let store = ledger.backend();
        assert_eq!(store.frozen(&group(1)).await.unwrap().unwrap().reason.to_string(), IN_DOUBT);
        assert_eq!(store.frozen(&group(2)).await.unwrap(), Some(frozen(7, 9)), "its operator's reason stays");
        assert!(store.staged(&group(1)).await.unwrap().is_none());
        assert!(store.inbox(None, 9).await.unwrap().is_empty());
        assert_eq!(store.set_aside(9).await.unwrap().len(), 2);
        assert!(store.any_stocked(9).await.unwrap().is_empty());
        let beyond = store.progress().await.unwrap();
        assert!(!beyond.is_behind(&Progress { inbox: note.0, owed: note.1, issued: note.2 }));
        assert_eq!(written(&faulty), Some(serde_json::Value::Object(note_of(beyond))));
        // Again, as after a crash before it was noted, it is behind no more: what came since stays.
        store
            .apply(batch(Vec::new(), vec![Op::Receive(message(3, 9)), Op::Unfreeze(group(1))]))
            .await
            .unwrap();
        check(&ledger, &homeserver).await.unwrap();
        assert_eq!(store.inbox(None, 9).await.unwrap().len(), 1);
        assert!(store.frozen(&group(1)).await.unwrap().is_none());
    }
}

/// Of two processes that find it at once, the later one leaves alone what the first has taken in meanwhile.
#[tokio::test]
async fn what_came_after_it_was_found_behind_stays() {
    let (_folder, ledger) = ledger().await;
    let found = ledger.progress().await.unwrap();
    let reached = Progress { inbox: 5, owed: 5, issued: 5 };
    let reason = frozen(9, 9);
    ledger.recover(found, reached, &reason, clock::now()).await.unwrap();
    let store = ledger.backend();
    store.apply(batch(Vec::new(), vec![Op::Receive(message(3, 9))])).await.unwrap();
    let again = ledger.recover(found, reached, &reason, clock::now()).await.unwrap();
    assert_eq!((again.frozen, again.set_aside, again.key_packages), (0, 0, 0));
    assert_eq!(store.inbox(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_homeserver_that_keeps_no_notes_is_worked_with_all_the_same() {
    for reply in [
        Reply::json(403, r#"{"errcode":"M_FORBIDDEN","error":"No."}"#),
        Reply::json(404, r#"{"errcode":"M_UNRECOGNIZED","error":"No."}"#),
        Reply::json(200, r#"{"inbox": "a lot"}"#),
        Reply::json(200, "{}"),
    ] {
        let (_folder, ledger) = ledger().await;
        let (_faulty, homeserver) = facing(reply).await;
        check(&ledger, &homeserver).await.unwrap();
        assert!(is_as_it_was(&ledger).await);
    }
}

#[tokio::test]
async fn only_what_is_new_is_noted_and_a_store_that_went_back_ends_the_service() {
    let (_folder, ledger) = ledger().await;
    let (faulty, homeserver) = noted(0, 0, 0).await;
    let first = note(&ledger, &homeserver, Progress::default()).await.unwrap();
    assert_eq!((first.inbox, faulty.lines().len()), (2, 1));
    assert_eq!(note(&ledger, &homeserver, first).await.unwrap(), first);
    assert_eq!(faulty.lines().len(), 1, "it is noted already");
    let further = Progress { owed: 1, ..first };
    assert!(matches!(note(&ledger, &homeserver, further).await, Err(ServiceError::WentBack)));
}
