//! Who may register a room's first group, and where.

use super::*;

#[test]
fn only_the_user_who_created_the_room_registers_its_group() {
    both(|room| {
        let room = room.levels(json!({"users": {BOB: 100}}));
        assert!(forbidden(room.register(BOB)).contains("created the room"));
        assert!(forbidden(room.register(CAROL)).contains("created the room"));
        assert!(forbidden(room.register(SERVICE)).contains("created the room"), "nor an additional creator");
        assert_eq!(room.register(ALICE), Ok(Permitted::default()));
    });
}

#[test]
fn a_creator_who_left_registers_nothing() {
    both(|room| {
        for membership in ["leave", "ban", "invite", "knock"] {
            let verdict = room.clone().member(ALICE, membership).register(ALICE);
            assert_eq!(verdict, Err(Rejection::NotJoined { users: vec![user(ALICE)] }), "{membership}");
        }
    });
}

#[test]
fn a_room_of_another_service_is_not_ours_and_its_service_is_told() {
    both(|room| {
        let mut creation = room.state.get("m.room.create", "").unwrap().content.clone();
        creation["m.mls.delivery_service"] = json!("@:b.org");
        let verdict = room.clone().put("m.room.create", "", creation.clone()).register(ALICE);
        assert_eq!(verdict, Err(Rejection::NotDeliveryService { service: Some("@:b.org".into()) }));
        let create = StateEvent {
            sender: ruma::UserId::parse(BOB).unwrap(),
            ..room.state.get("m.room.create", "").unwrap().clone()
        };
        let mut elsewhere = room.clone();
        elsewhere.state.put(StateEvent { content: creation.clone(), ..create.clone() });
        let theirs = Err(Rejection::NotDeliveryService { service: Some("@:b.org".into()) });
        assert_eq!(elsewhere.register(BOB), theirs);
        creation.as_object_mut().unwrap().remove("m.mls.delivery_service");
        elsewhere.state.put(StateEvent { content: creation, ..create });
        assert_eq!(elsewhere.register(BOB), theirs, "a room that names nobody is its creator's server's");
    });
}

#[test]
fn a_room_without_a_usable_create_event_has_no_group() {
    both(|room| {
        assert!(forbidden(room.clone().without("m.room.create").register(ALICE)).contains("create event"));
        let redacted = room.clone().put("m.room.create", "", json!({}));
        assert!(forbidden(redacted.register(ALICE)).contains("room version 1 "));
        let unreadable = room.clone().put("m.room.create", "", json!({"room_version": 12}));
        assert!(forbidden(unreadable.register(ALICE)).contains("not readable"));
        let plain = room.clone().put("m.room.create", "", json!({"room_version": room.version}));
        assert!(forbidden(plain.register(ALICE)).contains("not an MLS room"));
    });
}

#[test]
fn a_service_that_is_not_in_the_room_serves_nobody_there() {
    both(|room| {
        let none = Err(Rejection::NotDeliveryService { service: Some(SERVICE.into()) });
        for membership in ["leave", "ban", "invite", "knock"] {
            assert_eq!(room.clone().member(SERVICE, membership).register(ALICE), none, "{membership}");
        }
    });
}

#[test]
fn a_service_without_the_power_it_needs_takes_no_group() {
    both(|room| {
        assert!(frozen(room.clone().service_level(49).register(ALICE)).contains("needs 50 to invite"));
        for what in ["invite", "kick", "ban"] {
            let room = room.clone().service_level(60).levels(json!({"users": {SERVICE: 60}, (what): 61}));
            let reason = frozen(room.register(ALICE));
            assert!(reason.contains(&format!("has power 60 and needs 61 to {what}")), "{reason}");
        }
        assert!(room.service_level(50).register(ALICE).is_ok());
    });
}

#[test]
fn a_service_that_may_not_write_which_group_it_is_takes_none() {
    both(|room| {
        let levels = |events: Value| json!({"users": {SERVICE: 60}, "state_default": 70, "events": events});
        let room = room.service_level(60);
        let with = |events| room.clone().levels(levels(events)).register(ALICE);
        assert!(frozen(with(json!({}))).contains("m.mls.delivery_service"));
        assert!(frozen(with(json!({"m.mls.delivery_service": 61}))).contains("m.mls.delivery_service"));
        assert!(with(json!({"m.mls.delivery_service": 60})).is_ok());
        assert!(with(json!({"org.matrix.msc4244.mls.delivery_service": 60})).is_ok());
    });
}

#[test]
fn an_upgraded_room_begins_no_group() {
    both(|room| {
        let tombstone = |content| room.clone().put("m.room.tombstone", "", content).register(ALICE);
        assert!(
            frozen(tombstone(json!({"body": "moved", "replacement_room": "!new:a.org"})))
                .contains("upgraded")
        );
        assert!(tombstone(json!({})).is_ok(), "a tombstone that was redacted names no other room");
        let elsewhere = room.clone().put("m.room.tombstone", "x", json!({"replacement_room": "!new:a.org"}));
        assert!(elsewhere.register(ALICE).is_ok(), "a tombstone with a state key is none");
    });
}

#[test]
fn in_version_12_an_additional_creator_needs_no_power_levels() {
    assert!(Room::new("12").without(POWER_LEVELS).register(ALICE).is_ok());
    assert!(frozen(Room::new("11").without(POWER_LEVELS).register(ALICE)).contains("no power levels"));
}

/// As after an older copy of the store was restored: a second first epoch would be a second story.
#[test]
fn a_group_that_the_service_has_forgotten_is_not_registered_again() {
    both(|room| {
        for kind in ["m.mls.delivery_service", "org.matrix.msc4244.mls.delivery_service"] {
            let event = |sender: &str, key: &str, content: Value| {
                let like = room.state.get("m.room.create", "").unwrap().clone();
                let sender = ruma::UserId::parse(sender).unwrap();
                let mut with = room.clone();
                with.state.put(StateEvent {
                    kind: kind.into(),
                    state_key: key.into(),
                    sender,
                    content,
                    ..like
                });
                with.register(ALICE)
            };
            let group = || json!({"term": 1, "generation": 0, "group_id": "IXJvb20"});
            let refused = event(SERVICE, SERVICE, group());
            let Err(Rejection::Frozen { reason }) = refused else { panic!("{refused:?}") };
            assert!(reason.contains("had its group before"), "{reason}");
            // What others write says nothing, nor does an event without a group.
            assert_eq!(event(ALICE, SERVICE, group()), Ok(Permitted::default()));
            assert_eq!(event(SERVICE, ALICE, group()), Ok(Permitted::default()));
            assert_eq!(event(SERVICE, SERVICE, json!({})), Ok(Permitted::default()));
        }
    });
}
