//! Keys are made once, refused when anything is wrong with them, and restored as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519, UnparsedPublicKey,
    VerificationAlgorithm,
};
use tempfile::TempDir;

use super::*;

const FIRST: &str = "external-sender-ed25519.json";

fn scratch() -> (TempDir, PathBuf) {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("store/keys");
    (around, folder)
}

fn made() -> (TempDir, PathBuf) {
    let (around, folder) = scratch();
    Keys::open_or_create(&folder, false).unwrap();
    (around, folder)
}

fn contents(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let entries = entries.map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn keys_are_missing_damaged_or_exposed_and_nothing_is_made() {
    for slot in Slot::all() {
        let (_around, folder) = made();
        let file = folder.join(slot.file_name());
        set_mode(&file, 0o640);
        let exposed = Keys::open_or_create(&folder, true).unwrap_err();
        assert!(matches!(&exposed, KeysError::Exposed { mode: 0o640, .. }), "{exposed}");
        set_mode(&file, 0o600);
        let whole = fs::read_to_string(&file).unwrap();
        for damaged in ["", "{}", "\u{0}", &whole[..whole.len() / 2], &whole.replace("pkcs8", "pkcs9")] {
            fs::write(&file, damaged).unwrap();
            for expect_existing in [false, true] {
                let error = Keys::open_or_create(&folder, expect_existing).unwrap_err();
                assert!(matches!(&error, KeysError::Damaged { path, .. } if *path == file), "{error}");
            }
            assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
        }
        fs::remove_file(&file).unwrap();
        let missing = Keys::open_or_create(&folder, true).unwrap_err();
        assert!(
            matches!(&missing, KeysError::Missing { names, .. } if *names == [slot.file_name()]),
            "{missing}"
        );
        assert!(!file.exists());
    }
}

#[test]
fn no_keys_are_made_for_a_store_that_is_somebodys() {
    let (_around, folder) = scratch();
    let error = Keys::open_or_create(&folder, true).unwrap_err();
    assert!(matches!(&error, KeysError::Missing { names, .. } if names.len() == 5), "{error}");
    assert!(!folder.exists());
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    let (_around, folder) = made();
    set_mode(&folder, 0o770);
    assert!(matches!(Keys::open_or_create(&folder, true), Err(KeysError::FolderOpen { mode: 0o770, .. })));
}

#[test]
fn keys_are_made_once_for_the_owner_alone() {
    let (_around, folder) = made();
    let first = contents(&folder);
    assert_eq!(first.len(), 5);
    for name in first.keys() {
        let mode = fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for expect_existing in [false, true] {
        Keys::open_or_create(&folder, expect_existing).unwrap();
        assert_eq!(contents(&folder), first);
    }
    let (_other_around, other) = made();
    assert!(contents(&other).iter().all(|(name, text)| first[name] != *text));
}

#[test]
fn two_starts_at_once_agree() {
    let (_around, folder) = scratch();
    let receipt_of = || Keys::open_or_create(&folder, false).unwrap().receipt_key().public().to_vec();
    let keys: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8).map(|_| scope.spawn(receipt_of)).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
}

/// Every state in which a crash can leave the first start: some keys are whole, and the next one is half written, or
/// has both of its names.
#[test]
fn a_first_start_that_was_cut_is_completed_by_the_next() {
    let (_around, whole) = made();
    let whole = contents(&whole);
    let slots: Vec<Slot> = Slot::all().collect();
    for done in 0..slots.len() {
        for half in ["", "{\"version\": 1, \"pur", "linked"] {
            let (_around, folder) = scratch();
            folder::create(&folder).unwrap();
            for slot in &slots[..done] {
                folder::write_new(&folder.join(slot.file_name()), &whole[slot.file_name()]).unwrap();
            }
            let next = folder.join(slots[done].file_name());
            if half == "linked" {
                fs::write(folder::unfinished(&next), &whole[slots[done].file_name()]).unwrap();
                set_mode(&folder::unfinished(&next), 0o600);
                fs::hard_link(folder::unfinished(&next), &next).unwrap();
            } else {
                fs::write(folder::unfinished(&next), half).unwrap();
            }
            Keys::open_or_create(&folder, false).unwrap();
            let after = contents(&folder);
            assert_eq!(after.len(), 5, "{done} keys, then {half:?}");
            let kept = done + usize::from(half == "linked");
            for slot in &slots[..kept] {
                assert_eq!(after[slot.file_name()], whole[slot.file_name()]);
            }
        }
    }
}

#[test]
fn signatures_verify_under_the_public_keys() {
    let (_around, folder) = made();
    let keys = Keys::open_or_create(&folder, true).unwrap();
    let public: BTreeMap<_, _> = keys.public_keys().collect();
    let algorithms: [(SignatureScheme, &'static dyn VerificationAlgorithm, usize); 4] = [
        (SignatureScheme::Ed25519, &ED25519, 32),
        (SignatureScheme::EcdsaSecp256r1Sha256, &ECDSA_P256_SHA256_ASN1, 65),
        (SignatureScheme::EcdsaSecp384r1Sha384, &ECDSA_P384_SHA384_ASN1, 97),
        (SignatureScheme::EcdsaSecp521r1Sha512, &ECDSA_P521_SHA512_ASN1, 133),
    ];
    assert_eq!(public.len(), algorithms.len());
    for (scheme, algorithm, length) in algorithms {
        assert_eq!(public[&scheme].len(), length);
        let signature = keys.sign(scheme, b"a proposal").unwrap();
        let key = UnparsedPublicKey::new(algorithm, public[&scheme]);
        key.verify(b"a proposal", &signature).unwrap();
        key.verify(b"another", &signature).unwrap_err();
    }
    let receipt = keys.receipt_key();
    let key = UnparsedPublicKey::new(&ED25519, receipt.public());
    key.verify(b"a receipt", &receipt.sign(b"a receipt")).unwrap();
    assert_ne!(receipt.public(), public[&SignatureScheme::Ed25519]);
}

#[test]
fn debug_and_errors_show_nothing_of_a_key() {
    let (_around, folder) = made();
    let keys = Keys::open_or_create(&folder, true).unwrap();
    let shown = format!("{keys:?} {keys:#?} {:?}", keys.receipt_key());
    fs::write(folder.join(FIRST), contents(&folder)[FIRST].replace("checksum", "ch")).unwrap();
    let error = Keys::open_or_create(&folder, true).unwrap_err();
    let shown = format!("{shown} {error} {error:?}");
    for text in contents(&folder).values() {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        let pkcs8 = json["pkcs8"].as_str().unwrap();
        // All of the secret is behind the fixed head of the encoding.
        for window in pkcs8.as_bytes()[24..].windows(8) {
            assert!(!shown.contains(std::str::from_utf8(window).unwrap()), "{shown}");
        }
    }
}

#[test]
fn damaged_backups_are_refused() {
    let (around, folder) = made();
    let file = around.path().join("backup");
    backup(&folder, &file).unwrap();
    let whole = fs::read_to_string(&file).unwrap();
    let target = around.path().join("elsewhere/keys");
    let step = 7;
    for position in (0..whole.len()).step_by(step) {
        fs::write(&file, &whole[..position]).unwrap();
        assert!(matches!(restore(&target, &file), Err(KeysError::BackupDamaged { .. })), "prefix {position}");
        let mut bytes = whole.clone().into_bytes();
        bytes[position] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert!(restore(&target, &file).is_err(), "byte {position}");
    }
    fs::write(&file, whole.replacen("\"version\": 1", "\"version\": 2", 2)).unwrap();
    assert!(restore(&target, &file).is_err());
    fs::write(&file, "x".repeat(limits::KEYS_BACKUP_BYTES + 1)).unwrap();
    assert!(matches!(restore(&target, &file), Err(KeysError::BackupDamaged { .. })));
    assert!(!target.exists());
}

#[test]
fn a_backup_is_never_written_over_something_nor_of_half_the_keys() {
    let (around, folder) = made();
    let file = around.path().join("backup");
    fs::write(&file, "dear").unwrap();
    assert!(matches!(backup(&folder, &file), Err(KeysError::Io { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "dear");
    fs::remove_file(folder.join(FIRST)).unwrap();
    let other = around.path().join("other");
    assert!(matches!(backup(&folder, &other), Err(KeysError::Missing { .. })));
    assert!(!other.exists());
}

#[test]
fn other_keys_are_not_replaced() {
    let (around, folder) = made();
    let file = around.path().join("backup");
    backup(&folder, &file).unwrap();
    let (_other_around, other) = made();
    let before = contents(&other);
    let error = restore(&other, &file).unwrap_err();
    assert!(matches!(&error, KeysError::Different { names, .. } if names.len() == 5), "{error}");
    for slot in Slot::all().skip(1) {
        fs::remove_file(other.join(slot.file_name())).unwrap();
    }
    let error = restore(&other, &file).unwrap_err();
    assert!(matches!(&error, KeysError::Different { names, .. } if *names == [FIRST]), "{error}");
    assert_eq!(contents(&other), BTreeMap::from([(FIRST.to_owned(), before[FIRST].clone())]));
    // Where a restore that was cut had moved them away, they are not lost either.
    fs::rename(&other, replaced(&other)).unwrap();
    assert!(matches!(restore(&other, &file), Err(KeysError::Different { .. })));
    assert!(replaced(&other).join(FIRST).exists());
    fs::rename(replaced(&other), &other).unwrap();
    fs::remove_file(other.join(FIRST)).unwrap();
    fs::write(other.join("letter"), "dear").unwrap();
    assert!(matches!(restore(&other, &file), Err(KeysError::OtherFile(_))));
    assert!(other.join("letter").exists());
}

#[test]
fn a_backup_brings_back_the_same_keys() {
    let (around, folder) = made();
    let file = around.path().join("backup");
    backup(&folder, &file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let keys = contents(&folder);
    assert_eq!(restore(&folder, &file).unwrap(), Restored::AlreadyThere);

    fs::remove_file(folder.join(FIRST)).unwrap();
    assert_eq!(restore(&folder, &file).unwrap(), Restored::PutBack);
    assert_eq!(contents(&folder), keys);

    fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    assert_eq!(restore(&folder, &file).unwrap(), Restored::PutBack);
    assert_eq!(contents(&folder), keys);
    Keys::open_or_create(&folder, true).unwrap();
    assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1);
}

/// Every state in which a crash can leave a restore: no start takes it for something else, and a second restore ends it.
#[test]
fn a_restore_that_was_cut_leaves_nothing_or_all() {
    let (around, source) = made();
    let file = around.path().join("backup");
    backup(&source, &file).unwrap();
    let keys = contents(&source);
    let copy = |to: &Path, names: usize| {
        folder::create(to).unwrap();
        for (name, text) in keys.iter().take(names) {
            folder::write_and_sync(&to.join(name), text).unwrap();
        }
    };
    // How many keys the folder beside has, the folder itself (none: it is not there), and the one moved away.
    for (staged, real, moved) in [(Some(0), None, None), (Some(3), Some(2), None), (Some(5), None, Some(2))] {
        let (_around, folder) = scratch();
        for (path, names) in
            [(restoring(&folder), staged), (folder.clone(), real), (replaced(&folder), moved)]
        {
            if let Some(names) = names {
                copy(&path, names);
            }
        }
        for expect_existing in [false, true] {
            let error = Keys::open_or_create(&folder, expect_existing).unwrap_err();
            assert!(matches!(error, KeysError::RestoreInterrupted(_)), "{error}");
        }
        assert_eq!(restore(&folder, &file).unwrap(), Restored::PutBack);
        assert_eq!(contents(&folder), keys);
        Keys::open_or_create(&folder, true).unwrap();
        assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1);
    }
    // The last step is only tidying up.
    let (_around, folder) = scratch();
    copy(&folder, 5);
    copy(&replaced(&folder), 2);
    Keys::open_or_create(&folder, true).unwrap();
    assert!(!replaced(&folder).exists());
    assert_eq!(contents(&folder), keys);
}
