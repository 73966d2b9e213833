//! Power levels as rooms have them, odd ones and none.

use super::*;

/// Alice's room as if she were its service: the rules are those of a service that made the room.
fn served_by_alice(room: &Room, caller: &str) -> Result<Permitted, Rejection> {
    let caller = ClientId { user: user(caller), device: device("D1") };
    let intent = Intent::Commit {
        external: false,
        users: vec![last_leaf_gone(BOB)],
        extends: false,
        proposed: Vec::new(),
    };
    let question = Question { caller, authenticated_data: Vec::new(), intent };
    judge(&room.state, ruma::user_id!("@alice:a.org"), &question)
}

#[test]
fn without_power_levels_only_creators_have_power() {
    let room = Room::new("11").without(POWER_LEVELS);
    assert!(
        frozen(room.commit(ALICE, &[])).contains("no power levels"),
        "the service did not create the room"
    );
    assert!(forbidden(served_by_alice(&room, MODERATOR)).contains("may not kick"));
    assert_eq!(members(served_by_alice(&room, ALICE)).len(), 1, "a creator has 100 until there are levels");
    let room = Room::new("12").without(POWER_LEVELS);
    assert_eq!(members(room.commit(ALICE, &[last_leaf_gone(BOB)])).len(), 1);
    assert!(forbidden(room.commit(MODERATOR, &[last_leaf_gone(BOB)])).contains("may not kick"));
    assert_eq!(
        members(room.commit(BOB, &[first_leaf(CAROL)])).len(),
        1,
        "without levels everybody may invite"
    );
}

#[test]
fn in_version_11_additional_creators_mean_nothing() {
    let room = Room::new("11").service_level(0);
    let mut creation = room.state.get("m.room.create", "").unwrap().content.clone();
    creation["additional_creators"] = json!([SERVICE, BOB]);
    let room = room.put("m.room.create", "", creation);
    assert!(frozen(room.commit(BOB, &[])).contains("has power 0"));
}

#[test]
fn the_default_level_of_users_counts() {
    both(|room| {
        let room = room.levels(json!({"users_default": 50}));
        assert_eq!(members(room.commit(BOB, &[first_leaf(CAROL)])).len(), 1);
        assert!(
            forbidden(room.commit(MODERATOR, &[last_leaf_gone(BOB)])).contains("may not kick"),
            "they are equal"
        );
        let room = room.levels(json!({"users_default": 50, "users": {MODERATOR: 51}}));
        assert_eq!(members(room.commit(MODERATOR, &[last_leaf_gone(BOB)])).len(), 1);
    });
}

#[test]
fn a_service_by_the_default_level_removes_nobody_who_has_it_too() {
    both(|room| {
        let room = room.service_level(0).exact_levels(json!({"users_default": 60, "users": {MODERATOR: 70}}));
        assert_eq!(members(room.commit(BOB, &[first_leaf(CAROL)])).len(), 1);
        let rule = forbidden(room.commit(MODERATOR, &[last_leaf_gone(BOB)]));
        assert!(rule.contains("@:a.org may not kick"), "{rule}");
    });
}

#[test]
fn empty_power_levels_have_the_defaults_of_matrix() {
    let room = Room::new("12").exact_levels(json!({}));
    assert_eq!(members(room.commit(BOB, &[first_leaf(CAROL)])).len(), 1, "everybody may invite");
    assert!(forbidden(room.commit(MODERATOR, &[last_leaf_gone(BOB)])).contains("may not kick"));
    let room = Room::new("11").exact_levels(json!({}));
    assert!(frozen(room.commit(ALICE, &[])).contains("needs 50 to kick"));
    assert!(
        frozen(served_by_alice(&room, ALICE)).contains("needs 50 to kick"),
        "a creator's 100 is gone as well"
    );
}

#[test]
fn the_largest_and_smallest_levels_are_compared_as_numbers() {
    const MOST: i64 = (1 << 53) - 1;
    both(|room| {
        let room = room.service_level(MOST);
        let levels = |bob: i64| json!({"users": {SERVICE: MOST, MODERATOR: MOST - 1, BOB: bob}, "kick": -MOST, "ban": MOST - 1});
        let gone = [last_leaf_gone(BOB)];
        assert!(
            forbidden(room.clone().levels(levels(MOST - 1)).commit(MODERATOR, &gone)).contains("may not")
        );
        assert_eq!(members(room.clone().levels(levels(MOST - 2)).commit(MODERATOR, &gone)).len(), 1);
        assert_eq!(members(room.levels(levels(-MOST)).commit(MODERATOR, &gone)).len(), 1);
    });
}

#[test]
fn levels_that_matrix_cannot_have_freeze_the_group() {
    both(|room| {
        let room = room.service_level(60);
        let odd = [
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!("50"),
            json!(50.0),
            json!(null),
            json!([50]),
        ];
        for level in odd {
            let in_users = room.clone().levels(json!({"users": {SERVICE: 60, BOB: level}}));
            assert!(frozen(in_users.commit(ALICE, &[])).contains("users"), "{level}");
            for key in ["invite", "kick", "ban"] {
                let reason = frozen(
                    room.clone().levels(json!({"users": {SERVICE: 60}, (key): level})).commit(ALICE, &[]),
                );
                assert!(reason.contains(key), "{level}: {reason}");
            }
        }
        for content in [json!(null), json!([]), json!({"users": []}), json!({"users": {"bob": 1}})] {
            assert!(
                !frozen(room.clone().exact_levels(content.clone()).commit(ALICE, &[])).is_empty(),
                "{content}"
            );
        }
    });
}

#[test]
fn in_version_12_odd_levels_refuse_what_rests_on_them() {
    let room = Room::new("12").levels(json!({"users": {BOB: "1"}}));
    assert_eq!(
        room.commit_with(ALICE, &[], ""),
        Ok(Permitted::default()),
        "a creator's power rests on no level"
    );
    assert!(forbidden(room.commit(ALICE, &[last_leaf_gone(BOB)])).contains("users"));
}

#[test]
fn a_room_that_is_not_federated_takes_no_commit_from_elsewhere_that_changes_members() {
    both(|room| {
        let mut creation = room.state.get("m.room.create", "").unwrap().content.clone();
        creation["m.federate"] = json!(false);
        let room = room.put("m.room.create", "", creation).levels(json!({"invite": 0}));
        assert!(forbidden(room.commit(BOB, &[first_leaf(CAROL)])).contains("federated"));
        assert_eq!(members(room.commit(MODERATOR, &[first_leaf(CAROL)])).len(), 1);
    });
}
