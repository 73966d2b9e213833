use super::*;

/// Carol asks for the epoch that Alice is in.
fn asking(relay: &mut Relay) -> (Device, Device, Outgoing) {
    let alice = relay.founder("@alice:a.org", "PHONE");
    let mut carol = relay.device("@carol:b.org", "TABLET");
    let asked = sent(&carol.join(&relay.room_id).unwrap());
    (alice, carol, asked)
}

#[test]
fn who_is_inside_or_on_the_way_does_not_join_again() {
    let mut relay = Relay::new(1);
    let (mut alice, mut carol, asked) = asking(&mut relay);
    let room_id = relay.room_id.clone();
    assert_eq!(alice.join(&room_id).unwrap_err(), DeviceError::Inside(room_id.clone()));
    assert_eq!(carol.join(&room_id).unwrap_err(), DeviceError::Busy(room_id.clone()));
    let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    carol.receive(SERVICE, "m.mls.response", &current).unwrap();
    assert_eq!(carol.join(&room_id).unwrap_err(), DeviceError::Inside(room_id));
    let nowhere = RoomId::parse("!nowhere:a.org").unwrap();
    assert_eq!(carol.join(&nowhere).unwrap_err(), DeviceError::NoService(nowhere));
}

#[test]
fn an_epoch_that_nobody_vouches_for_is_not_joined() {
    let mut relay = Relay::new(1);
    let (mut alice, mut carol, asked) = asking(&mut relay);
    let old = relay.current(&alice);
    let actions = alice.update(&relay.room_id).unwrap();
    relay.order(&mut alice, &actions);
    let good = relay.current(&alice);
    let mut said = RoomReceipt::read(&good.receipt).unwrap().receipt().clone();
    said.external_pub = vec![9; 32];
    let false_key = relay.signed(&RoomReceipt::new(relay.room_id.clone(), said).unwrap());
    let wrong = [
        CurrentEpoch { receipt: old.receipt.clone(), ..good.clone() },
        CurrentEpoch { receipt: json!({}), ..good.clone() },
        CurrentEpoch { receipt: false_key, ..good.clone() },
        CurrentEpoch { group_info: Bytes::Inline(vec![1]), ..good.clone() },
        CurrentEpoch { group_info: old.group_info.clone(), ..good.clone() },
        CurrentEpoch { ratchet_tree: Bytes::Inline(vec![1]), ..good.clone() },
        CurrentEpoch { ratchet_tree: old.ratchet_tree.clone(), ..good.clone() },
        CurrentEpoch { epoch: old.epoch, ..good.clone() },
        CurrentEpoch { group_id: GroupId::parse("!other:a.org").unwrap(), ..good.clone() },
    ];
    let written = state::write(&carol.state, mls::to_entries(&carol.provider)).unwrap();
    for current in wrong {
        let mut carol = Device::restore(&written).unwrap();
        let content = answer(&asked, Answer::GroupInfo(current));
        let actions = carol.receive(SERVICE, "m.mls.response", &content).unwrap();
        assert!(sends_nothing(&actions));
        assert!(matches!(&told(&actions)[..], [Event::Report { lost: false, .. }]), "{actions:?}");
        assert!(mls::to_entries(&carol.provider).is_empty(), "nothing is left behind");
        assert_eq!(carol.standing(&relay.room_id), Standing::Outside);
    }
    let content = answer(&asked, Answer::GroupInfo(good));
    let out = sent(&carol.receive(SERVICE, "m.mls.response", &content).unwrap());
    assert!(out.content["commit_info"].get("welcome").is_none());
}

#[test]
fn until_the_commit_is_accepted_nothing_is_sent_and_nothing_read() {
    for suite in [1, 2] {
        let mut relay = Relay::new(suite);
        let (mut alice, mut carol, asked) = asking(&mut relay);
        let room_id = relay.room_id.clone();
        let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
        let actions = carol.receive(SERVICE, "m.mls.response", &current).unwrap();
        let out = sent(&actions);
        let own = relay.accept(&carol, &out);
        hear(&mut alice, &for_others(&own));
        assert_eq!(carol.say(&room_id, b"early").unwrap_err(), DeviceError::NotAccepted(room_id.clone()));
        assert_eq!(carol.update(&room_id).unwrap_err(), DeviceError::NotAccepted(room_id.clone()));
        assert_eq!(carol.epoch(&room_id), None);
        let Some(Action::SendEvent(text)) = alice.say(&room_id, b"hello").unwrap().pop() else { panic!() };
        let kept = carol.read(&room_id, "$1", "@alice:a.org", &text.content).unwrap();
        assert!(told(&kept).is_empty());
        // The next commit may come before the own one is heard.
        let actions = alice.update(&room_id).unwrap();
        let next = relay.order(&mut alice, &actions);
        assert!(told(&hear(&mut carol, &next)).is_empty());
        let told = told(&hear(&mut carol, &own));
        assert!(
            matches!(&told[..], [Event::Joined { .. }, Event::Advanced(_), Event::Text { .. }]),
            "{told:?}"
        );
        assert_eq!(carol.epoch_authenticator(&room_id), alice.epoch_authenticator(&room_id));
        carol.say(&room_id, b"here").unwrap();
    }
}

#[test]
fn another_commit_for_the_same_epoch_is_not_the_own_one() {
    let mut relay = Relay::new(1);
    let (alice, mut carol, asked) = asking(&mut relay);
    let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    let actions = carol.receive(SERVICE, "m.mls.response", &current).unwrap();
    let own = relay.accept(&carol, &sent(&actions));
    let Bytes::Inline(mut other) = own.message.clone() else { panic!() };
    other.push(0);
    for event in [for_others(&own), CommitEvent { message: Bytes::Inline(other), ..own.clone() }] {
        assert!(is_ignored(&hear(&mut carol, &event)));
        assert_eq!(carol.standing(&relay.room_id), Standing::Joining);
    }
    // Its own name and bytes, and a receipt that is another's.
    let lie = CommitEvent { receipt: relay.receipts[0].clone(), ..own };
    assert!(matches!(&told(&hear(&mut carol, &lie))[..], [Event::Report { lost: true, .. }]));
}

#[test]
fn a_refused_joining_is_forgotten_and_a_late_one_made_again() {
    let mut relay = Relay::new(1);
    let (mut alice, mut carol, asked) = asking(&mut relay);
    let room_id = relay.room_id.clone();
    let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    let actions = carol.receive(SERVICE, "m.mls.response", &current).unwrap();
    let out = sent(&actions);
    let mut other = after_crash(&actions);
    let refusal = relay.reject(&out, "M_MLS_NOT_JOINED", json!({}));
    let refused = told(&other.receive(SERVICE, "m.mls.rejected", &refusal).unwrap());
    assert!(matches!(&refused[..], [Event::Refused { wish: None, .. }]), "{refused:?}");
    assert_eq!(other.standing(&room_id), Standing::Outside);
    assert!(other.groups.is_empty());
    // Somebody else was first.
    let actions = alice.update(&room_id).unwrap();
    relay.order(&mut alice, &actions);
    let refusal = relay.reject(&out, "M_MLS_STALE_EPOCH", json!({}));
    let asked = sent(&carol.receive(SERVICE, "m.mls.rejected", &refusal).unwrap());
    assert_eq!(asked.content["want"], "group_info");
    let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    let out = sent(&carol.receive(SERVICE, "m.mls.response", &current).unwrap());
    let own = relay.accept(&carol, &out);
    assert!(matches!(&told(&hear(&mut carol, &own))[..], [Event::Joined { .. }]));
    hear(&mut alice, &for_others(&own));
    assert_eq!(carol.epoch_authenticator(&room_id), alice.epoch_authenticator(&room_id));
}

#[test]
fn a_welcome_that_comes_while_joining_waits_for_the_answer() {
    let mut relay = Relay::new(1);
    let (mut alice, mut carol, asked) = asking(&mut relay);
    let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    let out = sent(&carol.receive(SERVICE, "m.mls.response", &current).unwrap());
    let actions = alice.add(&relay.room_id, vec![key_package(&mut carol)], Citing::default()).unwrap();
    relay.order(&mut alice, &actions);
    let welcome = relay.welcome(&alice, &sent(&actions));
    let actions = carol.receive(SERVICE, "m.mls.welcome", &welcome.content()).unwrap();
    assert!(told(&actions).is_empty());
    assert_eq!(carol.standing(&relay.room_id), Standing::Joining);
    let refusal = relay.reject(&out, "M_MLS_STALE_EPOCH", json!({}));
    let actions = carol.receive(SERVICE, "m.mls.rejected", &refusal).unwrap();
    assert!(matches!(&told(&actions)[..], [Event::Joined { .. }]) && sends_nothing(&actions));
    assert_eq!(carol.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
}

#[test]
fn a_device_that_lost_the_group_comes_back_to_its_own_place() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let actions = alice.update(&relay.room_id).unwrap();
    let mut event = relay.order(&mut alice, &actions);
    event.receipt = relay.receipts[0].clone();
    hear(&mut bob, &event);
    assert_eq!(bob.standing(&relay.room_id), Standing::Lost);
    let asked = sent(&bob.join(&relay.room_id).unwrap());
    let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    let out = sent(&bob.receive(SERVICE, "m.mls.response", &current).unwrap());
    let own = relay.accept(&bob, &out);
    assert!(matches!(&told(&hear(&mut bob, &own))[..], [Event::Joined { .. }]));
    let told = told(&hear(&mut alice, &for_others(&own)));
    let [Event::Advanced(advance)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&advance.by, &advance.removed[..]), (bob.me(), &[bob.me().clone()][..]));
    assert_eq!(alice.members(&relay.room_id).len(), 2);
    assert_eq!(bob.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
}
