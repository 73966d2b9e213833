//! The public vectors of `passive-client-handling-commit`: somebody joins by a Welcome and hears two commits.
//!
//! The GroupInfo is in the Welcome, so the test opens that with the vector's private keys. Then this crate and mls-rs'
//! `ExternalGroup` hear every message, and end with the same hashes; beside them mls-rs is the member itself, and has the
//! vector's own secrets in every epoch. So what is seen from outside is what the vector's author saw. mls-rs' cryptography
//! has no P-521; there this crate is alone behind the first epoch. OpenMLS' `PublicGroup` takes none of these trees, because
//! lifetimes in them are over.

use anyhow::Context as _;
use maypole_mls::{Group, Lifetimes, Policy, Suite, UnixSeconds};
use maypole_testkit::vectors::{self, bytes};
use serde_json::Value;

use super::{
    joiner::Joiner,
    member,
    oracles::{Follower as _, Seen, mls_rs::MlsRs},
    suite,
};

/// A second at which all KeyPackages of the vectors were good: they ended in March 2025.
const NOW: UnixSeconds = UnixSeconds(1_735_689_600);

/// Takes what the vectors have beyond the strict defaults.
struct Lenient;

impl Policy for Lenient {
    fn takes_pre_shared_keys(&self) -> bool {
        true
    }

    fn lifetimes(&self) -> Lifetimes {
        Lifetimes { longest_s: u64::MAX, ..Lifetimes::default() }
    }
}

/// What was followed.
#[derive(Debug, Default)]
struct Count {
    groups: usize,
    other_suites: usize,
    commits: usize,
    proposals: usize,
    private_epochs: usize,
    epochs_of_mls_rs: usize,
}

fn seen(group: &Group) -> Seen {
    Seen {
        epoch: group.epoch(),
        tree_hash: group.tree_hash().to_vec(),
        confirmed_transcript_hash: group.confirmed_transcript_hash().to_vec(),
        ratchet_tree: group.ratchet_tree(),
    }
}

/// Whether a message is a PublicMessage.
fn is_public(message: &[u8]) -> bool {
    message.starts_with(&[0, 1, 0, 1])
}

#[test]
fn groups_are_followed_to_the_same_hashes() {
    let Some(vectors) = vectors::read("passive-client-handling-commit") else { return };
    let mut count = Count::default();
    for (number, vector) in vectors.as_array().unwrap().iter().enumerate() {
        match suite(vector) {
            Some(suite) => follow(vector, suite, number, &mut count),
            None => count.other_suites += 1,
        }
    }
    println!("{count:?}");
    assert!(count.commits > 0 && count.proposals > 0);
    assert_eq!(count.groups * 2, count.other_suites * 5, "two suites of seven are on the curve 448");
    assert_eq!(count.epochs_of_mls_rs * 5, count.commits * 4, "one suite of five is on P-521");
}

fn follow(vector: &Value, suite: Suite, number: usize, count: &mut Count) {
    let case = |what: &str| format!("group {number}, {suite:?}, {what}");
    let joiner = Joiner::open(vector, suite);
    assert_eq!(joiner.epoch_authenticator(), bytes(&vector["initial_epoch_authenticator"]));
    let tree = vector.get("ratchet_tree").filter(|tree| !tree.is_null()).map(bytes);
    let imported = Group::import(&joiner.group_info, tree.as_deref(), &Lenient, NOW);
    let mut group = imported.unwrap_or_else(|refusal| panic!("{}", case(&refusal.to_string())));
    assert_eq!(joiner.confirmation_tag(group.confirmed_transcript_hash()), group.confirmation_tag());
    count.groups += 1;

    let mut member = member::join(vector, suite, tree.as_deref());
    let message = [&[0, 1, 0, 4], &joiner.group_info[..]].concat();
    let mut outsider =
        member.is_some().then(|| MlsRs::observe(&message, tree.as_deref()).expect("mls-rs takes it"));
    for epoch in vector["epochs"].as_array().unwrap() {
        let proposals: Vec<_> = epoch["proposals"].as_array().unwrap().iter().map(bytes).collect();
        let commit = bytes(&epoch["commit"]);
        let messages = || proposals.iter().chain([&commit]);
        if !messages().all(|message| is_public(message)) {
            count.private_epochs += 1;
            return;
        }
        for message in messages() {
            let judged = group.validate(message, &Lenient, NOW);
            let delta = judged.unwrap_or_else(|refusal| panic!("{}", case(&refusal.to_string())));
            group.apply(delta).unwrap();
        }
        assert_eq!(Group::restore(&group.snapshot()).unwrap().context(), group.context());
        count.proposals += proposals.len();
        count.commits += 1;

        let (Some(member), Some(outsider)) = (&mut member, &mut outsider) else { continue };
        messages().for_each(|message| member.hear(message));
        assert_eq!(member.epoch_authenticator(), bytes(&epoch["epoch_authenticator"]), "{}", case("member"));
        seen(&group).ensure_same(&member.seen()).with_context(|| case("its member")).unwrap();
        proposals.iter().for_each(|proposal| outsider.hear_proposal(proposal).unwrap());
        outsider.hear_commit(&commit).unwrap();
        seen(&group).ensure_same(&outsider.seen().unwrap()).with_context(|| case("mls-rs outside")).unwrap();
        count.epochs_of_mls_rs += 1;
    }
}
