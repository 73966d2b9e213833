//! Commands of real MLS members, judged: every refusal first, and that it leaves the group as it was.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use maypole_mls::Suite;
use maypole_testkit::mls::{Change, Commit, ExternalSender, Member, Terms as MlsTerms};

mod generations;
mod model;
mod must_go;
mod orders;
mod party;
mod proposals;
mod trees;
mod turns;
mod writes;

use super::*;
use crate::auth::Authenticated;
use crate::ids::{DeviceId, Sha256};
use crate::ledger::Durable;
use crate::permit::{Effect as Outside, Intent, Permit};
use crate::rejection::{Code, Rejection};
use crate::time::Timestamp;

const ROOM: &str = "!room:a.org";
pub(crate) const SERVICE: &str = "@:a.org/ed25519:1/KEY";

/// Nothing must happen outside.
const FREELY: Permit = Permit { effects: Vec::new(), cited: Vec::new() };

/// Identities are `user/device`; the service has a key for suite 1 alone.
pub(crate) struct Here;

impl Terms for Here {
    fn client(&self, identity: &[u8]) -> Option<ClientId> {
        client(std::str::from_utf8(identity).ok()?)
    }

    fn external_sender(&self, suite: Suite) -> Option<(Vec<u8>, Vec<u8>)> {
        (suite.code() == 1).then(|| (SERVICE.into(), service_key().to_vec()))
    }
}

fn service_pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

pub(crate) fn service_key() -> [u8; 32] {
    service_pair().public_key().as_ref().try_into().unwrap()
}

/// As whoever has the key signs.
pub(crate) fn signatures(to_sign: &ToSign) -> Vec<Vec<u8>> {
    assert_eq!(to_sign.key, service_key(), "the key that the group knows");
    to_sign.contents.iter().map(|content| service_pair().sign(content).as_ref().to_vec()).collect()
}

pub(crate) fn client(name: &str) -> Option<ClientId> {
    let (user, device) = name.split_once('/')?;
    Some(ClientId { user: UserId::parse(user)?, device: DeviceId::parse(device)? })
}

fn now() -> Timestamp {
    Timestamp::from_millis(maypole_testkit::wait::unix_seconds() * 1_000)
}

fn service(key: [u8; 32]) -> ExternalSender {
    ExternalSender { identity: SERVICE.to_owned(), signature_key: key.to_vec() }
}

/// A device that has made a group and not registered it.
fn founder(name: &str, senders: &[ExternalSender]) -> Member {
    let mut member = Member::new(name, 1).unwrap();
    member.create_group(ROOM.as_bytes(), senders).unwrap();
    member
}

fn command(by: &str, request: Request) -> Authenticated<Command> {
    let client = client(by).unwrap();
    let caller = Authenticated::stored(client.user);
    Command::of(&caller, client.device, GroupId::parse(ROOM).unwrap(), request)
}

fn registration(by: &str, group_info: Vec<u8>) -> Case {
    Case::new(command(by, Request::Register { group_info }))
}

fn commit(by: &str, epoch: u64, commit: &Commit) -> Case {
    Case::new(command(by, request(epoch, commit)))
}

fn request(epoch: u64, commit: &Commit) -> Request {
    Request::Commit {
        epoch: Epoch::new(epoch).unwrap(),
        message: commit.message.clone(),
        welcome: commit.welcome.clone(),
        group_info: (!commit.group_info.is_empty()).then(|| commit.group_info.clone()),
    }
}

fn begin(group: Option<&Group>, case: &mut Case) -> Step {
    step(group, case, Input::Begin, &Here, now())
}

#[track_caller]
fn refused(step: Step) -> Rejection {
    match step {
        Step::Reject(rejection) => rejection,
        other => panic!("not refused: {other:?}"),
    }
}

/// Answers everything that a case asks for with yes.
fn permitted(group: Option<&Group>, case: &mut Case, permit: &Permit) -> Step {
    let last = begin(group, case);
    answered(group, case, last, permit, now())
}

/// The same from any step on.
fn answered(group: Option<&Group>, case: &mut Case, mut last: Step, permit: &Permit, now: Timestamp) -> Step {
    while let Step::Need(need) = last {
        let fetched = match need {
            Need::Keys(_) => Fetched::Keys(Ok(())),
            Need::Permit(_) => Fetched::Permit(Ok(permit.clone())),
            Need::Predecessor(_) => Fetched::Predecessor(Ok(None)),
            Need::Signatures(to_sign) => Fetched::Signatures(signatures(&to_sign)),
        };
        last = step(group, case, Input::Fetched(fetched), &Here, now);
    }
    last
}

#[track_caller]
fn decided(step: Step) -> Box<Decision> {
    match step {
        Step::Decide(decision) => decision,
        other => panic!("not decided: {other:?}"),
    }
}

/// As the ledger does it.
fn durable(decision: Box<Decision>) -> Durable<Decision> {
    let mut decision = *decision;
    decision.head.receipt = Sha256::of(format!("{:?}", decision.receipt).as_bytes());
    Durable(decision)
}

fn enter(group: Option<Group>, decision: Box<Decision>) -> Group {
    Group::enter(group, durable(decision)).unwrap()
}

/// A registered group of one, and its member.
fn world() -> (Group, Member) {
    let alice = founder("@alice:a.org/PHONE", &[service(service_key())]);
    let mut case = registration("@alice:a.org/PHONE", alice.group_info(true).unwrap());
    let decision = decided(permitted(None, &mut case, &FREELY));
    (enter(None, decision), alice)
}

#[test]
fn a_group_begins_only_as_it_must() {
    const ALICE: &str = "@alice:a.org/PHONE";
    let right = || founder(ALICE, &[service(service_key())]);
    let info = |member: &Member| member.group_info(true).unwrap();
    let codes = |case: &mut Case| refused(begin(None, case)).code();

    let mut later = right();
    later.update().unwrap();
    later.merge().unwrap();
    let other_suite = {
        let mut member = Member::new(ALICE, 2).unwrap();
        member.create_group(ROOM.as_bytes(), &[service(service_key())]).unwrap();
        info(&member)
    };
    let stranger = ExternalSender { identity: "@mallory:a.org".to_owned(), ..service(service_key()) };
    let whole = info(&right());
    for (what, bytes, code) in [
        ("nobody may propose", info(&founder(ALICE, &[])), Code::InvalidGroupInfo),
        ("another key", info(&founder(ALICE, &[service([8; 32])])), Code::InvalidGroupInfo),
        ("another identity", info(&founder(ALICE, std::slice::from_ref(&stranger))), Code::InvalidGroupInfo),
        (
            "somebody besides",
            info(&founder(ALICE, &[service(service_key()), stranger])),
            Code::InvalidGroupInfo,
        ),
        ("a later epoch", info(&later), Code::InvalidGroupInfo),
        ("without its tree", right().group_info(false).unwrap(), Code::InvalidGroupInfo),
        (
            "an identity that is none",
            info(&founder("alice", &[service(service_key())])),
            Code::InvalidGroupInfo,
        ),
        ("another suite", other_suite, Code::Unsupported),
        ("cut short", whole[..whole.len() - 1].to_vec(), Code::Malformed),
        ("no GroupInfo", right().update().unwrap().message, Code::Malformed),
    ] {
        assert_eq!(codes(&mut registration(ALICE, bytes)), code, "{what}");
    }
    let mut forged = info(&right());
    let end = forged.len() - 1;
    forged[end] ^= 1;
    assert_eq!(codes(&mut registration(ALICE, forged)), Code::InvalidGroupInfo, "a signature that is none");
    for other in ["@alice:a.org/LAPTOP", "@bob:a.org/PHONE"] {
        assert_eq!(codes(&mut registration(other, info(&right()))), Code::SenderMismatch, "{other}");
    }

    let (group, _) = world();
    let again = refused(begin(Some(&group), &mut registration(ALICE, info(&right()))));
    assert_eq!(
        again,
        Rejection::StaleEpoch { current: Some(Epoch::ZERO), reserved: None },
        "the group is there already"
    );
}

#[test]
fn a_registration_asks_who_may_and_then_whose_key_it_is() {
    let alice = founder("@alice:a.org/PHONE", &[service(service_key())]);
    let info = alice.group_info(true).unwrap();
    let mut case = registration("@alice:a.org/PHONE", info.clone());
    let Step::Need(Need::Permit(question)) = begin(None, &mut case) else { panic!("nobody is asked") };
    assert_eq!(question.intent, Intent::Register);
    assert_eq!(question.caller.to_string(), "@alice:a.org/PHONE");
    let yes = Input::Fetched(Fetched::Permit(Ok(FREELY)));
    let Step::Need(Need::Keys(keys)) = step(None, &mut case, yes, &Here, now()) else { panic!("no key") };
    assert_eq!(keys[0].key, alice.signature_key());
    let no = Rejection::Unavailable { users: Vec::new(), problem: "silence" };
    let unknown = step(None, &mut case, Input::Fetched(Fetched::Keys(Err(no.clone()))), &Here, now());
    assert_eq!(refused(unknown), no);

    let mut case = registration("@alice:a.org/PHONE", info);
    begin(None, &mut case);
    let no = Rejection::forbidden("no");
    let forbidden = step(None, &mut case, Input::Fetched(Fetched::Permit(Err(no.clone()))), &Here, now());
    assert_eq!(refused(forbidden), no);
}

#[test]
fn nothing_is_decided_out_of_turn() {
    let (group, mut alice) = world();
    let made = alice.update().unwrap();
    let yes = || Input::Fetched(Fetched::Permit(Ok(FREELY)));
    let early: [&dyn Fn() -> Input; 4] =
        [&|| Input::Outcome(Outcome::default()), &yes, &|| Input::Fetched(Fetched::Keys(Ok(()))), &|| {
            Input::Begin
        }];
    for (place, input) in early.into_iter().enumerate() {
        let mut case = commit("@alice:a.org/PHONE", 0, &made);
        if place == 3 || place == 0 {
            begin(Some(&group), &mut case);
        }
        let out_of_turn = step(Some(&group), &mut case, input(), &Here, now());
        assert_eq!(refused(out_of_turn).code(), Code::Unavailable, "input {place}");
        // And it is over with it.
        assert_eq!(refused(step(Some(&group), &mut case, yes(), &Here, now())).code(), Code::Unavailable);
    }
}

#[test]
fn who_has_no_leaf_learns_nothing_of_a_group() {
    let (group, mut alice) = world();
    let made = alice.update().unwrap();
    let stranger = refused(begin(Some(&group), &mut commit("@mallory:b.org/X", 0, &made)));
    assert_eq!(stranger.code(), Code::NotJoined, "not whose leaf it is");
    let next = decided(permitted(Some(&group), &mut commit("@alice:a.org/PHONE", 0, &made), &FREELY));
    let group = enter(Some(group), next);
    let late = refused(begin(Some(&group), &mut commit("@mallory:b.org/X", 0, &made)));
    assert_eq!(late.code(), Code::NotJoined, "not which epoch it is in");
    let mut other = founder("@mallory:b.org/X", &[service(service_key())]);
    let again = registration("@mallory:b.org/X", other.group_info(true).unwrap());
    assert_eq!(
        refused(begin(Some(&group), &mut { again })),
        Rejection::StaleEpoch { current: None, reserved: None }
    );
    other.forget_group().unwrap();
}

#[test]
fn receipts_make_a_chain_from_the_first_epoch_on() {
    let (mut group, mut alice) = world();
    let first = group.head().receipt;
    for epoch in 0..3 {
        let made = alice.update().unwrap();
        let mut case = commit("@alice:a.org/PHONE", epoch, &made);
        let decision = decided(permitted(Some(&group), &mut case, &FREELY));
        alice.merge().unwrap();
        let receipt = decision.receipt.clone();
        assert_eq!((receipt.epoch.get(), receipt.prev), (epoch + 1, Some(group.head().receipt)));
        assert_eq!(receipt.tree_hash, alice.tree_hash().unwrap());
        assert_eq!(receipt.confirmed_transcript_hash, alice.confirmed_transcript_hash().unwrap());
        assert_eq!(receipt.commit, Sha256::of(&made.message));
        group = enter(Some(group), decision);
        assert_eq!(group.mls().ratchet_tree(), alice.ratchet_tree().unwrap());
    }
    assert_ne!(group.head().receipt, first);
}

/// Commits that break a rule of the service: what it is, who sends it, and its code.
fn wrong_commits(alice: &mut Member) -> Vec<(&'static str, &'static str, Commit, Code)> {
    const ALICE: &str = "@alice:a.org/PHONE";
    let bob = Member::new("@bob:b.org/LAPTOP", 1).unwrap();
    let carol = Member::new("@carol:b.org/LAPTOP", 1).unwrap();
    let old_info = alice.group_info(false).unwrap();
    let update = alice.update().unwrap();
    alice.discard().unwrap();
    let add = alice.add(&[bob.key_package().unwrap()]).unwrap();
    alice.discard().unwrap();
    let other = alice.add(&[carol.key_package().unwrap()]).unwrap();
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let updating = |change: &dyn Fn(&mut Commit)| {
        let mut commit = update.clone();
        change(&mut commit);
        commit
    };
    let adding = |welcome: Option<Vec<u8>>| Commit { welcome, ..add.clone() };
    vec![
        ("another device's", "@alice:a.org/LAPTOP", update.clone(), Code::SenderMismatch),
        ("another account's", "@bob:b.org/PHONE", update.clone(), Code::NotJoined),
        ("no Welcome", ALICE, adding(None), Code::InvalidWelcome),
        ("another's Welcome", ALICE, adding(other.welcome.clone()), Code::InvalidWelcome),
        ("half a Welcome", ALICE, adding(add.welcome.as_deref().map(cut)), Code::Malformed),
        (
            "a Welcome for nobody",
            ALICE,
            updating(&|commit| commit.welcome = add.welcome.clone()),
            Code::InvalidWelcome,
        ),
        ("no GroupInfo", ALICE, updating(&|commit| commit.group_info.clear()), Code::InvalidGroupInfo),
        (
            "the old GroupInfo",
            ALICE,
            updating(&|commit| commit.group_info = old_info.clone()),
            Code::InvalidGroupInfo,
        ),
        (
            "another commit's GroupInfo",
            ALICE,
            updating(&|commit| commit.group_info = add.group_info.clone()),
            Code::InvalidGroupInfo,
        ),
        (
            "half a GroupInfo",
            ALICE,
            updating(&|commit| commit.group_info = cut(&commit.group_info)),
            Code::Malformed,
        ),
        ("half a commit", ALICE, updating(&|commit| commit.message = cut(&commit.message)), Code::Malformed),
    ]
}

#[test]
fn what_a_commit_must_be_besides_valid_mls() {
    let (group, mut alice) = world();
    let before = group.mls().snapshot();
    for (what, by, made, code) in wrong_commits(&mut alice) {
        assert_eq!(refused(begin(Some(&group), &mut commit(by, 0, &made))).code(), code, "{what}");
    }
    alice.discard().unwrap();
    let update = alice.update().unwrap();
    let unknown = refused(begin(None, &mut commit("@alice:a.org/PHONE", 0, &update)));
    assert_eq!(unknown, Rejection::UnknownGroup);
    assert_eq!(group.mls().snapshot(), before, "a refusal changes nothing");
}

#[test]
fn one_epoch_has_one_commit() {
    let (group, mut alice) = world();
    let first = alice.update().unwrap();
    alice.discard().unwrap();
    let second = alice.update().unwrap();
    let decision = decided(permitted(Some(&group), &mut commit("@alice:a.org/PHONE", 0, &first), &FREELY));
    let group = enter(Some(group), decision);
    for late in [&first, &second] {
        let stale = refused(begin(Some(&group), &mut commit("@alice:a.org/PHONE", 0, late)));
        assert_eq!(stale, Rejection::StaleEpoch { current: Epoch::new(1), reserved: None });
    }
    let ahead = refused(begin(Some(&group), &mut commit("@alice:a.org/PHONE", 9, &second)));
    assert_eq!(ahead.code(), Code::StaleEpoch, "what it is, not what it says, decides");
}

#[test]
fn an_invitation_waits_for_what_must_happen_first() {
    let (group, mut alice) = world();
    let bob = Member::new("@bob:b.org/LAPTOP", 1).unwrap();
    let carol = Member::new("@carol:b.org/LAPTOP", 1).unwrap();
    let made = alice.add(&[bob.key_package().unwrap(), carol.key_package().unwrap()]).unwrap();
    let about = |name: &str| Outside { about: UserId::parse(name), words: name.into() };
    let permit =
        Permit { effects: vec![about("@bob:b.org"), about("@carol:b.org")], cited: vec![b"{}".to_vec()] };
    let staged = |case: &mut Case| match permitted(Some(&group), case, &permit) {
        Step::Stage(staged) => assert_eq!(staged, permit),
        other => panic!("not staged: {other:?}"),
    };
    let outcome = |case: &mut Case, refused: &[usize]| {
        let refused = refused.iter().map(|place| (*place, "no".to_owned())).collect();
        let last =
            step(Some(&group), case, Input::Outcome(Outcome { refused, ..Outcome::default() }), &Here, now());
        answered(Some(&group), case, last, &permit, now())
    };

    let mut case = commit("@alice:a.org/PHONE", 0, &made);
    staged(&mut case);
    assert_eq!(refused(outcome(&mut case, &[0])).code(), Code::Forbidden);

    let mut case = commit("@alice:a.org/PHONE", 0, &made);
    staged(&mut case);
    let decision = decided(outcome(&mut case, &[1]));
    assert_eq!(decision.withheld, BTreeSet::from([UserId::parse("@carol:b.org").unwrap()]));

    // As after a restart: judged again, and not asked again.
    let mut case = commit("@alice:a.org/PHONE", 0, &made);
    assert!(matches!(
        step(Some(&group), &mut case, Input::Resume(permit.clone()), &Here, now()),
        Step::Stage(_)
    ));
    let decision = decided(outcome(&mut case, &[]));
    assert!(decision.withheld.is_empty());
    assert_eq!(decision.entry().cited, permit.cited);
    let added: Vec<String> = decision.added.iter().map(|added| added.client.to_string()).collect();
    assert_eq!(added, ["@bob:b.org/LAPTOP", "@carol:b.org/LAPTOP"]);
    assert_eq!(decision.ratchet_tree.as_ref(), Some(&made.ratchet_tree));
    let group = enter(Some(group), decision);
    assert_eq!(group.leaves_of(&UserId::parse("@bob:b.org").unwrap()), 1);
    assert_eq!(group.leaf_of(&client("@carol:b.org/LAPTOP").unwrap(), &Here), Some(2));
}

#[test]
fn who_joins_from_outside_is_who_asks() {
    let (group, alice) = world();
    let (info, tree) = (alice.group_info(false).unwrap(), alice.ratchet_tree().unwrap());
    let mut laptop = Member::new("@alice:a.org/LAPTOP", 1).unwrap();
    let made = laptop.join_by_commit(&info, Some(&tree), b"").unwrap();
    let other = refused(begin(Some(&group), &mut commit("@bob:a.org/LAPTOP", 0, &made)));
    assert_eq!(other.code(), Code::SenderMismatch);

    let mut case = commit("@alice:a.org/LAPTOP", 0, &made);
    let Step::Need(Need::Permit(question)) = begin(Some(&group), &mut case) else {
        panic!("nobody is asked")
    };
    let Intent::Commit { external, users, extends, proposed } = question.intent else { panic!("no commit") };
    assert!(external && !extends && proposed.is_empty());
    assert_eq!((users.len(), users[0].leaves_before, users[0].leaves_after), (1, 1, 2));

    let decision = decided(permitted(Some(&group), &mut commit("@alice:a.org/LAPTOP", 0, &made), &FREELY));
    let group = enter(Some(group), decision);
    assert_eq!(group.leaves_of(&UserId::parse("@alice:a.org").unwrap()), 2);

    // It has lost its state, and comes back in its own place.
    let mut again = laptop;
    let info = again.group_info(false).unwrap();
    let tree = again.ratchet_tree().unwrap();
    again.forget_group().unwrap();
    let made = again.join_by_commit(&info, Some(&tree), b"").unwrap();
    let decision = decided(permitted(Some(&group), &mut commit("@alice:a.org/LAPTOP", 1, &made), &FREELY));
    assert_eq!((decision.entry().joined.len(), decision.entry().left.len()), (1, 1));
    let group = enter(Some(group), decision);
    assert_eq!(group.leaves_of(&UserId::parse("@alice:a.org").unwrap()), 2);
}

#[test]
fn a_group_comes_back_from_its_snapshot_and_log() {
    let (mut group, mut alice) = world();
    let snapshot = Snapshot { epoch: Epoch::ZERO, bytes: group.mls().snapshot() };
    let mut entries = Vec::new();
    for epoch in 0..4 {
        let bob = Member::new(&format!("@bob{epoch}:b.org/PHONE"), 1).unwrap();
        let made = alice.add(&[bob.key_package().unwrap()]).unwrap();
        let mut case = commit("@alice:a.org/PHONE", epoch, &made);
        let decision = decided(permitted(Some(&group), &mut case, &FREELY));
        alice.merge().unwrap();
        entries.push(decision.entry().clone());
        group = enter(Some(group), decision);
    }
    let restore = |snapshot: &Snapshot, entries: &[Entry]| {
        let mut restoring = Restoring::begin(snapshot)?;
        entries.iter().try_for_each(|entry| restoring.replay(entry))?;
        restoring.finish(group.head().clone(), None, &Here)
    };
    let back = restore(&snapshot, &entries).unwrap();
    assert_eq!(back.mls().snapshot(), group.mls().snapshot());
    assert_eq!(back.leaves, group.leaves);
    assert!(restore(&snapshot, &entries[..3]).is_err(), "an entry is missing");
    assert!(restore(&snapshot, &entries[1..]).is_err(), "a gap");
    let broken = Snapshot { epoch: Epoch::ZERO, bytes: vec![9, 9] };
    assert!(restore(&broken, &entries).is_err());
}

#[test]
fn the_tree_is_written_anew_when_the_log_has_outgrown_it() {
    let (mut group, mut alice) = world();
    let mut snapshots = Vec::new();
    let mut deltas = Vec::new();
    for epoch in 0.. {
        let made = alice.update().unwrap();
        let mut case = commit("@alice:a.org/PHONE", epoch, &made);
        let decision = decided(permitted(Some(&group), &mut case, &FREELY));
        alice.merge().unwrap();
        let outgrown = deltas.iter().sum::<u64>() > crate::limits::SNAPSHOT_EVERY_BYTES;
        assert_eq!(decision.snapshot.is_some(), outgrown, "epoch {epoch}");
        if let Some(snapshot) = &decision.snapshot {
            assert_eq!((snapshot.epoch, &snapshot.bytes), (group.epoch(), &group.mls().snapshot()));
            snapshots.push(snapshot.epoch.get());
            deltas.clear();
        }
        deltas.push(decision.entry().delta.len() as u64);
        group = enter(Some(group), decision);
        assert_eq!(group.head().delta_bytes, deltas.iter().sum::<u64>());
        if snapshots.len() == 2 {
            break;
        }
    }
    assert_eq!(group.head().snapshot_epoch.get(), *snapshots.last().unwrap());
    assert!(snapshots.iter().all(|epoch| *epoch < crate::limits::SNAPSHOT_EVERY_EPOCHS), "{snapshots:?}");
}

#[test]
fn a_large_tree_is_written_anew_for_as_many_bytes_of_deltas_or_very_many_epochs() {
    const TREE: u64 = 15_000_000;
    let (mut group, _) = world();
    let mut is_due = |epochs: u64, delta_bytes: u64| {
        let since = Epoch::new(5).unwrap();
        let head = &mut group.head;
        (head.snapshot_epoch, head.epoch) = (since, Epoch::new(5 + epochs).unwrap());
        (head.snapshot_bytes, head.delta_bytes) = (TREE, delta_bytes);
        let (next, snapshot) = commit::next_head(&group, Epoch::new(6 + epochs).unwrap(), 4_000);
        let (snapshot_epoch, delta_bytes) =
            if snapshot.is_some() { (group.head.epoch, 4_000) } else { (since, delta_bytes + 4_000) };
        assert_eq!((next.snapshot_epoch, next.delta_bytes), (snapshot_epoch, delta_bytes));
        snapshot.is_some()
    };
    // Of many small changes the log grows by a megabyte while the tree has fifteen.
    assert!(!is_due(256, 1_000_000) && !is_due(2_000, 8_000_000));
    assert!(!is_due(2_047, TREE) && is_due(9, TREE + 1) && is_due(2_048, 1_000_000));
}

#[test]
fn a_change_of_terms_is_asked_as_one() {
    let (group, mut alice) = world();
    let terms = MlsTerms { external_senders: vec![service([8; 32])], ..MlsTerms::default() };
    let change = Change { terms: Some(&terms), ..Change::default() };
    let made = alice.commit(&change).unwrap();
    let refusal = refused(begin(Some(&group), &mut commit("@alice:a.org/PHONE", 0, &made)));
    assert_eq!(refusal.code(), Code::Forbidden, "the service stays what it is");
}

#[test]
fn what_has_no_place_in_a_commit_is_refused_and_changes_nothing() {
    const ALICE: &str = "@alice:a.org/PHONE";
    let (group, mut alice) = world();
    let before = group.mls().snapshot();
    let made = alice.update().unwrap();
    alice.merge().unwrap();
    let with_tree = Commit { group_info: alice.group_info(true).unwrap(), ..made.clone() };
    let refusal = refused(begin(Some(&group), &mut commit(ALICE, 0, &with_tree)));
    assert!(
        matches!(&refusal, Rejection::Invalid { check, .. } if check.name == "RatchetTree"),
        "{refusal:?}"
    );
    for large in [
        Commit { message: vec![0; limits::COMMIT_BYTES + 1], ..made.clone() },
        Commit { welcome: Some(vec![0; limits::WELCOME_BYTES + 1]), ..made.clone() },
        Commit { group_info: vec![0; limits::GROUP_INFO_BYTES + 1], ..made.clone() },
    ] {
        assert_eq!(refused(begin(Some(&group), &mut commit(ALICE, 0, &large))).code(), Code::TooLarge);
    }
    assert_eq!(group.mls().snapshot(), before);
    decided(permitted(Some(&group), &mut commit(ALICE, 0, &made), &FREELY));
}
