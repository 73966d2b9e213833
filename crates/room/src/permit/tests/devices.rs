//! One device of another user goes, and the user stays.

use super::*;

#[test]
fn anothers_device_needs_the_level_to_kick_them() {
    both(|room| {
        let cited = room.cite(&[POWER_LEVELS]);
        let take = |caller, user| room.commit_with(caller, &[one_leaf_gone(user)], &cited);
        assert!(forbidden(take(BOB, MODERATOR)).contains("may not remove a device of @mod:a.org"));
        assert!(forbidden(take(MODERATOR, ALICE)).contains("may not remove a device"));
        let permitted = take(MODERATOR, BOB).unwrap();
        assert!(permitted.members.is_empty(), "the user stays");
    });
}

#[test]
fn those_with_as_much_power_keep_their_devices() {
    both(|room| {
        let room = room.levels(json!({"users": {BOB: 50}}));
        assert!(forbidden(room.commit(MODERATOR, &[one_leaf_gone(BOB)])).contains("may not remove a device"));
        let strict = room.levels(json!({"kick": 51, "users": {BOB: 0}}));
        assert!(
            forbidden(strict.commit(MODERATOR, &[one_leaf_gone(BOB)])).contains("may not remove a device")
        );
    });
}

#[test]
fn a_device_goes_without_the_service_needing_power_over_its_user() {
    both(|room| {
        let room = room.service_level(60).levels(json!({"users": {SERVICE: 60, BOB: 70}}));
        assert!(forbidden(room.commit(ALICE, &[last_leaf_gone(BOB)])).contains("@:a.org may not kick"));
        assert_eq!(members(room.commit(ALICE, &[one_leaf_gone(BOB)])), []);
    });
}

#[test]
fn a_device_that_is_replaced_has_gone() {
    both(|room| {
        for change in [change(BOB, [1, 1], &["D1"], &["D1"]), change(BOB, [1, 1], &["D2"], &["D1"])] {
            let room = room.clone().member(CAROL, "join");
            let verdict = room.commit(CAROL, std::slice::from_ref(&change));
            assert!(forbidden(verdict).contains("may not remove a device"), "{change:?}");
            assert_eq!(members(room.commit(MODERATOR, &[change])), []);
        }
    });
}

#[test]
fn a_device_of_somebody_invited_needs_the_same() {
    both(|room| {
        let room = room.member(CAROL, "invite");
        assert!(forbidden(room.commit(BOB, &[one_leaf_gone(CAROL)])).contains("may not remove a device"));
        assert_eq!(members(room.commit(MODERATOR, &[one_leaf_gone(CAROL)])), []);
    });
}
