use maypole_client::check::{Unpublished, published};
use maypole_client::device::Leaf;
use maypole_client::matrix::Client;
use maypole_core::ids::DeviceId;
use maypole_mls::Suite;
use maypole_testkit::synapse::Synapse;

use crate::accounts::settings;

#[tokio::test]
async fn keys_are_published_signed_and_checked() {
    let synapse = Synapse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (suite, known) in [(1, Suite::X25519Aes128), (2, Suite::P256Aes128)] {
        let settings =
            |name| maypole_client::matrix::Settings { suite, ..settings(&synapse, folder.path(), name) };
        let (name, other) = (format!("alice{suite}"), format!("bob{suite}"));
        let mut alice = Client::register(&settings("a"), &name, "correct horse", "PHONE").await.unwrap();
        let bob = Client::register(&settings("b"), &other, "correct horse", "LAPTOP").await.unwrap();
        let user = alice.device().me().user.to_string();
        let client = alice.device().me().clone();
        let leaf = Leaf { client, signature_key: alice.device().signature_key() };
        let before = bob.http().query_keys(&user).await.unwrap();
        assert!(published(&leaf, known, before.get("PHONE")).is_err());
        alice.publish(1).await.unwrap();
        let devices = bob.http().query_keys(&user).await.unwrap();
        assert_eq!(published(&leaf, known, devices.get("PHONE")), Ok(()));
        bob.check_leaves(std::slice::from_ref(&leaf)).await.unwrap();
        let swapped = Leaf { signature_key: bob.device().signature_key(), ..leaf };
        assert_eq!(published(&swapped, known, devices.get("PHONE")), Err(Unpublished::OtherKey));
        assert!(bob.check_leaves(&[swapped]).await.is_err());
    }
}

#[tokio::test]
async fn a_key_package_is_claimed_once_and_is_its_devices() {
    let synapse = Synapse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = |name| settings(&synapse, folder.path(), name);
    let mut alice = Client::register(&settings("a"), "alice", "correct horse", "PHONE").await.unwrap();
    let bob = Client::register(&settings("b"), "bob", "correct horse", "LAPTOP").await.unwrap();
    alice.publish(2).await.unwrap();
    let me = alice.device().me().clone();
    let phone = [DeviceId::parse("PHONE").unwrap()];
    let mut claimed = Vec::new();
    for _ in 0..2 {
        let packages = bob.http().claim_key_packages(me.user.as_str(), &phone, 1).await.unwrap();
        let bytes = packages["PHONE"].clone();
        assert_eq!(bob.device().signature_key_in(&bytes, &me).unwrap(), alice.device().signature_key());
        assert!(bob.device().signature_key_in(&bytes, bob.device().me()).is_err());
        claimed.push(bytes);
    }
    assert_ne!(claimed[0], claimed[1]);
    let none = bob.http().claim_key_packages(me.user.as_str(), &phone, 1).await.unwrap();
    assert!(none.is_empty(), "each is given out once");
}
