//! The same again gets the same answer, whenever it comes.

use serde_json::{Value, json};

use super::hall::Hall;
use super::outlaw::{fields, refuses};
use crate::messages::base64;

/// A message with a name of its own.
fn named(name: &str, device: &str, mut fields: Value) -> Value {
    fields["txn_id"] = name.into();
    fields["device_id"] = device.into();
    fields
}

#[tokio::test]
async fn an_accepted_commit_gets_its_answer_as_often_as_it_comes() {
    let mut hall = Hall::open().await;
    let commit = hall.alice.member.update().unwrap();
    let message = named("once", "PHONE", fields(&commit));
    let first = hall.alice.send(&message).await;
    assert_eq!((&first["type"], &first["content"]["epoch"]), (&"m.mls.commit".into(), &2.into()), "{first}");
    hall.alice.member.merge().unwrap();
    assert_eq!(hall.alice.send(&message).await, first);

    // Others have moved the group on, and the service has been killed.
    let heard = |event: &Value| event["type"] == "m.mls.commit" && event["content"]["epoch"] == 2;
    let told = hall.bob.user.next_to_device(super::cast::BOUND, heard).await.unwrap();
    assert_eq!(told["content"]["message"], base64(&commit.message));
    hall.bob.member.hear(&commit.message).unwrap();
    let next = hall.bob.member.update().unwrap();
    assert_eq!(hall.bob.commit(&next).await["content"]["epoch"], 3);
    let before = hall.explained();
    assert_eq!(hall.alice.send(&message).await, first);
    hall.house.service.kill().unwrap();
    hall.house.service.start().unwrap();
    hall.house.service.ready().await.unwrap();
    assert_eq!(hall.alice.send(&message).await, first);
    assert_eq!(hall.explained(), before);

    // Nobody else was told again, and other bytes under the name are another question.
    let again = hall.bob.user.all_to_device().await.unwrap();
    assert!(!again.iter().any(heard), "{again:?}");
    let other = named("once", "PHONE", fields(&next));
    let answer = hall.alice.send(&other).await;
    refuses(&hall.house, &before, &answer, "M_MLS_TXN_REUSED");
    // The same bytes under another name are no answer's repeat: they are of an epoch that is over.
    let answer = hall.alice.commit(&commit).await;
    let content = refuses(&hall.house, &before, &answer, "M_MLS_STALE_EPOCH");
    let epochs: Vec<&Value> =
        content["commits"].as_array().unwrap().iter().map(|commit| &commit["epoch"]).collect();
    assert_eq!(epochs, [&json!(2), &json!(3)]);
    hall.house.stop().await.unwrap();
}

#[tokio::test]
async fn a_refused_commit_stays_refused() {
    let mut hall = Hall::open().await;
    let before = hall.explained();
    let commit = hall.alice.member.update().unwrap();
    let mut broken = fields(&commit);
    broken["commit_info"]["group_info"] = base64(&hall.alice.member.group_info(false).unwrap()).into();
    let message = named("broken", "PHONE", broken);
    let first = hall.alice.send(&message).await;
    refuses(&hall.house, &before, &first, "M_MLS_INVALID_GROUP_INFO");
    hall.house.service.kill().unwrap();
    hall.house.service.start().unwrap();
    hall.house.service.ready().await.unwrap();
    assert_eq!(hall.alice.send(&message).await, first);
    // Mended, under another name, it is accepted.
    assert_eq!(hall.alice.commit(&commit).await["content"]["epoch"], 2);
    hall.house.stop().await.unwrap();
}
