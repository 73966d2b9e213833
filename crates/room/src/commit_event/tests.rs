use maypole_core::ids::Sha256;
use maypole_core::receipt::Receipt;
use maypole_core::time::Timestamp;
use serde_json::json;

use super::*;
use crate::fields::tests::every_field_matters;

/// A commit that makes that epoch.
pub(crate) fn commit(epoch: u64) -> CommitEvent {
    CommitEvent {
        room_id: RoomId::parse("!room:a.org").unwrap(),
        group_id: GroupId::parse(*b"!room:a.org").unwrap(),
        epoch: Epoch::new(epoch).unwrap(),
        message: Bytes::Inline(vec![7; 3]),
        sender: UserId::parse("@alice:a.org").unwrap(),
        txn_id: TxnId::parse("t1"),
        auth_events: AuthEvents::Inline(vec![json!({"type": "m.room.power_levels"})]),
        proposals: Proposals::of(&[vec![1], vec![2]]),
        receipt: json!({"epoch": epoch}),
    }
}

fn blob() -> Blob {
    Blob { mxc: "mxc://a.org/abc".into(), sha256: Sha256::of(b"[]"), size_bytes: 2 }
}

#[test]
fn what_lacks_a_field_is_refused() {
    every_field_matters(&commit(6).content(), CommitEvent::read, &["txn_id"]);
}

#[test]
fn auth_events_are_events_and_not_too_many() {
    let wrong = [
        json!([7]),
        json!([[]]),
        json!("AAAA"),
        json!({"mxc": "mxc://a.org/abc"}),
        json!(vec![json!({}); limits::CITED_EVENTS + 1]),
    ];
    for wrong in wrong {
        let mut content = commit(6).content();
        content["auth_events"] = wrong.clone();
        assert!(CommitEvent::read(&content).is_err(), "{wrong}");
        assert!(AuthEvents::from_blob(wrong.to_string().as_bytes()).is_err(), "{wrong}");
    }
    for wrong in [&b""[..], b"[", b"[{\"a\": 1, \"a\": 2}]"] {
        assert!(AuthEvents::from_blob(wrong).is_err(), "{}", wrong.escape_ascii());
    }
}

#[test]
fn what_is_written_is_read_back() {
    assert_eq!(CommitEvent::read(&commit(6).content()), Ok(commit(6)));
    let other = CommitEvent {
        message: Bytes::Blob(blob()),
        txn_id: None,
        auth_events: AuthEvents::Blob(blob()),
        proposals: Proposals::Blob(blob()),
        ..commit(6)
    };
    assert_eq!(CommitEvent::read(&other.content()), Ok(other));
    let events = json!([{"type": "m.room.power_levels"}]);
    assert_eq!(AuthEvents::from_blob(events.to_string().as_bytes()), Ok(commit(6).auth_events));
}

#[test]
fn a_receipt_of_another_commit_vouches_for_nothing() {
    let receipt = |room: &str, epoch: u64, commit: &[u8]| {
        let receipt = Receipt {
            group: GroupId::parse(*b"!room:a.org").unwrap(),
            term: 1,
            epoch: Epoch::new(epoch).unwrap(),
            commit: Sha256::of(commit),
            tree_hash: Vec::new(),
            confirmed_transcript_hash: Vec::new(),
            external_pub: Vec::new(),
            prev: None,
            issued_at: Timestamp::from_millis(1),
        };
        RoomReceipt::new(RoomId::parse(room).unwrap(), receipt).unwrap()
    };
    let event = commit(6);
    for other in [
        receipt("!room:a.org", 6, &[8; 3]),
        receipt("!room:a.org", 7, &[7; 3]),
        receipt("!other:a.org", 6, &[7; 3]),
    ] {
        assert_eq!(event.is_vouched_for_by(&other), Err(ShapeError::OtherReceipt), "{other:?}");
    }
    assert_eq!(event.is_vouched_for_by(&receipt("!room:a.org", 6, &[7; 3])), Ok(()));
}
