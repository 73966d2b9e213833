use std::path::Path;
use std::time::Duration;

use maypole_client::matrix::{Client, MatrixError, Settings};
use maypole_testkit::synapse::Synapse;

pub(crate) fn settings(synapse: &Synapse, folder: &Path, name: &str) -> Settings {
    let (base_url, service_url) = (synapse.base_url(), synapse.base_url());
    Settings { base_url, service_url, file: folder.join(name), suite: 1 }
}

#[tokio::test]
async fn a_client_goes_on_where_its_file_left_off() {
    let synapse = Synapse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&synapse, folder.path(), "phone");
    let mut alice = Client::register(&settings, "alice", "correct horse", "PHONE").await.unwrap();
    alice.publish(2).await.unwrap();
    alice.sync(Duration::ZERO).await.unwrap();
    let (me, keys) = (alice.device().me().clone(), alice.device_keys().unwrap());
    drop(alice);
    let mut again = Client::open(&settings.file).await.unwrap();
    assert_eq!((again.device().me(), again.device_keys().unwrap()), (&me, keys));
    again.sync(Duration::ZERO).await.unwrap();
    assert!(matches!(Client::open(&folder.path().join("nothing")).await, Err(MatrixError::File { .. })));
}

#[tokio::test]
async fn refusals_of_the_homeserver_come_back_with_their_code() {
    let synapse = Synapse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&synapse, folder.path(), "phone");
    let alice = Client::register(&settings, "alice", "correct horse", "PHONE").await.unwrap();
    let taken = Client::register(&settings, "alice", "correct horse", "LAPTOP").await.unwrap_err();
    assert!(matches!(&taken, MatrixError::Refused { errcode, .. } if errcode == "M_USER_IN_USE"), "{taken}");
    let user = alice.device().me().user.to_string();
    let wrong = Client::login(&settings, &user, "wrong horse", "LAPTOP").await.unwrap_err();
    assert!(matches!(&wrong, MatrixError::Refused { status: 403, .. }), "{wrong}");
    let second = Client::login(&settings, &user, "correct horse", "LAPTOP").await.unwrap();
    assert_eq!(second.device().me().device.as_str(), "LAPTOP");
    assert_ne!(second.device().signature_key(), alice.device().signature_key());
    // Nobody describes a delivery service here.
    let mut alice = alice;
    let none = alice.create_room(maypole_client::matrix::RoomVersion::V12, "hall").await.unwrap_err();
    assert!(matches!(&none, MatrixError::Refused { status: 404, .. }), "{none}");
}

#[tokio::test]
async fn a_homeserver_that_is_away_is_no_panic() {
    let mut synapse = Synapse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&synapse, folder.path(), "phone");
    let mut alice = Client::register(&settings, "alice", "correct horse", "PHONE").await.unwrap();
    synapse.kill().unwrap();
    let error = alice.sync(Duration::ZERO).await.unwrap_err();
    assert!(matches!(&error, MatrixError::NoAnswer { .. }), "{error}");
    synapse.boot().await.unwrap();
    alice.sync(Duration::ZERO).await.unwrap();
}
