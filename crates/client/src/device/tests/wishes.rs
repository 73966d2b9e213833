use super::*;

#[test]
fn a_wish_that_cannot_be_granted_changes_nothing() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    let nowhere = RoomId::parse("!nowhere:a.org").unwrap();
    let before = mls::to_entries(&alice.provider);
    let add = |alice: &mut Device, packages| alice.add(&room_id, packages, Citing::default()).unwrap_err();
    assert_eq!(alice.update(&nowhere).unwrap_err(), DeviceError::NoGroup(nowhere));
    assert!(matches!(add(&mut alice, vec![vec![1, 2, 3]]), DeviceError::KeyPackage(_)));
    assert_eq!(add(&mut alice, Vec::new()), DeviceError::Nothing);
    assert_eq!(add(&mut alice, vec![key_package(&mut bob)]), DeviceError::Here(bob.me().clone()));
    let mut of_another_suite = Relay::new(2).device("@carol:b.org", "TABLET");
    assert!(matches!(add(&mut alice, vec![key_package(&mut of_another_suite)]), DeviceError::KeyPackage(_)));
    let mut spoilt = key_package(&mut relay.device("@carol:b.org", "TABLET"));
    *spoilt.last_mut().unwrap() ^= 1;
    assert!(matches!(add(&mut alice, vec![spoilt]), DeviceError::KeyPackage(_)));
    let carol = client("@carol:b.org", "TABLET");
    let absent = alice.remove(&room_id, vec![carol.clone()], Citing::default()).unwrap_err();
    assert_eq!(absent, DeviceError::Absent(carol));
    let oneself = alice.remove(&room_id, vec![alice.me().clone()], Citing::default()).unwrap_err();
    assert!(matches!(oneself, DeviceError::Mls(_)), "{oneself}");
    assert_eq!(mls::to_entries(&alice.provider), before);
    assert!(!alice.is_waiting(&room_id));
    assert_eq!(alice.key_packages(1_000, false).unwrap_err(), DeviceError::TooMany(100));
    assert_eq!(Device::new(client("@a:a.org", "D"), 4).unwrap_err(), DeviceError::Suite(4));
}

#[test]
fn there_is_never_a_second_commit_while_one_is_out() {
    let mut relay = Relay::new(1);
    let (mut alice, _) = relay.pair();
    let mut carol = relay.device("@carol:b.org", "TABLET");
    let room_id = relay.room_id.clone();
    let actions = alice.update(&room_id).unwrap();
    let busy = DeviceError::Busy(room_id.clone());
    assert_eq!(alice.update(&room_id).unwrap_err(), busy);
    let packages = vec![key_package(&mut carol)];
    assert_eq!(alice.add(&room_id, packages, Citing::default()).unwrap_err(), busy);
    let event = relay.accept(&alice, &sent(&actions));
    assert!(matches!(&told(&hear(&mut alice, &event))[..], [Event::Advanced(_)]), "the first is still whole");
    alice.update(&room_id).unwrap();
}

#[test]
fn a_commit_brings_all_that_the_service_asks_for() {
    for suite in [1, 2] {
        let mut relay = Relay::new(suite);
        let (mut alice, _) = relay.pair();
        let mut carol = relay.device("@carol:b.org", "TABLET");
        let citing = Citing {
            auth_events: vec!["$levels".into(), "$visibility".into()],
            is_direct: true,
            ..Citing::default()
        };
        let packages = vec![key_package(&mut carol)];
        let out = sent(&alice.add(&relay.room_id, packages, citing.clone()).unwrap());
        assert_eq!((out.to.as_str(), out.kind.as_str()), (SERVICE, "m.mls.message"));
        let read = maypole_room::message::Message::read(out.content.to_string().as_bytes());
        assert_eq!(read.device.unwrap().as_str(), "PHONE");
        let asked = read.asked.unwrap();
        let Bytes::Inline(message) = asked.message else { panic!() };
        let envelope = maypole_mls::envelope::Envelope::read(&message).unwrap();
        let maypole_mls::envelope::Envelope::Public(public) = envelope else { panic!("{envelope:?}") };
        assert_eq!(public.epoch, 1);
        assert_eq!(public.authenticated_data, citing.authenticated_data());
        let Some(Bytes::Inline(info)) = asked.group_info else { panic!() };
        let info = mls::group_info(&info).unwrap();
        assert!(info.extensions().ratchet_tree().is_none() && info.extensions().external_pub().is_some());
        assert_eq!(info.group_context().epoch().as_u64(), 2);
        let Some(Bytes::Inline(welcome)) = asked.welcome else { panic!() };
        assert_eq!(welcome[..2], suite.to_be_bytes(), "a bare Welcome begins with its suite");
    }
}

#[test]
fn what_leaves_the_room_by_a_commit_is_said() {
    let (bob, carol) = (UserId::parse("@bob:b.org").unwrap(), UserId::parse("@carol:b.org").unwrap());
    let citing = Citing {
        auth_events: vec!["$levels".into()],
        membership: BTreeMap::from([
            (bob, Leaving { ban: true, reason: Some("noise".into()) }),
            (carol, Leaving { ban: false, reason: None }),
        ]),
        is_direct: false,
    };
    let data: Value = serde_json::from_slice(&citing.authenticated_data()).unwrap();
    let expected = json!({
        "auth_events": ["$levels"],
        "membership": {
            "@bob:b.org": {"membership": "ban", "reason": "noise"}, "@carol:b.org": {"membership": "leave"},
        },
    });
    assert_eq!(data, expected);
}

#[test]
fn groups_of_many_rooms_do_not_mix() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let mut second = Relay { room_id: RoomId::parse("!second:a.org").unwrap(), ..Relay::new(1) };
    for device in [&mut alice, &mut bob] {
        device.trust(&second.room_id, second.service()).unwrap();
    }
    let out = sent(&alice.register(&second.room_id, &second.description()).unwrap());
    let accepted = second.accept_registration(&out);
    alice.receive(SERVICE, "m.mls.accepted", &accepted).unwrap();
    second.add(&mut alice, &mut bob);
    let first = alice.update(&relay.room_id).unwrap();
    let other = alice.update(&second.room_id).unwrap();
    let (first, other) = (relay.order(&mut alice, &first), second.order(&mut alice, &other));
    hear(&mut bob, &other);
    hear(&mut bob, &first);
    for room_id in [&relay.room_id, &second.room_id] {
        assert_eq!(bob.epoch_authenticator(room_id), alice.epoch_authenticator(room_id));
    }
}

/// Who leaves the room by a commit that was sent.
fn leaving_by(sent: &Outgoing) -> Vec<String> {
    let message = decode(sent.content["message"].as_str().unwrap()).unwrap();
    let Ok(maypole_mls::envelope::Envelope::Public(public)) = maypole_mls::envelope::Envelope::read(&message)
    else {
        panic!("no commit")
    };
    let data: Value = serde_json::from_slice(public.authenticated_data).unwrap();
    assert_eq!(data["auth_events"], json!(["$levels"]));
    data["membership"].as_object().into_iter().flatten().map(|(user, _)| user.clone()).collect()
}

fn kick(users: &[&Device]) -> Citing {
    let leaving = |device: &&Device| (device.me().user.clone(), Leaving { ban: false, reason: None });
    Citing {
        auth_events: vec!["$levels".into()],
        membership: users.iter().map(leaving).collect(),
        is_direct: false,
    }
}

/// Alice's removal is refused, since another commit was first; what she sends then.
fn made_again(relay: &Relay, alice: &mut Device, first: &Outgoing, event: &CommitEvent) -> Outgoing {
    let refusal = relay.reject(first, "M_MLS_STALE_EPOCH", json!({"commits": [event.content()]}));
    sent(&alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap())
}

#[test]
fn a_removal_that_is_made_again_names_only_who_still_leaves_by_it() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob, carol) = relay.trio();
    let mut namesake = relay.device("@carol:a.org", "PHONE");
    let event = relay.add(&mut alice, &mut namesake);
    hear(&mut bob, &event);
    let room_id = relay.room_id.clone();
    let devices = vec![carol.me().clone(), namesake.me().clone()];
    let first = sent(&alice.remove(&room_id, devices, kick(&[&carol, &namesake])).unwrap());
    assert_eq!(leaving_by(&first), ["@carol:a.org", "@carol:b.org"]);
    // Bob removed Carol meanwhile.
    let actions = bob.remove(&room_id, vec![carol.me().clone()], kick(&[&carol])).unwrap();
    let event = relay.order(&mut bob, &actions);
    assert_eq!(leaving_by(&made_again(&relay, &mut alice, &first, &event)), ["@carol:a.org"]);
}

#[test]
fn a_user_with_another_device_meanwhile_does_not_leave_by_a_removal() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob, carol) = relay.trio();
    let room_id = relay.room_id.clone();
    let first = sent(&alice.remove(&room_id, vec![carol.me().clone()], kick(&[&carol])).unwrap());
    assert_eq!(leaving_by(&first), ["@carol:b.org"]);
    let mut phone = relay.device("@carol:b.org", "PHONE");
    let event = relay.add(&mut bob, &mut phone);
    assert_eq!(leaving_by(&made_again(&relay, &mut alice, &first, &event)), [""; 0]);
}

#[test]
fn who_goes_by_the_services_removal_does_not_leave_by_a_members() {
    let mut relay = Relay::new(1);
    let (mut alice, _, carol) = relay.trio();
    let room_id = relay.room_id.clone();
    let first = sent(&alice.remove(&room_id, vec![carol.me().clone()], kick(&[&carol])).unwrap());
    let missing = json!({"proposals": [encode(&relay.remove(2, 2))]});
    let refusal = relay.reject(&first, "M_MLS_MISSING_PROPOSALS", missing);
    let again = sent(&alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap());
    assert_eq!(leaving_by(&again), [""; 0]);
}
