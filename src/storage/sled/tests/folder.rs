//! Whose folder it is, who holds it, and of what version.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::Somewhere;
use crate::storage::conformance::samples::{batch, token};
use crate::storage::sled::{OpenError, Store};
use maypole_core::batch::{Backend, Op};

#[tokio::test]
async fn a_store_is_held_by_one_and_let_go_at_once() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    let refused = Store::open(&place.path()).unwrap_err();
    assert!(matches!(&refused, OpenError::InUse { .. }), "{refused:?}");
    let said = refused.to_string();
    assert!(said.contains(place.path().to_str().unwrap()) && said.contains("in use"), "{said}");
    for _ in 0..3 {
        store.clone().close().await;
        assert!(store.cursor().await.unwrap_err().to_string().contains("closed"));
        drop(Store::open(&place.path()).unwrap());
    }
}

#[tokio::test]
async fn a_dropped_store_finishes_what_was_asked() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    let other = store.clone();
    let asked =
        tokio::spawn(async move { other.apply(batch(vec![], vec![Op::MoveCursor(token("s1"))])).await });
    asked.await.unwrap().unwrap();
    drop(store);
    let store = Store::open(&place.path()).unwrap();
    assert_eq!(store.cursor().await.unwrap(), Some(token("s1")));
}

#[test]
fn the_folder_is_ours_alone() {
    let place = Somewhere::new();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let deep = place.path().join("a/b");
    drop(Store::open(&deep).unwrap());
    assert_eq!(mode(&deep), 0o700);
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o755)).unwrap();
    drop(Store::open(&deep).unwrap());
    assert_eq!(mode(&deep), 0o700);
}

#[test]
fn a_foreign_folder_is_refused_and_left_alone() {
    let place = Somewhere::new();
    fs::create_dir(place.path()).unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(place.path().join("letter.txt"), "dear bob").unwrap();
    let refused = Store::open(&place.path()).unwrap_err();
    assert!(matches!(&refused, OpenError::Foreign { what, .. } if what == "letter.txt"), "{refused:?}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    assert_eq!(place.path().metadata().unwrap().permissions().mode() & 0o777, 0o755);

    let file = place.folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(Store::open(&file), Err(OpenError::Io { .. })));
}

#[test]
fn another_version_or_none_is_refused() {
    let place = Somewhere::new();
    drop(Store::open(&place.path()).unwrap());
    let format = place.log().join("format");
    let good = fs::read(&format).unwrap();
    fs::write(&format, "maypole store, version 3\n").unwrap();
    let refused = Store::open(&place.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 3, known: 2, .. }), "{refused:?}");
    for bad in
        ["", "maypole store, version 1", "maypole store, version 0\n", "maypole store, version -1\n", "\u{0}"]
    {
        fs::write(&format, bad).unwrap();
        assert!(matches!(Store::open(&place.path()), Err(OpenError::Damaged { .. })), "{bad:?}");
    }
    fs::remove_file(&format).unwrap();
    assert!(matches!(Store::open(&place.path()), Err(OpenError::Damaged { .. })));
    fs::write(&format, good).unwrap();
    drop(Store::open(&place.path()).unwrap());
}

#[test]
fn what_sled_cannot_read_is_refused_in_words() {
    for (file, content) in
        [("conf", &b"segment_size: x\n12345678"[..]), ("conf", b"segment_size: 512\n12345678")]
    {
        let place = Somewhere::new();
        drop(Store::open(&place.path()).unwrap());
        place.unseal();
        fs::write(place.log().join(file), content).unwrap();
        let refused = Store::open(&place.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
    }
    let place = Somewhere::new();
    drop(Store::open(&place.path()).unwrap());
    // sled takes a snapshot of what it finds.
    drop(Store::open(&place.path()).unwrap());
    place.unseal();
    let log = place.log();
    let snapshot = fs::read_dir(&log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snap."))
        .unwrap();
    fs::write(snapshot, "not a snapshot at all").unwrap();
    assert!(matches!(Store::open(&place.path()), Err(OpenError::Damaged { .. })));
}

/// The names in the store's folder.
fn names(place: &Somewhere) -> BTreeSet<String> {
    let names = fs::read_dir(place.path()).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_store_that_was_half_made_is_made_anew() {
    let place = Somewhere::new();
    fs::create_dir_all(place.path().join("sled.1/blobs")).unwrap();
    fs::write(place.path().join("sled.1/conf"), [0; 60]).unwrap();
    fs::write(place.path().join("sled.1/format.new"), "maypole").unwrap();
    drop(Store::open(&place.path()).unwrap());
    assert_eq!(names(&place), ["bulk", "lock", "sled.2"].map(str::to_owned).into());
}

#[test]
fn a_store_without_its_log_is_not_made_anew() {
    let place = Somewhere::new();
    drop(Store::open(&place.path()).unwrap());
    fs::remove_dir_all(place.log()).unwrap();
    let refused = Store::open(&place.path()).unwrap_err();
    assert!(matches!(&refused, OpenError::Damaged { what, .. } if what.contains("format")), "{refused:?}");
}

#[tokio::test]
async fn rubbish_of_a_crash_is_removed_and_the_store_beside_it_is_not() {
    let place = Somewhere::new();
    let store = Store::open(&place.path()).unwrap();
    store.apply(batch(vec![], vec![Op::MoveCursor(token("s1"))])).await.unwrap();
    store.close().await;
    assert_eq!(place.log(), place.path().join("sled.1"));
    // An older one whose removal was lost, a newer one that was not finished.
    for rubbish in ["sled.0", "sled.7"] {
        fs::create_dir_all(place.path().join(rubbish).join("blobs")).unwrap();
        fs::write(place.path().join(rubbish).join("db"), [7; 5_000]).unwrap();
    }
    fs::write(place.path().join("sled.0/format"), "maypole store, version 1\n").unwrap();
    let store = Store::open(&place.path()).unwrap();
    assert_eq!(names(&place), ["bulk", "lock", "sled.8"].map(str::to_owned).into());
    assert_eq!(store.cursor().await.unwrap(), Some(token("s1")));
}

#[test]
fn what_sled_cannot_read_is_left_as_it_was() {
    let place = Somewhere::new();
    drop(Store::open(&place.path()).unwrap());
    place.unseal();
    let log = place.log();
    fs::write(log.join("conf"), "segment_size: 512\n12345678").unwrap();
    let before: Vec<_> = super::super::log::files_of(&log).unwrap();
    Store::open(&place.path()).unwrap_err();
    Store::open(&place.path()).unwrap_err();
    assert_eq!(super::super::log::files_of(&log).unwrap(), before);
    assert_eq!(place.log(), log);
    assert!(names(&place).len() <= 4, "{:?}", names(&place));
}

#[test]
fn a_snapshot_that_sled_did_not_finish_is_not_taken_along() {
    let place = Somewhere::new();
    drop(Store::open(&place.path()).unwrap());
    fs::write(place.log().join("snap.FFFFFFFFFFFFFFFF.generating"), "half a snap").unwrap();
    drop(Store::open(&place.path()).unwrap());
    assert!(!place.log().join("snap.FFFFFFFFFFFFFFFF.generating").exists());
}
