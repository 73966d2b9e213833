use super::*;

#[test]
fn nothing_is_registered_with_a_service_that_the_room_does_not_name() {
    let relay = Relay::new(1);
    let (mut alice, _) = Device::new(client("@alice:a.org", "PHONE"), 1).unwrap();
    let unknown = alice.register(&relay.room_id, &relay.description()).unwrap_err();
    assert_eq!(unknown, DeviceError::NoService(relay.room_id.clone()));
    let other = Service { user: UserId::parse("@:b.org").unwrap(), unstable: false };
    alice.trust(&relay.room_id, other).unwrap();
    let other = alice.register(&relay.room_id, &relay.description()).unwrap_err();
    assert!(matches!(other, DeviceError::OtherService { .. }), "{other}");
    assert_eq!(alice.standing(&relay.room_id), Standing::Outside);
}

#[test]
fn a_description_without_a_usable_key_makes_no_group() {
    let relay = Relay::new(1);
    let mut alice = relay.device("@alice:a.org", "PHONE");
    let mut no_key = relay.description();
    no_key.external_sender.signature_keys.clear();
    let mut no_receipt_key = relay.description();
    no_receipt_key.external_sender.credential.identity = "@:a.org".into();
    let mut of_another = relay.description();
    of_another.external_sender.credential.identity = external_sender_identity("@:b.org", KEY_ID, "AAAA");
    for description in [no_key, no_receipt_key, of_another] {
        let refused = alice.register(&relay.room_id, &description).unwrap_err();
        assert!(matches!(refused, DeviceError::Description(_)), "{refused}");
    }
    assert!(alice.groups.is_empty());
    assert!(mls::to_entries(&alice.provider).is_empty());
}

#[test]
fn a_group_that_is_not_accepted_does_nothing() {
    let relay = Relay::new(1);
    let mut alice = relay.device("@alice:a.org", "PHONE");
    alice.register(&relay.room_id, &relay.description()).unwrap();
    let room_id = &relay.room_id;
    assert_eq!(alice.say(room_id, b"hello").unwrap_err(), DeviceError::NotAccepted(room_id.clone()));
    assert_eq!(alice.update(room_id).unwrap_err(), DeviceError::NotAccepted(room_id.clone()));
    let again = alice.register(room_id, &relay.description()).unwrap_err();
    assert_eq!(again, DeviceError::Inside(room_id.clone()));
    assert_eq!(alice.epoch(room_id), None);
    assert!(alice.members(room_id).is_empty());
}

#[test]
fn an_acceptance_counts_only_with_the_receipt_of_this_group() {
    let mut relay = Relay::new(1);
    let mut alice = relay.device("@alice:a.org", "PHONE");
    let sent = sent(&alice.register(&relay.room_id, &relay.description()).unwrap());
    let accepted = relay.accept_registration(&sent);
    let mut nameless = accepted.clone();
    nameless["txn_id"] = "another".into();
    let mut of_another = accepted.clone();
    of_another["message_hash"] = encode(&[0; 32]).into();
    for nothing in [nameless, of_another] {
        assert!(is_ignored(&alice.receive(SERVICE, "m.mls.accepted", &nothing).unwrap()));
    }
    assert!(is_ignored(&alice.receive("@:b.org", "m.mls.accepted", &accepted).unwrap()));
    let mut bare = accepted.clone();
    bare.as_object_mut().unwrap().remove("receipt");
    let mut forged = accepted.clone();
    forged["receipt"]["term"] = 2.into();
    for wrong in [bare, forged] {
        let told = told(&alice.receive(SERVICE, "m.mls.accepted", &wrong).unwrap());
        assert!(matches!(&told[..], [Event::Report { lost: false, .. }]), "{told:?}");
        assert_eq!(alice.standing(&relay.room_id), Standing::Registering);
    }
    let told = told(&alice.receive(SERVICE, "m.mls.accepted", &accepted).unwrap());
    assert_eq!(told, [Event::Registered { room_id: relay.room_id.clone() }]);
    assert!(is_ignored(&alice.receive(SERVICE, "m.mls.accepted", &accepted).unwrap()), "once");
}

#[test]
fn a_refused_registration_leaves_no_group() {
    let relay = Relay::new(1);
    let mut alice = relay.device("@alice:a.org", "PHONE");
    let sent = sent(&alice.register(&relay.room_id, &relay.description()).unwrap());
    let refusal = relay.reject(&sent, "M_FORBIDDEN", json!({}));
    let told = told(&alice.receive(SERVICE, "m.mls.rejected", &refusal).unwrap());
    assert!(matches!(&told[..], [Event::Refused { errcode, .. }] if errcode == "M_FORBIDDEN"), "{told:?}");
    assert_eq!(alice.standing(&relay.room_id), Standing::Outside);
    assert!(alice.groups.is_empty());
    alice.register(&relay.room_id, &relay.description()).unwrap();
}

#[test]
fn the_group_is_what_the_protocol_asks_for() {
    for suite in [1, 2] {
        let mut relay = Relay::new(suite);
        let alice = relay.founder("@alice:a.org", "PHONE");
        let info = mls::group_info(&relay.group_info).unwrap();
        assert_eq!(u16::from(info.ciphersuite()), suite);
        assert_eq!(info.group_context().group_id().as_slice(), b"!room:a.org");
        assert_eq!(info.group_context().epoch().as_u64(), 0);
        assert!(info.extensions().ratchet_tree().is_some());
        assert!(info.extensions().external_pub().is_some());
        let keys = mls::service_keys(info.group_context().extensions()).unwrap();
        assert_eq!((keys.user.as_str(), keys.receipt_key_id.as_str()), (SERVICE, KEY_ID));
        assert_eq!(keys.receipt_key, relay.receipt_key.public_key().as_ref());
        assert_eq!(alice.epoch(&relay.room_id), Some(Epoch::ZERO));
        let members = alice.members(&relay.room_id);
        assert_eq!(members.len(), 1);
        assert_eq!((&members[0].client, &members[0].signature_key), (alice.me(), &alice.signature_key()));
    }
}
