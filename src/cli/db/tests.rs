//! The store of no running service, and a service that is played.

use std::fs;
use std::path::Path;
use std::time::Duration;

use maypole_core::batch::{Backend as _, Op};
use maypole_core::group::Snapshot;
use maypole_core::ids::{Epoch, GroupId, ProcessId};
use maypole_testkit::postgres::Postgres;

use crate::admin::tests::{Fake, explanation};
use crate::admin::{AdminLimits, Listener};
use crate::cli::Exit;
use crate::cli::tests::stored::{Place, ROOM, tree_of};
use crate::cli::tests::{Ran, text};
use crate::storage::conformance::samples::{head, key, message, user};
use crate::storage::postgres;

/// A store with messages, and with a group of which nothing but the head is there, if that is wanted.
fn fill(place: &Place, with_group: bool) {
    let mut ops = vec![
        Op::Bind(user("_mls_ds")),
        Op::BindKeys(key(1).0),
        Op::Receive(message(1, 9)),
        Op::Receive(message(2, 9_000)),
    ];
    ops.extend(with_group.then(|| Op::SetHead(head(1, 3, 9))));
    place.apply(ops);
}

fn db(place: &Place, arguments: &[&str]) -> Ran {
    place.run(&[&["db"], arguments].concat())
}

fn unfinished(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains("unfinished")).count()
}

#[test]
fn where_there_is_no_store_nothing_is_made() {
    let place = Place::new();
    let file = place.path("copy");
    for arguments in [&["check"][..], &["export", text(&file)], &["backup", text(place.0.path())]] {
        let ran = db(&place, arguments);
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Store, ""));
        assert!(ran.err.contains("there is no store in"), "{}", ran.err);
    }
    assert!(!place.path("data/sled").exists() && !file.exists() && unfinished(place.0.path()) == 0);
}

#[test]
fn a_store_is_checked_copied_and_put_elsewhere() {
    let (place, other) = (Place::new(), Place::new());
    fill(&place, false);
    let checked = db(&place, &["check"]);
    assert_eq!((checked.exit, checked.err.as_str()), (Exit::Ok, ""));
    assert!(!checked.out.contains("what to do"), "{}", checked.out);
    assert!(
        checked.out.contains("0 groups with 0 epochs looked at, 0 of them damaged; 2 messages wait"),
        "{}",
        checked.out
    );

    let file = place.path("copy");
    let exported = db(&place, &["export", text(&file)]);
    assert_eq!((exported.exit, exported.err.as_str()), (Exit::Ok, ""));
    assert!(exported.out.contains("2 messages that wait"), "{}", exported.out);
    let again = db(&place, &["export", text(&file)]);
    assert!(again.exit == Exit::Failed && again.err.contains("already"), "{}", again.err);
    let whole = db(&place, &["check", "--file", text(&file)]);
    assert!(whole.exit == Exit::Ok && whole.out.contains(": a whole copy: 0 groups"), "{}", whole.out);

    let imported = db(&other, &["import", text(&file)]);
    assert_eq!((imported.exit, imported.err.as_str()), (Exit::Ok, ""));
    assert!(
        imported.out.contains(" of @_mls_ds:a.org: 0 groups") && imported.out.contains("keys restore"),
        "{}",
        imported.out
    );
    // But for the folder in which the keys are not.
    let there = db(&other, &["check"]).out;
    assert_eq!(there.lines().next(), checked.out.lines().next());
    let twice = db(&other, &["import", text(&file)]);
    assert!(twice.exit == Exit::Store && twice.err.contains("the store is not empty"), "{}", twice.err);
}

#[test]
fn what_is_no_whole_copy_is_not_taken_in_and_nothing_is_made_of_it() {
    let (place, other) = (Place::new(), Place::new());
    fill(&place, false);
    let file = place.path("copy");
    assert_eq!(db(&place, &["export", text(&file)]).exit, Exit::Ok);
    let whole = fs::read(&file).unwrap();
    for (bytes, why) in [
        (&b"something else entirely"[..], "it is not a copy that"),
        (&b"maypole copy 2\n"[..], "a newer version"),
        (&whole[..whole.len() - 9], "cut short"),
        (&[&whole[..], b"x"].concat(), "something was added"),
    ] {
        fs::write(&file, bytes).unwrap();
        for ran in [db(&other, &["import", text(&file)]), db(&other, &["check", "--file", text(&file)])] {
            assert!(ran.exit == Exit::Store && ran.err.contains(why), "{}", ran.err);
        }
        assert!(!other.path("data/sled").exists());
    }
    let nowhere = db(&other, &["import", text(&other.path("nowhere"))]);
    assert!(nowhere.exit == Exit::Store && nowhere.err.contains("cannot be read"), "{}", nowhere.err);
}

#[test]
fn damage_is_named_and_ends_with_its_own_code() {
    let place = Place::new();
    fill(&place, true);
    let ran = db(&place, &["check"]);
    assert_eq!(ran.exit, Exit::Store);
    assert!(ran.out.contains("it has no snapshot") && ran.out.contains("1 of them damaged"), "{}", ran.out);
    for step in ["what to do:\n", "`maypole db import`, start", "a new room, with a group of its"] {
        assert!(ran.out.contains(step), "{}", ran.out);
    }
    // A bulk file that is not what it was: the message is not in the copy, and that is said.
    let mut folders = vec![place.path("data/sled/bulk")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { fs::write(path, "something else").unwrap() }
        }
    }
    let ran = db(&place, &["export", text(&place.path("copy"))]);
    assert_eq!(ran.exit, Exit::Store);
    assert!(ran.out.contains("1 records of the store are damaged and are not in it"), "{}", ran.out);
    let ran = db(&place, &["check", "--file", text(&place.path("copy"))]);
    assert!(
        ran.exit == Exit::Store
            && ran.out.contains("1 records of the store were damaged")
            && ran.out.contains("`maypole db import --damaged`"),
        "{}",
        ran.out
    );
}

#[test]
fn without_a_service_receipts_are_held_against_the_keys_that_are_configured() {
    let place = Place::with_group(3);
    let whole = db(&place, &["check"]);
    assert_eq!((whole.exit, whole.err.as_str()), (Exit::Ok, ""), "{}", whole.out);
    assert!(whole.out.contains("1 groups with 4 epochs looked at, 0 of them damaged"), "{}", whole.out);
    assert!(!whole.out.contains("not looked at"), "{}", whole.out);
    // A receipt that fits, and that somebody else has signed.
    let other = Place::with_group(3);
    let forged = other.entries().pop().unwrap();
    place.apply(vec![Op::Append(GroupId::parse(ROOM).unwrap(), forged)]);
    let broken = db(&place, &["check"]);
    assert_eq!(broken.exit, Exit::Store);
    assert!(broken.out.contains("its log, at epoch 3: "), "{}", broken.out);
    // Without keys, or with those of another service, nobody can say so; and that is said.
    for (keys, why) in [(None, "keys are missing"), (Some(other), "are others than those that the store's")] {
        fs::remove_dir_all(place.path("data/keys")).unwrap();
        if let Some(other) = keys {
            fs::rename(other.path("data/keys"), place.path("data/keys")).unwrap();
        } else {
            fs::create_dir(place.path("data/keys")).unwrap();
        }
        let blind = db(&place, &["check"]);
        assert_eq!((blind.exit, blind.err.as_str()), (Exit::Ok, ""));
        let said = "signatures of receipts were not looked at: ";
        assert!(blind.out.contains(said) && blind.out.contains(why), "{}", blind.out);
    }
}

#[test]
fn what_is_damaged_of_one_group_comes_back_from_a_copy_and_it_stands_where_it_stood() {
    let place = Place::with_group(5);
    let (copy, whole) = (place.path("copy"), db(&place, &["check"]).out);
    assert_eq!(db(&place, &["export", text(&copy)]).exit, Exit::Ok);
    let entries = place.entries();
    let mend = |place: &Place| db(place, &["mend", ROOM, "--from", text(&copy)]);
    let nothing = mend(&place);
    assert!(nothing.exit == Exit::Store && nothing.err.contains("can be read: there is nothing to put back"));

    for (epochs, tree, said) in [
        (&[2, 5][..], false, "2 epochs of its log and 0 of its trees were put back"),
        (&[][..], true, "0 epochs of its log and 1 of its trees were put back"),
        (&[0, 1, 2, 3, 4, 5][..], true, "6 epochs of its log and 1 of its trees were put back"),
    ] {
        place.damage(epochs, tree);
        assert_eq!(db(&place, &["check"]).exit, Exit::Store, "{epochs:?} {tree}");
        let mended = mend(&place);
        assert_eq!((mended.exit, mended.err.as_str()), (Exit::Ok, ""));
        assert!(mended.out.contains("whole again, in epoch 5, where it stood") && mended.out.contains(said));
        assert_eq!((db(&place, &["check"]).out, place.entries()), (whole.clone(), entries.clone()));
    }
}

#[test]
fn a_damaged_tree_of_an_epoch_that_has_passed_is_named_and_stays_if_nothing_leads_to_it() {
    let place = Place::with_group(5);
    let (copy, id) = (place.path("copy"), GroupId::parse(ROOM).unwrap());
    assert_eq!(db(&place, &["export", text(&copy)]).exit, Exit::Ok);
    let garbage = Snapshot { epoch: Epoch::new(2).unwrap(), bytes: vec![9, 9] };
    place.apply(vec![Op::PutSnapshot(id, garbage)]);
    let damaged = db(&place, &["check"]);
    assert_eq!(damaged.exit, Exit::Store);
    assert!(damaged.out.contains("its tree of epoch 2 is not what the receipt says"), "{}", damaged.out);
    let mend = || db(&place, &["mend", ROOM, "--from", text(&copy)]);
    let lacking = mend();
    assert_eq!((lacking.exit, lacking.out.as_str()), (Exit::Store, ""));
    assert!(lacking.err.contains("the tree of epoch 2 is not in it"), "{}", lacking.err);
    // What can be put back is, and what cannot is told.
    place.damage(&[4], false);
    let mended = mend();
    assert_eq!((mended.exit, mended.err.as_str()), (Exit::Ok, ""));
    for said in
        ["1 epochs of its log and 0 of its trees were put back", "1 trees of epochs that have passed stay"]
    {
        assert!(mended.out.contains(said), "{}", mended.out);
    }
    assert_eq!(db(&place, &["check"]).out, damaged.out);
}

/// A cut that met the damage stopped there, and what it cuts from is still there.
#[test]
fn a_group_whose_cut_was_broken_off_is_mended_from_the_tree_that_leads_on() {
    for copied in ["before the cut", "after it"] {
        let place = Place::with_group(5);
        let (copy, id) = (place.path("copy"), GroupId::parse(ROOM).unwrap());
        let export = || assert_eq!(db(&place, &["export", text(&copy)]).exit, Exit::Ok);
        let first = Snapshot { epoch: Epoch::new(1).unwrap(), bytes: tree_of(1).snapshot() };
        place.apply(vec![Op::PutSnapshot(id.clone(), first)]);
        if copied == "before the cut" {
            export();
        }
        let cut = (0..3).filter_map(Epoch::new).map(|epoch| Op::RemoveEntry(id.clone(), epoch));
        place.apply(cut.collect());
        if copied == "after it" {
            export();
        }
        let (whole, entries) = (db(&place, &["check"]), place.entries());
        assert_eq!((whole.exit, entries.len()), (Exit::Ok, 3), "{}", whole.out);
        place.damage(&[4], false);
        assert_eq!(db(&place, &["check"]).exit, Exit::Store);
        let mended = db(&place, &["mend", ROOM, "--from", text(&copy)]);
        assert_eq!((mended.exit, mended.err.as_str()), (Exit::Ok, ""), "{copied}");
        assert!(
            mended.out.contains("1 epochs of its log and 0 of its trees were put back"),
            "{}",
            mended.out
        );
        assert_eq!((db(&place, &["check"]).out, place.entries()), (whole.out, entries), "{copied}");
    }
}

#[test]
fn a_group_is_not_mended_by_what_does_not_lead_to_where_it_stands() {
    let place = Place::with_group(5);
    // Another group of the same name; an older copy; one that is damaged in the same place; one without the group.
    let copies = [Place::with_group(5), Place::with_group(3), Place::with_group(5), Place::new()];
    copies[2].damage(&[4], false);
    fill(&copies[3], false);
    place.damage(&[4], false);
    let before = db(&place, &["check"]).out;
    let reasons = [
        "the group would not stand where it stood",
        "epoch 4 of its log is not in it",
        "epoch 4 of its log is not in it",
        "epoch 4 of its log is not in it",
    ];
    for (from, why) in copies.iter().zip(reasons) {
        let copy = from.path("copy");
        let _ = db(from, &["export", text(&copy)]);
        let ran = db(&place, &["mend", ROOM, "--from", text(&copy)]);
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Store, ""), "{why}");
        assert!(ran.err.contains(why), "{}", ran.err);
        let unknown = db(&place, &["mend", "!other:a.org", "--from", text(&copy)]);
        assert!(
            unknown.exit == Exit::Store && unknown.err.contains("no group of that room"),
            "{}",
            unknown.err
        );
        let cut = &fs::read(&copy).unwrap()[..99];
        fs::write(&copy, cut).unwrap();
        let cut = db(&place, &["mend", ROOM, "--from", text(&copy)]);
        assert!(cut.exit == Exit::Store && cut.err.contains("cut short"), "{}", cut.err);
        assert_eq!(db(&place, &["check"]).out, before);
    }
}

/// Whoever has the group in memory would write over what is put back.
#[test]
fn a_group_is_not_mended_under_a_process_that_works_on_its_store() {
    let place = Place::with_group(5);
    let copy = place.path("copy");
    assert_eq!(db(&place, &["export", text(&copy)]).exit, Exit::Ok);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let database = runtime.block_on(Postgres::start()).unwrap();
    let config = fs::read_to_string(place.path("c.yaml")).unwrap();
    let there = format!("  postgres: \"{}\"", database.url());
    fs::write(place.path("c.yaml"), config.replacen("  #postgres:", &there, 1)).unwrap();
    assert_eq!(db(&place, &["import", text(&copy)]).exit, Exit::Ok);
    let checked = || db(&place, &["check"]).out;
    let (before, other) = (checked(), ProcessId::from_bytes([7; 16]));
    let mend = || db(&place, &["mend", ROOM, "--from", text(&copy)]);
    let lives = |lives: bool| {
        runtime.block_on(async {
            let store = postgres::Store::open(&database.url(), 1).await.unwrap();
            if lives {
                store.renew(other, Duration::from_secs(3_600)).await.unwrap();
            } else {
                store.retire(other).await.unwrap();
            }
            store.close().await;
        });
    };
    lives(true);
    let refused = mend();
    assert_eq!((refused.exit, refused.out.as_str()), (Exit::Failed, ""));
    assert!(refused.err.contains("another process uses the store: stop it first"), "{}", refused.err);
    assert_eq!(checked(), before);
    lives(false);
    // Twice: whoever has been refused, or has mended, works on nothing any more.
    for _ in 0..2 {
        let whole = mend();
        assert!(whole.err.contains("there is nothing to put back"), "{}", whole.err);
    }
}

#[test]
fn backups_have_the_name_of_their_time_and_old_ones_go() {
    let place = Place::new();
    fill(&place, false);
    let folder = place.path("backups");
    fs::create_dir(&folder).unwrap();
    for day in [1, 2, 3] {
        fs::write(folder.join(format!("maypole-200011{day:02}T093000Z.copy")), "").unwrap();
    }
    let ran = db(&place, &["backup", text(&folder), "--keep", "2"]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Ok, ""));
    assert_eq!(ran.out.matches(": removed").count(), 2, "{}", ran.out);
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 2);
    assert!(names[0].ends_with("maypole-20001103T093000Z.copy"));
    assert_eq!(db(&place, &["check", "--file", text(&names[1])]).exit, Exit::Ok);
    for wrong in ["0", "x", "-1"] {
        assert_eq!(db(&place, &["backup", text(&folder), "--keep", wrong]).exit, Exit::Usage);
    }
}

#[test]
fn a_running_service_is_asked_part_by_part() {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let serve = |fake| {
        let listener = runtime.block_on(Listener::open(&place.path("data/admin.sock"))).unwrap();
        let stop = tokio_util::sync::CancellationToken::new();
        (runtime.spawn(listener.serve(fake, AdminLimits::default(), stop.clone())), stop)
    };
    let (serving, stop) = serve(Fake::Knows(Box::new(explanation())));
    let ran = db(&place, &["check"]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Store, ""));
    assert!(
        ran.out.starts_with("!other:a.org: it has no log\n2 groups with 8 epochs looked at, 1 of"),
        "{}",
        ran.out
    );
    let file = place.path("copy");
    let ran = db(&place, &["export", text(&file)]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Ok, ""));
    let ran = db(&place, &["mend", ROOM, "--from", text(&file)]);
    assert!(ran.exit == Exit::Failed && ran.err.contains("the service runs: stop it first"), "{}", ran.err);
    stop.cancel();
    runtime.block_on(serving).unwrap();

    let (serving, stop) = serve(Fake::Fails("the store is unavailable"));
    let file = place.path("another");
    for arguments in [&["check"][..], &["export", text(&file)]] {
        let ran = db(&place, arguments);
        assert!(ran.exit == Exit::Failed && ran.err.contains("the store is unavailable"), "{}", ran.err);
    }
    assert!(!file.exists() && unfinished(place.0.path()) == 0);
    stop.cancel();
    runtime.block_on(serving).unwrap();
}
