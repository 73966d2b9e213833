//! GroupInfos: those that a group is imported by, and those that are checked against a group (RFC 9420 §12.4.3).

use maypole_mls::{Group, Place, Refusal, Rule, Strict, writer::Write as _};
use maypole_testkit::forge::{
    Extension, Forge, GroupInfoDraft, KeyPackageDraft, LeafDraft, Proposal, Seal, Sender,
};

use crate::trial::{Docket, NOW, Trial, UNKNOWN, keys_that_are_none, worlds};

cases![imported, checked, checked_beforehand, signers_of_a_new_epoch, forms];

type Lie = (&'static str, GroupInfoDraft, Option<Rule>, Option<Rule>);

/// What a GroupInfo can say wrongly, with the rule that it breaks at an import, and against a group.
fn lies(forge: &Forge) -> Vec<Lie> {
    [about_itself(forge), about_the_epoch(forge), about_the_group(forge), about_its_key(forge)].concat()
}

fn with(change: impl FnOnce(&mut GroupInfoDraft)) -> GroupInfoDraft {
    let mut draft = GroupInfoDraft::by(3);
    change(&mut draft);
    draft
}

fn about_itself(forge: &Forge) -> Vec<Lie> {
    let (forged, malformed) = (Some(Rule::GroupInfoSignature), Some(Rule::Malformed));
    let version = Some(Rule::Version);
    let anothers = forge.key_of(1).unwrap().clone();
    let twice = vec![Extension::new(UNKNOWN, vec![1]), Extension::new(UNKNOWN, vec![2])];
    let foreign = vec![Extension::new(1, vec![0])];
    let (rule, place) = (Some(Rule::ExtensionTwice), Some(Rule::ExtensionPlace));
    vec![
        ("a turned bit", with(|draft| draft.signature = Seal::Flipped), forged, forged),
        ("no signature", with(|draft| draft.signature = Seal::Bytes(Vec::new())), forged, forged),
        ("another signs", with(|draft| draft.key = Some(anothers)), forged, forged),
        ("a byte too many", with(|draft| draft.trailing = vec![0]), malformed, malformed),
        ("another version", with(|draft| draft.version = Some(2)), version, version),
        ("an extension twice", with(|draft| draft.extensions = twice), rule, rule),
        ("a leaf's extension", with(|draft| draft.extensions = foreign), place, place),
    ]
}

fn about_the_epoch(forge: &Forge) -> Vec<Lie> {
    let size = forge.suite().hash_length();
    let tag = |bytes: Vec<u8>| with(|draft| draft.confirmation_tag = Some(bytes));
    let transcript = |bytes: Vec<u8>| with(|draft| draft.confirmed_transcript_hash = Some(bytes));
    let epoch = |number| with(|draft| draft.epoch = Some(number));
    let tree = with(|draft| draft.tree_hash = Some(vec![1; size]));
    let (length, differs) = (Some(Rule::ConfirmationTag), Some(Rule::TagDiffers));
    let past = Some(Rule::TranscriptHash);
    vec![
        ("no tag", tag(Vec::new()), length, differs),
        ("a short tag", tag(vec![1; size - 1]), length, differs),
        ("another tag", tag(vec![1; size]), None, differs),
        ("no transcript hash", transcript(Vec::new()), past, past),
        ("a long transcript hash", transcript(vec![1; size + 1]), past, past),
        ("another transcript hash", transcript(vec![1; size]), None, past),
        ("another tree hash", tree, Some(Rule::TreeHash), Some(Rule::TreeHash)),
        ("a later epoch", epoch(9), None, Some(Rule::ContextDiffers)),
        ("epoch 0 with a past", epoch(0), past, Some(Rule::ContextDiffers)),
    ]
}

fn about_the_group(forge: &Forge) -> Vec<Lie> {
    let senders = forge.extensions()[0].clone();
    let extensions = |list: &[&Extension]| {
        let list = list.iter().map(|extension| (*extension).clone()).collect();
        with(|draft| draft.group_extensions = Some(list))
    };
    let more = extensions(&[&senders, &Extension::required_capabilities(&[], &[], &[])]);
    let broken = extensions(&[&Extension::new(5, vec![7])]);
    let twice = extensions(&[&senders, &senders]);
    let other = with(|draft| draft.group_id = Some(b"!other:a.org".to_vec()));
    let suite = with(|draft| draft.suite = Some(4));
    let differs = Some(Rule::ContextDiffers);
    vec![
        ("other extensions", more, None, differs),
        ("no extensions", extensions(&[]), None, differs),
        ("the group's extension twice", twice, Some(Rule::ExtensionTwice), differs),
        ("extensions that cannot be read", broken, Some(Rule::GroupExtensionData), differs),
        ("a suite that is not followed", suite, Some(Rule::Suite), differs),
        // A leaf is signed for its group, if it was not put there by a KeyPackage.
        ("another group", other, Some(Rule::LeafSignature), differs),
    ]
}

fn about_its_key(forge: &Forge) -> Vec<Lie> {
    let data = |data: Vec<u8>| {
        with(|draft| {
            draft.with_external_pub = false;
            draft.extensions = vec![Extension::new(4, data)];
        })
    };
    let key = forge.new_hpke_key().unwrap();
    let vector = |key: &[u8], more: &[u8]| {
        let mut bytes = Vec::new();
        bytes.put_opaque(key);
        bytes.put(more);
        data(bytes)
    };
    let rule = Some(Rule::NoExternalPub);
    let none = keys_that_are_none(forge).pop().unwrap();
    vec![
        ("a new external_pub", vector(&key, &[]), None, None),
        ("no external_pub", with(|draft| draft.with_external_pub = false), None, rule),
        ("an empty external_pub", data(Vec::new()), None, rule),
        ("an external_pub of no key", vector(&[], &[]), None, rule),
        ("an external_pub that is none", vector(&none, &[]), None, rule),
        ("a short external_pub", vector(&key[1..], &[]), None, rule),
        ("an external_pub without its length", data(key.clone()), None, rule),
        ("an external_pub and a byte", vector(&key, &[0]), None, rule),
    ]
}

fn by_import(forge: &Forge, draft: &GroupInfoDraft) -> Result<Group, Refusal> {
    Group::import(&forge.group_info(draft).unwrap(), Some(&forge.ratchet_tree()), &Strict, NOW)
}

fn imported(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let group = by_import(forge, &GroupInfoDraft::by(3)).unwrap();
        assert_eq!(group.context(), forge.group_context());
        assert_eq!(group.snapshot(), trial.group.snapshot());
        for (what, draft, rule, _) in lies(forge) {
            let verdict = by_import(forge, &draft);
            match rule {
                None => drop(verdict.unwrap_or_else(|why| panic!("{what}: {why}"))),
                Some(rule) => docket.refused(what, verdict, rule),
            }
        }
        for suite in [0, 4, 6, 8, 0x0a0a] {
            let draft = GroupInfoDraft { suite: Some(suite), ..GroupInfoDraft::by(3) };
            docket.refused("a suite", by_import(forge, &draft), (Rule::Suite, Place::Type(suite)));
        }
        let key = Some(forge.new_key().unwrap());
        for nobody in [8, u32::MAX] {
            let draft = GroupInfoDraft { key: key.clone(), ..GroupInfoDraft::by(nobody) };
            let expected = (Rule::GroupInfoSigner, Place::Leaf(nobody));
            docket.refused("nobody signs", by_import(forge, &draft), expected);
        }
        let mut gap = trial.clone();
        gap.play("a gap", &gap.forge.draft_remove(0, &[5]));
        by_import(&gap.forge, &GroupInfoDraft::by(3)).unwrap();
        let draft = GroupInfoDraft { key, ..GroupInfoDraft::by(5) };
        let expected = (Rule::GroupInfoSigner, Place::Leaf(5));
        docket.refused("who is gone signs", by_import(&gap.forge, &draft), expected);
    }
}

fn checked(docket: &Docket) {
    for mut trial in worlds(docket) {
        trial.play("a gap", &trial.forge.draft_remove(0, &[5]));
        let forge = &trial.forge;
        let check = |trial: &Trial<'_>, draft: &GroupInfoDraft, signer| {
            trial.group.check_group_info(&trial.forge.group_info(draft).unwrap(), signer)
        };
        let honest = GroupInfoDraft::by(3);
        check(&trial, &honest, Some(3)).unwrap();
        check(&trial, &honest, None).unwrap();
        check(&trial, &honest.clone().with_tree(), Some(3)).unwrap();
        let expected = (Rule::GroupInfoSigner, Place::Leaf(3));
        docket.refused("another signer", check(&trial, &honest, Some(0)), expected);
        for nobody in [5, 8, u32::MAX] {
            let key = Some(forge.new_key().unwrap());
            let draft = GroupInfoDraft { key, ..GroupInfoDraft::by(nobody) };
            let expected = || (Rule::GroupInfoSigner, Place::Leaf(nobody));
            docket.refused("nobody signs", check(&trial, &draft, None), expected());
            docket.refused("nobody signs", check(&trial, &draft, Some(nobody)), expected());
        }
        for (what, draft, _, rule) in lies(forge) {
            match rule {
                None => check(&trial, &draft, Some(3)).unwrap(),
                Some(rule) => docket.refused(what, check(&trial, &draft, Some(3)), rule),
            }
        }
        let other = if forge.suite().number() == 1 { 3 } else { 1 };
        let draft = GroupInfoDraft { suite: Some(other), ..honest };
        docket.refused("another suite", check(&trial, &draft, Some(3)), Rule::ContextDiffers);
    }
}

/// Before a commit is applied a GroupInfo gets the verdict that it gets afterwards, and its signer is the committer.
fn checked_beforehand(docket: &Docket) {
    for mut trial in worlds(docket) {
        let proposal = trial.forge.propose(Sender::Member(3), Proposal::Remove(4)).unwrap();
        let proposed = trial.takes("a proposal", &proposal.message);
        let before = trial.group.clone();
        let commit = trial.forge.commit(&trial.forge.draft_remove(3, &[5])).unwrap();
        let delta = trial.takes("a commit", &commit.message);
        trial.group.apply(delta.clone()).unwrap();
        trial.forge.play(&commit).unwrap();
        let info = |draft: &GroupInfoDraft| trial.forge.group_info(draft).unwrap();
        let check = |draft: &GroupInfoDraft| before.check_group_info_after(&delta, &info(draft));
        check(&GroupInfoDraft::by(3)).unwrap();
        let another = (Rule::GroupInfoSigner, Place::Leaf(0));
        docket.refused("another signer", check(&GroupInfoDraft::by(0)), another);
        for (what, draft, _, rule) in lies(&trial.forge) {
            assert_eq!(
                check(&draft).map_err(|refusal| refusal.rule),
                trial.group.check_group_info(&info(&draft), Some(3)).map_err(|refusal| refusal.rule),
                "{what}"
            );
            match rule {
                None => check(&draft).unwrap(),
                Some(rule) => docket.refused(what, check(&draft), rule),
            }
        }
        let no_epoch = before.check_group_info_after(&proposed, &info(&GroupInfoDraft::by(3)));
        docket.refused("a proposal makes no epoch", no_epoch, Rule::NotHandshake);
    }
}

/// A GroupInfo is signed with the key that its signer has after the commit, whoever else gets another by it.
fn signers_of_a_new_epoch(docket: &Docket) {
    for mut trial in worlds(docket) {
        let renewed = |trial: &Trial<'_>| LeafDraft {
            key: Some(trial.forge.new_key().unwrap()),
            ..LeafDraft::default()
        };
        let update = trial.forge.update_of(1, &renewed(&trial)).unwrap();
        let update = trial.propose(Sender::Member(1), update);
        let forge = &trial.forge;
        let package = forge.key_package(&KeyPackageDraft::of("@one:a.org/D")).unwrap();
        let drafts = [
            forge.draft_references(3, &[&update]).with_leaf(renewed(&trial)),
            forge.draft_external("@new:a.org/D", &[]).unwrap(),
            forge.draft_resync(3).unwrap().with_leaf(LeafDraft {
                credential: Some(forge.leaf(3).unwrap().credential.clone()),
                ..renewed(&trial)
            }),
            forge.draft_add(3, &[package]),
        ];
        for draft in drafts {
            let commit = forge.commit(&draft).unwrap();
            let delta = trial.takes("a commit", &commit.message);
            let mut after = forge.clone();
            after.play(&commit).unwrap();
            let check = |key| {
                let draft = GroupInfoDraft { key, ..GroupInfoDraft::by(commit.committer) };
                trial.group.check_group_info_after(&delta, &after.group_info(&draft).unwrap())
            };
            check(None).unwrap();
            let others = [forge.new_key().unwrap(), after.key_of(1).unwrap().clone()];
            let old = forge.key_of(commit.committer).ok().filter(|_| draft.path.is_some());
            for key in others.into_iter().chain(old.cloned()) {
                docket.refused("another key", check(Some(key)), Rule::GroupInfoSignature);
            }
        }
    }
}

fn forms(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let bare = GroupInfoDraft { as_message: false, ..GroupInfoDraft::by(3) };
        by_import(forge, &bare).unwrap();
        let bytes = forge.group_info(&bare).unwrap();
        trial.group.check_group_info(&bytes, Some(3)).unwrap();
        for length in 0..bytes.len() {
            let verdict = trial.group.check_group_info(&bytes[..length], Some(3));
            docket.refused("cut short", verdict, Rule::Malformed);
        }
        for head in [[0, 1, 0, 1], [0, 1, 0, 3], [0, 1, 0, 5], [0, 2, 0, 4], [0, 0, 0, 4]] {
            let other = [&head, &bytes[..]].concat();
            docket.refused("another format", trial.group.check_group_info(&other, None), Rule::Malformed);
        }
    }
}
