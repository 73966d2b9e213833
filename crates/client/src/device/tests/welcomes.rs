use super::*;
use maypole_room::proposals::Proposals;

/// Alice has added Bob, who has not heard of it.
fn invited(relay: &mut Relay) -> (Device, Device, WelcomeEvent) {
    let mut alice = relay.founder("@alice:a.org", "PHONE");
    let mut bob = relay.device("@bob:b.org", "LAPTOP");
    let actions = alice.add(&relay.room_id, vec![key_package(&mut bob)], Citing::default()).unwrap();
    relay.order(&mut alice, &actions);
    let welcome = relay.welcome(&alice, &sent(&actions));
    (alice, bob, welcome)
}

fn receive(device: &mut Device, welcome: &WelcomeEvent) -> Vec<Event> {
    told(&device.receive(SERVICE, "m.mls.welcome", &welcome.content()).unwrap())
}

#[test]
fn a_welcome_that_fails_uses_up_no_key_package() {
    for suite in [1, 2] {
        let mut relay = Relay::new(suite);
        let (alice, mut bob, welcome) = invited(&mut relay);
        let before = mls::to_entries(&bob.provider);
        let first = relay.receipts[0].clone();
        let own_tree = {
            let mut other = Relay::new(suite);
            let carol = other.founder("@carol:b.org", "TABLET");
            tree_of(&carol, &other.room_id)
        };
        let garbage = || Bytes::Inline(vec![1, 2, 3]);
        let wrong = [
            WelcomeEvent { ratchet_tree: garbage(), ..welcome.clone() },
            WelcomeEvent { ratchet_tree: Bytes::Inline(own_tree), ..welcome.clone() },
            WelcomeEvent { welcome: garbage(), ..welcome.clone() },
            WelcomeEvent { receipt: first, ..welcome.clone() },
            WelcomeEvent { receipt: json!({}), ..welcome.clone() },
            WelcomeEvent { epoch: Epoch::new(2).unwrap(), ..welcome.clone() },
            WelcomeEvent { group_id: GroupId::parse("!other:a.org").unwrap(), ..welcome.clone() },
        ];
        for wrong in wrong {
            let told = receive(&mut bob, &wrong);
            assert!(matches!(&told[..], [Event::WelcomeRefused { .. }]), "{told:?}");
            assert_eq!(mls::to_entries(&bob.provider), before);
            assert_eq!(bob.standing(&relay.room_id), Standing::Outside);
        }
        let told = receive(&mut bob, &welcome);
        let Event::Joined { members, .. } = &told[0] else { panic!("{told:?}") };
        assert_eq!(members.len(), 2);
        assert_eq!(bob.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
    }
}

#[test]
fn a_welcome_counts_only_from_the_rooms_service() {
    let mut relay = Relay::new(1);
    let (_, mut bob, welcome) = invited(&mut relay);
    assert!(is_ignored(&bob.receive("@:b.org", "m.mls.welcome", &welcome.content()).unwrap()));
    assert!(is_ignored(&bob.receive(SERVICE, "m.mls.welcome", &json!({})).unwrap()));
    // A room that names another service than the group does.
    let (mut carol, _) = Device::new(client("@carol:b.org", "TABLET"), 1).unwrap();
    let other = Service { user: UserId::parse("@:b.org").unwrap(), unstable: false };
    carol.trust(&relay.room_id, other).unwrap();
    assert!(is_ignored(&carol.receive(SERVICE, "m.mls.welcome", &welcome.content()).unwrap()));
    assert_eq!(bob.standing(&relay.room_id), Standing::Outside);
}

#[test]
fn a_welcome_replaces_no_group_in_which_the_device_has_a_leaf() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob, welcome) = invited(&mut relay);
    receive(&mut bob, &welcome);
    let actions = bob.update(&relay.room_id).unwrap();
    let event = relay.order(&mut bob, &actions);
    hear(&mut alice, &event);
    let before = bob.epoch_authenticator(&relay.room_id);
    let told = receive(&mut bob, &welcome);
    assert!(matches!(&told[..], [Event::Ignored { .. }]), "{told:?}");
    assert_eq!(bob.epoch_authenticator(&relay.room_id), before);
}

#[test]
fn a_welcome_to_an_unknown_room_waits_for_the_caller() {
    let mut relay = Relay::new(1);
    let mut alice = relay.founder("@alice:a.org", "PHONE");
    let (mut bob, _) = Device::new(client("@bob:b.org", "LAPTOP"), 1).unwrap();
    let actions = alice.add(&relay.room_id, vec![key_package(&mut bob)], Citing::default()).unwrap();
    relay.order(&mut alice, &actions);
    let welcome = relay.welcome(&alice, &sent(&actions));
    let told_first = receive(&mut bob, &welcome);
    let waits =
        Event::WelcomeWaits { room_id: relay.room_id.clone(), sender: UserId::parse(SERVICE).unwrap() };
    assert_eq!(told_first, [waits]);
    let mut fooled = after_crash(&bob.key_packages(0, false).unwrap().1);
    let other = Service { user: UserId::parse("@:b.org").unwrap(), unstable: false };
    assert!(is_ignored(&fooled.trust(&relay.room_id, other).unwrap()));
    let actions = bob.trust(&relay.room_id, relay.service()).unwrap();
    let told = told(&actions);
    assert!(matches!(&told[..], [Event::Joined { .. }]), "{told:?}");
    // Commits that came while nobody knew whose word counts were not heard.
    let asked = sent(&actions).content;
    assert_eq!((&asked["want"], &asked["from_epoch"]), (&"commits".into(), &1.into()), "{asked}");
}

/// Bob, who knows no room yet, and the Welcome that is his.
fn stranger(relay: &mut Relay) -> (Device, WelcomeEvent) {
    let mut alice = relay.founder("@alice:a.org", "PHONE");
    let (mut bob, _) = Device::new(client("@bob:b.org", "LAPTOP"), 1).unwrap();
    let actions = alice.add(&relay.room_id, vec![key_package(&mut bob)], Citing::default()).unwrap();
    relay.order(&mut alice, &actions);
    let welcome = relay.welcome(&alice, &sent(&actions));
    (bob, welcome)
}

fn receive_from(device: &mut Device, sender: &str, room: String, welcome: &WelcomeEvent) {
    let content = WelcomeEvent { room_id: RoomId::parse(room).unwrap(), ..welcome.clone() }.content();
    let told = told(&device.receive(sender, "m.mls.welcome", &content).unwrap());
    assert!(matches!(&told[..], [Event::WelcomeWaits { .. }]), "{told:?}");
}

fn joins(device: &mut Device, relay: &Relay) {
    let told = told(&device.trust(&relay.room_id, relay.service()).unwrap());
    assert!(told.iter().any(|event| matches!(event, Event::Joined { .. })), "{told:?}");
}

#[test]
fn no_sender_overwrites_or_crowds_out_the_welcome_of_another() {
    let mut relay = Relay::new(1);
    let (mut bob, welcome) = stranger(&mut relay);
    receive(&mut bob, &welcome);
    let room = relay.room_id.to_string();
    receive_from(&mut bob, "@carol:b.org", room.clone(), &welcome);
    receive_from(&mut bob, "@carol:b.org", room, &welcome);
    assert_eq!(bob.state.welcomes.len(), 2, "one of each sender");
    for number in 0..limits::CLIENT_WELCOMES_OF_SENDER {
        receive_from(&mut bob, "@carol:b.org", format!("!{number}:b.org"), &welcome);
    }
    assert_eq!(bob.state.welcomes.len(), 1 + limits::CLIENT_WELCOMES_OF_SENDER);
    for number in 0..limits::CLIENT_WELCOMES_WAITING {
        receive_from(&mut bob, &format!("@carol{number}:b.org"), "!many:b.org".to_owned(), &welcome);
    }
    assert_eq!(bob.state.welcomes.len(), limits::CLIENT_WELCOMES_WAITING);
    joins(&mut bob, &relay);
    assert_eq!(bob.state.rooms.len(), 1);
}

#[test]
fn of_one_senders_welcomes_the_oldest_makes_room() {
    let mut relay = Relay::new(1);
    let (mut bob, welcome) = stranger(&mut relay);
    for number in 0..limits::CLIENT_WELCOMES_OF_SENDER {
        receive_from(&mut bob, SERVICE, format!("!{number}:a.org"), &welcome);
    }
    receive(&mut bob, &welcome);
    assert_eq!(bob.state.welcomes.len(), limits::CLIENT_WELCOMES_OF_SENDER);
    assert_eq!(bob.state.welcomes[0].room_id.as_str(), "!1:a.org");
    joins(&mut bob, &relay);
}

#[test]
fn a_newer_welcome_of_the_same_sender_counts() {
    let mut relay = Relay::new(1);
    let (mut bob, welcome) = stranger(&mut relay);
    receive(&mut bob, &WelcomeEvent { receipt: json!({}), ..welcome.clone() });
    receive(&mut bob, &welcome);
    joins(&mut bob, &relay);
}

#[test]
fn a_removed_device_comes_back_by_a_welcome() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob, welcome) = invited(&mut relay);
    receive(&mut bob, &welcome);
    let actions = alice.remove(&relay.room_id, vec![bob.me().clone()], Citing::default()).unwrap();
    let event = relay.order(&mut alice, &actions);
    hear(&mut bob, &event);
    relay.add(&mut alice, &mut bob);
    assert_eq!(bob.standing(&relay.room_id), Standing::Member);
}

#[test]
fn a_last_resort_is_there_again() {
    let mut relay = Relay::new(1);
    let mut alice = relay.founder("@alice:a.org", "PHONE");
    let mut bob = relay.device("@bob:b.org", "LAPTOP");
    let last_resort = bob.key_packages(1, true).unwrap().0.remove(0).bytes;
    for _ in 0..2 {
        let actions = alice.add(&relay.room_id, vec![last_resort.clone()], Citing::default()).unwrap();
        relay.order(&mut alice, &actions);
        let welcome = relay.welcome(&alice, &sent(&actions));
        assert!(matches!(&receive(&mut bob, &welcome)[..], [Event::Joined { .. }]));
        let actions = alice.remove(&relay.room_id, vec![bob.me().clone()], Citing::default()).unwrap();
        let event = relay.order(&mut alice, &actions);
        hear(&mut bob, &event);
    }
}

#[test]
fn a_device_that_lost_a_group_is_not_brought_into_another_in_its_place() {
    let mut relay = Relay::new(1);
    let (_, mut bob, welcome) = invited(&mut relay);
    receive(&mut bob, &welcome);
    let lie = CommitEvent {
        room_id: relay.room_id.clone(),
        group_id: welcome.group_id.clone(),
        epoch: Epoch::new(2).unwrap(),
        message: Bytes::Inline(vec![1]),
        sender: UserId::parse("@alice:a.org").unwrap(),
        txn_id: None,
        auth_events: AuthEvents::Inline(Vec::new()),
        proposals: Proposals::default(),
        receipt: welcome.receipt.clone(),
    };
    hear(&mut bob, &lie);
    assert_eq!(bob.standing(&relay.room_id), Standing::Lost);
    let mut other = Relay::new(1);
    let mut carol = other.founder("@carol:b.org", "PHONE");
    let actions = carol.add(&other.room_id, vec![key_package(&mut bob)], Citing::default()).unwrap();
    other.order(&mut carol, &actions);
    let fork = other.welcome(&carol, &sent(&actions));
    assert!(matches!(&receive(&mut bob, &fork)[..], [Event::Ignored { .. }]));
    assert_eq!(bob.standing(&relay.room_id), Standing::Lost);
}
