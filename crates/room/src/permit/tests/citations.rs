//! What a commit must cite, and that it cites what is in force.

use super::*;

/// The types that a refusal lists, with the IDs that are in force.
fn listed(room: &Room, kinds: &[&str]) -> Vec<maypole_core::rejection::Citable> {
    let citable = |kind: &&str| maypole_core::rejection::Citable {
        id: room.id(kind),
        kind: (*kind).to_owned(),
        key: String::new(),
    };
    kinds.iter().map(citable).collect()
}

#[test]
fn an_invitation_cites_power_levels_and_history_visibility() {
    both(|room| {
        let missing =
            Err(Rejection::MissingAuthEvents { current: listed(&room, &[POWER_LEVELS, HISTORY_VISIBILITY]) });
        for kinds in [&[][..], &[POWER_LEVELS], &[HISTORY_VISIBILITY], &["m.room.create"]] {
            assert_eq!(
                room.commit_with(ALICE, &[first_leaf(CAROL)], &room.cite(kinds)),
                missing,
                "{kinds:?}"
            );
        }
        let cited = room.cite(&[HISTORY_VISIBILITY, POWER_LEVELS, "m.room.create"]);
        let permitted = room.commit_with(ALICE, &[first_leaf(CAROL)], &cited).unwrap();
        assert_eq!(permitted.cited.iter().map(ToString::to_string).collect::<Vec<_>>().join(","), cited);
    });
}

#[test]
fn a_removal_cites_power_levels() {
    both(|room| {
        for change in [last_leaf_gone(BOB), one_leaf_gone(BOB)] {
            let missing = Err(Rejection::MissingAuthEvents { current: listed(&room, &[POWER_LEVELS]) });
            for kinds in [&[][..], &[HISTORY_VISIBILITY]] {
                let verdict = room.commit_with(ALICE, std::slice::from_ref(&change), &room.cite(kinds));
                assert_eq!(verdict, missing, "{kinds:?}");
            }
            assert!(room.commit_with(ALICE, &[change], &room.cite(&[POWER_LEVELS])).is_ok());
        }
    });
}

#[test]
fn what_the_room_never_had_is_not_cited() {
    let room = Room::new("12").without(POWER_LEVELS).without(HISTORY_VISIBILITY);
    assert_eq!(members(room.commit_with(ALICE, &[first_leaf(CAROL)], "")).len(), 1);
    assert_eq!(members(room.commit_with(ALICE, &[last_leaf_gone(BOB)], "")).len(), 1);
    both(|room| {
        let room = room.without(HISTORY_VISIBILITY);
        let missing = Err(Rejection::MissingAuthEvents { current: listed(&room, &[POWER_LEVELS]) });
        assert_eq!(room.commit_with(ALICE, &[first_leaf(CAROL)], ""), missing);
    });
}

#[test]
fn what_is_not_in_force_any_more_is_stale() {
    both(|room| {
        let before = room.cite(&[POWER_LEVELS, HISTORY_VISIBILITY]);
        let room = room.levels(json!({"users": {BOB: 1}}));
        let stale = |kinds: &[&str]| Err(Rejection::StaleAuthEvents { current: listed(&room, kinds) });
        let invite = room.commit_with(ALICE, &[first_leaf(CAROL)], &before);
        assert_eq!(invite, stale(&[POWER_LEVELS, HISTORY_VISIBILITY]));
        assert_eq!(room.commit_with(ALICE, &[last_leaf_gone(BOB)], &before), stale(&[POWER_LEVELS]));
        assert_eq!(room.commit_with(ALICE, &[], &before), stale(&[]), "even where nothing need be cited");
        assert_eq!(room.join_from_outside(BOB, &[first_leaf(BOB)], &before), stale(&[]));
    });
}

#[test]
fn what_was_never_in_the_room_is_stale() {
    both(|room| {
        let cited = format!("{},$elsewhere:b.org", room.cite(&[POWER_LEVELS, HISTORY_VISIBILITY]));
        let verdict = room.commit_with(ALICE, &[first_leaf(CAROL)], &cited);
        let current = listed(&room, &[POWER_LEVELS, HISTORY_VISIBILITY]);
        assert_eq!(verdict, Err(Rejection::StaleAuthEvents { current }));
    });
}

#[test]
fn a_stale_citation_is_told_before_what_the_room_forbids() {
    both(|room| {
        let before = room.cite(&[POWER_LEVELS, HISTORY_VISIBILITY]);
        let room = room.levels(json!({"invite": 51}));
        let verdict = room.commit_with(MODERATOR, &[first_leaf(CAROL)], &before);
        assert!(matches!(verdict, Err(Rejection::StaleAuthEvents { .. })), "{verdict:?}");
        assert!(forbidden(room.commit(MODERATOR, &[first_leaf(CAROL)])).contains("may not invite"));
    });
}

#[test]
fn what_needs_nothing_may_cite_what_is_in_force() {
    both(|room| {
        let cited = room.cite(&["m.room.create", HISTORY_VISIBILITY]);
        assert_eq!(room.commit_with(BOB, &[], &cited).unwrap().cited.len(), 2);
    });
}
