//! What holds for every commit: who makes it, and whether the service can do its work.

use super::*;
use maypole_core::limits;

#[test]
fn whoever_is_not_in_the_room_commits_nothing() {
    both(|room| {
        for membership in ["leave", "ban", "invite", "knock"] {
            let room = room.clone().member(BOB, membership);
            let none = Err(Rejection::NotJoined { users: vec![user(BOB)] });
            assert_eq!(room.commit(BOB, &[]), none, "{membership}");
            assert_eq!(room.commit(BOB, &[second_leaf(BOB)]), none, "{membership}");
            assert_eq!(room.join_from_outside(BOB, &[first_leaf(BOB)], ""), none, "{membership}");
            assert_eq!(room.extend(BOB), none, "{membership}");
        }
        let none = Err(Rejection::NotJoined { users: vec![user(CAROL)] });
        assert_eq!(room.join_from_outside(CAROL, &[first_leaf(CAROL)], ""), none, "never in the room");
    });
}

#[test]
fn without_the_service_nothing_is_ordered() {
    both(|room| {
        for membership in ["leave", "ban", "invite", "knock"] {
            let room = room.clone().member(SERVICE, membership);
            assert!(frozen(room.commit(ALICE, &[])).contains("not in the room"), "{membership}");
            assert!(frozen(room.join_from_outside(BOB, &[first_leaf(BOB)], "")).contains("not in the room"));
        }
        let powerless = room.clone().service_level(49);
        assert!(
            frozen(powerless.commit(BOB, &[])).contains("needs 50 to invite"),
            "whatever the commit does"
        );
        let upgraded = room.clone().put("m.room.tombstone", "", json!({"replacement_room": "!new:a.org"}));
        assert!(frozen(upgraded.commit(ALICE, &[])).contains("upgraded"));
        let redacted = room.put("m.room.create", "", json!({}));
        assert!(frozen(redacted.commit(ALICE, &[])).contains("room version 1 "));
    });
}

#[test]
fn own_devices_and_updates_need_nothing() {
    both(|room| {
        let own = [
            vec![],
            vec![second_leaf(BOB)],
            vec![one_leaf_gone(BOB)],
            vec![change(BOB, [2, 2], &["D2"], &["D2"])],
        ];
        for users in own {
            assert_eq!(room.commit_with(BOB, &users, ""), Ok(Permitted::default()), "{users:?}");
        }
        let hidden = room.visibility("joined");
        assert_eq!(hidden.commit_with(BOB, &[second_leaf(BOB)], ""), Ok(Permitted::default()));
    });
}

#[test]
fn whoever_joins_from_outside_touches_no_leaf_but_its_own() {
    both(|room| {
        let refused = [
            vec![change(BOB, [0, 1], &["D2"], &[])],
            vec![change(BOB, [2, 2], &["D1"], &["D2"])],
            vec![change(BOB, [1, 2], &["D1", "D2"], &[])],
            vec![first_leaf(BOB), last_leaf_gone(MODERATOR)],
            vec![first_leaf(BOB), one_leaf_gone(MODERATOR)],
            vec![first_leaf(BOB), second_leaf(MODERATOR)],
        ];
        for users in refused {
            let verdict = room.join_from_outside(BOB, &users, "");
            assert!(forbidden(verdict).contains("external commit"), "{users:?}");
        }
        let permitted =
            [first_leaf(BOB), change(BOB, [1, 2], &["D1"], &[]), change(BOB, [1, 1], &["D1"], &["D1"])];
        for change in permitted {
            assert_eq!(room.join_from_outside(BOB, &[change], ""), Ok(Permitted::default()));
        }
        let naming = json!({"membership": {MODERATOR: {"membership": "ban"}}}).to_string();
        let verdict = room.join_from_outside(BOB, &[first_leaf(BOB)], &naming);
        assert!(
            matches!(verdict, Err(Rejection::BadJson { field: "authenticated_data", .. })),
            "{verdict:?}"
        );
    });
}

#[test]
fn extensions_are_changed_by_those_who_may_close_the_room() {
    both(|room| {
        assert!(forbidden(room.extend(BOB)).contains("extensions"));
        assert_eq!(room.extend(MODERATOR), Ok(Permitted::default()));
        let strict = room.levels(json!({"events": {"m.room.tombstone": 51}}));
        assert!(forbidden(strict.extend(MODERATOR)).contains("m.room.tombstone"));
        assert_eq!(strict.extend(ALICE), Ok(Permitted::default()));
    });
}

#[test]
fn authenticated_data_that_says_nothing_usable_is_refused() {
    both(|room| {
        for data in ["hello", "{", "{\"membership\": []}"] {
            let verdict = room.commit_with(ALICE, &[], data);
            assert!(
                matches!(verdict, Err(Rejection::BadJson { field: "authenticated_data", .. })),
                "{verdict:?}"
            );
        }
    });
}

#[test]
fn one_commit_changes_a_bounded_number_of_memberships() {
    both(|room| {
        let invite = |count: usize| {
            let users: Vec<_> = (0..count).map(|n| first_leaf(&format!("@user{n}:b.org"))).collect();
            room.commit(ALICE, &users)
        };
        assert!(forbidden(invite(limits::MEMBER_CHANGES + 1)).contains("at most"));
        assert_eq!(members(invite(limits::MEMBER_CHANGES)).len(), limits::MEMBER_CHANGES);
    });
}
