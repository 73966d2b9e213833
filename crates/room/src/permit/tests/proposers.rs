//! Who may propose a change by itself, and who may begin a group anew.

use maypole_core::permit::Proposed;

use super::*;

fn proposed(by: &str, extends: bool) -> Proposed {
    let by = ClientId { user: user(by), device: device("D1") };
    Proposed { by, device: (!extends).then(|| device("D2")), extends }
}

#[test]
fn whoever_is_not_in_the_room_proposes_nothing() {
    both(|room| {
        for membership in ["leave", "ban", "invite", "knock"] {
            let room = room.clone().member(BOB, membership);
            let none = Err(Rejection::NotJoined { users: vec![user(BOB)] });
            assert_eq!(room.ask(BOB, Intent::Propose(proposed(BOB, false)), ""), none, "{membership}");
        }
        let yes = room.ask(BOB, Intent::Propose(proposed(BOB, false)), "");
        assert_eq!(yes, Ok(Permitted::default()));
    });
}

#[test]
fn the_groups_extensions_are_for_who_may_close_the_room() {
    both(|room| {
        assert!(forbidden(room.ask(BOB, Intent::Propose(proposed(BOB, true)), "")).contains("extensions"));
        let yes = room.ask(MODERATOR, Intent::Propose(proposed(MODERATOR, true)), "");
        assert_eq!(yes, Ok(Permitted::default()));
    });
}

#[test]
fn without_the_services_power_nothing_is_proposed() {
    both(|room| {
        let verdict = room.service_level(0).ask(BOB, Intent::Propose(proposed(BOB, false)), "");
        assert!(matches!(verdict, Err(Rejection::Frozen { .. })), "{verdict:?}");
    });
}

#[test]
fn a_commit_is_judged_for_those_whose_proposals_it_carries_out() {
    both(|room| {
        let commit = |room: &Room, proposed| {
            let intent = Intent::Commit {
                external: false,
                users: Vec::new(),
                extends: false,
                proposed: vec![proposed],
            };
            room.ask(ALICE, intent, "")
        };
        assert_eq!(commit(&room, proposed(BOB, false)), Ok(Permitted::default()));
        assert!(
            forbidden(commit(&room, proposed(BOB, true))).contains(BOB),
            "the proposer, not the committer"
        );
        let gone = room.member(BOB, "leave");
        let none = Err(Rejection::NotJoined { users: vec![user(BOB)] });
        assert_eq!(commit(&gone, proposed(BOB, false)), none, "who left meanwhile");
    });
}

#[test]
fn a_group_is_begun_anew_by_who_is_there_and_in_a_dispute_by_who_may_close_the_room() {
    both(|room| {
        let anew = |room: &Room, by, disputed| room.ask(by, Intent::Succeed { disputed }, "");
        let gone = room.clone().member(BOB, "leave");
        assert_eq!(anew(&gone, BOB, false), Err(Rejection::NotJoined { users: vec![user(BOB)] }));
        assert!(forbidden(anew(&room, BOB, true)).contains("anew"));
        let powerless = room.clone().service_level(0);
        assert!(matches!(anew(&powerless, BOB, false), Err(Rejection::Frozen { .. })));
        assert_eq!(anew(&room, BOB, false), Ok(Permitted::default()), "not only the room's creator");
        assert_eq!(anew(&room, MODERATOR, true), Ok(Permitted::default()));
    });
}
