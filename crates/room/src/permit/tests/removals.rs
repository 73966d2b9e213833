//! The last leaf of a user goes: kicks, bans, and what needs neither.

use super::*;

#[test]
fn a_kick_needs_the_level_to_kick() {
    both(|room| {
        let room = room.member(CAROL, "join");
        let rule = forbidden(room.commit(BOB, &[last_leaf_gone(CAROL)]));
        assert!(rule.contains("@bob:b.org may not kick @carol:a.org"), "{rule}");
        for kicker in [MODERATOR, ALICE] {
            let kicked = vec![(CAROL.to_owned(), Membership::Leave)];
            assert_eq!(members(room.commit(kicker, &[last_leaf_gone(CAROL)])), kicked);
        }
    });
}

#[test]
fn nobody_removes_those_who_have_as_much_power() {
    both(|room| {
        let room = room.levels(json!({"users": {BOB: 50}}));
        for how in ["leave", "ban"] {
            let verdict = room.commit_naming(
                BOB,
                &[last_leaf_gone(MODERATOR)],
                json!({MODERATOR: {"membership": how}}),
            );
            assert!(forbidden(verdict).contains("may not"), "{how}");
        }
        let higher = room.levels(json!({"users": {BOB: 51}}));
        assert_eq!(members(higher.commit(BOB, &[last_leaf_gone(MODERATOR)])).len(), 1);
        assert!(forbidden(higher.commit(MODERATOR, &[last_leaf_gone(BOB)])).contains("may not kick"));
        assert!(forbidden(higher.commit(MODERATOR, &[last_leaf_gone(ALICE)])).contains("may not kick"));
    });
}

#[test]
fn kick_and_ban_have_levels_of_their_own() {
    both(|room| {
        let users = [last_leaf_gone(BOB)];
        let how = |room: &Room, how| room.commit_naming(MODERATOR, &users, json!({BOB: {"membership": how}}));
        let no_ban = room.clone().levels(json!({"ban": 51}));
        assert!(forbidden(how(&no_ban, "ban")).contains("may not ban"));
        assert_eq!(members(how(&no_ban, "leave")), [(BOB.to_owned(), Membership::Leave)]);
        let no_kick = room.levels(json!({"kick": 51}));
        assert!(forbidden(how(&no_kick, "leave")).contains("may not kick"));
        assert_eq!(members(how(&no_kick, "ban")), [(BOB.to_owned(), Membership::Ban)]);
    });
}

#[test]
fn the_service_removes_only_those_below_itself() {
    both(|room| {
        for level in [60, 70] {
            let room = room.clone().service_level(60).levels(json!({"users": {SERVICE: 60, BOB: level}}));
            let rule = forbidden(room.commit(ALICE, &[last_leaf_gone(BOB)]));
            assert!(rule.contains("@:a.org may not kick @bob:b.org"), "{rule}");
        }
        let below = room.service_level(60).levels(json!({"users": {SERVICE: 60, BOB: 59}}));
        assert_eq!(members(below.commit(ALICE, &[last_leaf_gone(BOB)])).len(), 1);
    });
}

#[test]
fn in_version_12_no_creator_is_removed_by_another() {
    let room = Room::new("12");
    let mut creation = room.state.get("m.room.create", "").unwrap().content.clone();
    creation["additional_creators"] = json!([SERVICE, BOB]);
    let room = room.put("m.room.create", "", creation);
    assert!(forbidden(room.commit(ALICE, &[last_leaf_gone(BOB)])).contains("may not kick"));
    assert!(forbidden(room.commit(BOB, &[last_leaf_gone(ALICE)])).contains("may not kick"));
    assert_eq!(
        members(room.commit(BOB, &[last_leaf_gone(MODERATOR)])).len(),
        1,
        "they have power without a level"
    );
}

#[test]
fn in_version_11_the_creator_is_removed_like_anybody_below() {
    let room = Room::new("11").levels(json!({"users": {ALICE: 0}}));
    assert_eq!(
        members(room.commit(MODERATOR, &[last_leaf_gone(ALICE)])),
        [(ALICE.to_owned(), Membership::Leave)]
    );
    let equal = Room::new("11").levels(json!({"users": {BOB: 101}}));
    let rule = forbidden(equal.commit(BOB, &[last_leaf_gone(ALICE)]));
    assert!(rule.contains("@:a.org may not kick"), "the service is no higher than the creator: {rule}");
}

#[test]
fn an_invitation_is_taken_back_like_a_kick() {
    both(|room| {
        let room = room.member(CAROL, "invite");
        assert!(forbidden(room.commit(BOB, &[last_leaf_gone(CAROL)])).contains("may not kick"));
        let removed = vec![(CAROL.to_owned(), Membership::Leave)];
        assert_eq!(members(room.commit(MODERATOR, &[last_leaf_gone(CAROL)])), removed);
    });
}

#[test]
fn whoever_is_not_in_the_room_any_more_goes_without_a_word() {
    both(|room| {
        for membership in ["leave", "ban", "knock"] {
            let room = room.clone().member(MODERATOR, membership);
            for change in [last_leaf_gone(MODERATOR), one_leaf_gone(MODERATOR)] {
                assert_eq!(room.commit_with(BOB, &[change], ""), Ok(Permitted::default()), "{membership}");
            }
        }
        assert_eq!(room.commit_with(BOB, &[last_leaf_gone(CAROL)], "{}"), Ok(Permitted::default()));
    });
}

#[test]
fn membership_names_exactly_those_who_go() {
    both(|room| {
        let room = room.member(CAROL, "join").member("@guest:b.org", "leave");
        let users = [last_leaf_gone(BOB), last_leaf_gone(CAROL), last_leaf_gone("@guest:b.org")];
        let leave = json!({"membership": "leave"});
        let refused = [
            json!({}),
            json!({BOB: leave}),
            json!({BOB: leave, CAROL: leave, MODERATOR: leave}),
            json!({BOB: leave, CAROL: leave, "@guest:b.org": leave}),
            json!({BOB: leave, "@guest:b.org": leave}),
        ];
        for membership in refused {
            let verdict = room.commit_naming(ALICE, &users, membership.clone());
            let named = matches!(verdict, Err(Rejection::BadJson { field: "authenticated_data", .. }));
            assert!(named, "{membership}: {verdict:?}");
        }
        let naming = json!({BOB: {"membership": "ban", "reason": "spam"}, CAROL: leave});
        let permitted = room.commit_naming(ALICE, &users, naming).unwrap();
        let [bob, carol] = &permitted.members[..] else { panic!("{permitted:?}") };
        assert_eq!(
            (bob.user.as_str(), bob.membership, bob.reason.as_deref()),
            (BOB, Membership::Ban, Some("spam"))
        );
        assert_eq!(
            (carol.user.as_str(), carol.membership, carol.reason.as_deref()),
            (CAROL, Membership::Leave, None)
        );
    });
}

#[test]
fn where_it_is_not_said_everybody_who_goes_is_kicked() {
    both(|room| {
        let room = room.member(CAROL, "join");
        let users = [last_leaf_gone(BOB), last_leaf_gone(CAROL)];
        let kicked = [(BOB.to_owned(), Membership::Leave), (CAROL.to_owned(), Membership::Leave)];
        assert_eq!(members(room.commit_with(ALICE, &users, &room.cite(&[POWER_LEVELS]))), kicked);
    });
}

#[test]
fn one_who_may_not_be_removed_spoils_the_commit() {
    both(|room| {
        let users = [last_leaf_gone(ALICE), last_leaf_gone(BOB)];
        assert!(forbidden(room.commit(MODERATOR, &users)).contains("@alice:a.org"));
    });
}
