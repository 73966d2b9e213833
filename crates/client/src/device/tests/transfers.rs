use maypole_room::bytes::Blob;
use maypole_room::proposals::Proposals;

use super::*;

fn blob(bytes: &[u8], name: &str) -> Bytes {
    let (sha256, size_bytes) = (Sha256::of(bytes), bytes.len() as u64);
    Bytes::Blob(Blob { mxc: format!("mxc://a.org/{name}"), sha256, size_bytes })
}

pub(super) fn as_blob(bytes: &Bytes, name: &str) -> (Bytes, Vec<u8>) {
    let Bytes::Inline(inline) = bytes else { panic!() };
    (blob(inline, name), inline.clone())
}

pub(super) fn download(actions: &[Action]) -> TransferId {
    checked(actions);
    let ids: Vec<_> = actions
        .iter()
        .filter_map(|action| if let Action::Download { id, .. } = action { Some(*id) } else { None })
        .collect();
    assert_eq!(ids.len(), 1, "{actions:?}");
    ids[0]
}

#[test]
fn what_is_too_large_for_a_content_is_uploaded_first() {
    let mut relay = Relay::new(1);
    let mut alice = relay.founder("@alice:a.org", "PHONE");
    let room_id = relay.room_id.clone();
    let packages: Vec<_> =
        (0..120).map(|number| key_package(&mut relay.device("@bob:b.org", &format!("D{number}")))).collect();
    let mut actions = alice.add(&room_id, packages, Citing::default()).unwrap();
    let mut media = BTreeMap::new();
    let content = loop {
        checked(&actions);
        match actions.last().unwrap() {
            Action::Upload { id, bytes } => {
                let mxc = format!("mxc://b.org/{}", media.len());
                media.insert(mxc.clone(), bytes.clone());
                actions = alice.uploaded(*id, &mxc).unwrap();
                assert!(is_ignored(&alice.uploaded(TransferId(999), "mxc://b.org/x").unwrap()));
            }
            Action::Send(outgoing) => break outgoing.content.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert!(!media.is_empty());
    assert!(content.to_string().len() <= limits::OUTGOING_CONTENT_BYTES);
    let asked = maypole_room::message::Message::read(content.to_string().as_bytes()).asked.unwrap();
    for bytes in [Some(asked.message), asked.welcome, asked.group_info].into_iter().flatten() {
        if let Bytes::Blob(blob) = bytes {
            assert_eq!(blob.sha256, Sha256::of(&media[&blob.mxc]));
            assert_eq!(blob.size_bytes, media[&blob.mxc].len() as u64);
        }
    }
    // A crash uploads nothing again that was uploaded.
    assert!(
        matches!(after_crash(&actions).resume().unwrap().last(), Some(Action::Send(sent)) if sent.content == content)
    );
}

#[test]
fn bytes_that_were_not_announced_are_not_used() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let actions = alice.update(&relay.room_id).unwrap();
    let event = relay.order(&mut alice, &actions);
    let (message, bytes) = as_blob(&event.message, "commit");
    let event = CommitEvent { message, ..event };
    let mut longer = bytes.clone();
    longer.push(0);
    let mut other = bytes.clone();
    other[0] ^= 1;
    for wrong in [longer, other, Vec::new()] {
        let id = download(&hear(&mut bob, &event));
        let actions = bob.downloaded(id, &wrong).unwrap();
        assert!(
            matches!(&told(&actions)[..], [Event::BlobRefused { mxc, .. }] if mxc == "mxc://a.org/commit")
        );
        assert!(is_ignored(&bob.downloaded(id, &bytes).unwrap()), "it is not awaited any more");
        assert_eq!(bob.epoch(&relay.room_id), Epoch::new(1));
    }
    let id = download(&hear(&mut bob, &event));
    assert!(matches!(&told(&bob.downloaded(id, &bytes).unwrap())[..], [Event::Advanced(_)]));
}

#[test]
fn commits_wait_for_the_bytes_of_the_one_before() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let mut events = Vec::new();
    for _ in 0..2 {
        let actions = alice.update(&relay.room_id).unwrap();
        events.push(relay.order(&mut alice, &actions));
    }
    let (message, bytes) = as_blob(&events[0].message, "commit");
    let actions = hear(&mut bob, &CommitEvent { message, ..events[0].clone() });
    let first = download(&actions);
    let mut bob = after_crash(&actions);
    let again = download(&bob.resume().unwrap());
    assert_eq!(first, again);
    let later = hear(&mut bob, &events[1]);
    assert!(sends_nothing(&later), "no gap: {later:?}");
    let told = told(&bob.downloaded(again, &bytes).unwrap());
    assert!(matches!(&told[..], [Event::Advanced(_), Event::Advanced(_)]), "{told:?}");
}

/// As the service gives out what is too much for an event.
fn elsewhere(messages: &[Vec<u8>]) -> (Proposals, Vec<u8>) {
    let bytes = Proposals::to_blob(messages);
    let (Bytes::Blob(blob), bytes) = as_blob(&Bytes::Inline(bytes), "proposals") else { panic!("a blob") };
    (Proposals::Blob(blob), bytes)
}

#[test]
fn the_services_proposals_may_be_a_blob() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob, carol) = relay.trio();
    let actions = alice.update(&relay.room_id).unwrap();
    let own = relay.accept(&alice, &sent(&actions));
    let (proposals, bytes) = elsewhere(&[relay.remove(3, 2)]);
    let own = CommitEvent { proposals, ..own };
    for device in [&mut alice, &mut bob] {
        let event = if device.me().user == own.sender { own.clone() } else { for_others(&own) };
        let id = download(&hear(device, &event));
        assert!(matches!(&told(&device.downloaded(id, &bytes).unwrap())[..], [Event::Advanced(_)]));
    }
    let actions = alice.update(&relay.room_id).unwrap();
    let (proposals, garbage) = elsewhere(&[]);
    let event = CommitEvent { proposals, ..relay.order(&mut alice, &actions) };
    let id = download(&hear(&mut bob, &event));
    let heard = told(&bob.downloaded(id, &garbage).unwrap());
    let [Event::Advanced(advance)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(advance.removed, [carol.me().clone()], "by the reference that came in the blob");
}

#[test]
fn a_blob_that_holds_no_proposals_is_reported_and_the_epoch_begins() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let actions = alice.update(&relay.room_id).unwrap();
    let event = relay.order(&mut alice, &actions);
    let (Bytes::Blob(blob), bytes) = as_blob(&Bytes::Inline(b"{}".to_vec()), "proposals") else { panic!() };
    let event = CommitEvent { proposals: Proposals::Blob(blob), ..event };
    let id = download(&hear(&mut bob, &event));
    let heard = told(&bob.downloaded(id, &bytes).unwrap());
    assert!(matches!(&heard[..], [Event::Advanced(_), Event::Report { .. }]), "{heard:?}");
}

/// A commit of the epoch that a device joins in may refer to what was proposed for it.
#[test]
fn who_joins_hears_what_the_service_proposed_for_that_epoch() {
    for in_a_blob in [false, true] {
        let mut relay = Relay::new(1);
        let (mut alice, mut bob) = relay.pair();
        let mut carol = relay.device("@carol:b.org", "TABLET");
        let room_id = relay.room_id.clone();
        let actions = alice.add(&room_id, vec![key_package(&mut carol)], Citing::default()).unwrap();
        let own = relay.accept(&alice, &sent(&actions));
        let removes = [relay.remove(2, 1)];
        let own = CommitEvent { proposals: Proposals::of(&removes), ..own };
        hear(&mut alice, &own);
        hear(&mut bob, &for_others(&own));
        let (blob, bytes) = elsewhere(&removes);
        let proposals = if in_a_blob { blob } else { Proposals::of(&removes) };
        let welcome = WelcomeEvent { proposals, ..relay.welcome(&alice, &sent(&actions)) };
        let mut actions = carol.receive(SERVICE, "m.mls.welcome", &welcome.content()).unwrap();
        if in_a_blob {
            actions = carol.downloaded(download(&actions), &bytes).unwrap();
        }
        assert!(matches!(&told(&actions)[..], [Event::Joined { .. }]));
        let actions = alice.update(&room_id).unwrap();
        let event = relay.order(&mut alice, &actions);
        let heard = told(&hear(&mut carol, &event));
        let [Event::Advanced(advance)] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(advance.removed, [bob.me().clone()]);
    }
}

#[test]
fn a_welcome_and_an_epoch_to_join_by_may_be_blobs() {
    let mut relay = Relay::new(1);
    let mut alice = relay.founder("@alice:a.org", "PHONE");
    let mut bob = relay.device("@bob:b.org", "LAPTOP");
    let room_id = relay.room_id.clone();
    let actions = alice.add(&room_id, vec![key_package(&mut bob)], Citing::default()).unwrap();
    relay.order(&mut alice, &actions);
    let event = relay.welcome(&alice, &sent(&actions));
    let (welcome, welcome_bytes) = as_blob(&event.welcome, "welcome");
    let (ratchet_tree, tree_bytes) = as_blob(&event.ratchet_tree, "tree");
    let event = WelcomeEvent { welcome, ratchet_tree, ..event };
    let id = download(&bob.receive(SERVICE, "m.mls.welcome", &event.content()).unwrap());
    let id = download(&bob.downloaded(id, &welcome_bytes).unwrap());
    let joined = told(&bob.downloaded(id, &tree_bytes).unwrap());
    assert!(matches!(&joined[..], [Event::Joined { .. }]), "{joined:?}");
    let mut carol = relay.device("@carol:b.org", "TABLET");
    let asked = sent(&carol.join(&room_id).unwrap());
    let current = relay.current(&alice);
    let (group_info, info_bytes) = as_blob(&current.group_info, "info");
    let (ratchet_tree, tree_bytes) = as_blob(&current.ratchet_tree, "tree");
    let current = CurrentEpoch { group_info, ratchet_tree, ..current };
    let content = answer(&asked, Answer::GroupInfo(current));
    let id = download(&carol.receive(SERVICE, "m.mls.response", &content).unwrap());
    let id = download(&carol.downloaded(id, &info_bytes).unwrap());
    sent(&carol.downloaded(id, &tree_bytes).unwrap());
    assert_eq!(carol.standing(&room_id), Standing::Joining);
}

#[test]
fn what_cannot_be_uploaded_is_undone() {
    let mut relay = Relay::new(1);
    let mut alice = relay.founder("@alice:a.org", "PHONE");
    let room_id = relay.room_id.clone();
    let packages: Vec<_> =
        (0..120).map(|number| key_package(&mut relay.device("@bob:b.org", &format!("D{number}")))).collect();
    let actions = alice.add(&room_id, packages, Citing::default()).unwrap();
    let Some(Action::Upload { id, .. }) = actions.last() else { panic!("{actions:?}") };
    assert!(is_ignored(&alice.not_uploaded(TransferId(999), "no").unwrap()));
    let told = told(&alice.not_uploaded(*id, "no room").unwrap());
    assert!(matches!(&told[..], [Event::Refused { errcode, wish: Some(_), .. }] if errcode == "M_TOO_LARGE"));
    let actions = alice.update(&room_id).unwrap();
    relay.order(&mut alice, &actions);
}
