//! A Welcome whose tree the media repository does not have any more: the service is asked for it.

use maypole_room::response::TreeOfEpoch;

use super::transfers::{as_blob, download};
use super::*;

/// Bob, who was added by a Welcome whose tree lies elsewhere, and that tree.
fn added(relay: &mut Relay) -> (Device, Device, WelcomeEvent, Vec<u8>) {
    let mut alice = relay.founder("@alice:a.org", "PHONE");
    let mut bob = relay.device("@bob:b.org", "LAPTOP");
    let actions = alice.add(&relay.room_id, vec![key_package(&mut bob)], Citing::default()).unwrap();
    relay.order(&mut alice, &actions);
    let welcome = relay.welcome(&alice, &sent(&actions));
    let (ratchet_tree, tree) = as_blob(&welcome.ratchet_tree, "tree");
    (alice, bob, WelcomeEvent { ratchet_tree, ..welcome }, tree)
}

/// It is not to be had, and the service is asked for it.
fn asks(bob: &mut Device, welcome: &WelcomeEvent) -> Vec<Action> {
    let id = download(&bob.receive(SERVICE, "m.mls.welcome", &welcome.content()).unwrap());
    let actions = bob.downloaded(id, &[]).unwrap();
    assert!(matches!(&told(&actions)[..], [Event::BlobRefused { .. }]), "{actions:?}");
    let asked = sent(&actions);
    let (want, epoch) = (&asked.content["want"], &asked.content["epoch"]);
    assert_eq!((want, epoch), (&"ratchet_tree".into(), &welcome.epoch.get().into()), "{}", asked.content);
    actions
}

fn tree(relay: &Relay, epoch: u64, ratchet_tree: Bytes) -> TreeOfEpoch {
    let group_id = GroupId::parse(relay.room_id.as_str().as_bytes()).unwrap();
    TreeOfEpoch { room_id: relay.room_id.clone(), group_id, epoch: Epoch::new(epoch).unwrap(), ratchet_tree }
}

fn respond(device: &mut Device, content: &Value) -> Vec<Action> {
    device.receive(SERVICE, "m.mls.response", content).unwrap()
}

#[test]
fn what_is_no_answer_changes_nothing_and_a_wrong_tree_uses_up_no_key_package() {
    let mut relay = Relay::new(1);
    let (alice, mut bob, welcome, right) = added(&mut relay);
    let before = mls::to_entries(&bob.provider);
    let actions = asks(&mut bob, &welcome);
    let asked = sent(&actions);
    let right = || Bytes::Inline(right.clone());
    let good = answer(&asked, Answer::RatchetTree(tree(&relay, 1, right())));
    let other_room =
        TreeOfEpoch { room_id: RoomId::parse("!other:a.org").unwrap(), ..tree(&relay, 1, right()) };
    let mut unasked = good.clone();
    unasked["request_id"] = "another".into();
    for wrong in [
        unasked,
        answer(&asked, Answer::RatchetTree(other_room)),
        answer(&asked, Answer::GroupInfo(relay.current(&alice))),
        json!({"request_id": asked.content["request_id"], "want": "ratchet_tree"}),
    ] {
        assert!(is_ignored(&respond(&mut bob, &wrong)), "{wrong}");
    }
    assert!(is_ignored(&bob.receive("@:b.org", "m.mls.response", &good).unwrap()));
    assert_eq!(bob.standing(&relay.room_id), Standing::Outside);
    // Of another epoch, of which the Welcome is not; then one that is not the Welcome's.
    let (mut other, garbage) = (after_crash(&actions), Bytes::Inline(vec![1, 2, 3]));
    let asked_again = sent(&other.resume().unwrap());
    let later = answer(&asked_again, Answer::RatchetTree(tree(&relay, 2, right())));
    let actions = respond(&mut other, &later);
    assert!(matches!(&super::told(&actions)[..], [Event::WelcomeRefused { .. }]), "{actions:?}");
    assert!(sends_nothing(&actions) && sends_nothing(&other.resume().unwrap()));
    assert_eq!(other.standing(&relay.room_id), Standing::Outside);
    let told = told(&respond(&mut bob, &answer(&asked, Answer::RatchetTree(tree(&relay, 1, garbage)))));
    assert!(matches!(&told[..], [Event::WelcomeRefused { .. }]), "{told:?}");
    assert_eq!(mls::to_entries(&bob.provider), before);
}

#[test]
fn it_joins_with_the_tree_that_the_service_still_has() {
    for in_a_blob in [false, true] {
        let mut relay = Relay::new(1);
        let (alice, mut bob, welcome, right) = added(&mut relay);
        // What was asked is asked again after a crash.
        let mut bob = after_crash(&asks(&mut bob, &welcome));
        let asked = sent(&bob.resume().unwrap());
        assert_eq!(asked.content["want"], "ratchet_tree");
        let inline = Bytes::Inline(right.clone());
        let given = if in_a_blob { as_blob(&inline, "again").0 } else { inline };
        let mut actions = respond(&mut bob, &answer(&asked, Answer::RatchetTree(tree(&relay, 1, given))));
        if in_a_blob {
            actions = bob.downloaded(download(&actions), &right).unwrap();
        }
        let told = told(&actions);
        assert!(matches!(&told[..], [Event::Joined { .. }]), "{told:?}");
        assert_eq!(bob.epoch_authenticator(&relay.room_id), alice.epoch_authenticator(&relay.room_id));
        assert!(sends_nothing(&bob.resume().unwrap()), "nothing is open");
    }
}

#[test]
fn a_tree_that_is_gone_everywhere_is_not_asked_for_without_end() {
    let mut relay = Relay::new(1);
    let (_, mut bob, welcome, right) = added(&mut relay);
    let mut asked = sent(&asks(&mut bob, &welcome));
    for again in 1..=limits::CLIENT_TRIES {
        let (elsewhere, _) = as_blob(&Bytes::Inline(right.clone()), &format!("tree{again}"));
        let found = answer(&asked, Answer::RatchetTree(tree(&relay, 1, elsewhere)));
        let id = download(&respond(&mut bob, &found));
        let actions = bob.downloaded(id, &[]).unwrap();
        if again == limits::CLIENT_TRIES {
            let told = told(&actions);
            let [Event::BlobRefused { .. }, Event::WelcomeRefused { .. }] = &told[..] else {
                panic!("{told:?}")
            };
            assert!(sends_nothing(&actions));
            break;
        }
        asked = sent(&actions);
    }
}

fn refusal(asked: &Outgoing, errcode: &str) -> Value {
    json!({"request_id": asked.content["request_id"], "want": "ratchet_tree", "errcode": errcode, "error": "no"})
}

#[test]
fn a_welcome_whose_tree_never_comes_is_given_up_and_that_is_told() {
    for is_answered in [true, false] {
        let mut relay = Relay::new(1);
        let (_, mut bob, welcome, _) = added(&mut relay);
        let mut asked = sent(&asks(&mut bob, &welcome));
        for _ in 1..limits::CLIENT_TRIES {
            if is_answered {
                let told = told(&respond(&mut bob, &refusal(&asked, "M_LIMIT_EXCEEDED")));
                assert!(matches!(&told[..], [Event::Refused { .. }]), "{told:?}");
            }
            asked = sent(&bob.resume().unwrap());
            assert_eq!(asked.content["want"], "ratchet_tree");
        }
        let actions = if is_answered {
            respond(&mut bob, &refusal(&asked, "M_LIMIT_EXCEEDED"))
        } else {
            bob.resume().unwrap()
        };
        let told = told(&actions);
        assert!(matches!(&told[0], Event::WelcomeRefused { .. }), "{told:?}");
        assert_eq!(told.len(), 1 + usize::from(is_answered), "{told:?}");
        assert!(sends_nothing(&actions));
        // It is told once, and what comes late changes nothing.
        let mut bob = after_crash(&actions);
        assert!(super::told(&bob.resume().unwrap()).is_empty());
        assert!(is_ignored(&respond(&mut bob, &refusal(&asked, "M_MLS_EPOCH_GONE"))));
        assert_eq!(sent(&bob.join(&relay.room_id).unwrap()).content["want"], "group_info");
    }
}

#[test]
fn a_member_hears_nothing_of_the_welcome_that_it_did_not_need() {
    let mut relay = Relay::new(1);
    let (alice, mut bob, welcome, _) = added(&mut relay);
    let tree = sent(&asks(&mut bob, &welcome));
    let asked = sent(&bob.join(&relay.room_id).unwrap());
    let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    let out = sent(&respond(&mut bob, &current));
    let own = relay.accept(&bob, &out);
    let joined = told(&bob.receive(SERVICE, "m.mls.commit", &own.content()).unwrap());
    assert!(matches!(&joined[..], [Event::Joined { .. }]), "{joined:?}");
    assert!(is_ignored(&respond(&mut bob, &refusal(&tree, "M_MLS_EPOCH_GONE"))));
    assert!(sends_nothing(&bob.resume().unwrap()));
    assert_eq!(bob.standing(&relay.room_id), Standing::Member);
}

#[test]
fn who_is_told_that_it_is_gone_may_join_from_outside_and_what_may_pass_is_asked_again() {
    let mut relay = Relay::new(1);
    let (_, mut bob, welcome, _) = added(&mut relay);
    let asked = sent(&asks(&mut bob, &welcome));
    let told_first = told(&respond(&mut bob, &refusal(&asked, "M_MLS_UNAVAILABLE")));
    assert!(matches!(&told_first[..], [Event::Refused { .. }]), "{told_first:?}");
    let asked = sent(&bob.resume().unwrap());
    let told = told(&respond(&mut bob, &refusal(&asked, "M_MLS_EPOCH_GONE")));
    let [Event::WelcomeRefused { .. }, Event::Refused { errcode, wish: None, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(errcode, "M_MLS_EPOCH_GONE");
    assert!(sends_nothing(&bob.resume().unwrap()));
    let asked = sent(&bob.join(&relay.room_id).unwrap());
    assert_eq!(asked.content["want"], "group_info");
}
