use super::*;
use maypole_room::proposals::Proposals;

#[test]
fn a_commit_counts_only_from_the_rooms_service() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let event = {
        let actions = alice.update(&relay.room_id).unwrap();
        relay.order(&mut alice, &actions)
    };
    let before = bob.epoch(&relay.room_id);
    let content = event.content();
    assert!(is_ignored(&bob.receive("@:b.org", "m.mls.commit", &content).unwrap()));
    assert!(is_ignored(&bob.receive("@alice:a.org", "m.mls.commit", &content).unwrap()));
    assert!(is_ignored(&bob.receive(SERVICE, "m.mls.commit", &json!({"room_id": "!room:a.org"})).unwrap()));
    assert!(is_ignored(&bob.receive(SERVICE, "m.mls.message", &content).unwrap()));
    assert_eq!(bob.receive(SERVICE, "m.room_key", &content).unwrap(), []);
    assert_eq!(bob.epoch(&relay.room_id), before);
    let told = told(&bob.receive(SERVICE, "org.matrix.msc4244.mls.commit", &content).unwrap());
    assert!(matches!(&told[..], [Event::Advanced(_)]), "both spellings are understood: {told:?}");
}

/// What a lying service may change in a commit's event; each must be seen.
fn lies(relay: &Relay, event: &CommitEvent, before: &Value) -> Vec<(&'static str, CommitEvent)> {
    let receipt = RoomReceipt::read(&event.receipt).unwrap();
    let say = |change: &dyn Fn(&mut Receipt)| {
        let mut said = receipt.receipt().clone();
        change(&mut said);
        let signed = relay.signed(&RoomReceipt::new(event.room_id.clone(), said).unwrap());
        CommitEvent { receipt: signed, ..event.clone() }
    };
    let mut unsigned = event.clone();
    unsigned.receipt["signatures"] = json!({});
    let mut forged = event.clone();
    forged.receipt["origin_server_ts"] = 99.into();
    vec![
        ("unsigned", unsigned),
        ("forged", forged),
        ("an older receipt", CommitEvent { receipt: before.clone(), ..event.clone() }),
        ("another commit", say(&|said| said.commit = Sha256::of(b"another"))),
        ("another chain", say(&|said| said.prev = Some(Sha256::of(b"another")))),
        ("no chain", say(&|said| said.prev = None)),
        ("another term", say(&|said| said.term = 2)),
        ("another tree", say(&|said| said.tree_hash = vec![0; 32])),
        ("another transcript", say(&|said| said.confirmed_transcript_hash = vec![0; 32])),
    ]
}

#[test]
fn a_commit_without_its_receipt_is_not_applied() {
    let mut relay = Relay::new(1);
    let (mut alice, bob) = relay.pair();
    let before = relay.receipts.last().unwrap().clone();
    let written = state::write(&bob.state, mls::to_entries(&bob.provider)).unwrap();
    let actions = alice.update(&relay.room_id).unwrap();
    let own = relay.accept(&alice, &sent(&actions));
    let alice_written = state::write(&alice.state, mls::to_entries(&alice.provider)).unwrap();
    for (device, event) in [(&written, for_others(&own)), (&alice_written, own)] {
        for (lie, event) in lies(&relay, &event, &before) {
            let mut device = Device::restore(device).unwrap();
            let authenticator = device.epoch_authenticator(&relay.room_id);
            let told = told(&hear(&mut device, &event));
            assert!(matches!(&told[..], [Event::Report { lost: true, .. }]), "{lie}: {told:?}");
            assert_eq!(device.epoch_authenticator(&relay.room_id), authenticator, "{lie}");
            assert_eq!(device.standing(&relay.room_id), Standing::Lost, "{lie}");
        }
        let mut device = Device::restore(device).unwrap();
        let told = told(&hear(&mut device, &event));
        assert!(matches!(&told[..], [Event::Advanced(_)]), "the truth: {told:?}");
    }
}

#[test]
fn a_false_external_pub_is_reported_and_the_group_goes_on() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let actions = alice.update(&relay.room_id).unwrap();
    let mut event = relay.order(&mut alice, &actions);
    let mut said = RoomReceipt::read(&event.receipt).unwrap().receipt().clone();
    said.external_pub = vec![1; 32];
    event.receipt = relay.signed(&RoomReceipt::new(event.room_id.clone(), said).unwrap());
    let told = told(&hear(&mut bob, &event));
    assert!(matches!(&told[..], [Event::Advanced(_), Event::Report { lost: false, .. }]), "{told:?}");
    assert_eq!(bob.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
}

#[test]
fn a_commit_that_cannot_be_processed_is_reported() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let actions = alice.update(&relay.room_id).unwrap();
    let mut spoilt = sent(&actions);
    let mut message = decode(spoilt.content["message"].as_str().unwrap()).unwrap();
    let last = message.len() - 1;
    message[last] ^= 1;
    spoilt.content["message"] = encode(&message).into();
    let event = relay.accept(&alice, &spoilt);
    let told = told(&hear(&mut bob, &for_others(&event)));
    assert!(matches!(&told[..], [Event::Report { lost: true, .. }]), "{told:?}");
    let room_id = &relay.room_id;
    assert_eq!(bob.update(room_id).unwrap_err(), DeviceError::Lost(room_id.clone()));
    assert!(is_ignored(&hear(&mut bob, &for_others(&event))), "nothing more is applied");
}

#[test]
fn an_own_commit_is_merged_only_on_its_own_event() {
    let mut relay = Relay::new(1);
    let (mut alice, _bob) = relay.pair();
    let actions = alice.update(&relay.room_id).unwrap();
    let before = after_crash(&actions).epoch_authenticator(&relay.room_id);
    let own = relay.accept(&alice, &sent(&actions));
    let nameless = for_others(&own);
    let misnamed = CommitEvent { txn_id: TxnId::parse("another"), ..own.clone() };
    let of_bob = CommitEvent { sender: UserId::parse("@bob:b.org").unwrap(), ..own.clone() };
    for event in [nameless, misnamed, of_bob] {
        let mut alice = after_crash(&actions);
        let told = told(&hear(&mut alice, &event));
        assert!(matches!(&told[..], [Event::Report { lost: true, .. }]), "{told:?}");
        assert_eq!(alice.epoch_authenticator(&relay.room_id), before);
    }
    // Its name on other bytes.
    let Bytes::Inline(mut other) = own.message.clone() else { panic!() };
    other.push(0);
    relay.receipts.pop();
    let changed =
        CommitEvent { receipt: relay.sign(2, &other), message: Bytes::Inline(other), ..own.clone() };
    let mut crashed = after_crash(&actions);
    let reported = told(&hear(&mut crashed, &changed));
    assert!(matches!(&reported[..], [Event::Report { lost: true, .. }]), "{reported:?}");
    assert_eq!(crashed.epoch_authenticator(&relay.room_id), before);
    let merged = told(&hear(&mut alice, &own));
    assert!(matches!(&merged[..], [Event::Advanced(advance)] if advance.own), "{merged:?}");
    assert!(is_ignored(&hear(&mut alice, &own)), "a repeat");
    assert!(!alice.is_waiting(&relay.room_id));
}

#[test]
fn commits_are_applied_by_epoch_and_repeats_are_dropped() {
    for suite in [1, 2] {
        let mut relay = Relay::new(suite);
        let (mut alice, mut bob) = relay.pair();
        let mut events = Vec::new();
        for _ in 0..4 {
            let actions = alice.update(&relay.room_id).unwrap();
            events.push(relay.order(&mut alice, &actions));
        }
        let first = hear(&mut bob, &events[2]);
        assert_eq!(sent(&first).content["want"], "commits", "what is missing is asked for");
        assert!(told(&hear(&mut bob, &events[3])).is_empty());
        assert!(told(&hear(&mut bob, &events[2])).is_empty());
        assert!(told(&hear(&mut bob, &events[1])).is_empty());
        let all = told(&hear(&mut bob, &events[0]));
        let epochs: Vec<u64> = all
            .iter()
            .map(|event| if let Event::Advanced(advance) = event { advance.epoch.get() } else { 0 })
            .collect();
        assert_eq!(epochs, [2, 3, 4, 5]);
        assert_eq!(bob.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
        for event in &events {
            assert!(is_ignored(&hear(&mut bob, event)));
        }
    }
}

#[test]
fn what_is_far_ahead_is_not_kept() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let actions = alice.update(&relay.room_id).unwrap();
    let event = relay.order(&mut alice, &actions);
    for epoch in 3..200 {
        let ahead = CommitEvent { epoch: Epoch::new(epoch).unwrap(), ..event.clone() };
        hear(&mut bob, &ahead);
    }
    let kept = &bob.state.rooms[&relay.room_id].ahead;
    assert_eq!(kept.len(), limits::CLIENT_COMMITS_AHEAD);
    assert_eq!(kept.keys().next(), Some(&3), "those whose turn comes first are kept");
}

#[test]
fn two_commits_for_one_epoch_are_reported() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let mut other = after_crash(&alice.catch_up(&relay.room_id).unwrap());
    let one = {
        let actions = alice.update(&relay.room_id).unwrap();
        relay.order(&mut alice, &actions)
    };
    relay.receipts.pop();
    let two = {
        let actions = other.update(&relay.room_id).unwrap();
        relay.order(&mut other, &actions)
    };
    let mut early = after_crash(&bob.catch_up(&relay.room_id).unwrap());
    assert!(matches!(&told(&hear(&mut bob, &one))[..], [Event::Advanced(_)]));
    assert!(matches!(&told(&hear(&mut bob, &two))[..], [Event::Report { lost: false, .. }]));
    // The same while both wait for their turn.
    let later = |event: &CommitEvent| CommitEvent { epoch: Epoch::new(5).unwrap(), ..event.clone() };
    hear(&mut early, &later(&one));
    assert!(matches!(&told(&hear(&mut early, &later(&two)))[..], [Event::Report { lost: false, .. }]));
}

#[test]
fn a_commit_says_who_came_and_who_went() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let mut carol = relay.device("@carol:b.org", "TABLET");
    let actions = alice.add(&relay.room_id, vec![key_package(&mut carol)], Citing::default()).unwrap();
    let event = relay.order(&mut alice, &actions);
    let Event::Advanced(advance) = &told(&hear(&mut bob, &event))[0] else { panic!() };
    assert_eq!((&advance.by, advance.own), (alice.me(), false));
    assert_eq!(advance.added, [Leaf { client: carol.me().clone(), signature_key: carol.signature_key() }]);
    assert!(advance.removed.is_empty() && advance.rekeyed.is_empty());
    let actions = bob.remove(&relay.room_id, vec![carol.me().clone()], Citing::default()).unwrap();
    let event = relay.order(&mut bob, &actions);
    let Event::Advanced(advance) = &told(&hear(&mut alice, &event))[0] else { panic!() };
    assert_eq!((&advance.by, &advance.removed[..]), (bob.me(), &[carol.me().clone()][..]));
}

#[test]
fn who_is_removed_is_out() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let actions = alice.remove(&relay.room_id, vec![bob.me().clone()], Citing::default()).unwrap();
    let event = relay.order(&mut alice, &actions);
    let told = told(&hear(&mut bob, &event));
    assert!(
        matches!(&told[..], [Event::Advanced(_), Event::Removed { by, .. }] if by == alice.me()),
        "{told:?}"
    );
    let room_id = &relay.room_id;
    assert_eq!(bob.say(room_id, b"still here").unwrap_err(), DeviceError::Removed(room_id.clone()));
    assert_eq!(bob.epoch(room_id), None);
}

#[test]
fn the_services_removes_are_kept_for_the_next_commit_and_nothing_else_of_it() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob, carol) = relay.trio();
    let actions = alice.update(&relay.room_id).unwrap();
    let own = relay.accept(&alice, &sent(&actions));
    let remove = Bytes::Inline(relay.remove(3, 2));
    let of_an_old_epoch = Bytes::Inline(relay.remove(2, 2));
    let not_a_proposal = own.message.clone();
    let proposals = Proposals::Inline(vec![of_an_old_epoch, not_a_proposal, remove.clone(), remove]);
    let own = CommitEvent { proposals, ..own };
    let heard = told(&hear(&mut alice, &own));
    assert!(
        matches!(&heard[..], [Event::Advanced(_), Event::Report { .. }, Event::Report { .. }]),
        "{heard:?}"
    );
    hear(&mut bob, &for_others(&own));
    let room_id = relay.room_id.clone();
    assert_eq!(alice.say(&room_id, b"hello").unwrap_err(), DeviceError::ProposalsWait(room_id.clone()));
    let actions = alice.update(&room_id).unwrap();
    let event = relay.order(&mut alice, &actions);
    let Event::Advanced(advance) = &told(&hear(&mut bob, &event))[0] else { panic!() };
    assert_eq!(advance.removed, [carol.me().clone()]);
    alice.say(&room_id, b"hello").unwrap();
}
