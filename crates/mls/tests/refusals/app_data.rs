//! The application's data in a group, and what else draft-ietf-mls-extensions brings.

use maypole_mls::{Component, Group, Place, Policy, Rule};
use maypole_testkit::forge::{
    APP_DATA_DICTIONARY, APP_DATA_UPDATE, APP_EPHEMERAL, Capabilities, Draft, Extension, Forge, Founding,
    Framing, GroupInfoDraft, KeyPackageDraft, LeafDraft, Listed, Proposal, ProposalDraft, SELF_REMOVE,
    Sender, Shape, Suite,
};

use crate::proposals::{refused_everywhere, taken_everywhere, with};
use crate::trial::{Docket, NOW, Trial, eight, import, worlds};

cases![
    components_that_nobody_knows,
    what_the_application_refuses,
    what_does_not_come_from_outside,
    data_that_follows_the_commits,
    removals_of_what_is_not_there,
    changes_that_cannot_stand_together,
    changes_that_wait,
    data_that_only_updates_may_change,
    members_who_do_not_know_it,
    dictionaries_that_cannot_be_read,
    wire_formats_that_cannot_be_read,
    wire_formats_that_somebody_lacks,
    wire_formats_that_a_leaf_learns_or_forgets,
    extensions_in_wrong_places,
    leaving_twice,
];

/// Components that the application knows.
const LOG: u16 = 5;
const OURS: u16 = 6;
const NOBODYS: u16 = 7;

/// Appends what comes, up to some bytes; hears what is said if it begins with `hi`.
struct Log;

impl Component for Log {
    fn update(&self, before: Option<&[u8]>, updates: &[&[u8]]) -> Option<Vec<u8>> {
        let after = [before.unwrap_or_default(), &updates.concat()].concat();
        (after.len() <= 8).then_some(after)
    }

    fn takes(&self, ephemeral: &[u8]) -> bool {
        ephemeral.starts_with(b"hi")
    }
}

/// The same, but for members alone, and for good.
struct Ours;

impl Component for Ours {
    fn update(&self, before: Option<&[u8]>, updates: &[&[u8]]) -> Option<Vec<u8>> {
        Log.update(before, updates)
    }

    fn may_remove(&self) -> bool {
        false
    }

    fn takes(&self, ephemeral: &[u8]) -> bool {
        Log.takes(ephemeral)
    }

    fn external(&self) -> bool {
        false
    }

    fn in_external_commit(&self) -> bool {
        false
    }
}

struct Knows;

impl Policy for Knows {
    fn component(&self, component: u16) -> Option<&dyn Component> {
        match component {
            LOG => Some(&Log),
            OURS => Some(&Ours),
            _ => None,
        }
    }
}

fn update(component: u16, data: &[u8]) -> Proposal {
    Proposal::AppDataUpdate(component, Some(data.to_vec()))
}

fn removal(component: u16) -> Proposal {
    Proposal::AppDataUpdate(component, None)
}

fn said(component: u16, data: &[u8]) -> Proposal {
    Proposal::AppEphemeral(component, data.to_vec())
}

fn able() -> Capabilities {
    Capabilities {
        extensions: vec![APP_DATA_DICTIONARY, 7, 8],
        proposals: vec![APP_DATA_UPDATE, APP_EPHEMERAL, SELF_REMOVE],
        ..Capabilities::default()
    }
}

/// A group whose members know the draft's types, with data of these components.
fn founding(suite: Suite, shape: Shape, components: &[(u16, &[u8])]) -> Founding {
    let mut founding = eight(suite, shape);
    let leaf = LeafDraft { capabilities: Some(able()), ..LeafDraft::default() };
    founding.leaves = (0..8).map(|index| (index, leaf.clone())).collect();
    if !components.is_empty() {
        founding.extensions = vec![Extension::app_data(components)];
    }
    founding
}

fn knowing<'d>(docket: &'d Docket, components: &[(u16, &[u8])]) -> impl Iterator<Item = Trial<'d>> {
    let all = [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare), (Suite::Seven, Shape::Warm)];
    all.map(|(suite, shape)| Trial::under(docket, &founding(suite, shape, components), &Knows)).into_iter()
}

fn join(forge: &Forge) -> Draft {
    let mut join = forge.draft_external("@new:a.org/D", &[]).unwrap();
    join.path.as_mut().unwrap().leaf.capabilities = Some(able());
    join
}

fn components_that_nobody_knows(docket: &Docket) {
    for trial in knowing(docket, &[(NOBODYS, b"x")]) {
        for proposal in [update(NOBODYS, b"y"), removal(NOBODYS), said(NOBODYS, b"hi")] {
            refused_everywhere(&trial, "unknown", &proposal, Rule::ComponentUnknown);
            let draft = join(&trial.forge);
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(proposal));
            trial.refuses_changed("in a join", &draft, lie, (Rule::ComponentUnknown, Place::Proposal(1)));
        }
    }
    for trial in worlds(docket) {
        for body in [vec![], vec![0], vec![0, 5], vec![0, 5, 1], vec![0, 5, 1, 2, 7], vec![0, 5, 3]] {
            let cut = Proposal::Raw(APP_DATA_UPDATE, body);
            refused_everywhere(&trial, "cut short", &cut, Rule::Malformed);
        }
        // What is missing is read from the signature: no body is here that one in so many signatures makes whole.
        for body in [vec![0], vec![0, 5], vec![0, 5, 1], vec![0, 5, 3]] {
            let cut = Proposal::Raw(APP_EPHEMERAL, body);
            refused_everywhere(&trial, "cut short", &cut, Rule::Malformed);
        }
    }
}

fn what_the_application_refuses(docket: &Docket) {
    for trial in knowing(docket, &[(LOG, b"12345"), (OURS, b"1")]) {
        taken_everywhere(&trial, "said", &said(LOG, b"hi there"));
        refused_everywhere(&trial, "said", &said(LOG, b"ho"), Rule::AppDataRefused);
        taken_everywhere(&trial, "some", &update(LOG, b"678"));
        taken_everywhere(&trial, "away", &removal(LOG));
        let draft = trial.forge.draft_update(0).with(update(LOG, b"6789"));
        trial.refuses_commit("too much", &draft, (Rule::AppDataRefused, Place::Proposal(0)));
        let draft = trial.forge.draft_update(0).with(update(LOG, b"67")).with(update(LOG, b"8"));
        trial.takes_commit("just enough", &draft);
        let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(update(LOG, b"9")));
        trial.refuses_changed("too much", &draft, lie, (Rule::AppDataRefused, Place::Proposal(0)));
        for sender in [Sender::Member(2), Sender::Member(5)] {
            trial.refuses_proposal("for good", sender, removal(OURS), Rule::AppDataRefused);
        }
        let draft = trial.forge.draft_update(0).with(removal(OURS));
        trial.refuses_commit("for good", &draft, (Rule::AppDataRefused, Place::Proposal(0)));
    }
}

fn what_does_not_come_from_outside(docket: &Docket) {
    for trial in knowing(docket, &[(OURS, b"1")]) {
        for proposal in [update(OURS, b"2"), said(OURS, b"hi")] {
            trial.takes_proposal("a member's", Sender::Member(2), proposal.clone());
            trial.takes_commit("a member's", &trial.forge.draft_update(0).with(proposal.clone()));
            trial.refuses_proposal("a sender's", Sender::External(0), proposal.clone(), Rule::SenderKind);
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(proposal));
            let expected = (Rule::ExternalProposal, Place::Proposal(1));
            trial.refuses_changed("a joiner's", &join(&trial.forge), lie, expected);
        }
        for proposal in [update(LOG, b"2"), said(LOG, b"hi")] {
            trial.takes_commit("a joiner's", &join(&trial.forge).with(proposal.clone()));
            trial.takes_proposal("a sender's", Sender::External(0), proposal);
        }
    }
}

/// No path is needed, and what follows is signed over the new data; a delta that is replayed asks no application.
fn data_that_follows_the_commits(docket: &Docket) {
    for mut trial in knowing(docket, &[]) {
        let proposed = trial.propose(Sender::External(0), update(LOG, b"b"));
        let mut copy = Group::restore(&trial.group.snapshot()).unwrap();
        let steps = [
            trial
                .forge
                .draft_update(1)
                .with(update(LOG, b"a"))
                .referring_to(&proposed)
                .with(said(LOG, b"hi")),
            Draft::by(Sender::Member(2)).with(update(OURS, b"z")).with(update(LOG, b"c")),
            Draft::by(Sender::Member(3)).with(removal(LOG)),
        ];
        let expected: [&[(u16, &[u8])]; 3] =
            [&[(LOG, b"ab")], &[(LOG, b"abc"), (OURS, b"z")], &[(OURS, b"z")]];
        for (draft, components) in steps.into_iter().zip(expected) {
            let commit = trial.forge.commit(&draft.without_path()).unwrap();
            let delta = trial.takes("data", &commit.message);
            copy.replay(&delta.to_bytes()).unwrap();
            trial.group.apply(delta).unwrap();
            trial.forge.play(&commit).unwrap();
            assert!(copy.snapshot() == trial.group.snapshot());
            let dictionary = Extension::app_data(components).data;
            assert_eq!(trial.group.extensions().find(APP_DATA_DICTIONARY), Some(&*dictionary));
            assert_eq!(trial.group.context(), trial.forge.group_context());
            trial.takes_commit("what follows", &trial.forge.draft_update(4));
        }
    }
}

fn removals_of_what_is_not_there(docket: &Docket) {
    for mut trial in knowing(docket, &[(OURS, b"1")]) {
        refused_everywhere(&trial, "nothing there", &removal(LOG), Rule::AppDataAbsent);
        trial.play("something", &trial.forge.draft_update(0).with(update(LOG, b"1")));
        taken_everywhere(&trial, "something there", &removal(LOG));
    }
    for trial in knowing(docket, &[]) {
        refused_everywhere(&trial, "no dictionary", &removal(LOG), Rule::AppDataAbsent);
    }
}

fn changes_that_cannot_stand_together(docket: &Docket) {
    for mut trial in knowing(docket, &[(LOG, b"1"), (OURS, b"1")]) {
        let (add, take) = (update(LOG, b"2"), removal(LOG));
        let waiting = trial.propose(Sender::Member(3), take.clone());
        for pair in [[take.clone(), take.clone()], [take.clone(), add.clone()], [add.clone(), take.clone()]] {
            let [first, second] = pair;
            let honest = trial.forge.draft_update(0).with(first);
            let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(second));
            let expected = (Rule::AppDataTogether, Place::Proposal(1));
            trial.refuses_changed("together", &honest, lie, expected);
        }
        let honest = trial.forge.draft_update(0).with(add).with(update(OURS, b"2"));
        let lie = |draft: &mut Draft| draft.proposals.push((&waiting).into());
        trial.refuses_changed("by reference", &honest, lie, (Rule::AppDataTogether, Place::Proposal(2)));
    }
}

/// New extensions, the same but for the application's data.
fn replaced(trial: &Trial<'_>, components: &[(u16, &[u8])]) -> Proposal {
    let mut all = trial.forge.extensions().to_vec();
    all.retain(|extension| extension.kind != APP_DATA_DICTIONARY);
    all.push(Extension::app_data(components));
    Proposal::Extensions(all)
}

/// What could stand in no commit with a change that waits does not wait beside it.
fn changes_that_wait(docket: &Docket) {
    let data: [(u16, &[u8]); 2] = [(LOG, b"1"), (OURS, b"1")];
    let (member, outside) = (Sender::Member(2), Sender::External(0));
    for trial in knowing(docket, &data) {
        let other = replaced(&trial, &[(LOG, b"2"), (OURS, b"1")]);
        let mut removes = trial.clone();
        removes.propose(Sender::Member(3), removal(LOG));
        removes.refuses_proposal("again", member, removal(LOG), (Rule::AppDataTogether, Place::Whole));
        removes.refuses_proposal("an update", outside, update(LOG, b"2"), Rule::AppDataTogether);
        removes.refuses_proposal("new extensions", member, other.clone(), Rule::AppDataReplaced);
        removes.takes_proposal("the same data", member, replaced(&trial, &data));
        removes.takes_proposal("of another", member, update(OURS, b"2"));
        removes.play("an epoch later", &removes.forge.draft_update(0));
        removes.takes_proposal("an update", outside, update(LOG, b"2"));

        let mut updates = trial.clone();
        updates.propose(outside, update(LOG, b"2"));
        updates.refuses_proposal("a removal", member, removal(LOG), Rule::AppDataTogether);
        updates.takes_proposal("another update", member, update(LOG, b"2"));

        let mut replaces = trial.clone();
        replaces.propose(Sender::Member(3), other);
        replaces.refuses_proposal("an update", member, update(OURS, b"2"), Rule::AppDataReplaced);
    }
}

fn data_that_only_updates_may_change(docket: &Docket) {
    let data = [(LOG, &b"1"[..])];
    for mut trial in knowing(docket, &data) {
        // Nobody requires AppDataUpdates: the extension is one like others, but not beside an AppDataUpdate.
        taken_everywhere(&trial, "replaced", &replaced(&trial, &[(LOG, b"2")]));
        let same = trial.forge.draft_update(0).with(replaced(&trial, &data));
        trial.takes_commit("the same, with an update", &same.with(update(LOG, b"2")));
        let honest = trial.forge.draft_update(0).with(update(LOG, b"2"));
        let lie = |draft: &mut Draft| draft.proposals.push(Listed::Value(replaced(&trial, &[(LOG, b"2")])));
        trial.refuses_changed("both", &honest, lie, (Rule::AppDataReplaced, Place::Proposal(1)));

        let demand = Extension::required_capabilities(&[], &[APP_DATA_UPDATE], &[]);
        trial.play("required from now on", &trial.forge.draft_update(0).with(with(&trial.forge, demand)));
        taken_everywhere(&trial, "the same", &replaced(&trial, &data));
        for other in [replaced(&trial, &[(LOG, b"2")]), replaced(&trial, &[]), Proposal::Extensions(vec![])] {
            refused_everywhere(&trial, "replaced", &other, Rule::AppDataReplaced);
        }
    }
}

/// Who lists neither the proposal nor the extension goes by the same commit, or it is not valid.
fn members_who_do_not_know_it(docket: &Docket) {
    for (proposals, extensions) in [(false, true), (true, false)] {
        let mut founding = founding(Suite::One, Shape::Warm, &[]);
        let mut lacking = able();
        if !proposals {
            lacking.proposals.retain(|kind| *kind == SELF_REMOVE);
        }
        if !extensions {
            lacking.extensions.clear();
        }
        let lacking = LeafDraft { capabilities: Some(lacking), ..LeafDraft::default() };
        founding.leaves.insert(5, lacking);
        let trial = Trial::under(docket, &founding, &Knows);
        let rule = if proposals { Rule::GroupExtension } else { Rule::ProposalUnsupported };
        let honest = trial.forge.draft_remove(0, &[5]).with(update(LOG, b"1"));
        let lie = |draft: &mut Draft| drop(draft.proposals.remove(0));
        trial.refuses_changed("one does not know it", &honest, lie, rule);
    }
}

fn dictionaries_that_cannot_be_read(docket: &Docket) {
    let broken: [&[u8]; 5] = [&[], &[1], &[0, 0], &[6, 0, 6, 0, 0, 5, 0], &[6, 0, 5, 0, 0, 5, 0]];
    let expected = |place| (Rule::AppDataDictionary, place);
    let here = Place::Type(APP_DATA_DICTIONARY);
    for trial in knowing(docket, &[]) {
        for data in broken {
            let broken = Extension::new(APP_DATA_DICTIONARY, data.to_vec());
            let proposal = with(&trial.forge, broken.clone());
            refused_everywhere(&trial, "a group's", &proposal, Rule::AppDataDictionary);
            let whole = [Extension::app_data(&[(NOBODYS, b"1")])];
            let mut draft = trial.forge.draft_update(2);
            draft.path.as_mut().unwrap().leaf.extensions = Some(whole.to_vec());
            let lie = |draft: &mut Draft| {
                draft.path.as_mut().unwrap().leaf.extensions = Some(vec![broken.clone()]);
            };
            trial.refuses_changed("a leaf's", &draft, lie, expected(Place::PathLeaf));
            let package = |extension: &Extension| {
                let mut draft = KeyPackageDraft::of("@new:a.org/D");
                draft.leaf.capabilities = Some(able());
                draft.extensions = vec![extension.clone()];
                trial.forge.draft_add(0, &[trial.forge.key_package(&draft).unwrap()])
            };
            trial.takes_commit("a KeyPackage's", &package(&whole[0]));
            trial.refuses_commit("a KeyPackage's", &package(&broken), expected(Place::Proposal(0)));
            let mut info = GroupInfoDraft::by(0);
            info.extensions.push(broken);
            let info = trial.forge.group_info(&info).unwrap();
            let verdict = trial.group.check_group_info(&info, None);
            docket.refused("a GroupInfo's", verdict, expected(here));
            let verdict = Group::import(&info, Some(&trial.forge.ratchet_tree()), &Knows, NOW);
            docket.refused("a GroupInfo's", verdict, expected(here));
        }
    }
    for suite in [Suite::One, Suite::Two] {
        let founding = founding(suite, Shape::Bare, &[(6, b""), (5, b"")]);
        let verdict = import(&Forge::new(&founding).unwrap(), &Knows);
        docket.refused("at import", verdict, expected(here));
    }
}

fn wire_formats_that_cannot_be_read(docket: &Docket) {
    for trial in knowing(docket, &[]) {
        for data in [vec![], vec![1, 0], vec![2, 0], vec![0, 0]] {
            let proposal = with(&trial.forge, Extension::new(8, data.clone()));
            refused_everywhere(&trial, "a group's", &proposal, Rule::WireFormats);
            let lie = |draft: &mut Draft| {
                let extension = Extension::new(7, data.clone());
                draft.path.as_mut().unwrap().leaf.extensions = Some(vec![extension]);
            };
            let expected = (Rule::WireFormats, Place::PathLeaf);
            trial.refuses_changed("a leaf's", &trial.forge.draft_update(2), lie, expected);
        }
    }
}

/// A wire format that has to be listed.
const FORMAT: u16 = 0xf00f;

fn reading(formats: &[u16]) -> LeafDraft {
    LeafDraft {
        capabilities: Some(able()),
        extensions: Some(vec![Extension::supported_wire_formats(formats)]),
        ..LeafDraft::default()
    }
}

/// Two groups: all read the format; all but one do.
fn readers(docket: &Docket, shape: Shape) -> [Trial<'_>; 2] {
    let mut all = founding(Suite::One, shape, &[]);
    all.leaves = (0..8).map(|leaf| (leaf, reading(&[FORMAT]))).collect();
    let mut but_one = all.clone();
    but_one.leaves.insert(5, reading(&[FORMAT + 1]));
    [all, but_one].map(|founding| Trial::under(docket, &founding, &Knows))
}

/// A commit that requires the format.
fn demand(trial: &Trial<'_>) -> Draft {
    let demand = Extension::required_wire_formats(&[1, 2, FORMAT]);
    trial.forge.draft_update(0).with(with(&trial.forge, demand))
}

fn wire_formats_that_somebody_lacks(docket: &Docket) {
    for shape in [Shape::Warm, Shape::Bare] {
        let [all, but_one] = readers(docket, shape);
        all.takes_commit("all read it", &demand(&all));
        let expected = (Rule::RequiredWireFormats, Place::Type(FORMAT));
        but_one.refuses_commit("one does not", &demand(&but_one), expected);
        but_one.takes_commit("who does not goes", &demand(&but_one).with(Proposal::Remove(5)));
        let mut demanding = all;
        demanding.play("required from now on", &demand(&demanding));
        let lie = |draft: &mut Draft| {
            let formats = Extension::supported_wire_formats(&[1, FORMAT + 1]);
            draft.path.as_mut().unwrap().leaf.extensions = Some(vec![formats]);
        };
        let draft = demanding.forge.draft_update(3);
        demanding.refuses_changed("a leaf", &draft, lie, (Rule::LeafWireFormats, Place::PathLeaf));
    }
}

/// A leaf that can all that it could before may still read other formats.
fn wire_formats_that_a_leaf_learns_or_forgets(docket: &Docket) {
    let expected = || (Rule::RequiredWireFormats, Place::Type(FORMAT));
    for shape in [Shape::Warm, Shape::Bare] {
        let [mut all, mut but_one] = readers(docket, shape);
        let changing = |trial: &Trial<'_>, formats: &[u16]| {
            let mut draft = trial.forge.draft_update(5);
            draft.path.as_mut().unwrap().leaf = reading(formats);
            draft
        };
        all.play("it forgets", &changing(&all, &[FORMAT + 1]));
        all.refuses_commit("forgotten", &demand(&all), expected());
        but_one.refuses_commit("not yet known", &demand(&but_one), expected());
        let at_once = Draft { proposals: demand(&but_one).proposals, ..changing(&but_one, &[FORMAT]) };
        but_one.takes_commit("learnt at once", &at_once);
        but_one.play("it learns", &changing(&but_one, &[FORMAT]));
        but_one.takes_commit("learnt", &demand(&but_one));
    }
}

fn extensions_in_wrong_places(docket: &Docket) {
    for trial in knowing(docket, &[]) {
        let supported = Extension::supported_wire_formats(&[]);
        refused_everywhere(&trial, "a leaf's", &with(&trial.forge, supported), Rule::ExtensionPlace);
        let lie = |draft: &mut Draft| {
            draft.path.as_mut().unwrap().leaf.extensions = Some(vec![Extension::required_wire_formats(&[])]);
        };
        let expected = (Rule::ExtensionPlace, Place::PathLeaf);
        trial.refuses_changed("a group's", &trial.forge.draft_update(2), lie, expected);
    }
}

fn leaving_twice(docket: &Docket) {
    for mut trial in worlds(docket) {
        let leaving = |leaf, words: &[u8]| {
            let mut framing = Framing::by(Sender::Member(leaf));
            framing.authenticated_data = words.to_vec();
            ProposalDraft { framing, proposal: Proposal::SelfRemove }
        };
        trial.propose(Sender::Member(3), Proposal::SelfRemove);
        trial.refuses_draft("again", &leaving(3, b"again"), (Rule::SelfRemoveTwice, Place::Whole));
        trial.takes("another", &trial.forge.proposal(&leaving(4, b"me too")).unwrap().message);
        trial.play("an epoch later", &trial.forge.draft_update(0));
        trial.takes_proposal("again", Sender::Member(3), Proposal::SelfRemove);
    }
}
