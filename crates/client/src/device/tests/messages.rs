use super::*;

fn say(device: &mut Device, room_id: &RoomId, text: &[u8]) -> Value {
    let actions = device.say(room_id, text).unwrap();
    checked(&actions);
    let Some(Action::SendEvent(message)) = actions.last() else { panic!("{actions:?}") };
    message.content.clone()
}

fn read(device: &mut Device, room_id: &RoomId, sender: &str, content: &Value) -> Vec<Event> {
    told(&device.read(room_id, "$event", sender, content).unwrap())
}

fn is_unreadable(told: &[Event]) -> bool {
    matches!(told, [Event::Unreadable { event_id, .. }] if event_id == "$event")
}

#[test]
fn what_is_no_text_of_the_group_is_not_read() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    let good = say(&mut alice, &room_id, b"hello");
    let other = read(&mut bob, &room_id, "@alice:a.org", &json!({"algorithm": "m.megolm.v1.aes-sha2"}));
    assert_eq!(other, [], "not this device's business");
    let commit = decode(sent(&alice.update(&room_id).unwrap()).content["message"].as_str().unwrap()).unwrap();
    let changes = [
        ("group_id", json!(encode(b"!other:a.org"))),
        ("group_id", json!(null)),
        ("ciphertext", json!("AAAA")),
        ("ciphertext", json!({"mxc": "mxc://a.org/x"})),
        ("ciphertext", json!(encode(&commit))),
    ];
    for (field, value) in changes {
        let mut wrong = good.clone();
        wrong[field] = value;
        assert!(is_unreadable(&read(&mut bob, &room_id, "@alice:a.org", &wrong)), "{wrong}");
    }
    let mut ciphertext = decode(good["ciphertext"].as_str().unwrap()).unwrap();
    *ciphertext.last_mut().unwrap() ^= 1;
    let mut spoilt = good.clone();
    spoilt["ciphertext"] = encode(&ciphertext).into();
    assert!(is_unreadable(&read(&mut bob, &room_id, "@alice:a.org", &spoilt)));
    let mut outsider = relay.device("@carol:b.org", "TABLET");
    assert!(is_unreadable(&read(&mut outsider, &room_id, "@alice:a.org", &good)));
    let heard = read(&mut bob, &room_id, "@alice:a.org", &good);
    assert!(matches!(&heard[..], [Event::Text { text, .. }] if text == b"hello"), "{heard:?}");
    assert!(is_unreadable(&read(&mut bob, &room_id, "@alice:a.org", &good)), "its key is gone");
}

#[test]
fn a_text_counts_only_from_the_user_of_its_leaf() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let content = say(&mut alice, &relay.room_id, b"give bob the money");
    let told = read(&mut bob, &relay.room_id, "@bob:b.org", &content);
    assert!(is_unreadable(&told), "{told:?}");
}

#[test]
fn too_much_is_not_said() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    let too_much = vec![b'x'; limits::CLIENT_TEXT_BYTES + 1];
    assert!(matches!(alice.say(&room_id, &too_much).unwrap_err(), DeviceError::TooLarge { .. }));
    let most = say(&mut alice, &room_id, &too_much[1..]);
    assert!(most.to_string().len() < limits::OUTGOING_CONTENT_BYTES);
    assert!(matches!(&read(&mut bob, &room_id, "@alice:a.org", &most)[..], [Event::Text { .. }]));
}

#[test]
fn texts_of_earlier_and_later_epochs_are_read() {
    for suite in [1, 2] {
        let mut relay = Relay::new(suite);
        let (mut alice, mut bob) = relay.pair();
        let room_id = relay.room_id.clone();
        let early = say(&mut alice, &room_id, b"early");
        let actions = alice.update(&room_id).unwrap();
        let event = relay.order(&mut alice, &actions);
        let later = say(&mut alice, &room_id, b"later");
        assert_eq!(read(&mut bob, &room_id, "@alice:a.org", &later), [], "it waits for its epoch");
        let told = told(&hear(&mut bob, &event));
        let [Event::Advanced(_), Event::Text { text, epoch, sender, .. }] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((&text[..], epoch.get(), sender), (&b"later"[..], 2, alice.me()));
        let heard = read(&mut bob, &room_id, "@alice:a.org", &early);
        assert!(
            matches!(&heard[..], [Event::Text { text, epoch, .. }] if text == b"early" && epoch.get() == 1)
        );
    }
}

#[test]
fn secrets_of_past_epochs_are_kept_only_for_a_while() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    let old = say(&mut alice, &room_id, b"old");
    for _ in 0..=limits::CLIENT_PAST_EPOCHS {
        let actions = alice.update(&room_id).unwrap();
        let event = relay.order(&mut alice, &actions);
        hear(&mut bob, &event);
    }
    assert!(is_unreadable(&read(&mut bob, &room_id, "@alice:a.org", &old)));
}

#[test]
fn events_that_wait_are_bounded() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    let actions = alice.update(&room_id).unwrap();
    relay.order(&mut alice, &actions);
    let content = say(&mut alice, &room_id, b"later");
    let room = bob.state.rooms.get_mut(&room_id).unwrap();
    for number in 0..limits::CLIENT_EVENTS_AHEAD {
        let (event_id, sender) = (number.to_string(), UserId::parse("@alice:a.org").unwrap());
        room.unread.push_back(state::Unread { event_id, sender, message: Vec::new(), epoch: 9 });
    }
    let told = read(&mut bob, &room_id, "@alice:a.org", &content);
    assert!(matches!(&told[..], [Event::Unreadable { event_id, .. }] if event_id == "0"), "{told:?}");
    assert_eq!(bob.state.rooms[&room_id].unread.len(), limits::CLIENT_EVENTS_AHEAD);
}

#[test]
fn an_own_text_comes_back_silently_and_an_unsent_one_is_sent_again() {
    let mut relay = Relay::new(1);
    let (mut alice, _) = relay.pair();
    let room_id = relay.room_id.clone();
    let actions = alice.say(&room_id, b"hello").unwrap();
    let Some(Action::SendEvent(message)) = actions.last() else { panic!() };
    let mut alice = after_crash(&actions);
    let again = alice.resume().unwrap();
    assert_eq!(again.last(), Some(&Action::SendEvent(message.clone())));
    assert_eq!(read(&mut alice, &room_id, "@alice:a.org", &message.content), []);
    alice.sent(&room_id, &message.txn_id).unwrap();
    assert_eq!(alice.sent(&room_id, &message.txn_id).unwrap(), [], "once");
    assert!(!alice.resume().unwrap().iter().any(|action| matches!(action, Action::SendEvent(_))));
}

#[test]
fn a_text_of_a_later_epoch_asks_for_the_commits_that_are_missing_once() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    for _ in 0..2 {
        let actions = alice.update(&room_id).unwrap();
        relay.order(&mut alice, &actions);
    }
    let (first, second) = (say(&mut alice, &room_id, b"first"), say(&mut alice, &room_id, b"second"));
    let actions = bob.read(&room_id, "$1", "@alice:a.org", &first).unwrap();
    let asked = sent(&actions);
    assert_eq!((&asked.content["want"], &asked.content["from_epoch"]), (&json!("commits"), &json!(1)));
    assert!(
        sends_nothing(&bob.read(&room_id, "$2", "@alice:a.org", &second).unwrap()),
        "it is asked already"
    );
    let actions = bob.receive(SERVICE, "m.mls.response", &relay.page(&asked, false)).unwrap();
    let read: Vec<_> =
        told(&actions).into_iter().filter(|event| matches!(event, Event::Text { .. })).collect();
    assert_eq!(read.len(), 2, "{actions:?}");
}

#[test]
fn a_text_of_an_epoch_that_never_began_is_asked_for_once_and_not_for_ever() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    let actions = alice.update(&room_id).unwrap();
    relay.order(&mut alice, &actions);
    let asked =
        sent(&bob.read(&room_id, "$1", "@alice:a.org", &say(&mut alice, &room_id, b"later")).unwrap());
    let mut nothing = relay.page(&asked, false);
    nothing["commits"] = json!([]);
    assert!(sends_nothing(&bob.receive(SERVICE, "m.mls.response", &nothing).unwrap()));
    let again = bob.read(&room_id, "$2", "@alice:a.org", &say(&mut alice, &room_id, b"later yet")).unwrap();
    assert_eq!(sent(&again).content["from_epoch"], 1);
}
