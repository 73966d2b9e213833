use super::*;
use maypole_room::proposals::Proposals;

/// A commit of Alice's that Bob's made too late.
fn late(relay: &mut Relay) -> (Device, Device, Outgoing, CommitEvent) {
    let (mut alice, mut bob) = relay.pair();
    let out = sent(&alice.update(&relay.room_id).unwrap());
    let actions = bob.update(&relay.room_id).unwrap();
    let won = relay.order(&mut bob, &actions);
    (alice, bob, out, won)
}

#[test]
fn a_refusal_of_nothing_that_is_out_changes_nothing() {
    let mut relay = Relay::new(1);
    let (mut alice, _) = relay.pair();
    let out = sent(&alice.update(&relay.room_id).unwrap());
    let refusal = relay.reject(&out, "M_FORBIDDEN", json!({}));
    let mut nameless = refusal.clone();
    nameless["txn_id"] = json!(null);
    let mut of_another = refusal.clone();
    of_another["txn_id"] = "another".into();
    let mut codeless = refusal.clone();
    codeless.as_object_mut().unwrap().remove("errcode");
    for content in [nameless, of_another, codeless] {
        assert!(is_ignored(&alice.receive(SERVICE, "m.mls.rejected", &content).unwrap()));
    }
    assert!(is_ignored(&alice.receive("@:b.org", "m.mls.rejected", &refusal).unwrap()));
    assert!(alice.is_waiting(&relay.room_id));
}

#[test]
fn a_refused_commit_is_dropped() {
    let mut relay = Relay::new(1);
    let (mut alice, _) = relay.pair();
    let before = alice.epoch_authenticator(&relay.room_id);
    let out = sent(&alice.update(&relay.room_id).unwrap());
    let refusal = relay.reject(&out, "M_FORBIDDEN", json!({"users": ["@x:a.org"]}));
    let refused = told(&alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap());
    let expected = Event::Refused {
        room_id: relay.room_id.clone(),
        wish: Some(Wish::Update),
        errcode: "M_FORBIDDEN".into(),
        content: refusal.clone(),
    };
    assert_eq!(refused, [expected]);
    assert!(is_ignored(&alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap()), "once");
    assert_eq!(alice.epoch_authenticator(&relay.room_id), before);
    assert!(alice.groups[&relay.room_id].pending_commit().is_none());
    let actions = alice.update(&relay.room_id).unwrap();
    relay.order(&mut alice, &actions);
}

#[test]
fn what_is_refused_for_now_is_sent_again_as_it_was() {
    let mut relay = Relay::new(1);
    let (mut alice, _) = relay.pair();
    let room_id = relay.room_id.clone();
    let out = sent(&alice.update(&room_id).unwrap());
    for errcode in ["M_LIMIT_EXCEEDED", "M_MLS_BLOB", "M_MLS_UNAVAILABLE"] {
        let refusal = relay.reject(&out, errcode, json!({"retry_after_ms": 70}));
        let told = told(&alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap());
        let delayed =
            Event::Delayed { room_id: room_id.clone(), errcode: errcode.into(), retry_after_ms: Some(70) };
        assert_eq!(told, [delayed]);
        assert_eq!(alice.update(&room_id).unwrap_err(), DeviceError::Busy(room_id.clone()));
        assert_eq!(sent(&alice.resend(&room_id).unwrap()), out);
    }
    let event = relay.accept(&alice, &out);
    assert!(matches!(&told(&hear(&mut alice, &event))[..], [Event::Advanced(_)]));
}

#[test]
fn a_commit_that_came_too_late_is_made_again_in_the_new_epoch() {
    for (suite, told_before) in [(1, false), (1, true), (2, false)] {
        let mut relay = Relay::new(suite);
        let (mut alice, mut bob, out, won) = late(&mut relay);
        if told_before {
            let told = told(&hear(&mut alice, &won));
            assert!(matches!(&told[..], [Event::Advanced(advance)] if !advance.own), "{told:?}");
            assert!(alice.is_waiting(&relay.room_id), "the answer is still to come");
        }
        let refusal = relay.reject(&out, "M_MLS_STALE_EPOCH", json!({"commits": [won.content()]}));
        let actions = alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap();
        let told = told(&actions);
        let retried = Event::Retried { room_id: relay.room_id.clone(), epoch: Epoch::new(2).unwrap() };
        assert_eq!(told.last(), Some(&retried), "{told:?}");
        assert_ne!(sent(&actions).content["txn_id"], out.content["txn_id"]);
        let event = relay.order(&mut alice, &actions);
        assert!(matches!(&super::told(&hear(&mut bob, &event))[..], [Event::Advanced(_)]));
        assert_eq!(bob.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
    }
}

#[test]
fn commits_that_do_not_fit_into_a_refusal_are_asked_for() {
    let mut relay = Relay::new(1);
    let (mut alice, _bob, out, _) = late(&mut relay);
    let refusal = relay.reject(&out, "M_MLS_STALE_EPOCH", json!({}));
    let actions = alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap();
    let asked = sent(&actions);
    assert_eq!((&asked.content["want"], &asked.content["from_epoch"]), (&json!("commits"), &json!(1)));
    let room_id = relay.room_id.clone();
    assert_eq!(alice.update(&room_id).unwrap_err(), DeviceError::Busy(room_id), "the wish is kept");
    let page = relay.page(&asked, false);
    let actions = alice.receive(SERVICE, "m.mls.response", &page).unwrap();
    assert!(matches!(&told(&actions)[..], [Event::Advanced(_), Event::Retried { .. }]));
    relay.order(&mut alice, &actions);
}

#[test]
fn somebody_who_is_always_too_late_gives_up_in_the_end() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let mut out = sent(&alice.update(&relay.room_id).unwrap());
    for tries in 1.. {
        let actions = bob.update(&relay.room_id).unwrap();
        let won = relay.order(&mut bob, &actions);
        let refusal = relay.reject(&out, "M_MLS_STALE_EPOCH", json!({"commits": [won.content()]}));
        let actions = alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap();
        if tries < limits::CLIENT_TRIES {
            out = sent(&actions);
            continue;
        }
        assert!(sends_nothing(&actions));
        assert!(matches!(told(&actions).last(), Some(Event::Refused { wish: Some(Wish::Update), .. })));
        break;
    }
    assert!(!alice.is_waiting(&relay.room_id));
}

#[test]
fn what_others_did_meanwhile_is_not_done_again() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let mut carol = relay.device("@carol:b.org", "TABLET");
    let mut desk = relay.device("@carol:b.org", "DESK");
    let room_id = relay.room_id.clone();
    let both = vec![key_package(&mut carol), key_package(&mut desk)];
    let out = sent(&alice.add(&room_id, both, Citing::default()).unwrap());
    let won = relay.add(&mut bob, &mut carol);
    let refusal = relay.reject(&out, "M_MLS_STALE_EPOCH", json!({"commits": [won.content()]}));
    let actions = alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap();
    let event = relay.order(&mut alice, &actions);
    hear(&mut bob, &event);
    assert_eq!(bob.members(&room_id).len(), 4, "the other one is added");
    // And where nothing is left, nothing is sent.
    let carol_goes = vec![carol.me().clone()];
    let out = sent(&alice.remove(&room_id, carol_goes.clone(), Citing::default()).unwrap());
    let actions = bob.remove(&room_id, carol_goes.clone(), Citing::default()).unwrap();
    let won = relay.order(&mut bob, &actions);
    let refusal = relay.reject(&out, "M_MLS_STALE_EPOCH", json!({"commits": [won.content()]}));
    let actions = alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap();
    assert!(sends_nothing(&actions));
    let wish = Wish::Remove { devices: carol_goes, citing: Citing::default() };
    assert_eq!(told(&actions).last(), Some(&Event::Unneeded { room_id, wish }));
}

#[test]
fn what_a_commit_must_remove_it_removes_at_the_second_try() {
    let mut relay = Relay::new(1);
    let (mut alice, _, _) = relay.trio();
    let out = sent(&alice.update(&relay.room_id).unwrap());
    let nothing = relay.reject(&out, "M_MLS_MISSING_PROPOSALS", json!({"proposals": ["AAAA", 7]}));
    let mut crashed = after_crash(&alice.resend(&relay.room_id).unwrap());
    let told = told(&crashed.receive(SERVICE, "m.mls.rejected", &nothing).unwrap());
    assert!(matches!(&told[..], [Event::Refused { .. }]), "nothing to do better: {told:?}");
    let removes = json!({"proposals": [encode(&relay.remove(2, 2))]});
    let refusal = relay.reject(&out, "M_MLS_MISSING_PROPOSALS", removes);
    let actions = alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap();
    let mut event = relay.order(&mut alice, &actions);
    event.proposals = Proposals::default();
    let room_id = relay.room_id.clone();
    assert_eq!(alice.members(&room_id).len(), 2);
}
