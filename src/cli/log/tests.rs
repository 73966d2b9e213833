//! Logs in files and of a service that is played, shown and verified.

use std::path::{Path, PathBuf};

use maypole_core::batch::Op;
use maypole_core::ids::{Epoch, GroupId};
use maypole_core::receipt::Receipt;
use serde_json::Value;
use tempfile::TempDir;

use crate::admin::tests::receipts::{chain, keys, line, of_room, receipt};
use crate::admin::tests::{Fake, explanation};
use crate::admin::{AdminLimits, Listener};
use crate::cli::Exit;
use crate::cli::tests::stored::{Place, ROOM};
use crate::cli::tests::{Ran, maypole, text};

/// Writes a file, one value a line.
fn file(folder: &TempDir, name: &str, lines: &[Value]) -> PathBuf {
    let path = folder.path().join(name);
    let written: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(&path, format!("{}\n\n", written.join("\n"))).unwrap();
    path
}

fn lines(count: u64) -> Vec<Value> {
    chain(count).iter().map(line).collect()
}

fn verify(path: &Path, more: &[&str]) -> Ran {
    maypole(&[&["log", "verify", "--file", text(path)], more].concat())
}

#[test]
fn a_file_that_is_broken_is_told_with_its_line_and_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let key = keys().to_string();
    let mut broken = lines(5);
    broken.remove(3);
    let ran = verify(&file(&folder, "gap", &broken), &["--key", &key]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Broken, ""));
    let said = "gap: line 4: at epoch 4: the next receipt should be of epoch 3; whole from 0 to 2";
    assert!(ran.err.contains(said), "{}", ran.err);

    let mut twice = lines(3);
    twice.push(line(&of_room(Receipt { tree_hash: vec![9; 32], ..receipt(2, None) })));
    assert_eq!(verify(&file(&folder, "twice", &twice), &[]).exit, Exit::Forked);

    let mut forged = lines(3);
    forged[1]["receipt"]["term"] = 2.into();
    let forged = file(&folder, "forged", &forged);
    assert!(
        verify(&forged, &["--key", &key]).err.contains("at epoch 1: the signature of the receipt is false")
    );
    let other = key.replace("@:a.org", "@:b.org");
    let unsigned = verify(&file(&folder, "whole", &lines(3)), &["--key", &other]);
    assert_eq!(unsigned.exit, Exit::Broken);
    assert!(unsigned.err.contains("line 1: at epoch 0: "), "{}", unsigned.err);

    for (text, said) in
        [("", "there is no receipt"), ("{\"a\":1,\"a\":2}", "line 1: `line` is not JSON"), ("[]", "line 1: ")]
    {
        let path = folder.path().join("odd");
        std::fs::write(&path, text).unwrap();
        let ran = verify(&path, &[]);
        assert_eq!(ran.exit, Exit::Broken, "{text}");
        assert!(ran.err.contains(said), "{text}: {}", ran.err);
    }
    assert_eq!(verify(&folder.path().join("none"), &[]).exit, Exit::Failed);
}

#[test]
fn a_whole_file_says_so_and_whether_it_was_signed() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "whole", &lines(5));
    let ran = verify(&path, &["--key", &keys().to_string()]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Ok, ""));
    assert!(ran.out.contains("whole: 5 receipts, one chain from epoch 0 to 4\n"), "{}", ran.out);
    assert!(ran.out.contains(&format!("signed by {}\n", keys())), "{}", ran.out);
    assert!(verify(&path, &[]).out.contains("signatures were not looked at"));
    // What comes later is a chain as well, and so is a file whose last line has no end.
    let late = file(&folder, "late", &lines(5)[3..]);
    let without_end = std::fs::read_to_string(&late).unwrap().trim_end().to_owned();
    std::fs::write(&late, without_end).unwrap();
    assert!(verify(&late, &[]).out.contains("2 receipts, one chain from epoch 3 to 4\n"));
}

#[test]
fn two_files_that_part_are_told_with_the_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let one = file(&folder, "one", &lines(5));
    let mut told = chain(5)[..3].to_vec();
    for epoch in 3..6 {
        let prev = told.last().map(|last| last.hash());
        told.push(of_room(Receipt { external_pub: vec![9; 32], ..receipt(epoch, prev) }));
    }
    let other = file(&folder, "other", &told.iter().map(line).collect::<Vec<_>>());
    for (file, against) in [(&one, &other), (&other, &one)] {
        let ran = verify(file, &["--against", text(against), "--key", &keys().to_string()]);
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Forked, ""), "{}", ran.err);
        assert!(ran.err.contains("at epoch 3: there are two receipts of this epoch"), "{}", ran.err);
    }
    let part = file(&folder, "part", &lines(5)[1..3]);
    let ran = verify(&one, &["--against", text(&part)]);
    assert!(ran.exit == Exit::Ok && ran.out.contains("tells the same of 2 of these epochs"), "{}", ran.out);
    // The other one must be whole itself.
    let mut broken = lines(4);
    broken.remove(1);
    let broken = file(&folder, "broken", &broken);
    let ran = verify(&one, &["--against", text(&broken)]);
    assert!(ran.exit == Exit::Broken && ran.err.contains("broken: line 2: at epoch 2"), "{}", ran.err);
}

#[test]
fn a_log_comes_from_the_running_service_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.yaml");
    std::fs::write(&config, crate::config::example()).unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(Listener::open(&folder.path().join("data/admin.sock"))).unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let fake = Fake::Knows(Box::new(explanation()));
    let serving = runtime.spawn(listener.serve(fake, AdminLimits::default(), stop.clone()));
    let log = |more: &[&str]| maypole(&[&["log"], more, &["--config", text(&config)]].concat());

    let shown = log(&["show", "!room:a.org", "--from", "1", "--to", "3"]);
    assert_eq!((shown.exit, shown.err.as_str()), (Exit::Ok, ""));
    assert!(
        shown.out.starts_with("epoch 1, by @alice:a.org/PHONE, ") && shown.out.contains("  came     @bob")
    );
    assert_eq!(shown.out.lines().filter(|line| line.starts_with("epoch ")).count(), 3, "{}", shown.out);
    let nothing = log(&["show", "!room:a.org", "--from", "9"]);
    assert!(nothing.exit == Exit::Ok && nothing.out.is_empty(), "{}", nothing.out);
    assert!(nothing.err.contains("the log has the epochs 0 to 3"), "{}", nothing.err);

    let json = log(&["show", "!room:a.org", "--json"]);
    assert_eq!(json.out.lines().count(), 4);
    let path = folder.path().join("log.jsonl");
    std::fs::write(&path, &json.out).unwrap();
    assert_eq!(verify(&path, &["--key", &keys().to_string()]).exit, Exit::Ok);

    let whole = log(&["verify", "!room:a.org", "--against", text(&path)]);
    assert_eq!((whole.exit, whole.err.as_str()), (Exit::Ok, ""));
    assert!(whole.out.contains("4 receipts, one chain from epoch 0 to 3"), "{}", whole.out);
    assert!(whole.out.contains("tells the same of 4 of these epochs"), "{}", whole.out);
    let other = file(&folder, "other", &[line(&of_room(Receipt { term: 2, ..receipt(0, None) }))]);
    assert_eq!(log(&["verify", "!room:a.org", "--against", text(&other)]).exit, Exit::Forked);
    let unknown = log(&["verify", "!other:a.org"]);
    assert!(unknown.exit == Exit::Failed && unknown.err.contains("keeps no group for !other:a.org"));
    assert_eq!(log(&["show", "!other:a.org"]).exit, Exit::Failed);
    stop.cancel();
    runtime.block_on(serving).unwrap();
}

#[test]
fn where_no_service_runs_a_log_is_read_from_the_store() {
    let place = Place::with_group(3);
    let log = |arguments: &[&str]| place.run(&[&["log"], arguments].concat());
    let shown = log(&["show", ROOM, "--from", "1", "--to", "2"]);
    assert_eq!((shown.exit, shown.err.as_str()), (Exit::Ok, ""));
    assert_eq!(shown.out.lines().filter(|line| line.starts_with("epoch ")).count(), 2, "{}", shown.out);
    let path = place.path("log.jsonl");
    std::fs::write(&path, log(&["show", ROOM, "--json"]).out).unwrap();

    let whole = log(&["verify", ROOM, "--against", text(&path)]);
    assert_eq!((whole.exit, whole.err.as_str()), (Exit::Ok, ""));
    for said in [
        "!room:a.org: 4 receipts, one chain from epoch 0 to 3\n  signed by @:a.org/ed25519:",
        "tells the same of 4 of these epochs\n  read from the store, since no service runs\n",
    ] {
        assert!(whole.out.contains(said), "{}", whole.out);
    }
    let other = log(&["verify", ROOM, "--key", &keys().to_string()]);
    assert_eq!((other.exit, other.out.as_str()), (Exit::Broken, ""), "{}", other.err);
    let unknown = log(&["verify", "!other:a.org"]);
    assert!(unknown.exit == Exit::Failed && unknown.err.contains("the store has no group for !other:a.org"));

    // Nobody says with what they must be signed: it is said, and the chain is looked at all the same.
    std::fs::remove_dir_all(place.path("data/keys")).unwrap();
    let blind = log(&["verify", ROOM]);
    assert_eq!(blind.exit, Exit::Ok, "{}", blind.err);
    assert!(blind.out.contains("signatures were not looked at: ") && blind.out.contains("keys are missing"));
    let gone = Op::RemoveEntry(GroupId::parse(ROOM).unwrap(), Epoch::new(2).unwrap());
    place.apply(vec![gone]);
    assert_eq!(log(&["verify", ROOM]).exit, Exit::Broken);
    let nothing = Place::new().run(&["log", "verify", ROOM]);
    assert!(nothing.exit == Exit::Store && nothing.err.contains("there is no store in"), "{}", nothing.err);
}
