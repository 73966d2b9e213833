//! Leaves, by every way into the tree (RFC 9420 §7.3): an Add by value and by reference, an Update, a member's path, a
//! joiner's path, and a tree that is imported.

use maypole_mls::{Bounds, Place, Policy, Rule, Strict, check_key_package, wire};
use maypole_testkit::forge::{
    Capabilities, Credential, Draft, Extension, Forge, Founding, KeyPackageDraft, LeafDraft, Proposal,
    SELF_REMOVE, Seal, Sender, Shape, Source, Suite,
};

use crate::trial::{Docket, NOW, Trial, UNKNOWN, import, keys_that_are_none};

cases![each_lie_by_each_way, sources, places_that_signatures_are_bound_to, long_leaves, refused_credentials];

/// What a member can do in a group that asks for all it may ask for.
fn able() -> Capabilities {
    Capabilities { extensions: vec![UNKNOWN, UNKNOWN + 1], ..Capabilities::default() }
}

fn honest() -> LeafDraft {
    LeafDraft { capabilities: Some(able()), ..LeafDraft::default() }
}

/// A group that has an extension of its own and requires another, a proposal and a credential.
fn demanding(suite: Suite, shape: Shape) -> Founding {
    let mut founding = Founding::of(suite, 8, shape, 5_100 + u64::from(suite.number())).at(NOW.0);
    founding.leaves = (0..8).map(|leaf| (leaf, honest())).collect();
    let required = Extension::required_capabilities(&[UNKNOWN + 1], &[SELF_REMOVE], &[1]);
    founding.extensions = vec![Extension::new(UNKNOWN, vec![7]), required];
    founding
}

fn groups(docket: &Docket) -> impl Iterator<Item = Trial<'_>> {
    let all = [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare), (Suite::Seven, Shape::Warm)];
    all.into_iter().map(|(suite, shape)| Trial::of(docket, &demanding(suite, shape)))
}

type Lie = (&'static str, LeafDraft, Rule);

/// What a leaf can have wrong by itself or beside the other members', whichever way it comes.
fn lies(forge: &Forge) -> Vec<Lie> {
    [about_its_hand(forge), about_its_skills(), about_its_keys(forge), about_others(forge)].concat()
}

fn about_its_hand(forge: &Forge) -> Vec<Lie> {
    let sealed = |signature| LeafDraft { signature, ..honest() };
    let stranger = LeafDraft { signer: Some(forge.new_key().unwrap()), ..honest() };
    vec![
        ("a turned bit", sealed(Seal::Flipped), Rule::LeafSignature),
        ("no signature", sealed(Seal::Bytes(Vec::new())), Rule::LeafSignature),
        ("another signs", stranger, Rule::LeafSignature),
    ]
}

fn about_its_skills() -> Vec<Lie> {
    let but = |change: fn(&mut Capabilities)| {
        let mut capabilities = able();
        change(&mut capabilities);
        LeafDraft { capabilities: Some(capabilities), ..honest() }
    };
    let with = |extensions: &[Extension]| LeafDraft { extensions: Some(extensions.to_vec()), ..honest() };
    let extension = |kind, data| Extension::new(kind, vec![data]);
    let twice = with(&[extension(UNKNOWN, 1), extension(UNKNOWN, 2)]);
    vec![
        ("no version", but(|able| able.versions.clear()), Rule::LeafVersion),
        ("another version", but(|able| able.versions = vec![2, 0x0101]), Rule::LeafVersion),
        ("no suite", but(|able| able.suites.clear()), Rule::LeafSuite),
        ("other suites", but(|able| able.suites = vec![4, 6, 0x0a0a]), Rule::LeafSuite),
        ("no credentials", but(|able| able.credentials.clear()), Rule::LeafCredential),
        ("other credentials", but(|able| able.credentials = vec![2]), Rule::LeafCredential),
        ("an unlisted extension", with(&[extension(UNKNOWN + 2, 1)]), Rule::LeafExtension),
        ("an extension twice", twice, Rule::ExtensionTwice),
        ("a tree in a leaf", with(&[extension(2, 0)]), Rule::ExtensionPlace),
        ("senders in a leaf", with(&[extension(5, 0)]), Rule::ExtensionPlace),
        ("an application_id that is none", with(&[extension(1, 1)]), Rule::LeafApplicationId),
        ("not the group's", but(|able| able.extensions = vec![UNKNOWN + 1]), Rule::LeafGroupExtension),
        ("not the extension", but(|able| able.extensions = vec![UNKNOWN]), Rule::LeafRequired),
        ("not the proposal", but(|able| able.proposals.clear()), Rule::LeafRequired),
    ]
}

fn about_its_keys(forge: &Forge) -> Vec<Lie> {
    let key = forge.new_hpke_key().unwrap();
    let longer = [&key[..], &[4]].concat();
    let mut wrong = vec![Vec::new(), key[1..].to_vec(), longer];
    if key.len() > 32 {
        // The mark of a compressed point.
        wrong.push([&[2], &key[1..]].concat());
    }
    let hpke = |key| LeafDraft { encryption_key: Some(key), ..honest() };
    let signs = |key| LeafDraft { signature_key: Some(key), ..honest() };
    let both = |key: Vec<u8>| [("an HPKE key", hpke(key.clone())), ("a signature key", signs(key))];
    let all = wrong.into_iter().flat_map(both);
    let none = keys_that_are_none(forge).into_iter().map(|key| ("no HPKE key", hpke(key)));
    all.chain(none).map(|(what, leaf)| (what, leaf, Rule::LeafKey)).collect()
}

fn about_others(forge: &Forge) -> Vec<Lie> {
    let key = Some(forge.key_of(6).unwrap().clone());
    let signs = Some(forge.key_of(6).unwrap().public().to_vec());
    let encryption_key = Some(forge.leaf(6).unwrap().encryption_key.clone());
    let credential = Some(Credential::X509(vec![b"certificate".to_vec()]));
    let capabilities = Some(Capabilities { credentials: vec![1, 2], ..able() });
    let x509 = LeafDraft { credential, capabilities, ..honest() };
    vec![
        ("another's signature key", LeafDraft { key, ..honest() }, Rule::SignatureKeyTwice),
        ("another's HPKE key", LeafDraft { encryption_key, ..honest() }, Rule::EncryptionKeyTwice),
        (
            "another's signature key as HPKE key",
            LeafDraft { encryption_key: signs, ..honest() },
            Rule::KeyOfBothKinds,
        ),
        ("a credential that others cannot read", x509, Rule::CredentialUnsupported),
    ]
}

fn package(forge: &Forge, identity: &str, leaf: LeafDraft) -> Proposal {
    let draft = KeyPackageDraft { leaf, ..KeyPackageDraft::of(identity) };
    Proposal::Add(forge.key_package(&draft).unwrap())
}

/// The leaf of `@new:a.org/D` or of member 2, by each way that a message has, with where it then stands.
pub(crate) fn each_way(trial: &Trial<'_>, leaf: &LeafDraft) -> Vec<(&'static str, Vec<u8>, Place)> {
    let forge = &trial.forge;
    let commit = |draft: &Draft| forge.commit(draft).unwrap().message;
    let propose = |sender, proposal: Proposal| {
        let draft = maypole_testkit::forge::ProposalDraft {
            framing: maypole_testkit::forge::Framing::by(sender),
            proposal,
        };
        forge.proposal(&draft).unwrap().message
    };
    let add = || package(forge, "@new:a.org/D", leaf.clone());
    let mut joins = forge.draft_external("@new:a.org/D", &[]).unwrap();
    let path = joins.path.as_mut().unwrap();
    let credential = leaf.credential.clone().or(path.leaf.credential.take());
    path.leaf = LeafDraft { credential, ..leaf.clone() };
    let bare = forge.draft_update(0).with(add()).without_path();
    vec![
        ("added by value", commit(&bare), Place::Proposal(0)),
        ("added with a path", commit(&forge.draft_remove(0, &[3]).with(add())), Place::Proposal(1)),
        ("proposed by a member", propose(Sender::Member(1), add()), Place::Whole),
        ("proposed from outside", propose(Sender::External(0), add()), Place::Whole),
        ("proposing itself", propose(Sender::NewMemberProposal, add()), Place::Whole),
        ("updated", propose(Sender::Member(2), forge.update_of(2, leaf).unwrap()), Place::Whole),
        ("in a path", commit(&forge.draft_update(2).with_leaf(leaf.clone())), Place::PathLeaf),
        ("in a joiner's path", commit(&joins), Place::PathLeaf),
    ]
}

/// Rules by which no Add is judged when it arrives: whoever it collides with may go by the same commit.
const IN_A_COMMIT: [Rule; 4] =
    [Rule::SignatureKeyTwice, Rule::EncryptionKeyTwice, Rule::KeyOfBothKinds, Rule::CredentialUnsupported];

fn each_lie_by_each_way(docket: &Docket) {
    for trial in groups(docket) {
        for (way, message, _) in each_way(&trial, &honest()) {
            trial.takes(way, &message);
        }
        for (what, leaf, rule) in lies(&trial.forge) {
            for (way, message, place) in each_way(&trial, &leaf) {
                let what = format!("{what}, {way}");
                let renamed = rule == Rule::CredentialUnsupported && matches!(way, "updated" | "in a path");
                if place == Place::Whole && IN_A_COMMIT.contains(&rule) && way != "updated" {
                    later(&trial, &what, &message, rule);
                } else if renamed {
                    trial.refuses(&what, &message, (Rule::IdentityChanged, place));
                } else if rule == Rule::CredentialUnsupported {
                    trial.refuses(&what, &message, (rule, Place::Type(2)));
                } else {
                    trial.refuses(&what, &message, (rule, place));
                }
            }
        }
    }
    for suite in [Suite::One, Suite::Two, Suite::Five] {
        imported(docket, suite);
    }
}

/// A proposal that can wait, but not be committed.
fn later(trial: &Trial<'_>, what: &str, message: &[u8], rule: Rule) {
    let mut waiting = trial.clone();
    waiting.group.apply(trial.takes(what, message)).unwrap();
    let pending = waiting.group.pending()[0].reference().to_vec();
    let listed = maypole_testkit::forge::Listed::Reference(pending, None);
    let mut draft = trial.forge.draft_update(0).without_path();
    draft.proposals = vec![listed];
    let place = if rule == Rule::CredentialUnsupported { Place::Type(2) } else { Place::Proposal(0) };
    waiting.refuses_commit(what, &draft, (rule, place));
}

/// The same lies in trees: at a leaf that came with a KeyPackage, and at one that has committed.
fn imported(docket: &Docket, suite: Suite) {
    let honest = Forge::new(&demanding(suite, Shape::Warm)).unwrap();
    import(&honest, &Strict).unwrap();
    for (what, leaf, rule) in lies(&honest) {
        for place in [3, 2] {
            let what = format!("{what}, imported at leaf {place}, suite {}", suite.number());
            let mut founding = demanding(suite, Shape::Warm);
            founding.leaves.insert(place, leaf.clone());
            let forge = Forge::new(&founding).unwrap();
            let verdict = import(&forge, &Strict);
            match rule {
                // The first of the two nodes that have it is named.
                Rule::EncryptionKeyTwice => docket.refused(&what, verdict, (rule, Place::Node(2 * place))),
                Rule::CredentialUnsupported => docket.refused(&what, verdict, (rule, Place::Type(2))),
                // The one who signs with it is named.
                Rule::KeyOfBothKinds => docket.refused(&what, verdict, (rule, Place::Leaf(6))),
                _ => docket.refused(&what, verdict, (rule, Place::Leaf(place))),
            }
        }
    }
    for place in [3, 2] {
        let mut founding = demanding(suite, Shape::Warm);
        let credential = Some(Credential::basic("@user6:a.org/D"));
        founding.leaves.insert(place, LeafDraft { credential, ..self::honest() });
        let verdict = import(&Forge::new(&founding).unwrap(), &Strict);
        docket.refused("another's identity", verdict, (Rule::IdentityTwice, Place::Leaf(place)));
    }
}

fn sources(docket: &Docket) {
    for trial in groups(docket) {
        let forge = &trial.forge;
        let lifetime = (NOW.0 - 60, NOW.0 + 60);
        let sources = [
            Source::KeyPackage(lifetime.0, lifetime.1),
            Source::Update,
            Source::Commit(forge.bytes(forge.suite().hash_length())),
        ];
        for (number, source) in sources.into_iter().enumerate() {
            let leaf = LeafDraft { source: Some(source), ..honest() };
            for (way, message, place) in each_way(&trial, &leaf) {
                let due = match way {
                    "updated" => 1,
                    "in a path" | "in a joiner's path" => 2,
                    _ => 0,
                };
                let what = format!("source {number}, {way}");
                match number == due {
                    true if due == 2 => trial.refuses(&what, &message, (Rule::LeafParentHash, place)),
                    true => drop(trial.takes(&what, &message)),
                    false => trial.refuses(&what, &message, (Rule::LeafSource, place)),
                }
            }
        }
        let package = package(forge, "@new:a.org/D", LeafDraft { source: Some(Source::Update), ..honest() });
        let Proposal::Add(package) = package else { panic!("an Add") };
        docket.refused("handed out", check_key_package(&package.bytes, &Strict, NOW), Rule::LeafSource);
    }
}

fn places_that_signatures_are_bound_to(docket: &Docket) {
    for trial in groups(docket) {
        let group = trial.forge.group_id().to_vec();
        let elsewhere = [(b"!other:a.org".to_vec(), 2), (group.clone(), 3), (Vec::new(), 2)];
        for bound_to in elsewhere {
            let leaf = LeafDraft { bound_to: Some(bound_to), ..honest() };
            let path = trial.forge.draft_update(2).with_leaf(leaf.clone());
            trial.refuses_commit("a path bound elsewhere", &path, (Rule::LeafSignature, Place::PathLeaf));
            let update = trial.forge.update_of(2, &leaf).unwrap();
            let expected = (Rule::LeafSignature, Place::Whole);
            trial.refuses_proposal("an Update bound elsewhere", Sender::Member(2), update, expected);
        }
        let here = LeafDraft { bound_to: Some((group, 2)), ..honest() };
        trial.takes_commit("a path bound here", &trial.forge.draft_update(2).with_leaf(here));
    }
}

struct Leaves(usize);

impl Policy for Leaves {
    fn bounds(&self) -> Bounds {
        Bounds { leaf_bytes: self.0, ..Strict.bounds() }
    }
}

fn long_leaves(docket: &Docket) {
    let policy = Leaves(1_000);
    for trial in groups(docket) {
        let trial = trial.judged_by(&policy);
        let with = |length| {
            let extensions = Some(vec![Extension::new(UNKNOWN, vec![0; length])]);
            LeafDraft { extensions, ..honest() }
        };
        for (way, message, _) in each_way(&trial, &with(10)) {
            trial.takes(way, &message);
        }
        for (way, message, place) in each_way(&trial, &with(1_000)) {
            trial.refuses(way, &message, (Rule::TooLarge, place));
        }
    }
}

struct NoGuests;

impl Policy for NoGuests {
    fn accepts(&self, credential: &wire::Credential<'_>, signature_key: &[u8]) -> bool {
        !signature_key.is_empty() && credential.identity().is_some_and(|name| name.ends_with(b":a.org/D"))
    }

    fn may_replace(&self, _: &wire::Credential<'_>, _: &wire::Credential<'_>) -> bool {
        true
    }
}

fn refused_credentials(docket: &Docket) {
    for trial in groups(docket) {
        let trial = trial.judged_by(&NoGuests);
        let called = |name| LeafDraft { credential: Some(Credential::basic(name)), ..honest() };
        for (way, message, _) in each_way(&trial, &called("@guest:a.org/D")) {
            trial.takes(way, &message);
        }
        for (way, message, place) in each_way(&trial, &called("@guest:b.org/D")) {
            trial.refuses(way, &message, (Rule::CredentialRefused, place));
        }
    }
    let mut founding = demanding(Suite::One, Shape::Bare);
    founding
        .leaves
        .insert(3, LeafDraft { credential: Some(Credential::basic("@guest:b.org/D")), ..honest() });
    let forge = Forge::new(&founding).unwrap();
    import(&forge, &Strict).unwrap();
    docket.refused("imported", import(&forge, &NoGuests), (Rule::CredentialRefused, Place::Leaf(3)));
}
