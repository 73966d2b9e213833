//! Proposals by themselves (RFC 9420 §12.1), when they arrive and in a commit.

use maypole_mls::{Bounds, Declared, Place, Policy, Rule, Strict, wire::Body};
use maypole_testkit::forge::{
    Capabilities, Credential, Draft, Extension, Forge, Founding, KeyPackageDraft, LeafDraft, Listed,
    Proposal, PskId, SELF_REMOVE, Sender, Shape, Suite,
};

use crate::facts::{Careless, Renames};
use crate::lists::{TakesAll, reinit};
use crate::trial::{Docket, Trial, UNKNOWN, eight, worlds};

cases![
    undeclared_types,
    declared_types,
    types_that_somebody_lacks,
    external_inits_alone,
    repeated_proposals,
    too_many_proposals,
    adds_that_cannot_stand_together,
    updates_that_cannot_stand_beside_others,
    removals_of_nobody,
    extensions_that_somebody_lacks,
    extensions_that_the_commit_makes_possible,
    extensions_that_cannot_be_read,
    extensions_that_no_group_has,
    extensions_twice,
    pre_shared_keys,
    keys_that_say_what_a_group_was_made_from,
    reinits,
];

/// A proposal is refused as a message of its own by each sender who may send it, and by value in a commit.
pub(crate) fn refused_everywhere(trial: &Trial<'_>, what: &str, proposal: &Proposal, rule: Rule) {
    for sender in [Sender::Member(2), Sender::External(0)] {
        trial.refuses_proposal(what, sender, proposal.clone(), rule);
    }
    trial.refuses_commit(what, &trial.forge.draft_update(0).with(proposal.clone()), rule);
}

pub(crate) fn taken_everywhere(trial: &Trial<'_>, what: &str, proposal: &Proposal) {
    for sender in [Sender::Member(2), Sender::External(0)] {
        trial.takes_proposal(what, sender, proposal.clone());
    }
    trial.takes_commit(what, &trial.forge.draft_update(0).with(proposal.clone()));
}

fn undeclared_types(docket: &Docket) {
    for trial in worlds(docket) {
        for (kind, body) in [(UNKNOWN, vec![]), (UNKNOWN, vec![1, 7]), (0, vec![]), (11, vec![])] {
            let expected = || (Rule::ProposalUndeclared, Place::Type(kind));
            let proposal = Proposal::Raw(kind, body);
            trial.refuses_proposal("by a member", Sender::Member(2), proposal.clone(), expected());
            trial.refuses_proposal("from outside", Sender::External(0), proposal.clone(), expected());
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(proposal));
            trial.refuses_changed("by value", &trial.forge.draft_update(0), lie, expected());
        }
    }
}

/// What an application declares of the unknown type.
struct Declares {
    needs_path: bool,
    external: bool,
    in_external_commit: bool,
}

impl Policy for Declares {
    fn declared(&self, proposal_type: u16) -> Option<Declared> {
        let Self { needs_path, external, in_external_commit } = *self;
        (proposal_type == UNKNOWN).then_some(Declared {
            body: Body::Opaque,
            needs_path,
            external,
            in_external_commit,
        })
    }
}

/// A group whose members list the unknown types of proposals and extensions.
pub(crate) fn listing(suite: Suite, shape: Shape) -> Founding {
    let mut founding = eight(suite, shape);
    let capabilities = Capabilities {
        extensions: vec![UNKNOWN],
        proposals: vec![SELF_REMOVE, UNKNOWN],
        credentials: vec![1, 2],
        ..Capabilities::default()
    };
    let able = LeafDraft { capabilities: Some(capabilities), ..LeafDraft::default() };
    founding.leaves = (0..8).map(|leaf| (leaf, able.clone())).collect();
    founding
}

fn declared_types(docket: &Docket) {
    let (all, none) = (
        Declares { needs_path: false, external: true, in_external_commit: true },
        Declares { needs_path: true, external: false, in_external_commit: false },
    );
    for (suite, shape) in [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare)] {
        let open = Trial::under(docket, &listing(suite, shape), &all);
        let strict = open.judged_by(&none);
        let forge = &open.forge;
        let proposal = Proposal::Raw(UNKNOWN, vec![2, 7, 7]);
        taken_everywhere(&open, "declared", &proposal);
        strict.takes_proposal("a member's", Sender::Member(2), proposal.clone());
        strict.refuses_proposal("from outside", Sender::External(0), proposal.clone(), Rule::SenderKind);
        let commit = forge.draft_update(0).with(proposal.clone());
        strict.takes_commit("with a path", &commit);
        open.takes_commit("without a path", &commit.clone().without_path());
        strict.refuses_commit("without a path", &commit.without_path(), Rule::PathMissing);
        let capabilities = forge.leaf(0).unwrap().capabilities.clone();
        let mut join = forge.draft_external("@new:a.org/D", &[]).unwrap().with(proposal);
        join.path.as_mut().unwrap().leaf.capabilities = Some(capabilities);
        open.takes_commit("in an external commit", &join);
        strict.refuses_commit("in an external commit", &join, (Rule::ExternalProposal, Place::Proposal(1)));
        // Longer than the message: what is missing is not read from the signature either.
        let cut = Proposal::Raw(UNKNOWN, vec![0x7f, 0xff, 7]);
        refused_everywhere(&open, "cut short", &cut, Rule::Malformed);
    }
}

fn types_that_somebody_lacks(docket: &Docket) {
    let policy = Declares { needs_path: true, external: true, in_external_commit: true };
    for (suite, shape) in [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare)] {
        for kind in [SELF_REMOVE, UNKNOWN] {
            let mut founding = listing(suite, shape);
            let mut lacking = founding.leaves[&0].clone();
            lacking.capabilities.as_mut().unwrap().proposals.retain(|listed| *listed != kind);
            let all = Trial::under(docket, &founding, &policy);
            founding.leaves.insert(5, lacking);
            let mut but_one = Trial::under(docket, &founding, &policy);
            let proposal = match kind {
                SELF_REMOVE => Proposal::SelfRemove,
                _ => Proposal::Raw(UNKNOWN, vec![0]),
            };
            all.takes_proposal("all list it", Sender::Member(3), proposal.clone());
            let expected = (Rule::ProposalUnsupported, Place::Type(kind));
            but_one.refuses_proposal("one does not", Sender::Member(3), proposal.clone(), expected);
            if kind == UNKNOWN {
                let draft = all.forge.draft_update(0).with(proposal.clone());
                all.takes_commit("all list it", &draft);
                let draft = but_one.forge.draft_update(0).with(proposal.clone());
                let expected = (Rule::ProposalUnsupported, Place::Proposal(0));
                but_one.refuses_commit("one does not", &draft, expected);
                // Who is removed by the same commit need not know it (§12.2).
                let draft = but_one.forge.draft_remove(0, &[5]).with(proposal.clone());
                but_one.takes_commit("who does not goes", &draft);
                // Nor need those who are added.
                let new = Proposal::Add(all.forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap());
                all.takes_commit(
                    "who does not comes",
                    &all.forge.draft_update(0).with(proposal.clone()).with(new),
                );
            }
            but_one.play("who does not goes", &but_one.forge.draft_remove(0, &[5]));
            but_one.takes_proposal("the others list it", Sender::Member(3), proposal);
        }
    }
}

fn external_inits_alone(docket: &Docket) {
    for trial in worlds(docket) {
        let init = Proposal::ExternalInit(trial.forge.new_hpke_key().unwrap());
        for sender in [Sender::Member(2), Sender::External(0), Sender::NewMemberProposal] {
            let mut draft = maypole_testkit::forge::ProposalDraft {
                framing: maypole_testkit::forge::Framing::by(sender),
                proposal: init.clone(),
            };
            draft.framing.signer = match sender {
                Sender::NewMemberProposal => Some(trial.forge.new_key().unwrap()),
                _ => None,
            };
            trial.refuses_draft("alone", &draft, (Rule::ProposalMisplaced, Place::Whole));
        }
    }
}

fn repeated_proposals(docket: &Docket) {
    for mut trial in worlds(docket) {
        let senders = [(Sender::Member(2), 3), (Sender::External(0), 3), (Sender::External(0), 4)];
        for (sender, leaf) in senders {
            let message = trial.propose(sender, Proposal::Remove(leaf)).message;
            trial.refuses("again", &message, (Rule::ProposalRepeated, Place::Whole));
        }
        let mut draft = maypole_testkit::forge::ProposalDraft {
            framing: maypole_testkit::forge::Framing::by(Sender::Member(2)),
            proposal: Proposal::Remove(3),
        };
        draft.framing.authenticated_data = b"once more".to_vec();
        trial.takes("with other data", &trial.forge.proposal(&draft).unwrap().message);
        let message = trial.forge.propose(Sender::External(0), Proposal::Remove(6)).unwrap().message;
        trial.takes("another", &message);
    }
}

struct Few {
    pending: usize,
    pending_of_sender: usize,
}

impl Policy for Few {
    fn bounds(&self) -> Bounds {
        Bounds { pending: self.pending, pending_of_sender: self.pending_of_sender, ..Strict.bounds() }
    }
}

fn too_many_proposals(docket: &Docket) {
    let (of_all, of_one) =
        (Few { pending: 3, pending_of_sender: 9 }, Few { pending: 9, pending_of_sender: 2 });
    for trial in worlds(docket) {
        let expected = || (Rule::TooManyPending, Place::Whole);
        let mut all = trial.judged_by(&of_all);
        for (sender, leaf) in [(Sender::Member(2), 3), (Sender::External(0), 4), (Sender::Member(5), 4)] {
            all.propose(sender, Proposal::Remove(leaf));
        }
        all.refuses_proposal("a fourth", Sender::Member(1), Proposal::Remove(3), expected());
        let mut one = trial.judged_by(&of_one);
        for leaf in [3, 4] {
            one.propose(Sender::External(0), Proposal::Remove(leaf));
        }
        one.refuses_proposal("its third", Sender::External(0), Proposal::Remove(5), expected());
        one.propose(Sender::Member(1), Proposal::Remove(5));
        one.play("an epoch later", &one.forge.draft_update(0));
        one.takes_proposal("its first", Sender::External(0), Proposal::Remove(5));
    }
}

/// Of two Adds that no commit could have together, the second does not wait.
fn adds_that_cannot_stand_together(docket: &Docket) {
    for mut trial in worlds(docket) {
        let forge = trial.forge.clone();
        let (key, encryption_key) = (forge.new_key().unwrap(), forge.new_hpke_key().unwrap());
        let first = LeafDraft {
            key: Some(key.clone()),
            encryption_key: Some(encryption_key.clone()),
            ..LeafDraft::default()
        };
        let package = |name: &str, leaf: LeafDraft| {
            let mut draft = KeyPackageDraft::of(name);
            draft.leaf = LeafDraft { credential: draft.leaf.credential.take(), ..leaf };
            Proposal::Add(forge.key_package(&draft).unwrap())
        };
        trial.propose(Sender::Member(2), package("@new:a.org/D", first));
        let signs = LeafDraft { key: Some(key), ..LeafDraft::default() };
        let reads = LeafDraft { encryption_key: Some(encryption_key), ..LeafDraft::default() };
        let cases = [
            (package("@other:a.org/D", signs), Rule::SignatureKeyTwice),
            (package("@other:a.org/D", reads), Rule::EncryptionKeyTwice),
            (package("@new:a.org/D", LeafDraft::default()), Rule::IdentityTwice),
        ];
        for (again, rule) in cases {
            trial.refuses_proposal("again", Sender::External(0), again, (rule, Place::Whole));
        }
        let other = package("@other:a.org/D", LeafDraft::default());
        trial.takes_proposal("another", Sender::External(0), other);
    }
}

fn removals_of_nobody(docket: &Docket) {
    for mut trial in worlds(docket) {
        taken_everywhere(&trial, "somebody", &Proposal::Remove(5));
        trial.play("a gap", &trial.forge.draft_remove(0, &[5]));
        for leaf in [5, 8, 1 << 20, u32::MAX] {
            refused_everywhere(&trial, "nobody", &Proposal::Remove(leaf), Rule::RemoveBlank);
            let draft = trial.forge.draft_remove(0, &[4, leaf]);
            trial.refuses_commit("in a list", &draft, (Rule::RemoveBlank, Place::Proposal(1)));
        }
    }
}

pub(crate) fn with(forge: &Forge, extension: Extension) -> Proposal {
    let mut extensions = forge.extensions().to_vec();
    extensions.push(extension);
    Proposal::Extensions(extensions)
}

fn extensions_that_somebody_lacks(docket: &Docket) {
    let asked = [
        (Extension::new(UNKNOWN, vec![1]), Rule::GroupExtension, UNKNOWN),
        (Extension::required_capabilities(&[UNKNOWN], &[], &[]), Rule::RequiredCapabilities, UNKNOWN),
        (Extension::required_capabilities(&[], &[UNKNOWN], &[]), Rule::RequiredCapabilities, UNKNOWN),
        (Extension::required_capabilities(&[], &[], &[2]), Rule::RequiredCapabilities, 2),
    ];
    for (suite, shape) in [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare)] {
        let able = Trial::of(docket, &listing(suite, shape));
        let mut but_one = listing(suite, shape);
        but_one.leaves.remove(&5);
        let but_one = Trial::of(docket, &but_one);
        for (extension, rule, kind) in asked.clone() {
            taken_everywhere(&able, "all have it", &with(&able.forge, extension.clone()));
            let proposal = with(&but_one.forge, extension);
            for sender in [Sender::Member(2), Sender::External(0)] {
                // It waits: who lacks what it asks may be gone by the same commit.
                let mut trial = but_one.clone();
                let message = trial.propose(sender, proposal.clone());
                let draft = trial.forge.draft_update(2).referring_to(&message);
                trial.refuses_commit("one lacks it", &draft, (rule, Place::Type(kind)));
                let draft = trial.forge.draft_remove(2, &[5]).referring_to(&message);
                trial.takes_commit("who lacks it goes", &draft);
            }
            // In a commit, the committer's own leaf is judged first; that of member 2 has what is asked.
            let draft = but_one.forge.draft_update(2).with(proposal.clone());
            but_one.refuses_commit("one lacks it", &draft, (rule, Place::Type(kind)));
            let draft = but_one.forge.draft_update(5).with(proposal.clone());
            let own =
                if rule == Rule::GroupExtension { Rule::LeafGroupExtension } else { Rule::LeafRequired };
            but_one.refuses_commit("the committer lacks it", &draft, (own, Place::PathLeaf));
            let draft = but_one.forge.draft_remove(2, &[5]).with(proposal);
            but_one.takes_commit("who lacks it goes", &draft);
        }
    }
}

/// New extensions hold for those who are added by the same commit, and the old ones no more (§12.3).
fn extensions_that_the_commit_makes_possible(docket: &Docket) {
    for (suite, shape) in [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare)] {
        let demand = Extension::required_capabilities(&[UNKNOWN], &[], &[]);
        let unable =
            |forge: &Forge| Proposal::Add(forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap());
        let free = Trial::of(docket, &listing(suite, shape));
        let draft = free.forge.draft_update(0).with(with(&free.forge, demand.clone()));
        let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(unable(&free.forge)));
        free.refuses_changed("a new demand", &draft, lie, (Rule::LeafRequired, Place::Proposal(1)));

        let founding = Founding { extensions: vec![demand], ..listing(suite, shape) };
        let bound = Trial::of(docket, &founding);
        let draft = bound.forge.draft_update(0).with(unable(&bound.forge));
        bound.refuses_commit("the old demand", &draft, (Rule::LeafRequired, Place::Proposal(0)));
        let draft =
            bound.forge.draft_extensions(0, &bound.forge.extensions()[1..]).with(unable(&bound.forge));
        bound.takes_commit("a demand dropped", &draft);
    }
}

fn extensions_that_cannot_be_read(docket: &Docket) {
    let broken = [
        Extension::new(3, Vec::new()),
        Extension::new(3, vec![0, 0]),
        Extension::new(3, vec![0, 0, 0, 0]),
        Extension::new(3, vec![1, 7, 0, 0]),
        Extension::new(5, Vec::new()),
        Extension::new(5, vec![1]),
        Extension::new(5, vec![2, 1, 7]),
        Extension::new(5, vec![0, 0]),
    ];
    for trial in worlds(docket) {
        let senders = trial.forge.extensions()[0].clone();
        for extension in broken.clone() {
            let all = if extension.kind == 5 { vec![extension] } else { vec![senders.clone(), extension] };
            let what = format!("{:?}", all.last().unwrap());
            refused_everywhere(&trial, &what, &Proposal::Extensions(all), Rule::GroupExtensionData);
        }
        taken_everywhere(&trial, "the same again", &Proposal::Extensions(vec![senders]));
        let required = Extension::new(3, vec![0, 0, 0]);
        taken_everywhere(&trial, "nothing required", &Proposal::Extensions(vec![required]));
    }
}

fn extensions_that_no_group_has(docket: &Docket) {
    for trial in worlds(docket) {
        for kind in [1, 2, 4] {
            let proposal = with(&trial.forge, Extension::new(kind, vec![0]));
            refused_everywhere(&trial, "not a group's", &proposal, Rule::ExtensionPlace);
            let taking = trial.judged_by(&TakesAll);
            let Proposal::ReInit { group_id, version, suite, .. } = reinit(&trial, 1) else {
                panic!("a ReInit")
            };
            let extensions = vec![Extension::new(kind, vec![0])];
            let next = Proposal::ReInit { group_id, version, suite, extensions };
            refused_everywhere(&taking, "not a successor's", &next, Rule::ExtensionPlace);
        }
    }
}

fn extensions_twice(docket: &Docket) {
    for trial in worlds(docket) {
        let senders = trial.forge.extensions()[0].clone();
        let twice = Proposal::Extensions(vec![senders.clone(), senders]);
        refused_everywhere(&trial, "twice", &twice, Rule::ExtensionTwice);
        let taking = trial.judged_by(&TakesAll);
        let Proposal::ReInit { group_id, version, suite, .. } = reinit(&trial, 1) else { panic!("a ReInit") };
        let extensions = vec![Extension::new(UNKNOWN, vec![1]), Extension::new(UNKNOWN, vec![2])];
        let once = extensions[..1].to_vec();
        let next = |extensions| Proposal::ReInit { group_id: group_id.clone(), version, suite, extensions };
        taken_everywhere(&taking, "a successor's", &next(once));
        refused_everywhere(&taking, "a successor's", &next(extensions), Rule::ExtensionTwice);
    }
}

fn pre_shared_keys(docket: &Docket) {
    for trial in worlds(docket) {
        let size = trial.forge.suite().hash_length();
        let taking = trial.judged_by(&TakesAll);
        let external = |length| {
            let nonce = trial.forge.bytes(length);
            Proposal::PreSharedKey(PskId::External { id: b"id".to_vec(), nonce })
        };
        let resumption = |usage, length| {
            let (group_id, nonce) = (trial.forge.group_id().to_vec(), trial.forge.bytes(length));
            Proposal::PreSharedKey(PskId::Resumption { usage, group_id, epoch: 0, nonce })
        };
        for honest in [external(size), resumption(1, size)] {
            taken_everywhere(&taking, "a pre-shared key", &honest);
            refused_everywhere(&trial, "not taken", &honest, Rule::PskRefused);
        }
        for length in [0, size - 1, size + 1] {
            refused_everywhere(&taking, "a nonce", &external(length), Rule::PskNonce);
            refused_everywhere(&taking, "a nonce", &resumption(1, length), Rule::PskNonce);
        }
        for usage in [2, 3] {
            refused_everywhere(&taking, "a usage", &resumption(usage, size), Rule::PskUsage);
        }
        for usage in [0, 4, 255] {
            refused_everywhere(&taking, "no usage", &resumption(usage, size), Rule::Malformed);
        }
        let join = trial.forge.draft_external("@new:a.org/D", &[]).unwrap();
        taking.takes_commit("in a join", &join.clone().with(external(size)));
        trial.refuses_commit("in a join", &join.with(external(size)), Rule::PskRefused);
    }
}

fn reinits(docket: &Docket) {
    for trial in worlds(docket) {
        let taking = trial.judged_by(&TakesAll);
        taken_everywhere(&taking, "a ReInit", &reinit(&trial, 1));
        taken_everywhere(&taking, "to a later version", &reinit(&trial, 2));
        refused_everywhere(&taking, "to an older version", &reinit(&trial, 0), Rule::ReInitVersion);
        let with = |extensions: &[Extension]| match reinit(&trial, 1) {
            Proposal::ReInit { group_id, version, suite, .. } => {
                Proposal::ReInit { group_id, version, suite, extensions: extensions.to_vec() }
            }
            other => other,
        };
        let demand = Extension::required_capabilities(&[UNKNOWN], &[], &[]);
        taken_everywhere(&taking, "with a demand", &with(std::slice::from_ref(&demand)));
        let broken = with(&[Extension::new(demand.kind, vec![9])]);
        refused_everywhere(&taking, "with a demand that is none", &broken, Rule::GroupExtensionData);
        refused_everywhere(&taking, "with two", &with(&[demand.clone(), demand]), Rule::ExtensionTwice);
        refused_everywhere(&trial, "not taken", &reinit(&trial, 1), Rule::ReInitRefused);
    }
}

/// Two Updates, or an Update and an Add, that bring the same key cannot both wait; what a member had before hinders nobody.
fn updates_that_cannot_stand_beside_others(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = trial.forge.clone();
        let (key, encryption_key) = (forge.new_key().unwrap(), forge.new_hpke_key().unwrap());
        let signs = LeafDraft { key: Some(key), ..LeafDraft::default() };
        let reads = LeafDraft { encryption_key: Some(encryption_key), ..LeafDraft::default() };
        let package = |name: &str, leaf: &LeafDraft| {
            let draft = KeyPackageDraft { leaf: leaf.clone(), ..KeyPackageDraft::of(name) };
            Proposal::Add(forge.key_package(&draft).unwrap())
        };
        for (shared, rule) in [(&signs, Rule::SignatureKeyTwice), (&reads, Rule::EncryptionKeyTwice)] {
            let expected = || (rule, Place::Whole);
            let update = |leaf| forge.update_of(leaf, shared).unwrap();
            let mut waiting = trial.clone();
            waiting.propose(Sender::Member(3), update(3));
            waiting.refuses_proposal("another's Update", Sender::Member(5), update(5), expected());
            let add = || package("@new:a.org/D", shared);
            for sender in [Sender::External(0), Sender::Member(3), Sender::NewMemberProposal] {
                waiting.refuses_proposal("an Add", sender, add(), expected());
            }
            let capabilities = Capabilities { extensions: vec![UNKNOWN], ..Capabilities::default() };
            let again = LeafDraft { capabilities: Some(capabilities), ..shared.clone() };
            waiting.takes_proposal("its own again", Sender::Member(3), forge.update_of(3, &again).unwrap());
            let mut waiting = trial.clone();
            waiting.propose(Sender::External(0), add());
            waiting.refuses_proposal("beside an Add", Sender::Member(3), update(3), expected());
        }
        // Whoever proposes to add a member's client once more does not keep that member from updating.
        let mut waiting = trial.clone();
        let old = LeafDraft { key: Some(forge.key_of(3).unwrap().clone()), ..LeafDraft::default() };
        waiting.propose(Sender::External(0), package("@user3:a.org/D", &old));
        let update = forge.update_of(3, &LeafDraft::default()).unwrap();
        waiting.takes_proposal("a member who is to be added again", Sender::Member(3), update);
        // A new name is another's as soon as it is proposed, where names are not shared.
        let mut waiting = trial.judged_by(&Renames);
        let called =
            LeafDraft { credential: Some(Credential::basic("@dan:b.org/D")), ..LeafDraft::default() };
        let rename = |leaf| forge.update_of(leaf, &called).unwrap();
        waiting.propose(Sender::Member(3), rename(3));
        let expected = || (Rule::IdentityTwice, Place::Whole);
        waiting.refuses_proposal("two of one name", Sender::Member(5), rename(5), expected());
        let add = || package("@dan:b.org/D", &LeafDraft::default());
        waiting.refuses_proposal("an Add of that name", Sender::External(0), add(), expected());
        waiting.judged_by(&Careless).takes_proposal("where names are shared", Sender::External(0), add());
    }
}

/// By whom and when it is said what a group was made from: by its creator, in its first commit, once (§11.2, §11.3).
fn keys_that_say_what_a_group_was_made_from(docket: &Docket) {
    for (suite, usage) in [(Suite::One, 2), (Suite::Two, 3), (Suite::Seven, 2)] {
        let founding = |epoch| Founding { epoch, members: 1, ..eight(suite, Shape::Bare) };
        let mut first = Trial::under(docket, &founding(0), &TakesAll);
        let later = Trial::under(docket, &founding(1), &TakesAll);
        let nonce = first.forge.bytes(suite.hash_length());
        let key = |usage, epoch| {
            let (group_id, nonce) = (b"!before:a.org".to_vec(), nonce.clone());
            Proposal::PreSharedKey(PskId::Resumption { usage, group_id, epoch, nonce })
        };
        let package = first.forge.key_package(&KeyPackageDraft::of("@bob:b.org/D")).unwrap();
        let honest = first.forge.draft_add(0, &[package]).with(key(usage, 7)).with(key(1, 7));
        let expected = (Rule::PskOrigins, Place::Proposal(3));
        for second in [key(2, 8), key(3, 8)] {
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(second));
            first.refuses_changed("two pasts", &honest, lie, expected);
        }
        let outside = (Rule::PskUsage, Place::Whole);
        first.refuses_proposal("from outside", Sender::External(0), key(usage, 7), outside);
        first.judged_by(&Strict).refuses_commit("not taken", &honest, (Rule::PskRefused, Place::Proposal(1)));
        later.refuses_commit("an epoch later", &honest, (Rule::PskUsage, Place::Proposal(1)));
        later.refuses_proposal("an epoch later", Sender::Member(0), key(usage, 7), outside);
        let waiting = first.propose(Sender::Member(0), key(usage, 7));
        first.takes_commit("by reference", &first.forge.draft_update(0).referring_to(&waiting));
        first.play("its past", &honest);
        first.refuses_commit("once more", &first.forge.draft_update(0).with(key(usage, 9)), Rule::PskUsage);
    }
}
