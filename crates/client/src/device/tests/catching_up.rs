use super::*;

/// Bob missed three commits and hears the fourth.
fn behind(relay: &mut Relay) -> (Device, Device, Outgoing) {
    let (mut alice, mut bob) = relay.pair();
    let mut last = None;
    for _ in 0..4 {
        let actions = alice.update(&relay.room_id).unwrap();
        last = Some(relay.order(&mut alice, &actions));
    }
    let asked = sent(&hear(&mut bob, &last.unwrap()));
    (alice, bob, asked)
}

#[test]
fn an_answer_to_nothing_that_was_asked_changes_nothing() {
    let mut relay = Relay::new(1);
    let (alice, mut bob, asked) = behind(&mut relay);
    let page = relay.page(&asked, false);
    let mut misnamed = page.clone();
    misnamed["request_id"] = "another".into();
    let mut elsewhere = page.clone();
    elsewhere["room_id"] = "!other:a.org".into();
    let malformed = json!({"request_id": asked.content["request_id"], "want": "commits"});
    let otherwise = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    for content in [misnamed, elsewhere, malformed, otherwise] {
        assert!(is_ignored(&bob.receive(SERVICE, "m.mls.response", &content).unwrap()), "{content}");
    }
    assert!(is_ignored(&bob.receive("@:b.org", "m.mls.response", &page).unwrap()));
    assert_eq!(bob.epoch(&relay.room_id), Epoch::new(1));
}

#[test]
fn a_gap_is_filled_from_the_answer() {
    for suite in [1, 2] {
        let mut relay = Relay::new(suite);
        let (alice, mut bob, asked) = behind(&mut relay);
        assert_eq!(asked.content["device_id"], "LAPTOP");
        assert_eq!(asked.content["from_epoch"], 1);
        let told = told(&bob.receive(SERVICE, "m.mls.response", &relay.page(&asked, false)).unwrap());
        assert_eq!(told.iter().filter(|event| matches!(event, Event::Advanced(_))).count(), 4, "{told:?}");
        assert_eq!(bob.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
    }
}

#[test]
fn a_long_answer_comes_in_pages() {
    let mut relay = Relay::new(1);
    let (alice, mut bob, asked) = behind(&mut relay);
    let mut first = relay.page(&asked, true);
    first["commits"].as_array_mut().unwrap().truncate(2);
    let actions = bob.receive(SERVICE, "m.mls.response", &first).unwrap();
    let asked = sent(&actions);
    assert_eq!(asked.content["from_epoch"], 3);
    // A page that leads nowhere is not followed.
    let mut nothing = relay.page(&asked, true);
    nothing["commits"] = json!([]);
    let mut stuck = after_crash(&actions);
    let sends = stuck.receive(SERVICE, "m.mls.response", &nothing).unwrap();
    assert_eq!(sent(&sends).content["from_epoch"], 3, "the last commit still waits for those before it");
    bob.receive(SERVICE, "m.mls.response", &relay.page(&asked, false)).unwrap();
    assert_eq!(bob.epoch(&relay.room_id), alice.epoch(&relay.room_id));
}

#[test]
fn a_refused_question_is_told() {
    let mut relay = Relay::new(1);
    let (_, mut bob, asked) = behind(&mut relay);
    let refusal = json!({
        "request_id": asked.content["request_id"], "want": "commits", "errcode": "M_MLS_EPOCH_GONE", "error": "gone",
    });
    let actions = bob.receive(SERVICE, "m.mls.response", &refusal).unwrap();
    assert!(sends_nothing(&actions));
    assert!(matches!(&told(&actions)[..], [Event::Refused { errcode, .. }] if errcode == "M_MLS_EPOCH_GONE"));
}

#[test]
fn a_question_that_was_under_way_is_asked_again_after_a_start() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let mut last = None;
    for _ in 0..2 {
        let actions = alice.update(&relay.room_id).unwrap();
        last = Some(relay.order(&mut alice, &actions));
    }
    let mut bob = after_crash(&hear(&mut bob, &last.unwrap()));
    let asked = sent(&bob.resume().unwrap());
    bob.receive(SERVICE, "m.mls.response", &relay.page(&asked, false)).unwrap();
    assert_eq!(bob.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
}

#[test]
fn an_own_commit_in_an_answer_waits_for_its_event() {
    let mut relay = Relay::new(1);
    let (mut alice, _) = relay.pair();
    let actions = alice.update(&relay.room_id).unwrap();
    let own = relay.accept(&alice, &sent(&actions));
    let asked = sent(&alice.catch_up(&relay.room_id).unwrap());
    let actions = alice.receive(SERVICE, "m.mls.response", &relay.page(&asked, false)).unwrap();
    assert!(told(&actions).is_empty());
    assert_eq!(alice.epoch(&relay.room_id), Epoch::new(1));
    assert!(matches!(&told(&hear(&mut alice, &own))[..], [Event::Advanced(advance)] if advance.own));
}

#[test]
fn after_an_answer_to_another_question_the_next_commit_asks_anew() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob, asked) = behind(&mut relay);
    let otherwise = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    let actions = bob.receive(SERVICE, "m.mls.response", &otherwise).unwrap();
    assert!(is_ignored(&actions));
    let mut bob = after_crash(&actions);
    assert!(is_ignored(&bob.receive(SERVICE, "m.mls.response", &relay.page(&asked, false)).unwrap()));
    let actions = alice.update(&relay.room_id).unwrap();
    let asked = sent(&hear(&mut bob, &relay.order(&mut alice, &actions)));
    bob.receive(SERVICE, "m.mls.response", &relay.page(&asked, false)).unwrap();
    assert_eq!(bob.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
}

#[test]
fn a_commit_that_waits_to_be_made_again_is_not_forgotten_by_an_answer_to_another_question() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    let out = sent(&bob.update(&room_id).unwrap());
    let actions = alice.update(&room_id).unwrap();
    relay.order(&mut alice, &actions);
    let refusal = relay.reject(&out, "M_MLS_STALE_EPOCH", json!({}));
    let asked = sent(&bob.receive(SERVICE, "m.mls.rejected", &refusal).unwrap());
    let otherwise = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    bob.receive(SERVICE, "m.mls.response", &otherwise).unwrap();
    assert!(bob.is_waiting(&room_id));
    let asked = sent(&bob.resume().unwrap());
    let again = sent(&bob.receive(SERVICE, "m.mls.response", &relay.page(&asked, false)).unwrap());
    assert_eq!(again.kind, "m.mls.message");
}

#[test]
fn a_question_by_which_to_join_is_asked_again_after_an_answer_to_another() {
    let mut relay = Relay::new(1);
    let (alice, _, page) = behind(&mut relay);
    let mut carol = relay.device("@carol:b.org", "TABLET");
    let asked = sent(&carol.join(&relay.room_id).unwrap());
    let mut otherwise = relay.page(&page, false);
    otherwise["request_id"] = asked.content["request_id"].clone();
    assert!(is_ignored(&carol.receive(SERVICE, "m.mls.response", &otherwise).unwrap()));
    assert!(carol.is_waiting(&relay.room_id));
    let asked = sent(&carol.resume().unwrap());
    let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    assert_eq!(sent(&carol.receive(SERVICE, "m.mls.response", &current).unwrap()).kind, "m.mls.message");
}
