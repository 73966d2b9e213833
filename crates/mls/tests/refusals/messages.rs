//! Around the content: envelope, group, epoch, sender, signature, tags (RFC 9420 §6).

use maypole_mls::{Bounds, Place, Policy, Rule, Strict};
use maypole_testkit::forge::{
    Draft, Founding, Framing, KeyPackageDraft, Proposal, ProposalDraft, Seal, Sender, Shape, Suite, Tag,
};

use crate::trial::{Docket, Trial, eight, worlds};

cases![
    around_a_commit,
    around_a_proposal,
    around_an_external_commit,
    other_formats,
    content_that_is_cut_or_written_otherwise,
    tags,
    blank_senders,
    kinds_of_senders,
    unknown_external_senders,
    signatures_of_each_sender,
    signatures_over_another_context,
    the_last_epoch,
    a_closed_group,
    a_large_message,
];

type Lie = (&'static str, fn(&mut Framing), Rule);

/// What is wrong with the framing of a message, whoever sends it.
fn lies() -> Vec<Lie> {
    vec![
        ("another group", |framing| framing.group_id = Some(b"!other:a.org".to_vec()), Rule::OtherGroup),
        ("no group", |framing| framing.group_id = Some(Vec::new()), Rule::OtherGroup),
        ("the epoch before", |framing| framing.epoch = Some(0), Rule::StaleEpoch),
        ("the epoch after", |framing| framing.epoch = Some(2), Rule::FutureEpoch),
        ("the last epoch", |framing| framing.epoch = Some(u64::MAX), Rule::FutureEpoch),
        ("a turned bit", |framing| framing.signature = Seal::Flipped, Rule::Signature),
        ("no signature", |framing| framing.signature = Seal::Bytes(Vec::new()), Rule::Signature),
        ("a long signature", |framing| framing.signature = Seal::Bytes(vec![1; 200]), Rule::Signature),
        ("a byte too many", |framing| framing.trailing = vec![0], Rule::Malformed),
        ("another version", |framing| framing.version = 2, Rule::Version),
        ("no version", |framing| framing.version = 0, Rule::Version),
        ("the format of a Welcome", |framing| framing.wire_format = 3, Rule::NotHandshake),
        ("the format of a GroupInfo", |framing| framing.wire_format = 4, Rule::NotHandshake),
        ("the format of a KeyPackage", |framing| framing.wire_format = 5, Rule::NotHandshake),
        ("an unknown format", |framing| framing.wire_format = 6, Rule::NotHandshake),
        ("the format of a PrivateMessage", |framing| framing.wire_format = 2, Rule::Encrypted),
        ("an application message", |framing| framing.content_type = Some(1), Rule::Malformed),
        ("an unknown content", |framing| framing.content_type = Some(4), Rule::Malformed),
    ]
}

fn around_a_commit(docket: &Docket) {
    for trial in worlds(docket) {
        let honest = trial.forge.draft_update(2);
        for (what, lie, rule) in lies() {
            trial.refuses_changed(what, &honest, |draft| lie(&mut draft.framing), rule);
        }
    }
}

fn around_a_proposal(docket: &Docket) {
    for trial in worlds(docket) {
        let newcomer = trial.forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap();
        let senders = [
            (Sender::Member(2), Proposal::Remove(3)),
            (Sender::External(0), Proposal::Remove(3)),
            (Sender::NewMemberProposal, Proposal::Add(newcomer)),
        ];
        for (sender, proposal) in senders {
            trial.takes_proposal("a proposal", sender, proposal.clone());
            for (what, lie, rule) in lies() {
                let mut draft = ProposalDraft { framing: Framing::by(sender), proposal: proposal.clone() };
                lie(&mut draft.framing);
                trial.refuses_draft(&format!("{what} by {sender:?}"), &draft, rule);
            }
        }
    }
}

fn around_an_external_commit(docket: &Docket) {
    for trial in worlds(docket) {
        let honest = trial.forge.draft_external("@ann:a.org/D", &[]).unwrap();
        for (what, lie, rule) in lies() {
            trial.refuses_changed(what, &honest, |draft| lie(&mut draft.framing), rule);
        }
    }
}

fn other_formats(docket: &Docket) {
    for trial in worlds(docket) {
        for content_type in [2, 3] {
            let private = trial.forge.private_message(content_type, b"", 100);
            trial.refuses("private", &private, (Rule::Encrypted, Place::Whole));
        }
        let package = trial.forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap();
        trial.refuses("a KeyPackage", &package.message(), (Rule::NotHandshake, Place::Type(5)));
        trial.refuses("nothing", &[], Rule::Malformed);
    }
}

fn content_that_is_cut_or_written_otherwise(docket: &Docket) {
    for trial in worlds(docket) {
        let honest = trial.forge.draft_update(2);
        let absent = |draft: &mut Draft| draft.framing.membership_tag = Tag::Absent;
        trial.refuses_changed("no membership tag", &honest, absent, Rule::Malformed);
        let mut proposal =
            ProposalDraft { framing: Framing::by(Sender::Member(2)), proposal: Proposal::Remove(3) };
        proposal.framing.membership_tag = Tag::Absent;
        trial.refuses_draft("no membership tag", &proposal, Rule::Malformed);
        for sender in [Sender::External(0), Sender::NewMemberCommit] {
            proposal.framing.sender = sender;
            proposal.framing.signer = Some(trial.forge.external_key(0).unwrap().clone());
            proposal.framing.membership_tag = Tag::Bytes(trial.forge.bytes(32));
            trial.refuses_draft("a membership tag by nobody", &proposal, Rule::Malformed);
        }

        let honest = trial.forge.commit(&honest).unwrap().message;
        trial.takes("written at its shortest", &honest);
        let (head, id) = honest.split_at(4);
        assert!(id[0] < 64);
        let longer = [head, &[0x40, id[0]], &id[1..]].concat();
        trial.refuses("a length on two bytes", &longer, Rule::Malformed);
        let longer = [head, &[0x80, 0, 0, id[0]], &id[1..]].concat();
        trial.refuses("a length on four bytes", &longer, Rule::Malformed);
        let longer = [head, &[0xc0, 0, 0, 0, 0, 0, 0, id[0]], &id[1..]].concat();
        trial.refuses("a length on eight bytes", &longer, Rule::Malformed);
    }
}

fn tags(docket: &Docket) {
    for trial in worlds(docket) {
        let mac = trial.forge.suite().hash_length();
        for length in [0, 5, 16, mac - 1, mac + 1, 200] {
            let what = format!("{length} bytes");
            let tag = || Tag::Bytes(vec![1; length]);
            let honest = trial.forge.draft_update(2);
            let wrong = |draft: &mut Draft| draft.framing.confirmation_tag = tag();
            trial.refuses_changed(&what, &honest, wrong, (Rule::ConfirmationTag, Place::Whole));
            let wrong = |draft: &mut Draft| draft.framing.membership_tag = tag();
            trial.refuses_changed(&what, &honest, wrong, (Rule::MembershipTag, Place::Whole));
            let honest = trial.forge.draft_external("@ann:a.org/D", &[]).unwrap();
            let wrong = |draft: &mut Draft| draft.framing.confirmation_tag = tag();
            trial.refuses_changed(&what, &honest, wrong, Rule::ConfirmationTag);
            let mut proposal =
                ProposalDraft { framing: Framing::by(Sender::Member(2)), proposal: Proposal::Remove(3) };
            proposal.framing.membership_tag = tag();
            trial.refuses_draft(&what, &proposal, Rule::MembershipTag);
        }
    }
}

fn blank_senders(docket: &Docket) {
    for mut trial in worlds(docket) {
        trial.play("a remove", &trial.forge.draft_remove(0, &[5]));
        let key = trial.forge.new_key().unwrap();
        for leaf in [5, 8, 1 << 20, u32::MAX] {
            let expected = (Rule::SenderBlank, Place::Leaf(leaf));
            let mut draft = trial.forge.draft_remove(0, &[2]);
            trial.takes_commit("a member's commit", &draft);
            draft.framing.sender = Sender::Member(leaf);
            draft.framing.signer = Some(key.clone());
            draft.path = None;
            trial.refuses_commit("a commit", &draft, expected);
            let framing = Framing { signer: Some(key.clone()), ..Framing::by(Sender::Member(leaf)) };
            let mut draft = ProposalDraft { framing, proposal: Proposal::Remove(2) };
            trial.refuses_draft("a proposal", &draft, expected);
            // That nobody is there is found before anything that it wrote is looked at.
            draft.framing.membership_tag = Tag::Bytes(vec![1; 5]);
            trial.refuses_draft("a proposal with no tag", &draft, expected);
        }
    }
}

fn kinds_of_senders(docket: &Docket) {
    for trial in worlds(docket) {
        let key = trial.forge.external_key(0).unwrap().clone();
        let package = trial.forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap();
        trial.takes_proposal("an Add", Sender::NewMemberProposal, Proposal::Add(package.clone()));
        trial.takes_proposal("a Remove", Sender::External(0), Proposal::Remove(2));
        let update = trial.forge.update_of(2, &Default::default()).unwrap();
        let extensions = trial.forge.extensions().to_vec();
        let wrong = [
            (Sender::External(0), update.clone()),
            (Sender::External(0), Proposal::SelfRemove),
            (Sender::NewMemberProposal, Proposal::Remove(2)),
            (Sender::NewMemberProposal, update.clone()),
            (Sender::NewMemberProposal, Proposal::SelfRemove),
            (Sender::NewMemberProposal, Proposal::Extensions(extensions)),
            (Sender::NewMemberCommit, Proposal::Add(package)),
            (Sender::NewMemberCommit, Proposal::Remove(2)),
            (Sender::NewMemberCommit, update),
        ];
        for (sender, proposal) in wrong {
            let what = format!("type {} by {sender:?}", proposal.number());
            let framing = Framing { signer: Some(key.clone()), ..Framing::by(sender) };
            trial.refuses_draft(&what, &ProposalDraft { framing, proposal }, Rule::SenderKind);
        }
        for sender in [Sender::External(0), Sender::NewMemberProposal] {
            let change = |draft: &mut Draft| {
                draft.framing.sender = sender;
                draft.framing.signer = Some(key.clone());
                draft.path = None;
            };
            let honest = trial.forge.draft_remove(0, &[3]);
            trial.refuses_changed("a commit from outside", &honest, change, Rule::SenderKind);
        }
    }
}

fn unknown_external_senders(docket: &Docket) {
    for trial in worlds(docket) {
        let signer = Some(trial.forge.external_key(0).unwrap().clone());
        trial.takes_proposal("a Remove", Sender::External(0), Proposal::Remove(2));
        for place in [1, u32::MAX] {
            let framing = Framing { signer: signer.clone(), ..Framing::by(Sender::External(place)) };
            let draft = ProposalDraft { framing, proposal: Proposal::Remove(2) };
            trial.refuses_draft("another place", &draft, Rule::SenderUnknown);
        }
    }
    let founding = Founding { external_senders: Vec::new(), ..eight(Suite::One, Shape::Bare) };
    let trial = Trial::of(docket, &founding);
    let framing =
        Framing { signer: Some(trial.forge.new_key().unwrap()), ..Framing::by(Sender::External(0)) };
    let draft = ProposalDraft { framing, proposal: Proposal::Remove(2) };
    trial.refuses_draft("a group without external senders", &draft, Rule::SenderUnknown);
}

fn signatures_of_each_sender(docket: &Docket) {
    for trial in worlds(docket) {
        let anothers = trial.forge.key_of(1).unwrap().clone();
        let package = trial.forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap();
        let join = trial.forge.draft_external("@ann:a.org/D", &[]).unwrap();
        for honest in
            [trial.forge.draft_update(2), trial.forge.draft_add(2, std::slice::from_ref(&package)), join]
        {
            let lie = |draft: &mut Draft| draft.framing.signer = Some(anothers.clone());
            trial.refuses_changed("another's key", &honest, lie, (Rule::Signature, Place::Whole));
        }
        let proposals = [
            (Sender::Member(2), Proposal::Remove(3)),
            (Sender::External(0), Proposal::Remove(3)),
            (Sender::NewMemberProposal, Proposal::Add(package)),
        ];
        for (sender, proposal) in proposals {
            trial.takes_proposal("an honest one", sender, proposal.clone());
            let framing = Framing { signer: Some(anothers.clone()), ..Framing::by(sender) };
            trial.refuses_draft("another's key", &ProposalDraft { framing, proposal }, Rule::Signature);
        }
        // A member who renews its signature key signs the commit with the one that the group knows (§6.1).
        let new = trial.forge.new_key().unwrap();
        let mut renewed = trial.forge.draft_update(2);
        renewed.path.as_mut().unwrap().leaf.key = Some(new.clone());
        let lie = |draft: &mut Draft| draft.framing.signer = Some(new);
        trial.refuses_changed("the new key", &renewed, lie, Rule::Signature);
    }
}

fn signatures_over_another_context(docket: &Docket) {
    for trial in worlds(docket) {
        // The same group in another past: the same ID, epoch and keys, another tree.
        let mut elsewhere = trial.forge.clone();
        elsewhere.blank(maypole_testkit::forge::At::leaf(7));
        let package = trial.forge.key_package(&KeyPackageDraft::of("@ann:a.org/D")).unwrap();
        let honest = trial.forge.draft_add(2, &[package]);
        trial.takes_commit("here", &honest);
        trial.refuses("there", &elsewhere.commit(&honest).unwrap().message, Rule::Signature);
        let there = elsewhere.propose(Sender::Member(2), Proposal::Remove(3)).unwrap();
        trial.refuses("there", &there.message, Rule::Signature);
        // What comes from outside is not bound to the tree (§6.1).
        let there = elsewhere.propose(Sender::External(0), Proposal::Remove(3)).unwrap();
        trial.takes("from outside", &there.message);
    }
}

fn the_last_epoch(docket: &Docket) {
    let last = Founding { epoch: u64::MAX, ..eight(Suite::One, Shape::Warm) };
    let trial = Trial::of(docket, &last);
    trial.takes_proposal("a proposal", Sender::Member(2), Proposal::Remove(3));
    let expected = (Rule::LastEpoch, Place::Whole);
    trial.refuses_commit("a commit", &trial.forge.draft_update(0), expected);
    let join = trial.forge.draft_external("@ann:a.org/D", &[]).unwrap();
    trial.refuses_commit("an external commit", &join, expected);
    let mut trial = Trial::of(docket, &Founding { epoch: u64::MAX - 1, ..last });
    trial.play("the last but one", &trial.forge.draft_update(0));
    trial.refuses_commit("the last", &trial.forge.draft_update(0), expected);
}

struct TakesReInit;

impl Policy for TakesReInit {
    fn takes_reinit(&self) -> bool {
        true
    }
}

fn a_closed_group(docket: &Docket) {
    for (suite, shape) in [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare)] {
        let mut trial = Trial::under(docket, &eight(suite, shape), &TakesReInit);
        let next = Proposal::ReInit {
            group_id: b"!next:a.org".to_vec(),
            version: 1,
            suite: suite.number(),
            extensions: Vec::new(),
        };
        trial.takes_commit("before", &trial.forge.draft_update(0));
        assert!(trial.group.successor().is_none());
        trial.play("a ReInit", &trial.forge.draft_update(0).with(next).without_path());
        assert!(trial.group.successor().is_some());
        let expected = (Rule::Closed, Place::Whole);
        trial.refuses_commit("a commit", &trial.forge.draft_update(0), expected);
        let join = trial.forge.draft_external("@ann:a.org/D", &[]).unwrap();
        trial.refuses_commit("an external commit", &join, expected);
        trial.refuses_proposal("a proposal", Sender::External(0), Proposal::Remove(2), expected);
    }
}

struct Short(usize);

impl Policy for Short {
    fn bounds(&self) -> Bounds {
        Bounds { message_bytes: self.0, ..Strict.bounds() }
    }
}

fn a_large_message(docket: &Docket) {
    let trial = Trial::of(docket, &eight(Suite::One, Shape::Warm));
    let message = trial.forge.commit(&trial.forge.draft_update(0)).unwrap().message;
    let (enough, short) = (Short(message.len()), Short(message.len() - 1));
    trial.judged_by(&enough).takes("just so", &message);
    trial.judged_by(&short).refuses("a byte too many", &message, (Rule::TooLarge, Place::Whole));
}
