//! Where a socket may be, and where not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::super::{AdminError, Listener};
use super::{Served, error, exists, socket_in};

#[tokio::test]
async fn a_path_that_is_too_long_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x".repeat(120));
    let error = Listener::open(&path).await.unwrap_err();
    assert!(matches!(error, AdminError::TooLong { .. }), "{error:?}");
    assert!(error.to_string().contains("`admin.socket`"), "{error}");
    assert!(!exists(&path));
}

#[tokio::test]
async fn a_folder_to_which_others_may_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        let error = Listener::open(&socket_in(&folder)).await.unwrap_err();
        assert!(matches!(error, AdminError::FolderOpen { mode: found, .. } if found == mode), "{error:?}");
        assert!(!exists(&socket_in(&folder)));
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    Listener::open(&socket_in(&folder)).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Listener::open(&folder.path().join("none/admin.sock")).await.unwrap_err();
    assert!(matches!(error, AdminError::Io { .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_not_a_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (socket_in(&folder), folder.path().join("elsewhere"));
    fs::write(&path, "somebody's letter").unwrap();
    let error = Listener::open(&path).await.unwrap_err();
    assert!(matches!(error, AdminError::NotASocket(_)), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's letter");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let error = Listener::open(&path).await.unwrap_err();
    assert!(matches!(error, AdminError::NotASocket(_)), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's letter");
}

#[tokio::test]
async fn a_socket_on_which_somebody_listens_is_refused_and_goes_on_working() {
    let served = Served::knowing().await;
    for _ in 0..3 {
        let refused = Listener::open(&served.path()).await.unwrap_err();
        assert!(matches!(refused, AdminError::InUse(_)), "{refused:?}");
    }
    assert!(error(&served.says_to(b"{}\n").await).contains("no `command`"));
}

#[tokio::test]
async fn a_socket_that_a_dead_process_left_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = socket_in(&folder);
    // A listener of the standard library leaves its file, as a killed process does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(exists(&path));
    let listener = Listener::open(&path).await.unwrap();
    tokio::net::UnixStream::connect(&path).await.unwrap();
    drop(listener);
    assert!(!exists(&path));
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_service() {
    let served = Served::knowing().await;
    let mode = fs::symlink_metadata(served.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    served.stop.cancel();
    served.serving.await.unwrap();
    assert!(!exists(&socket_in(&served.folder)));
}

#[tokio::test]
async fn a_socket_that_another_has_put_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = socket_in(&folder);
    let listener = Listener::open(&path).await.unwrap();
    fs::rename(&path, folder.path().join("moved")).unwrap();
    let _another = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(exists(&path));
}
