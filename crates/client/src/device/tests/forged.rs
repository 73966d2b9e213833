//! Commits of a member that does not keep to the protocol, which a service let pass.

use openmls::prelude::{Extension, Extensions, LeafNodeParameters, MlsMessageOut, OpenMlsProvider as _};

use super::*;
use crate::mls::{Made, Making};

/// What the group of a device makes of a commit that its own checks would not let it make.
fn relay_made(relay: &mut Relay, by: &Device, made: &Made) -> CommitEvent {
    let content = json!({
        "txn_id": "forged", "message": encode(&made.message),
        "commit_info": {"group_info": encode(&made.group_info)},
    });
    let sent = Outgoing { to: relay.service().user, kind: "m.mls.message".into(), content };
    for_others(&relay.accept(by, &sent))
}

fn is_refused(device: &mut Device, event: &CommitEvent, why: &str) {
    let before = device.epoch_authenticator(&event.room_id);
    let told = told(&hear(device, event));
    let [Event::Report { problem, lost: true, .. }] = &told[..] else { panic!("{told:?}") };
    assert!(problem.contains(why), "{problem}");
    assert_eq!(device.epoch_authenticator(&event.room_id), before);
}

fn forge(device: &mut Device, room_id: &RoomId, making: Making) -> Made {
    let group = device.groups.get_mut(room_id).unwrap();
    mls::make(&device.provider, &device.state.signer, group, making).unwrap()
}

fn made_of(message: MlsMessageOut, group_info: Option<openmls::messages::group_info::GroupInfo>) -> Made {
    let group_info = mls::encode(&group_info.unwrap()).unwrap();
    Made { message: message.to_bytes().unwrap(), welcome: None, group_info }
}

#[test]
fn nobody_gets_a_second_leaf() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let mut twin = relay.device("@bob:b.org", "LAPTOP");
    let package = mls::key_package(alice.provider.crypto(), &key_package(&mut twin)).unwrap();
    let room_id = relay.room_id.clone();
    let made = forge(&mut alice, &room_id, Making { add: vec![package], ..Making::default() });
    let event = relay_made(&mut relay, &alice, &made);
    is_refused(&mut bob, &event, "two leaves name the same device");
}

#[test]
fn every_leaf_names_a_device() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let signer = mls::new_signer(1).unwrap();
    let credential = openmls::prelude::BasicCredential::new(b"nobody".to_vec()).into();
    let credential =
        openmls::prelude::CredentialWithKey { credential, signature_key: signer.public().into() };
    let package = mls::create_key_package(&bob.provider, &signer, credential, 1, false).unwrap();
    let room_id = relay.room_id.clone();
    let refused = alice.add(&room_id, vec![package.clone()], Citing::default()).unwrap_err();
    assert!(matches!(refused, DeviceError::KeyPackage(_)), "{refused}");
    let package = mls::key_package(alice.provider.crypto(), &package).unwrap();
    let made = forge(&mut alice, &room_id, Making { add: vec![package], ..Making::default() });
    let event = relay_made(&mut relay, &alice, &made);
    is_refused(&mut bob, &event, "names no device");
}

#[test]
fn nobody_becomes_somebody_else() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    let other = mls::credential(&client("@carol:b.org", "TABLET"), &alice.state.signer);
    let leaf = LeafNodeParameters::builder().with_credential_with_key(other).build();
    let group = alice.groups.get_mut(&room_id).unwrap();
    let provider = &alice.provider;
    let bundle = group
        .commit_builder()
        .leaf_node_parameters(leaf)
        .load_psks(provider.storage())
        .unwrap()
        .create_group_info(true)
        .use_ratchet_tree_extension(false)
        .build(provider.rand(), provider.crypto(), &alice.state.signer, |_| true)
        .unwrap()
        .stage_commit(provider)
        .unwrap();
    let (message, _, group_info) = bundle.into_contents();
    let event = relay_made(&mut relay, &alice, &made_of(message, group_info));
    is_refused(&mut bob, &event, "changes its identity");
}

#[test]
fn the_groups_service_stays_the_same() {
    let mut relay = Relay::new(1);
    let (mut alice, mut bob) = relay.pair();
    let room_id = relay.room_id.clone();
    let nobody = Extensions::from_vec(vec![Extension::ExternalSenders(Vec::new())]).unwrap();
    let group = alice.groups.get_mut(&room_id).unwrap();
    let provider = &alice.provider;
    let bundle = group
        .commit_builder()
        .propose_group_context_extensions(nobody)
        .unwrap()
        .load_psks(provider.storage())
        .unwrap()
        .create_group_info(true)
        .use_ratchet_tree_extension(false)
        .build(provider.rand(), provider.crypto(), &alice.state.signer, |_| true)
        .unwrap()
        .stage_commit(provider)
        .unwrap();
    let (message, _, group_info) = bundle.into_contents();
    let event = relay_made(&mut relay, &alice, &made_of(message, group_info));
    is_refused(&mut bob, &event, "external senders");
}

#[test]
fn a_group_with_another_service_is_not_joined() {
    let mut relay = Relay::new(1);
    let mut alice = relay.founder("@alice:a.org", "PHONE");
    let other = Service { user: UserId::parse("@:b.org").unwrap(), unstable: false };
    let (mut bob, _) = Device::new(client("@bob:b.org", "LAPTOP"), 1).unwrap();
    bob.trust(&relay.room_id, other).unwrap();
    let actions = alice.add(&relay.room_id, vec![key_package(&mut bob)], Citing::default()).unwrap();
    relay.order(&mut alice, &actions);
    let welcome = relay.welcome(&alice, &sent(&actions));
    let told = told(&bob.receive("@:b.org", "m.mls.welcome", &welcome.content()).unwrap());
    assert!(matches!(&told[..], [Event::WelcomeRefused { .. }]), "{told:?}");
    let asked = sent(&bob.join(&relay.room_id).unwrap());
    let current = answer(&asked, Answer::GroupInfo(relay.current(&alice)));
    let actions = bob.receive("@:b.org", "m.mls.response", &current).unwrap();
    assert!(matches!(&super::told(&actions)[..], [Event::Report { .. }]) && sends_nothing(&actions));
}
