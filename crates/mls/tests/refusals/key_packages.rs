//! KeyPackages (RFC 9420 §10.1): added by value, by reference from each kind of sender, and handed out by a directory.

use maypole_mls::{Bounds, Lifetimes, Place, Policy, Rule, Strict, UnixSeconds, check_key_package};
use maypole_testkit::forge::{
    Capabilities, Extension, Forge, KeyPackage, KeyPackageDraft, LeafDraft, Proposal, Seal, Sender, Source,
};

use crate::trial::{Docket, NOW, Trial, UNKNOWN, eight, import, keys_that_are_none, worlds};

cases![each_lie_by_each_way, what_a_directory_sees, long_key_packages, lifetimes, lifetimes_at_import];

type Lie = (&'static str, KeyPackageDraft, Rule);

fn draft() -> KeyPackageDraft {
    let capabilities = Capabilities { extensions: vec![UNKNOWN], ..Capabilities::default() };
    let leaf = LeafDraft { capabilities: Some(capabilities), ..LeafDraft::default() };
    KeyPackageDraft { leaf, ..KeyPackageDraft::of("@new:a.org/D") }
}

fn lies(forge: &Forge) -> Vec<Lie> {
    let key = forge.new_hpke_key().unwrap();
    let with = |change: &dyn Fn(&mut KeyPackageDraft)| {
        let mut draft = draft();
        change(&mut draft);
        draft
    };
    let extension = |kind| Extension::new(kind, vec![1]);
    let stranger = forge.new_key().unwrap();
    let none = keys_that_are_none(forge).pop().unwrap();
    let other = if forge.suite().number() == 3 { 1 } else { 3 };
    vec![
        ("another version", with(&|draft| draft.version = Some(2)), Rule::KeyPackageVersion),
        ("no version", with(&|draft| draft.version = Some(0)), Rule::KeyPackageVersion),
        ("another suite", with(&|draft| draft.suite = Some(other)), Rule::KeyPackageSuite),
        ("a turned bit", with(&|draft| draft.signature = Seal::Flipped), Rule::KeyPackageSignature),
        ("no signature", with(&|draft| draft.signature = Seal::Bytes(Vec::new())), Rule::KeyPackageSignature),
        ("another signs", with(&|draft| draft.signer = Some(stranger.clone())), Rule::KeyPackageSignature),
        (
            "the init key is the leaf's",
            with(&|draft| {
                draft.init_key = Some(key.clone());
                draft.leaf.encryption_key = Some(key.clone());
            }),
            Rule::KeyPackageInitKey,
        ),
        ("a short init key", with(&|draft| draft.init_key = Some(key[1..].to_vec())), Rule::LeafKey),
        ("an init key that is none", with(&|draft| draft.init_key = Some(none.clone())), Rule::LeafKey),
        ("no init key", with(&|draft| draft.init_key = Some(Vec::new())), Rule::LeafKey),
        (
            "an unlisted extension",
            with(&|draft| draft.extensions = vec![extension(UNKNOWN + 1)]),
            Rule::KeyPackageExtension,
        ),
        ("a leaf's extension", with(&|draft| draft.extensions = vec![extension(1)]), Rule::ExtensionPlace),
        (
            "an extension twice",
            with(&|draft| draft.extensions = vec![extension(UNKNOWN), extension(UNKNOWN)]),
            Rule::ExtensionTwice,
        ),
    ]
}

/// A KeyPackage by each way, with the place where it then stands.
fn each_way(forge: &Forge, package: &KeyPackage) -> Vec<(&'static str, Vec<u8>, Place)> {
    let add = || Proposal::Add(package.clone());
    let propose = |sender| forge.propose(sender, add()).unwrap().message;
    let commit = |draft| forge.commit(&draft).unwrap().message;
    vec![
        ("by value", commit(forge.draft_update(0).with(add()).without_path()), Place::Proposal(0)),
        ("by value, with a path", commit(forge.draft_remove(0, &[3]).with(add())), Place::Proposal(1)),
        ("by a member", propose(Sender::Member(1)), Place::Whole),
        ("from outside", propose(Sender::External(0)), Place::Whole),
        ("by itself", propose(Sender::NewMemberProposal), Place::Whole),
    ]
}

fn each_lie_by_each_way(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let with_extension =
            KeyPackageDraft { extensions: vec![Extension::new(UNKNOWN, vec![1])], ..draft() };
        for honest in [draft(), with_extension] {
            let package = forge.key_package(&honest).unwrap();
            for (way, message, _) in each_way(forge, &package) {
                trial.takes(way, &message);
            }
            let reference = check_key_package(&package.bytes, &Strict, NOW).unwrap();
            assert_eq!(reference.as_ref(), package.reference());
            assert_eq!(check_key_package(&package.message(), &Strict, NOW).unwrap(), reference);
        }
        for (what, lie, rule) in lies(forge) {
            let package = forge.key_package(&lie).unwrap();
            for (way, message, place) in each_way(forge, &package) {
                trial.refuses(&format!("{what}, {way}"), &message, (rule, place));
            }
        }
    }
}

fn what_a_directory_sees(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        for (what, lie, rule) in lies(forge) {
            let package = forge.key_package(&lie).unwrap();
            // Without a group there is no other suite than the one that it names; its keys and signatures are not that one's.
            let rule = match (rule, forge.suite().number()) {
                (Rule::KeyPackageSuite, 1) => continue,
                (Rule::KeyPackageSuite, _) => Rule::LeafKey,
                _ => rule,
            };
            docket.refused(what, check_key_package(&package.bytes, &Strict, NOW), rule);
            docket.refused(what, check_key_package(&package.message(), &Strict, NOW), rule);
        }
        for suite in [0, 4, 6, 8, 0x0a0a] {
            let package = forge.key_package(&KeyPackageDraft { suite: Some(suite), ..draft() }).unwrap();
            let verdict = check_key_package(&package.bytes, &Strict, NOW);
            docket.refused("a suite that is not followed", verdict, (Rule::Suite, Place::Type(suite)));
        }
        let package = forge.key_package(&draft()).unwrap();
        for length in 0..package.bytes.len() {
            let verdict = check_key_package(&package.bytes[..length], &Strict, NOW);
            docket.refused("cut short", verdict, Rule::Malformed);
        }
        let longer = [&package.message()[..], &[0]].concat();
        docket.refused("a byte too many", check_key_package(&longer, &Strict, NOW), Rule::Malformed);
    }
}

struct Packages(usize);

impl Policy for Packages {
    fn bounds(&self) -> Bounds {
        Bounds { proposal_bytes: self.0, ..Strict.bounds() }
    }
}

fn long_key_packages(docket: &Docket) {
    for trial in worlds(docket) {
        let bytes = trial.forge.key_package(&draft()).unwrap().bytes;
        let check = |length| check_key_package(&bytes, &Packages(length), NOW);
        check(bytes.len()).unwrap();
        docket.refused("a byte too many", check(bytes.len() - 1), (Rule::TooLarge, Place::Whole));
    }
}

const DAY_S: u64 = 24 * 60 * 60;

fn lifetimes(docket: &Docket) {
    let now = NOW.0;
    let (leeway, longest) = (Lifetimes::default().leeway_s, Lifetimes::default().longest_s);
    let cases = [
        ((now - leeway, now), None),
        ((now, now), None),
        ((now - DAY_S, now - leeway), None),
        ((now - DAY_S, now - leeway - 1), Some(Rule::LifetimeOver)),
        ((0, 1), Some(Rule::LifetimeOver)),
        ((0, 0), Some(Rule::LifetimeOver)),
        ((now + leeway, now + DAY_S), None),
        ((now + leeway + 1, now + DAY_S), Some(Rule::LifetimeAhead)),
        ((u64::MAX - 1, u64::MAX), Some(Rule::LifetimeAhead)),
        ((now, now + longest), None),
        ((now, now + longest + 1), Some(Rule::LifetimeTooLong)),
        ((0, u64::MAX), Some(Rule::LifetimeTooLong)),
        // It ends before it begins.
        ((now + 60, now - 60), Some(Rule::LifetimeOver)),
        ((now + DAY_S, now - DAY_S), Some(Rule::LifetimeOver)),
    ];
    for trial in worlds(docket) {
        for (lifetime, rule) in cases {
            let source = Some(Source::KeyPackage(lifetime.0, lifetime.1));
            let mut draft = draft();
            draft.leaf.source = source;
            let package = trial.forge.key_package(&draft).unwrap();
            let verdict = check_key_package(&package.bytes, &Strict, NOW);
            for (way, message, place) in each_way(&trial.forge, &package) {
                match rule {
                    None => drop(trial.takes(&format!("{lifetime:?}, {way}"), &message)),
                    Some(rule) => trial.refuses(&format!("{lifetime:?}, {way}"), &message, (rule, place)),
                }
            }
            match rule {
                None => drop(verdict.unwrap()),
                Some(rule) => docket.refused("handed out", verdict, rule),
            }
        }
        becomes_old_while_it_waits(&trial);
    }
}

/// A proposal was good when it came; it is judged again when it is committed (§12.2).
fn becomes_old_while_it_waits(trial: &Trial<'_>) {
    let mut trial = trial.clone();
    let package = trial.forge.key_package(&draft()).unwrap();
    let proposal = trial.propose(Sender::NewMemberProposal, Proposal::Add(package));
    let commit = trial.forge.commit(&trial.forge.draft_references(0, &[&proposal])).unwrap().message;
    trial.takes("at once", &commit);
    let later = UnixSeconds(NOW.0 + 85 * DAY_S);
    let verdict = trial.group.validate(&commit, &Strict, later);
    trial.docket.refused("after 85 days", verdict, (Rule::LifetimeOver, Place::Proposal(0)));
}

struct Exact;

impl Policy for Exact {
    fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            longest_s: 10 * DAY_S,
            leeway_s: 0,
            refuse_expired_at_import: true,
            refuse_long_at_import: true,
        }
    }
}

fn lifetimes_at_import(docket: &Docket) {
    let now = NOW.0;
    let cases = [
        ((now - 9 * DAY_S, now), None),
        ((now - DAY_S, now - 1), Some(Rule::LifetimeOver)),
        ((now + 1, now + DAY_S), Some(Rule::LifetimeAhead)),
        ((now, now + 10 * DAY_S + 1), Some(Rule::LifetimeTooLong)),
    ];
    for (lifetime, rule) in cases {
        let shape = maypole_testkit::forge::Shape::Bare;
        let mut founding = eight(maypole_testkit::forge::Suite::One, shape);
        founding.lifetime = (now, now + DAY_S);
        let source = Some(Source::KeyPackage(lifetime.0, lifetime.1));
        founding.leaves.insert(3, LeafDraft { source, ..LeafDraft::default() });
        let forge = Forge::new(&founding).unwrap();
        import(&forge, &Strict).unwrap();
        match rule {
            None => drop(import(&forge, &Exact).unwrap()),
            Some(rule) => {
                docket.refused("imported", import(&forge, &Exact), (rule, Place::Leaf(3)));
            }
        }
    }
}
