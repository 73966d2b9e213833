//! What RFC 9420 leaves to the application (§5.3.1, §12.2, §12.4): each answer of a policy is heard, by each way.

use maypole_mls::{Bounds, Pending, Place, Policy, Rule, Strict, wire};
use maypole_testkit::forge::{
    Credential, Draft, Extension, Forge, KeyPackageDraft, LeafDraft, Proposal, ProposalDraft, Sender, Shape,
    Suite,
};

use crate::trial::{Docket, eight, import, worlds};

cases![
    shared_identities,
    replaced_credentials,
    external_senders,
    bytes_of_a_tree,
    bytes_of_what_waits,
    bytes_of_extensions,
    pending_proposals_are_shown,
    what_is_left_out
];

struct Shares;

impl Policy for Shares {
    fn may_share_identity(&self) -> bool {
        true
    }
}

fn called(name: &str) -> LeafDraft {
    LeafDraft { credential: Some(Credential::basic(name)), ..LeafDraft::default() }
}

fn shared_identities(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let package = |name: &str| forge.key_package(&KeyPackageDraft::of(name)).unwrap();
        let both = forge.draft_add(0, &[package("@new:a.org/D"), package("@new:a.org/D")]);
        let one = forge.draft_add(0, &[package("@user6:a.org/D")]);
        let join = forge.draft_external("@user6:a.org/D", &[]).unwrap();
        let cases = [(both, Place::Proposal(1)), (one, Place::Proposal(0)), (join, Place::PathLeaf)];
        for (draft, place) in cases {
            trial.refuses_commit("shared", &draft, (Rule::IdentityTwice, place));
            trial.judged_by(&Shares).takes_commit("shared", &draft);
        }
        // Who is replaced or goes by the same commit does not count.
        let swap = forge.draft_remove(0, &[6]).with(Proposal::Add(package("@user6:a.org/D")));
        trial.takes_commit("in place of who goes", &swap);
    }
    let mut founding = eight(Suite::One, Shape::Warm);
    founding.leaves.insert(3, called("@user6:a.org/D"));
    let forge = Forge::new(&founding).unwrap();
    docket.refused("imported", import(&forge, &Strict), (Rule::IdentityTwice, Place::Leaf(3)));
    import(&forge, &Shares).unwrap();
}

/// Lets a user change the device in its name.
struct SameUser;

impl Policy for SameUser {
    fn may_replace(&self, old: &wire::Credential<'_>, new: &wire::Credential<'_>) -> bool {
        let user = |credential: &wire::Credential<'_>| {
            let name = credential.identity().unwrap_or_default();
            name.split(|byte| *byte == b'/').next().map(<[u8]>::to_vec)
        };
        user(old) == user(new)
    }
}

fn replaced_credentials(docket: &Docket) {
    for trial in worlds(docket) {
        let same = trial.judged_by(&SameUser);
        let forge = &trial.forge;
        for (name, taken) in [("@user3:a.org/PHONE", true), ("@user4:a.org/PHONE", false)] {
            let commit = forge.draft_update(3).with_leaf(called(name));
            let mut back = forge.draft_resync(3).unwrap();
            back.path.as_mut().unwrap().leaf.credential = Some(Credential::basic(name));
            let update = forge.update_of(3, &called(name)).unwrap();
            let expected = || (Rule::IdentityChanged, Place::PathLeaf);
            trial.refuses_commit("by default", &commit, expected());
            trial.refuses_commit("by default", &back, expected());
            let by_default = (Rule::IdentityChanged, Place::Whole);
            trial.refuses_proposal("by default", Sender::Member(3), update.clone(), by_default);
            if taken {
                same.takes_commit("the same user", &commit);
                same.takes_commit("the same user", &back);
                same.takes_proposal("the same user", Sender::Member(3), update);
            } else {
                same.refuses_commit("another user", &commit, expected());
                same.refuses_commit("another user", &back, expected());
                same.refuses_proposal("another user", Sender::Member(3), update, Rule::IdentityChanged);
            }
        }
    }
}

/// Knows which services there are.
struct Services;

impl Policy for Services {
    fn accepts_external_sender(&self, sender: &wire::ExternalSender<'_>) -> bool {
        !sender.signature_key.is_empty() && sender.credential.identity() == Some(b"@:a.org")
    }
}

fn external_senders(docket: &Docket) {
    for trial in worlds(docket) {
        let knowing = trial.judged_by(&Services);
        let key = || trial.forge.external_key(0).unwrap().public().to_vec();
        let senders = |names: &[&str]| {
            let list: Vec<_> = names.iter().map(|name| (key(), Credential::basic(name))).collect();
            vec![Extension::external_senders(&list)]
        };
        for names in [&[][..], &["@:a.org"], &["@:a.org", "@:a.org"]] {
            knowing.takes_commit("known ones", &trial.forge.draft_extensions(0, &senders(names)));
        }
        for names in [&["@:b.org"][..], &["@:a.org", "@:b.org"]] {
            let draft = trial.forge.draft_extensions(0, &senders(names));
            trial.takes_commit("by default", &draft);
            knowing.refuses_commit("an unknown one", &draft, (Rule::CredentialRefused, Place::Proposal(0)));
            for sender in [Sender::Member(2), Sender::External(0)] {
                let proposal = Proposal::Extensions(senders(names));
                let expected = (Rule::CredentialRefused, Place::Whole);
                knowing.refuses_proposal("an unknown one", sender, proposal, expected);
            }
        }
    }
    for (name, taken) in [("@:a.org", true), ("@:b.org", false)] {
        let mut founding = eight(Suite::One, Shape::Warm);
        founding.external_senders = vec![name.to_owned()];
        let forge = Forge::new(&founding).unwrap();
        import(&forge, &Strict).unwrap();
        match taken {
            true => drop(import(&forge, &Services).unwrap()),
            false => docket.refused(
                "imported",
                import(&forge, &Services),
                (Rule::CredentialRefused, Place::Type(5)),
            ),
        }
    }
}

struct Bytes(usize);

impl Policy for Bytes {
    fn bounds(&self) -> Bounds {
        Bounds { tree_bytes: self.0, ..Strict.bounds() }
    }
}

fn bytes_of_a_tree(docket: &Docket) {
    for trial in worlds(docket) {
        let tree = trial.forge.ratchet_tree().len();
        let package = |name: &str| trial.forge.key_package(&KeyPackageDraft::of(name)).unwrap();
        let add = trial.forge.draft_add(0, &[package("@new:a.org/D")]);
        let policy = Bytes(tree + 1_000);
        let judged = trial.judged_by(&policy);
        judged.takes_commit("one", &add);
        let mut after = trial.group.clone();
        let message = trial.forge.commit(&add).unwrap().message;
        after.apply(trial.takes("one", &message)).unwrap();
        let (enough, short) = (Bytes(after.tree_bytes()), Bytes(after.tree_bytes() - 1));
        trial.judged_by(&enough).takes_commit("just so", &add);
        let expected = (Rule::TooManyMembers, Place::Whole);
        trial.judged_by(&short).refuses("a byte too many", &message, expected);
        let many: Vec<_> = (0..20).map(|number| package(&format!("@new{number}:a.org/D"))).collect();
        let many = trial.forge.draft_add(0, &many);
        judged.refuses_commit("twenty", &many, (Rule::TooManyMembers, Place::Whole));
        trial.takes_commit("twenty", &many);
    }
}

/// Bounds of what is kept for others.
struct Little(Bounds);

impl Policy for Little {
    fn bounds(&self) -> Bounds {
        self.0
    }
}

fn bytes_of_what_waits(docket: &Docket) {
    for trial in worlds(docket) {
        let long = |leaf: u32, length: usize| {
            let mut framing = maypole_testkit::forge::Framing::by(Sender::Member(leaf));
            framing.authenticated_data = vec![7; length];
            trial.forge.proposal(&ProposalDraft { framing, proposal: Proposal::Remove(1) }).unwrap().message
        };
        let (first, second) = (long(2, 1_500), long(3, 1_000));
        let mut both = trial.clone();
        for message in [&first, &second] {
            both.group.apply(both.takes("by default", message)).unwrap();
        }
        let [one, other] = both.group.pending() else { panic!("two wait") };
        let (one, other) = (one.authenticated().len(), other.authenticated().len());
        let with = |proposal_bytes, pending_bytes| {
            Little(Bounds { proposal_bytes, pending_bytes, ..Strict.bounds() })
        };
        let (enough, short) = (with(one, one + other), with(one - 1, one + other));
        trial.judged_by(&short).refuses("a byte too many", &first, (Rule::TooLarge, Place::Whole));
        let mut waiting = trial.judged_by(&enough);
        waiting.group.apply(waiting.takes("a long one", &first)).unwrap();
        waiting.takes("another, just so", &second);
        let short = with(one, one + other - 1);
        let full = (Rule::TooManyPending, Place::Whole);
        waiting.judged_by(&short).refuses("another, a byte too many", &second, full);
        trial.judged_by(&short).takes("the other alone", &second);
        trial.takes("by default", &long(3, 100_000));
    }
}

fn bytes_of_extensions(docket: &Docket) {
    for trial in worlds(docket) {
        let mut extensions = trial.forge.extensions().to_vec();
        let sender = |number: u32| (trial.forge.bytes(65), Credential::basic(&format!("@{number}:a.org")));
        extensions.retain(|extension| extension.kind != 5);
        extensions.push(Extension::external_senders(&(0..20).map(sender).collect::<Vec<_>>()));
        let many = trial.forge.draft_extensions(0, &extensions);
        trial.takes_commit("by default", &many);
        let mut after = trial.clone();
        after.play("many senders", &many);
        let bytes = after.group.extensions().raw.len();
        let with = |extensions_bytes| Little(Bounds { extensions_bytes, ..Strict.bounds() });
        trial.judged_by(&with(bytes)).takes_commit("just so", &many);
        trial.judged_by(&with(bytes - 1)).refuses_commit("a byte too many", &many, Rule::TooLarge);
    }
}

/// Insists on what the service has proposed, and on nothing else.
struct OfTheService;

impl Policy for OfTheService {
    fn must_commit(&self, proposal: &Pending) -> bool {
        proposal.sender() == maypole_mls::envelope::Sender::External(0)
            && matches!(proposal.proposal(self), Ok(wire::Proposal::Remove(_)))
    }
}

fn pending_proposals_are_shown(docket: &Docket) {
    for trial in worlds(docket) {
        let mut trial = trial.judged_by(&OfTheService);
        let mine = trial.propose(Sender::Member(2), Proposal::Remove(3));
        let update = trial.forge.draft_update(0);
        trial.takes_commit("a member's left out", &update);
        let package = trial.forge.key_package(&KeyPackageDraft::of("@new:a.org/D")).unwrap();
        trial.propose(Sender::External(0), Proposal::Add(package));
        trial.takes_commit("an Add left out", &update);
        let service = trial.propose(Sender::External(0), Proposal::Remove(4));
        trial.refuses_commit("the service's left out", &update, Rule::MustCommit);
        let mine = trial.forge.draft_references(0, &[&mine]);
        trial.refuses_commit("a member's alone", &mine, Rule::MustCommit);
        trial.takes_commit("both", &mine.clone().referring_to(&service));
        // A verdict is for the proposals that waited when it was given, and for no others, were they as many.
        let mut other = trial.clone();
        let delta = trial.takes("both", &trial.forge.commit(&mine.referring_to(&service)).unwrap().message);
        other.propose(Sender::Member(5), Proposal::Remove(1));
        assert!(other.group.apply(delta.clone()).is_err());
        trial.propose(Sender::Member(5), Proposal::Remove(6));
        assert!(trial.group.apply(delta).is_err());
        let here = trial.takes(
            "a commit",
            &trial.forge.commit(&trial.forge.draft_references(0, &[&service])).unwrap().message,
        );
        assert!(other.group.apply(here).is_err(), "as many wait, but others");
    }
}

/// What a commit leaves out is void with it, and said.
fn what_is_left_out(docket: &Docket) {
    for mut trial in worlds(docket) {
        let taken = trial.propose(Sender::Member(2), Proposal::Remove(3));
        let framing = maypole_testkit::forge::Framing::by(Sender::Member(2));
        let draft = ProposalDraft { framing, proposal: Proposal::Remove(4) };
        let left = trial.forge.proposal(&draft).unwrap();
        trial.group.apply(trial.takes("a proposal", &left.message)).unwrap();
        let commit: Draft = trial.forge.draft_references(0, &[&taken]);
        let delta = trial.takes("one of two", &trial.forge.commit(&commit).unwrap().message);
        let committed = delta.committed().unwrap();
        assert_eq!(committed.consumed[0].as_ref(), taken.reference);
        assert_eq!(committed.omitted[0].as_ref(), left.reference);
        assert_eq!((committed.consumed.len(), committed.omitted.len()), (1, 1));
        trial.group.apply(delta).unwrap();
        assert_eq!(trial.group.pending(), []);
    }
}
