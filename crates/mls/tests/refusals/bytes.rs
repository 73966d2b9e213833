//! Bytes that are not quite what they should be: cut, too long, with a bit turned, or from nowhere. None of them makes
//! anything panic, or changes anything.

use std::cell::OnceCell;

use maypole_mls::service::Welcome;
use maypole_mls::{Group, Rule, Strict, check_key_package};
use maypole_testkit::forge::{
    Draft, Forge, GroupInfoDraft, KeyPackageDraft, LeafDraft, PathDraft, Proposal, Sender, Shape, Suite,
};
use proptest::prelude::*;

use crate::trial::{Docket, NOW, Trial, eight};

/// A group with two proposals that wait, and messages of each kind to it.
struct Messages<'d> {
    trial: Trial<'d>,
    /// Each with how many of its bytes nobody without secrets can check.
    all: Vec<(&'static str, Vec<u8>, usize)>,
}

fn messages(docket: &Docket, suite: Suite) -> Messages<'_> {
    let shape = if suite == Suite::Two { Shape::Bare } else { Shape::Warm };
    let mut trial = Trial::of(docket, &eight(suite, shape));
    let update = trial.forge.update_of(3, &LeafDraft::default()).unwrap();
    let update = trial.propose(Sender::Member(3), update);
    let leaving = trial.propose(Sender::Member(4), Proposal::SelfRemove);
    let forge = &trial.forge;
    let package = forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap();
    let commit = |draft: &Draft| forge.commit(draft).unwrap().message;
    let propose = |sender, proposal| forge.propose(sender, proposal).unwrap().message;
    let many = forge.draft_references(2, &[&update, &leaving]).with(Proposal::Add(package.clone()));
    let join = forge.draft_external("@new:a.org/D", &[5]).unwrap();
    let credential = Some(forge.leaf(5).unwrap().credential.clone());
    let join = join.with_leaf(LeafDraft { credential, ..LeafDraft::default() });
    let mac = suite.hash_length();
    let other = forge.update_of(1, &LeafDraft::default()).unwrap();
    let all = vec![
        ("a commit of everything", commit(&many), 2 * mac),
        ("a commit without a path", commit(&forge.draft_add(0, std::slice::from_ref(&package))), 2 * mac),
        ("an external commit", commit(&join), mac),
        ("an Update", propose(Sender::Member(1), other), mac),
        ("an Add", propose(Sender::Member(1), Proposal::Add(package.clone())), mac),
        ("extensions", propose(Sender::External(0), Proposal::Extensions(forge.extensions().to_vec())), 0),
        ("a Remove from outside", propose(Sender::External(0), Proposal::Remove(3)), 0),
        ("an Add by itself", propose(Sender::NewMemberProposal, Proposal::Add(package)), 0),
    ];
    Messages { trial, all }
}

const SUITES: [Suite; 3] = [Suite::One, Suite::Two, Suite::Seven];

/// The places of a long thing that are worth a try: all of its first and last bytes, and of the rest one in so many.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let length = bytes.len();
    (0..length).filter(move |place| *place < 800 || *place + 300 > length || place.is_multiple_of(7))
}

fn turned(bytes: &[u8], place: usize, mask: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[place] ^= mask;
    bytes
}

#[test]
fn messages_that_are_cut_or_too_long_are_refused() {
    let docket = Docket::default();
    for suite in SUITES {
        let Messages { trial, all } = messages(&docket, suite);
        let before = trial.group.snapshot();
        for (what, message, _) in &all {
            trial.takes(what, message);
            for length in 0..message.len() {
                let refusal = trial.verdict(&message[..length]).expect_err(what);
                assert_eq!(refusal.rule, Rule::Malformed, "{what}, cut to {length}");
            }
            for more in [&[0][..], &[0; 16], &message[..]] {
                let refusal = trial.verdict(&[message, more].concat()).expect_err(what);
                assert_eq!(refusal.rule, Rule::Malformed, "{what}, and {} bytes", more.len());
            }
        }
        assert!(trial.group.snapshot() == before);
    }
}

/// What nobody without secrets can check are tags, and nothing else.
#[test]
fn of_a_message_only_tags_can_be_other_bytes() {
    let docket = Docket::default();
    for suite in SUITES {
        let Messages { trial, all } = messages(&docket, suite);
        let before = trial.group.snapshot();
        for (what, message, free) in &all {
            for mask in [0x01, 0x80, 0xff] {
                let taken =
                    (0..message.len()).filter(|place| trial.verdict(&turned(message, *place, mask)).is_ok());
                assert_eq!(taken.count(), *free, "{what}, suite {}, turned by {mask:#x}", suite.number());
            }
        }
        assert!(trial.group.snapshot() == before);
    }
}

fn import(info: &[u8], tree: Option<&[u8]>) -> Result<Group, maypole_mls::Refusal> {
    Group::import(info, tree, &Strict, NOW)
}

#[test]
fn group_infos_and_trees_are_taken_whole_and_unchanged_alone() {
    let docket = Docket::default();
    for suite in SUITES {
        let Messages { trial, .. } = messages(&docket, suite);
        let bare = GroupInfoDraft { as_message: false, ..GroupInfoDraft::by(0) };
        let info = |draft: &GroupInfoDraft| trial.forge.group_info(draft).unwrap();
        let (apart, bare, inside) =
            (info(&GroupInfoDraft::by(0)), info(&bare), info(&GroupInfoDraft::by(0).with_tree()));
        let tree = trial.forge.ratchet_tree();
        import(&inside, None).unwrap();
        for length in 0..inside.len() {
            assert!(import(&inside[..length], None).is_err(), "cut to {length}");
        }
        assert!(import(&[&inside[..], &[0]].concat(), None).is_err());
        for place in places(&inside) {
            assert!(import(&turned(&inside, place, 1), None).is_err(), "byte {place} with the tree inside");
        }
        for info in [apart, bare] {
            import(&info, Some(&tree)).unwrap();
            for length in 0..info.len() {
                assert!(import(&info[..length], Some(&tree)).is_err(), "cut to {length}");
            }
            assert!(import(&[&info[..], &[0]].concat(), Some(&tree)).is_err());
            for mask in [0x01, 0x80, 0xff] {
                for place in 0..info.len() {
                    assert!(import(&turned(&info, place, mask), Some(&tree)).is_err(), "byte {place}");
                }
            }
            for length in 0..tree.len() {
                assert!(import(&info, Some(&tree[..length])).is_err(), "a tree cut to {length}");
            }
            assert!(import(&info, Some(&[&tree[..], &[0]].concat())).is_err());
            for place in places(&tree) {
                assert!(import(&info, Some(&turned(&tree, place, 1))).is_err(), "byte {place} of a tree");
            }
        }
    }
}

#[test]
fn key_packages_and_welcomes_that_are_changed_are_no_trouble() {
    let docket = Docket::default();
    for suite in SUITES {
        let Messages { trial, .. } = messages(&docket, suite);
        let package = trial.forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap();
        let judge = |bytes: &[u8]| check_key_package(bytes, &Strict, NOW);
        for bytes in [package.message(), package.bytes] {
            judge(&bytes).unwrap();
            for mask in [0x01, 0x80, 0xff] {
                for place in 0..bytes.len() {
                    assert!(judge(&turned(&bytes, place, mask)).is_err(), "byte {place}");
                }
            }
        }
    }
    let welcome = [&[0, 1, 0, 3, 0, 1, 7, 2, 9, 9, 1, 8, 1, 7, 3, 1, 2, 3][..]].concat();
    Welcome::read(&welcome).unwrap();
    for place in 0..welcome.len() {
        for mask in 1..=255 {
            let _ = Welcome::read(&turned(&welcome, place, mask));
        }
    }
}

/// Snapshots are ours alone, and not signed: what is read is written again as it was, or is not read.
#[test]
fn snapshots_are_read_as_they_are_or_not() {
    let docket = Docket::default();
    for suite in SUITES {
        let Messages { trial, .. } = messages(&docket, suite);
        let snapshot = trial.group.snapshot();
        assert!(Group::restore(&snapshot).unwrap().snapshot() == snapshot);
        for length in 0..snapshot.len() {
            assert!(Group::restore(&snapshot[..length]).is_err(), "cut to {length}");
        }
        assert!(Group::restore(&[&snapshot[..], &[0]].concat()).is_err());
        for mask in [0x01, 0x80, 0xff] {
            for place in places(&snapshot) {
                let bytes = turned(&snapshot, place, mask);
                if let Ok(group) = Group::restore(&bytes) {
                    assert!(group.snapshot() == bytes, "byte {place} turned by {mask:#x} reads as another");
                }
            }
        }
        let tree = trial.forge.ratchet_tree();
        let start = snapshot.windows(tree.len()).position(|window| window == tree).unwrap();
        for place in places(&tree) {
            assert!(
                Group::restore(&turned(&snapshot, start + place, 1)).is_err(),
                "byte {place} of the tree"
            );
        }
    }
}

/// Whatever bytes a delta is said to be, the group is changed by all of it or not at all.
fn replays_or_not(group: &Group, bytes: &[u8]) -> bool {
    let mut copy = group.clone();
    let replayed = copy.replay(bytes).is_ok();
    if !replayed {
        assert!(copy.snapshot() == group.snapshot(), "a delta that was refused has changed the group");
    } else {
        assert!(Group::restore(&copy.snapshot()).is_ok(), "a delta that was taken has broken the group");
    }
    replayed
}

#[test]
fn deltas_are_replayed_whole_or_not_at_all() {
    let docket = Docket::default();
    for suite in SUITES {
        let Messages { trial, all } = messages(&docket, suite);
        let group = &trial.group;
        for (what, message, _) in &all {
            let delta = trial.takes(what, message).to_bytes();
            assert!(replays_or_not(group, &delta));
            for length in 0..delta.len() {
                assert!(!replays_or_not(group, &delta[..length]), "{what}: cut to {length}");
            }
            assert!(!replays_or_not(group, &[&delta[..], &[0]].concat()));
            for mask in [0x01, 0x80, 0xff] {
                for place in 0..delta.len() {
                    replays_or_not(group, &turned(&delta, place, mask));
                }
            }
        }
    }
}

thread_local! {
    static TRIAL: OnceCell<(Forge, Group)> = const { OnceCell::new() };
}

fn with_group<T>(judge: impl FnOnce(&Forge, &Group) -> T) -> T {
    TRIAL.with(|cell| {
        let (forge, group) = cell.get_or_init(|| {
            let docket = Docket::default();
            let Messages { trial, .. } = messages(&docket, Suite::One);
            (trial.forge, trial.group)
        });
        judge(forge, group)
    })
}

fn noise(length: usize) -> impl Strategy<Value = Vec<u8>> {
    // Small numbers are lengths and types that mean something.
    proptest::collection::vec(prop_oneof![0u8..12, any::<u8>()], 0..length)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_too_strange(head in 0u8..7, bytes in noise(400)) {
        with_group(|_, group| {
            let message = [&[0, 1, 0, head], &bytes[..]].concat();
            for bytes in [&bytes, &message] {
                let _ = group.validate(bytes, &Strict, NOW);
                let _ = import(bytes, None);
                let _ = import(bytes, Some(bytes));
                let _ = Group::restore(bytes);
                let _ = Welcome::read(bytes);
                let _ = check_key_package(bytes, &Strict, NOW);
                let _ = group.check_group_info(bytes, None);
                replays_or_not(group, bytes);
            }
        });
    }

    #[test]
    fn no_content_of_the_right_group_is_too_strange(kind in 1u8..5, bytes in noise(400)) {
        with_group(|forge, group| {
            let mut message = vec![0, 1, 0, 1, forge.group_id().len() as u8];
            message.extend_from_slice(forge.group_id());
            message.extend_from_slice(&forge.epoch().to_be_bytes());
            let sender: &[u8] = if kind < 3 { &[kind, 0, 0, 0, 0, 0] } else { &[kind, 0] };
            for content in [2, 3] {
                let whole = [&message[..], sender, &[content], &bytes[..]].concat();
                prop_assert!(group.validate(&whole, &Strict, NOW).is_err());
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_tree_of_a_signed_group_info_is_too_strange(bytes in noise(600)) {
        with_group(|forge, _| {
            let info = forge.group_info(&GroupInfoDraft::by(0)).unwrap();
            prop_assert!(import(&info, Some(&bytes)).is_err());
            Ok(())
        })?;
    }

    #[test]
    fn no_delta_of_this_state_is_too_strange(commits in any::<bool>(), bytes in noise(400)) {
        with_group(|forge, group| {
            let draft = Draft { path: Some(PathDraft::default()), ..forge.draft_update(0) };
            let honest = forge.commit(&draft).unwrap().message;
            let honest = group.validate(&honest, &Strict, NOW).unwrap().to_bytes();
            // The format, and the base: an epoch, two hashes and a number.
            let mut base = honest[..2 + 8 + 33 + 33 + 4].to_vec();
            base[0] = if commits { 2 } else { 1 };
            replays_or_not(group, &[&base[..], &bytes].concat());
        });
    }

    #[test]
    fn no_signed_proposal_is_too_strange(kind in 0u16..12, bytes in noise(300)) {
        with_group(|forge, group| {
            let proposal = Proposal::Raw(kind, bytes);
            for sender in [Sender::Member(2), Sender::External(0)] {
                let message = forge.propose(sender, proposal.clone()).unwrap().message;
                let _ = group.validate(&message, &Strict, NOW);
            }
            let commit = forge.commit(&forge.draft_update(2).with(proposal)).unwrap().message;
            let _ = group.validate(&commit, &Strict, NOW);
        });
    }

    #[test]
    fn several_bytes_may_be_others(
        which in 0usize..8,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let docket = Docket::default();
        let Messages { trial, all } = messages(&docket, Suite::One);
        let message = &all[which].1;
        let spoil = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            for (place, value) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *value;
            }
            if cut {
                bytes.truncate(end.index(bytes.len()));
            }
            bytes
        };
        let _ = trial.verdict(&spoil(message));
        replays_or_not(&trial.group, &spoil(&trial.takes("honest", message).to_bytes()));
        let _ = Group::restore(&spoil(&trial.group.snapshot()));
        let _ = import(&spoil(&trial.forge.group_info(&GroupInfoDraft::by(0).with_tree()).unwrap()), None);
    }
}
