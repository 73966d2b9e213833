use super::*;

const SAID: &[u8] = b"the gold lies under the oak";

/// Neither as a text, nor as a list of numbers, nor in base64.
fn shows(printed: &str, bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let numbers = bytes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let packed = printed.split_whitespace().collect::<String>();
    printed.contains(&*text) || printed.contains(&encode(bytes)) || packed.contains(&numbers)
}

#[test]
fn no_action_prints_what_was_said_nor_a_key() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let said = alice.say(&relay.room_id, SAID).unwrap();
    let Some(Action::SendEvent(message)) = said.last() else { panic!("{said:?}") };
    let heard = bob.read(&relay.room_id, "$1", "@alice:a.org", &message.content).unwrap();
    assert!(
        matches!(&heard[..], [Action::Tell(Event::Text { text, .. }), Action::Persist(_)] if text == SAID)
    );
    let update = alice.update(&relay.room_id).unwrap();
    let signer = serde_json::to_value(&alice.state.signer).unwrap();
    let key: Vec<u8> = serde_json::from_value(signer["private"].clone()).unwrap();
    let states = [&said, &heard, &update].into_iter().flatten();
    let is_state = |action: &&Action| matches!(action, Action::Persist(_));
    assert!(states.clone().filter(is_state).count() == 3);
    for action in states {
        for printed in [format!("{action:?}"), format!("{action:#?}")] {
            assert!(!shows(&printed, SAID), "{printed}");
            assert!(!shows(&printed, &key), "{printed}");
        }
    }
    assert!(shows(&format!("{SAID:#?}"), SAID), "it would be seen");
    assert!(!shows(&format!("{alice:?}"), &key));
}

#[test]
fn an_event_prints_everything_but_the_text() {
    let event = Event::Text {
        room_id: RoomId::parse("!room:a.org").unwrap(),
        event_id: "$1".into(),
        sender: client("@alice:a.org", "PHONE"),
        epoch: Epoch::ZERO,
        text: SAID.to_vec().into(),
    };
    let printed = format!("{event:?}");
    assert!(!shows(&printed, SAID), "{printed}");
    for part in ["!room:a.org", "$1", "@alice:a.org", "27 bytes"] {
        assert!(printed.contains(part), "{printed}");
    }
}
