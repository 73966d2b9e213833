//! The command's side: what it makes of an answer, and of none.

use std::time::Duration;

use maypole_core::ids::{FreezeReason, RoomId};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

use super::super::inspection::group_of_text;
use super::super::{AdminLimits, AskError, Explanation, Listener, explain, freeze, frozen, unfreeze};
use super::{Fake, Served, explanation, patient, socket_in};

fn room(text: &str) -> RoomId {
    RoomId::parse(text).unwrap()
}

async fn asked(served: &Served, text: &str) -> Result<Explanation, AskError> {
    explain(&served.path(), &room(text), patient()).await
}

/// What is made of a service that writes these bytes and then closes, or does not.
async fn asking(answer: &'static [u8], closes: bool, limits: AdminLimits) -> AskError {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(socket_in(&folder)).unwrap();
    let service = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(answer).await.unwrap();
        if !closes {
            std::future::pending::<()>().await;
        }
    };
    let path = socket_in(&folder);
    let room = room("!room:a.org");
    let asking = explain(&path, &room, limits);
    tokio::pin!(service, asking);
    tokio::select! {
        biased;
        answer = &mut asking => answer.unwrap_err(),
        () = &mut service => asking.await.unwrap_err(),
    }
}

#[tokio::test]
async fn where_no_service_runs_it_says_how_to_start_one() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = socket_in(&folder);
    let nobody = || async { explain(&path, &room("!room:a.org"), patient()).await.unwrap_err() };
    let without = nobody().await;
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a socket that a dead process left");
    for error in [without, nobody().await] {
        assert!(matches!(error, AskError::NotRunning(_)), "{error:?}");
        assert!(error.to_string().contains("maypole serve"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    let error = asking(b"", true, patient()).await;
    assert!(matches!(error, AskError::Silent(_)), "{error:?}");
    let hasty = AdminLimits { patience: Duration::from_millis(50), ..patient() };
    let error = asking(b"{\"ok\":", false, hasty).await;
    assert!(matches!(error, AskError::Silent(_)), "{error:?}");
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"{}\n", b"{\"ok\":{}}\n", b"[7]\n", b"\xff\n"] {
        let error = asking(answer, true, patient()).await;
        assert!(matches!(error, AskError::Garbage(_)), "{error:?}");
    }
    let narrow = AdminLimits { answer_bytes: 10, ..patient() };
    let error = asking(b"{\"error\":\"a sentence\"}\n", false, narrow).await;
    assert!(matches!(error, AskError::Garbage(_)), "{error:?}");
    let error = asking(b"{\"error\":\"a sentence\"}\n", true, patient()).await;
    assert!(matches!(&error, AskError::Refused(why) if why == "a sentence"), "{error:?}");
}

#[tokio::test]
async fn a_path_that_is_too_long_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x".repeat(120));
    let error = explain(&path, &room("!room:a.org"), patient()).await.unwrap_err();
    assert!(matches!(error, AskError::Io { .. }), "{error:?}");
}

#[tokio::test]
async fn what_the_service_knows_arrives_whole() {
    let served = Served::knowing().await;
    assert_eq!(asked(&served, "!room:a.org").await.unwrap(), explanation());
    let unknown = asked(&served, "!other:a.org").await.unwrap_err();
    assert!(matches!(&unknown, AskError::Refused(why) if why.contains("no group for !other:a.org")));
    let failing = Served::by(Fake::Fails("the store is closed"), patient()).await;
    let error = asked(&failing, "!room:a.org").await.unwrap_err();
    assert!(matches!(&error, AskError::Refused(why) if why == "the store is closed"), "{error:?}");
}

#[tokio::test]
async fn what_is_to_be_done_is_done_for_rooms_that_there_are() {
    let served = Served::knowing().await;
    let (path, reason) = (served.path(), || FreezeReason::parse("moving").unwrap());
    let unknown = freeze(&path, &room("!other:a.org"), reason(), patient()).await.unwrap_err();
    assert!(matches!(&unknown, AskError::Refused(why) if why.contains("no group for !other:a.org")));
    let unknown = unfreeze(&path, &room("!other:a.org"), patient()).await.unwrap_err();
    assert!(matches!(&unknown, AskError::Refused(why) if why.contains("no group for !other:a.org")));
    let done = freeze(&path, &room("!room:a.org"), reason(), patient()).await.unwrap();
    assert_eq!((done.room, done.freeze.reason.as_str()), (room("!room:a.org"), "moving"));
    assert!(unfreeze(&path, &room("!room:a.org"), patient()).await.unwrap().was_frozen);
    let listed = frozen(&path, None, patient()).await.unwrap();
    assert_eq!((listed.rooms.len(), listed.rooms[0].freeze.cause.as_deref()), (1, None));
    let after = group_of_text(&listed.next.unwrap());
    let listed = frozen(&path, after, patient()).await.unwrap();
    assert_eq!((listed.rooms.len(), listed.next), (1, None));
    assert!(listed.rooms[0].freeze.cause.is_some());
}

#[tokio::test]
async fn many_may_ask_at_once() {
    let served = Served::knowing().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 * maypole_core::limits::ADMIN_CONNECTIONS {
        let path = served.path();
        asking.spawn(async move { explain(&path, &room("!room:a.org"), patient()).await });
    }
    // Some may find the queue full, and say so; whoever gets in is answered.
    let mut answered = 0;
    while let Some(asked) = asking.join_next().await {
        answered += usize::from(asked.unwrap().is_ok_and(|told| told == explanation()));
    }
    assert!(answered >= maypole_core::limits::ADMIN_CONNECTIONS, "{answered}");
}

#[tokio::test]
async fn a_socket_can_be_opened_again_after_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let listener = Listener::open(&socket_in(&folder)).await.unwrap();
        assert!(tokio::net::UnixStream::connect(socket_in(&folder)).await.is_ok());
        drop(listener);
    }
}
