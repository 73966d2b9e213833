//! Commits that are refused: each in its own way, and the group stays what it is.

use maypole_testkit::mls::{Change, Commit, Framing};
use serde_json::{Value, json};

use super::hall::{Hall, INVITING};
use super::outlaw::{Outlaw, fields, refuses};
use crate::messages::base64;

impl Hall {
    /// alice sends a commit that is refused, and drops it.
    async fn alice_fails(&mut self, before: &Value, commit: &Commit, errcode: &str) -> Value {
        let answer = self.alice.commit(commit).await;
        self.alice.member.discard().unwrap();
        refuses(&self.house, before, &answer, errcode)
    }

    /// alice sends these fields, which are refused.
    async fn fails(&mut self, before: &Value, fields: Value, errcode: &str) -> Value {
        let answer = self.alice.ask(fields).await;
        refuses(&self.house, before, &answer, errcode)
    }

    /// alice's invitation of somebody, citing what is in force.
    async fn invitation(&mut self, of: &Outlaw) -> Commit {
        let aad = self.alice.citing(&self.room, &INVITING).await;
        let add = [of.member.key_package().unwrap()];
        self.alice.member.commit(&Change { add: &add, aad: &aad, ..Change::default() }).unwrap()
    }
}

/// Everything that MLS itself forbids, and what does not fit together.
#[tokio::test]
async fn what_is_not_sound() {
    let mut hall = Hall::open().await;
    let carol = Outlaw::new(&hall.house, "carol", "TABLET").await;
    let before = hall.explained();
    let old_info = base64(&hall.alice.member.group_info(false).unwrap());
    let commit = hall.invitation(&carol).await;
    hall.alice.member.discard().unwrap();
    let other = hall.invitation(&carol).await;
    let whole = fields(&commit);
    let with = |pointer: &str, value: Value| {
        let mut changed = whole.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };

    // The first `$` of what it cites is under the signature.
    let mut forged = commit.message.clone();
    let cited = forged.iter().position(|byte| *byte == b'$').unwrap();
    forged[cited + 1] ^= 1;
    let content = hall.fails(&before, with("/message", base64(&forged).into()), "M_MLS_INVALID_COMMIT").await;
    assert!(content["check"].is_string() && content["section"].as_str().unwrap().contains('§'), "{content}");

    let without_info =
        json!({"message": whole["message"], "commit_info": {"welcome": whole["commit_info"]["welcome"]}});
    hall.fails(&before, without_info, "M_MLS_INVALID_GROUP_INFO").await;
    hall.fails(&before, with("/commit_info/group_info", old_info.into()), "M_MLS_INVALID_GROUP_INFO").await;
    let others = base64(&other.group_info);
    hall.fails(&before, with("/commit_info/group_info", others.into()), "M_MLS_INVALID_GROUP_INFO").await;

    let without_welcome = json!({"message": whole["message"], "commit_info": {"group_info": whole["commit_info"]["group_info"]}});
    hall.fails(&before, without_welcome, "M_MLS_INVALID_WELCOME").await;
    let others = base64(other.welcome.as_ref().unwrap());
    hall.alice.member.discard().unwrap();
    let update = hall.alice.member.update().unwrap();
    let mut unneeded = fields(&update);
    unneeded["commit_info"]["welcome"] = others.into();
    hall.fails(&before, unneeded, "M_MLS_INVALID_WELCOME").await;

    let cut = base64(&commit.message[..commit.message.len() - 1]);
    hall.fails(&before, with("/message", cut.into()), "M_MLS_MALFORMED").await;
    hall.fails(&before, with("/message", "=".into()), "M_BAD_JSON").await;
    let blob =
        |server: &str| json!({"mxc": format!("mxc://{server}/abc"), "sha256": base64(&[7; 32]), "size": 9});
    hall.fails(&before, with("/commit_info/group_info", blob("maypole.test")), "M_MLS_BLOB").await;
    hall.fails(&before, with("/commit_info/welcome", blob("b.org")), "M_MLS_BLOB").await;
    hall.alice.member.discard().unwrap();

    let proposal = hall.bob.member.propose_update().unwrap();
    hall.fails(&before, json!({"message": base64(&proposal)}), "M_MLS_UNSUPPORTED").await;
    hall.alice.member.set_framing(Framing::Private).unwrap();
    let private = hall.alice.member.update().unwrap();
    hall.alice_fails(&before, &private, "M_MLS_UNSUPPORTED").await;
    let text = hall.alice.member.say(b"hello").unwrap();
    hall.fails(&before, json!({"message": base64(&text)}), "M_MLS_UNSUPPORTED").await;
    hall.house.stop().await.unwrap();
}

/// Who sends it, and for whom.
#[tokio::test]
async fn who_it_is_not() {
    let mut hall = Hall::open().await;
    let mut carol = Outlaw::new(&hall.house, "carol", "TABLET").await;
    let before = hall.explained();
    let commit = hall.alice.member.update().unwrap();
    let answer = hall.bob.commit(&commit).await;
    let content = refuses(&hall.house, &before, &answer, "M_MLS_SENDER_MISMATCH");
    assert_eq!(content["sender"], "@bob:maypole.test/LAPTOP");
    assert_eq!(content["leaf"], "@alice:maypole.test/PHONE");
    let mut of_another = fields(&commit);
    of_another["device_id"] = "DESKTOP".into();
    let name = json!({"txn_id": "of another"});
    of_another.as_object_mut().unwrap().extend(name.as_object().unwrap().clone());
    let mut desktop = Outlaw::of(hall.alice.user.login("DESKTOP").await.unwrap());
    let answer = desktop.send(&of_another).await;
    refuses(&hall.house, &before, &answer, "M_MLS_SENDER_MISMATCH");
    hall.alice.member.discard().unwrap();

    // Devices that publish no key for MLS, and another than their leaf's.
    for publishes in [None, Some([7; 32])] {
        let name = if publishes.is_none() { "dave" } else { "erin" };
        let target = Outlaw::unpublished(&hall.house, name, "WATCH").await;
        if let Some(key) = publishes {
            target.publish(&key).await;
        }
        let commit = hall.invitation(&target).await;
        let content = hall.alice_fails(&before, &commit, "M_MLS_IDENTITY").await;
        assert_eq!(content["identity"], format!("@{name}:maypole.test/WATCH"));
        assert_eq!(content["leaf_index"], 2);
    }
    // A server that does not answer says nothing of its users' devices.
    let far = maypole_testkit::mls::Member::new("@frank:b.invalid/D", 1).unwrap();
    let aad = hall.alice.citing(&hall.room, &INVITING).await;
    let add = [far.key_package().unwrap()];
    let commit = hall.alice.member.commit(&Change { add: &add, aad: &aad, ..Change::default() }).unwrap();
    let content = hall.alice_fails(&before, &commit, "M_MLS_UNAVAILABLE").await;
    assert_eq!(content["users"], json!(["@frank:b.invalid"]));

    // From outside, without being in the room.
    let (info, tree) = (hall.bob.member.group_info(false).unwrap(), hall.bob.member.ratchet_tree().unwrap());
    let joining = carol.member.join_by_commit(&info, Some(&tree), b"").unwrap();
    let answer = carol.commit(&joining).await;
    let content = refuses(&hall.house, &before, &answer, "M_MLS_NOT_JOINED");
    assert_eq!(content["users"], json!(["@carol:maypole.test"]));
    hall.house.stop().await.unwrap();
}

/// What the room does not permit, and what is cited wrongly.
#[tokio::test]
async fn what_the_room_says() {
    let mut hall = Hall::open().await;
    let carol = Outlaw::new(&hall.house, "carol", "TABLET").await;
    let before = hall.explained();
    let aad = hall.bob.citing(&hall.room, &INVITING).await;
    let add = [carol.member.key_package().unwrap()];
    let bobs = hall.bob.member.commit(&Change { add: &add, aad: &aad, ..Change::default() }).unwrap();
    let answer = hall.bob.commit(&bobs).await;
    let content = refuses(&hall.house, &before, &answer, "M_FORBIDDEN");
    assert!(content["error"].as_str().unwrap().contains("may not invite"), "{content}");
    hall.bob.member.discard().unwrap();

    for aad in [&b""[..], b"{}"] {
        let commit = hall.alice.member.commit(&Change { add: &add, aad, ..Change::default() }).unwrap();
        let content = hall.alice_fails(&before, &commit, "M_MLS_MISSING_AUTH_EVENTS").await;
        let kinds: Vec<&Value> =
            content["auth_events"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
        assert_eq!(kinds, INVITING);
    }
    for aad in [&b"nothing"[..], br#"{"auth_events": 7}"#, br#"{"membership": {"@bob:maypole.test": {}}}"#] {
        let commit = hall.alice.member.commit(&Change { add: &add, aad, ..Change::default() }).unwrap();
        assert_eq!(hall.alice_fails(&before, &commit, "M_BAD_JSON").await["field"], "authenticated_data");
    }
    // Power levels that were in force when the commit was made.
    let late = hall.invitation(&carol).await;
    let levels = hall.alice.user.state_content(&hall.room, "m.room.power_levels", "").await.unwrap();
    let mut changed = levels.clone();
    changed["users_default"] = 1.into();
    hall.alice.user.send_state(&hall.room, "m.room.power_levels", "", &changed).await.unwrap();
    let content = hall.alice_fails(&before, &late, "M_MLS_STALE_AUTH_EVENTS").await;
    let current = hall.alice.citing(&hall.room, &INVITING[..1]).await;
    assert_eq!(content["auth_events"][0]["event_id"].as_str().unwrap().as_bytes(), current);

    // With what is in force now it is accepted, and the first that comes too late is told what it missed.
    let bobs = hall.bob.member.update().unwrap();
    let commit = hall.invitation(&carol).await;
    assert_eq!(hall.alice.commit(&commit).await["content"]["epoch"], 2);
    hall.alice.member.merge().unwrap();
    let before = hall.explained();
    let answer = hall.bob.commit(&bobs).await;
    let content = refuses(&hall.house, &before, &answer, "M_MLS_STALE_EPOCH");
    assert_eq!(content["current_epoch"], 2);
    let commits = content["commits"].as_array().unwrap();
    assert_eq!((commits.len(), &commits[0]["message"]), (1, &base64(&commit.message).into()));
    assert!(commits[0]["receipt"].is_object() && commits[0]["txn_id"].is_null());
    // Whoever has no leaf is told no commits.
    carol.user.join(&hall.room).await.unwrap();
    let mut desktop = Outlaw::of(carol.user.login("DESKTOP").await.unwrap());
    let mut stale = fields(&bobs);
    stale["txn_id"] = "x".into();
    stale["device_id"] = "DESKTOP".into();
    let answer = desktop.send(&stale).await;
    assert_eq!(refuses(&hall.house, &before, &answer, "M_MLS_STALE_EPOCH")["commits"], json!([]));
    hall.house.stop().await.unwrap();
}
