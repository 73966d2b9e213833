use super::*;

#[test]
fn what_is_no_state_is_refused() {
    let (_, actions) = Device::new(client("@alice:a.org", "PHONE"), 1).unwrap();
    let [Action::Persist(state)] = &actions[..] else { panic!() };
    let mut of_later = state.to_vec();
    of_later[0] += 1;
    let mut longer = state.to_vec();
    longer.push(0);
    for wrong in [&[][..], &of_later, &longer, &state[..state.len() - 1], &state[..1]] {
        assert!(matches!(Device::restore(wrong).unwrap_err(), DeviceError::State(_)));
    }
    Device::restore(state).unwrap();
}

#[test]
fn a_state_without_its_group_is_refused() {
    let mut relay = Relay::new(1);
    let alice = relay.founder("@alice:a.org", "PHONE");
    let written = state::write(&alice.state, Vec::new()).unwrap();
    assert!(matches!(Device::restore(&written).unwrap_err(), DeviceError::State(_)));
}

#[test]
fn a_crash_after_any_write_loses_nothing() {
    for suite in [1, 2] {
        let mut relay = Relay::new(suite);
        let room_id = relay.room_id.clone();
        let mut alice = relay.device("@alice:a.org", "PHONE");
        let actions = alice.register(&room_id, &relay.description()).unwrap();
        let mut alice = after_crash(&actions);
        let out = sent(&alice.resume().unwrap());
        assert_eq!(out, sent(&actions), "the same is sent again");
        let accepted = relay.accept_registration(&out);
        let mut alice = after_crash(&alice.receive(SERVICE, "m.mls.accepted", &accepted).unwrap());
        let mut bob = relay.device("@bob:b.org", "LAPTOP");
        let (mut made, actions) = bob.key_packages(1, false).unwrap();
        let mut bob = after_crash(&actions);
        let actions = alice.add(&room_id, vec![made.remove(0).bytes], Citing::default()).unwrap();
        let mut alice = after_crash(&actions);
        assert_eq!(alice.update(&room_id).unwrap_err(), DeviceError::Busy(room_id.clone()));
        let out = sent(&alice.resume().unwrap());
        assert_eq!(out, sent(&actions));
        let event = relay.accept(&alice, &out);
        let mut alice = after_crash(&hear(&mut alice, &event));
        let welcome = relay.welcome(&alice, &out);
        let mut bob = after_crash(&bob.receive(SERVICE, "m.mls.welcome", &welcome.content()).unwrap());
        assert_eq!(bob.epoch_authenticator(&room_id), alice.epoch_authenticator(&room_id));
        let actions = bob.say(&room_id, b"hello").unwrap();
        let Some(Action::SendEvent(message)) = actions.last() else { panic!() };
        let mut bob = after_crash(&actions);
        let actions = alice.read(&room_id, "$1", "@bob:b.org", &message.content).unwrap();
        assert!(matches!(&told(&actions)[..], [Event::Text { .. }]));
        let mut alice = after_crash(&actions);
        let actions = bob.update(&room_id).unwrap();
        let event = relay.order(&mut bob, &actions);
        let alice = after_crash(&hear(&mut alice, &event));
        assert_eq!(bob.epoch_authenticator(&room_id), alice.epoch_authenticator(&room_id));
    }
}

#[test]
fn a_late_commit_that_was_under_way_is_still_made_again_after_a_crash() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let out = sent(&alice.update(&relay.room_id).unwrap());
    let actions = bob.update(&relay.room_id).unwrap();
    relay.order(&mut bob, &actions);
    let refusal = relay.reject(&out, "M_MLS_STALE_EPOCH", json!({}));
    let mut alice = after_crash(&alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap());
    let asked = sent(&alice.resume().unwrap());
    let actions = alice.receive(SERVICE, "m.mls.response", &relay.page(&asked, false)).unwrap();
    assert!(matches!(told(&actions).last(), Some(Event::Retried { .. })));
}

#[test]
fn no_secret_prints() {
    let mut relay = Relay::new(1);
    let alice = relay.founder("@alice:a.org", "PHONE");
    assert_eq!(format!("{alice:?}"), r#"Device(@alice:a.org/PHONE, {RoomId("!room:a.org"): Member})"#);
}
