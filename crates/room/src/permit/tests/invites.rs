//! Leaves of users who have not joined.

use super::*;

#[test]
fn an_invitation_needs_the_level_to_invite() {
    both(|room| {
        let rule = forbidden(room.commit(BOB, &[first_leaf(CAROL)]));
        assert!(rule.contains("@bob:b.org may not invite @carol:a.org"), "{rule}");
        for inviter in [MODERATOR, ALICE] {
            let invited = vec![(CAROL.to_owned(), Membership::Invite)];
            assert_eq!(members(room.commit(inviter, &[first_leaf(CAROL)])), invited);
        }
        let open = room.levels(json!({"invite": 0}));
        assert_eq!(members(open.commit(BOB, &[first_leaf(CAROL)])).len(), 1, "where everybody may");
    });
}

#[test]
fn an_invitation_needs_a_history_that_the_invited_may_read() {
    both(|room| {
        let invite = |room: Room| room.commit(ALICE, &[first_leaf(CAROL)]);
        assert!(forbidden(invite(room.clone().visibility("joined"))).contains("history visibility"));
        for visibility in ["shared", "invited", "world_readable", "org.example.other"] {
            assert!(invite(room.clone().visibility(visibility)).is_ok(), "{visibility}");
        }
        let odd = room.clone().put(HISTORY_VISIBILITY, "", json!({"history_visibility": ["joined"]}));
        assert!(invite(odd).is_ok(), "what is none counts as `shared`");
        assert!(invite(room.without(HISTORY_VISIBILITY)).is_ok(), "absent counts as `shared`");
    });
}

#[test]
fn whoever_is_banned_is_not_invited() {
    both(|room| {
        let banned = room.member(CAROL, "ban");
        assert!(forbidden(banned.commit(ALICE, &[first_leaf(CAROL)])).contains("banned"));
        let back = change(CAROL, [1, 1], &["D2"], &["D1"]);
        assert!(
            forbidden(banned.commit(ALICE, &[back])).contains("banned"),
            "even where a leaf was left behind"
        );
    });
}

#[test]
fn whoever_left_or_knocks_is_invited_like_anybody() {
    both(|room| {
        let invited = vec![(CAROL.to_owned(), Membership::Invite)];
        for membership in ["leave", "knock"] {
            let room = room.clone().member(CAROL, membership);
            assert!(
                forbidden(room.commit(BOB, &[first_leaf(CAROL)])).contains("may not invite"),
                "{membership}"
            );
            assert_eq!(members(room.commit(MODERATOR, &[first_leaf(CAROL)])), invited, "{membership}");
        }
        let left_behind = change(CAROL, [1, 2], &["D2"], &[]);
        assert_eq!(
            members(room.commit(MODERATOR, &[left_behind])),
            invited,
            "a leaf that stayed is no membership"
        );
    });
}

#[test]
fn whoever_is_invited_gets_leaves_from_any_member() {
    both(|room| {
        let room = room.member(CAROL, "invite");
        for change in [first_leaf(CAROL), second_leaf(CAROL)] {
            assert_eq!(room.commit_with(BOB, &[change], ""), Ok(Permitted::default()));
        }
        let hidden = room.visibility("joined");
        assert!(forbidden(hidden.commit_with(BOB, &[first_leaf(CAROL)], "")).contains("has not joined"));
    });
}

#[test]
fn whoever_has_joined_gets_leaves_from_any_member() {
    both(|room| {
        for room in [room.clone(), room.visibility("joined")] {
            for change in [first_leaf(MODERATOR), second_leaf(MODERATOR)] {
                assert_eq!(room.commit_with(BOB, &[change], ""), Ok(Permitted::default()));
            }
        }
    });
}

#[test]
fn an_invitation_says_whether_the_room_is_a_direct_chat() {
    both(|room| {
        let cited = [room.id(POWER_LEVELS), room.id(HISTORY_VISIBILITY)];
        for is_direct in [true, false] {
            let data = json!({"auth_events": cited, "is_direct": is_direct}).to_string();
            let users = [first_leaf(CAROL), last_leaf_gone(BOB)];
            assert!(room.commit_with(ALICE, &users, &data).is_err(), "the one who goes is not named");
            let permitted = room.commit_with(ALICE, &users[..1], &data).unwrap();
            assert_eq!(permitted.members[0].is_direct, is_direct);
        }
    });
}

#[test]
fn one_who_may_not_be_invited_spoils_the_commit() {
    both(|room| {
        let room = room.member("@guest:b.org", "ban");
        let users = [first_leaf(CAROL), first_leaf("@guest:b.org")];
        assert!(forbidden(room.commit(ALICE, &users)).contains("@guest:b.org"));
    });
}
