//! A user whom a commit brings into the group and the homeserver does not let into the room must go by a later commit.

use maypole_room::bytes::decode;
use maypole_testkit::mls::{Change, Heard};
use serde_json::{Value, json};

use super::cast::BOUND;
use super::hall::{Hall, INVITING};
use super::outlaw::{Outlaw, refuses};
use crate::proxy::{self, sends_a_member_event};

fn bytes(value: &Value) -> Vec<u8> {
    decode(value.as_str().unwrap()).unwrap()
}

/// The service's proposals in an answer.
fn proposals(answer: &Value) -> Vec<Vec<u8>> {
    answer["content"]["proposals"].as_array().unwrap().iter().map(bytes).collect()
}

impl Outlaw {
    /// Joins by its Welcome, and hears what the service proposes for that epoch: one Remove.
    async fn joins_and_hears(&mut self) {
        let is_welcome = |event: &Value| event["type"] == "m.mls.welcome";
        let welcome = self.user.next_to_device(BOUND, is_welcome).await.unwrap();
        let content = &welcome["content"];
        // The event has the bare struct; this is what goes before it in an MLSMessage.
        let whole = [&[0, 1, 0, 3], &bytes(&content["welcome"])[..]].concat();
        self.member.join(&whole, &bytes(&content["ratchet_tree"])).unwrap();
        let [remove] = proposals(&welcome).try_into().unwrap();
        assert_eq!(self.member.hear(&remove).unwrap(), Heard::Proposal);
    }

    /// Asks for all commits since its epoch, page by page, and follows them with what was proposed for each.
    async fn catches_up(&mut self, room: &str) {
        loop {
            let from = self.member.epoch().unwrap();
            let answer = self.request(json!({"room_id": room, "want": "commits", "from_epoch": from})).await;
            for commit in answer["commits"].as_array().unwrap() {
                assert_eq!(self.member.hear(&bytes(&commit["message"])).unwrap(), Heard::Commit);
                for remove in commit["proposals"].as_array().unwrap() {
                    assert_eq!(self.member.hear(&bytes(remove)).unwrap(), Heard::Proposal);
                }
            }
            if answer["more"] == false {
                break;
            }
            assert!(self.member.epoch().unwrap() > from, "a page has something in it");
        }
    }
}

impl Hall {
    /// bob renews his leaf, whatever is proposed; everybody enters the epoch if it is accepted.
    async fn bob_updates_alone(&mut self) -> Value {
        let commit =
            self.bob.member.commit(&Change { alone: true, path: true, ..Change::default() }).unwrap();
        let answer = self.bob.commit(&commit).await;
        if answer["type"] == "m.mls.commit" {
            self.bob.member.merge().unwrap();
            assert_eq!(self.alice.member.hear(&commit.message).unwrap(), Heard::Commit);
        } else {
            self.bob.member.discard().unwrap();
        }
        answer
    }

    fn members(&self) -> Vec<String> {
        let explained = self.explained();
        let members = explained["members"].as_array().unwrap();
        members.iter().map(|member| member["identity"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn whoever_the_homeserver_did_not_let_in_goes_by_a_later_commit() {
    let (house, proxy) = proxy::house().await;
    let mut hall = Hall::within(house).await;
    let mut carol = Outlaw::new(&hall.house, "carol", "TABLET").await;
    let mut dan = Outlaw::new(&hall.house, "dan", "PHONE").await;
    let moderator = hall.alice.user.with_token(hall.alice.user.access_token());

    // Of the two whom one commit invites, dan is banned while the invitation of carol is on its way.
    let mut gate = proxy.gate(sends_a_member_event);
    let aad = hall.alice.citing(&hall.room, &INVITING).await;
    let add = [carol.member.key_package().unwrap(), dan.member.key_package().unwrap()];
    let commit = hall.alice.member.commit(&Change { add: &add, aad: &aad, ..Change::default() }).unwrap();
    let ban = async {
        let held = gate.next().await;
        moderator.ban(&hall.room, dan.user.user_id()).await.unwrap();
        held.pass().await;
        drop(gate);
    };
    let (answer, ()) = tokio::join!(hall.alice.commit(&commit), ban);
    assert_eq!(answer["type"], "m.mls.commit", "{answer}");
    hall.alice.member.merge().unwrap();
    hall.bob.member.hear(&commit.message).unwrap();
    assert_eq!(hall.members().len(), 4, "the commit stands");
    assert_eq!(proposals(&answer).len(), 1, "everybody is told who must go");

    carol.joins_and_hears().await;

    // Were the Welcome to reach dan all the same, nothing would be taken from there.
    dan.member.join(commit.welcome.as_ref().unwrap(), &commit.ratchet_tree).unwrap();
    let before = hall.explained();
    let update = dan.member.update().unwrap();
    let answer = dan.commit(&update).await;
    refuses(&hall.house, &before, &answer, "M_MLS_LEAVING");

    // For ten seconds commits without the Remove may have crossed it; then they are refused, and told what they lack.
    let refused = async {
        loop {
            let before = hall.explained();
            let answer = hall.bob_updates_alone().await;
            assert_eq!(proposals(&answer).len(), 1, "in every epoch anew: {answer}");
            if answer["type"] != "m.mls.commit" {
                break (before, answer);
            }
        }
    };
    let (before, answer) = tokio::time::timeout(BOUND, refused).await.unwrap();
    refuses(&hall.house, &before, &answer, "M_MLS_MISSING_PROPOSALS");

    let [remove] = proposals(&answer).try_into().unwrap();
    assert_eq!(hall.bob.member.hear(&remove).unwrap(), Heard::Proposal);
    let commit = hall.bob.member.update().unwrap();
    let answer = hall.bob.commit(&commit).await;
    assert_eq!((&answer["type"], &answer["content"]["proposals"]), (&"m.mls.commit".into(), &json!([])));
    hall.bob.member.merge().unwrap();
    assert!(hall.members().len() == 3 && !hall.members().iter().any(|member| member.contains("@dan:")));
    // alice, who has heard of the Remove too, follows, and the group goes on as before.
    hall.alice.member.hear(&remove).unwrap();
    hall.alice.member.hear(&commit.message).unwrap();
    // And carol, who has heard nothing since she joined.
    carol.catches_up(&hall.room).await;
    assert_eq!(carol.member.epoch().unwrap(), hall.bob.member.epoch().unwrap());
    assert_eq!(hall.bob_updates_alone().await["type"], "m.mls.commit");
    hall.house.stop().await.unwrap();
}
