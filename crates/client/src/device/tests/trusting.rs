use super::*;

fn other() -> Service {
    Service { user: UserId::parse("@:b.org").unwrap(), unstable: false }
}

#[test]
fn a_group_of_another_service_than_the_room_names_is_forgotten() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    bob.say(&room_id, b"not sent yet").unwrap();
    let actions = alice.update(&room_id).unwrap();
    let event = relay.order(&mut alice, &actions);
    let actions = bob.trust(&room_id, other()).unwrap();
    assert!(sends_nothing(&actions));
    let forgotten = Event::OtherService { room_id: room_id.clone(), service: other().user };
    assert_eq!(told(&actions), [forgotten]);
    let mut bob = after_crash(&actions);
    assert_eq!((bob.standing(&room_id), bob.groups.len()), (Standing::Outside, 0));
    assert!(is_ignored(&hear(&mut bob, &event)), "the service before has nothing more to say");
    assert!(sends_nothing(&bob.resume().unwrap()));
    assert_eq!(bob.say(&room_id, b"hello").unwrap_err(), DeviceError::NoGroup(room_id));
}

#[test]
fn a_question_to_another_service_than_the_room_names_is_dropped() {
    let mut relay = Relay::new(1);
    let alice = relay.founder("@alice:a.org", "PHONE");
    let mut carol = relay.device("@carol:b.org", "TABLET");
    let asked = sent(&carol.join(&relay.room_id).unwrap());
    carol.trust(&relay.room_id, other()).unwrap();
    let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    assert!(is_ignored(&carol.receive(SERVICE, "m.mls.response", &current).unwrap()));
    assert!(is_ignored(&carol.receive("@:b.org", "m.mls.response", &current).unwrap()));
    assert!(!carol.is_waiting(&relay.room_id));
}

#[test]
fn the_same_service_in_another_spelling_changes_no_group() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let told = told(&bob.trust(&relay.room_id, Service { unstable: true, ..relay.service() }).unwrap());
    assert_eq!(told, []);
    let actions = alice.update(&relay.room_id).unwrap();
    hear(&mut bob, &relay.order(&mut alice, &actions));
    assert_eq!(bob.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
}
