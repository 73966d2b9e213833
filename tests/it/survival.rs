//! Nothing that is sent is lost, and nothing is answered in two ways: with the service killed, the homeserver restarted
//! and away, push and `/sync` both on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use maypole_testkit::Refused;
use maypole_testkit::service::{House, SERVER_NAME};
use maypole_testkit::user::User;
use maypole_testkit::wait::eventually;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answers::binary;
use crate::messages::{base64, commit_for, registration_for};
use crate::seed::Seed;

const MESSAGES: usize = 300;
const KILLS: usize = 5;
const BOUND: Duration = Duration::from_mins(3);

/// One of the kinds of messages, each refused in its own way.
fn content(n: usize) -> Value {
    let txn_id = format!("txn-{n}");
    let message = match n % 5 {
        0 => json!(base64(&commit_for(format!("!room{n}:{SERVER_NAME}").as_bytes(), n as u64))),
        1 => json!("not base64!"),
        2 => json!(base64(&registration_for(&format!("!room{n}:{SERVER_NAME}")))),
        3 => json!(base64(&[0, 1, 0, 2, 1])),
        // Larger than what the store keeps in one value.
        _ => json!(base64(&commit_for(&[b'g'; 20_000], n as u64))),
    };
    json!({"device_id": "ALICE1", "txn_id": txn_id, "message": message})
}

/// Sends as a client does: the same request again until the homeserver has taken it.
async fn send_until_taken(alice: &User, n: usize) {
    let messages = json!({ format!("@:{SERVER_NAME}"): {"*": content(n)} });
    eventually(BOUND, "the homeserver to take a message", async || {
        match alice.send_to_device("m.mls.message", &format!("send-{n}"), &messages).await {
            Ok(_) => Ok(Some(())),
            Err(error) => match error.chain().find_map(|cause| cause.downcast_ref::<Refused>()) {
                Some(refused) if refused.status.is_client_error() => Err(error),
                _ => Ok(None),
            },
        }
    })
    .await
    .unwrap();
}

/// Kills the service at random moments while messages are being sent, and takes the homeserver away for a while.
async fn make_trouble(house: &mut House, sent: &AtomicUsize, seed: &mut Seed) {
    let mut moments: Vec<usize> = (0..KILLS).map(|_| 10 + seed.below(MESSAGES - 40)).collect();
    moments.sort_unstable();
    for (kill, moment) in moments.into_iter().enumerate() {
        let reached = async || Ok((sent.load(Ordering::SeqCst) >= moment).then_some(()));
        eventually(BOUND, "the next moment to kill at", reached).await.unwrap();
        if kill == 1 {
            // The homeserver goes and comes back while the service runs.
            house.synapse.restart().await.unwrap();
        }
        house.service.kill().unwrap();
        match kill {
            2 => house.synapse.restart().await.unwrap(),
            3 => {
                // The service starts while there is no homeserver, says so, and waits for it.
                house.synapse.stop().await.unwrap();
                house.service.start().unwrap();
                eventually(BOUND, "the service to miss the homeserver", async || {
                    let readiness = house.service.readiness().await;
                    Ok(readiness
                        .filter(|(ready, why)| !ready && why.to_string().contains("cannot be reached")))
                })
                .await
                .unwrap();
                house.synapse.boot().await.unwrap();
                continue;
            }
            _ => {}
        }
        house.service.start().unwrap();
    }
    house.service.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_messages_are_answered_whatever_happens() {
    let mut seed = Seed::fresh();
    let mut house = House::start_with(binary(), |synapse| synapse.push(true)).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    let sent = AtomicUsize::new(0);
    let sending = async {
        // A few at a time, as several programs of one user would.
        let next = AtomicUsize::new(0);
        let one_sender = async || {
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                if n >= MESSAGES {
                    return;
                }
                send_until_taken(&alice, n).await;
                sent.fetch_add(1, Ordering::SeqCst);
            }
        };
        tokio::join!(one_sender(), one_sender(), one_sender(), one_sender());
    };
    tokio::join!(sending, make_trouble(&mut house, &sent, &mut seed));

    let mut answers: BTreeMap<String, Value> = BTreeMap::new();
    while answers.len() < MESSAGES {
        let answer = alice.next_to_device(BOUND, |_| true).await.unwrap();
        note(&mut answers, &answer);
    }
    // Repeats may still come, and must say the same.
    assert!(house.service.stop().await.unwrap().success(), "{}", house.service.log());
    for answer in alice.all_to_device().await.unwrap() {
        note(&mut answers, &answer);
    }
    house.synapse.stop().await.unwrap();
    assert_eq!(answers.len(), MESSAGES);
    for (txn_id, answer) in answers {
        let n: usize = txn_id.strip_prefix("txn-").unwrap().parse().unwrap();
        let expected = [
            "M_MLS_UNKNOWN_GROUP",
            "M_BAD_JSON",
            "M_MLS_INVALID_GROUP_INFO",
            "M_MLS_MALFORMED",
            "M_TOO_LARGE",
        ];
        assert_eq!(answer["errcode"], expected[n % 5], "{txn_id}");
    }
}

/// Notes an answer; the same message must never be answered in two ways.
pub(crate) fn note(answers: &mut BTreeMap<String, Value>, answer: &Value) {
    let content = &answer["content"];
    let txn_id = content["txn_id"].as_str().unwrap().to_owned();
    let first = answers.entry(txn_id).or_insert_with(|| content.clone());
    assert_eq!(first, content, "one message was answered in two ways");
}

#[tokio::test]
async fn what_is_sent_while_the_service_is_away_is_answered_when_it_is_back() {
    let mut house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    house.service.stop().await.unwrap();
    // More than one page of the homeserver's.
    for n in 0..130 {
        send_until_taken(&alice, n).await;
    }
    house.service.start().unwrap();
    let mut answers = BTreeMap::new();
    while answers.len() < 130 {
        note(&mut answers, &alice.next_to_device(BOUND, |_| true).await.unwrap());
    }
    house.stop().await.unwrap();
}

#[tokio::test]
async fn a_device_that_somebody_deleted_is_made_again() {
    let house = House::start(binary()).await.unwrap();
    let alice = house.synapse.register("alice", "ALICE1").await.unwrap();
    let registration = std::fs::read_to_string(house.service.registration()).unwrap();
    let token = registration.lines().find_map(|line| line.strip_prefix("as_token: ")).unwrap();
    let path = format!("/_matrix/client/v3/delete_devices?user_id=%40%3A{SERVER_NAME}");
    let deleted = alice.with_token(token).request(Method::POST, &path, Some(&json!({"devices": [""]}))).await;
    deleted.unwrap();
    // What is sent to a device that is not there vanishes, so each look sends another message.
    let mut n = 0;
    eventually(BOUND, "the service to have a device again", || {
        n += 1;
        let alice = &alice;
        async move {
            send_until_taken(alice, n).await;
            Ok((!alice.all_to_device().await?.is_empty()).then_some(()))
        }
    })
    .await
    .unwrap();
    assert!(house.service.log().contains("was made again"), "{}", house.service.log());
    house.stop().await.unwrap();
}
