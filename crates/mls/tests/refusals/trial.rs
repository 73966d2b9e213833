//! A group that is forged and followed at once, and the verdicts that are asked for in it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use maypole_mls::{Delta, Group, Place, Policy, Refusal, Rule, Strict, UnixSeconds};
use maypole_testkit::forge::{
    Draft, Forge, Founding, GroupInfoDraft, Proposal, ProposalDraft, ProposalMessage, Sender, Shape, Suite,
};

/// The time of all trials.
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// A type of proposal, extension or credential that nobody knows.
pub(crate) const UNKNOWN: u16 = 0xf123;

/// The rules that were found broken.
#[derive(Debug, Default)]
pub(crate) struct Docket(RefCell<BTreeSet<Rule>>);

impl Docket {
    /// Judges a verdict.
    #[track_caller]
    pub(crate) fn refused<T>(&self, what: &str, verdict: Result<T, Refusal>, expected: impl Into<Expected>) {
        let Expected(rule, place) = expected.into();
        match verdict {
            Ok(_) => panic!("{what}: taken, and should break {rule:?}"),
            Err(refusal) => {
                let same = refusal.rule == rule && place.is_none_or(|place| place == refusal.place);
                assert!(same, "{what}: {refusal:?}, and should break {rule:?} at {place:?}");
            }
        }
        self.0.borrow_mut().insert(rule);
    }

    /// The rules that no case has broken.
    pub(crate) fn missing(&self) -> Vec<Rule> {
        Rule::ALL.iter().copied().filter(|rule| !self.0.borrow().contains(rule)).collect()
    }
}

/// A rule, and where it is to be broken, where that says something.
pub(crate) struct Expected(Rule, Option<Place>);

impl From<Rule> for Expected {
    fn from(rule: Rule) -> Self {
        Self(rule, None)
    }
}

impl From<(Rule, Place)> for Expected {
    fn from((rule, place): (Rule, Place)) -> Self {
        Self(rule, Some(place))
    }
}

/// Imports the group of a forge.
pub(crate) fn import(forge: &Forge, policy: &dyn Policy) -> Result<Group, Refusal> {
    let info = forge.group_info(&GroupInfoDraft::by(0)).unwrap();
    Group::import(&info, Some(&forge.ratchet_tree()), policy, NOW)
}

/// A group of eight.
pub(crate) fn eight(suite: Suite, shape: Shape) -> Founding {
    Founding::of(suite, 8, shape, 4_200 + u64::from(suite.number())).at(NOW.0)
}

/// Groups of eight of every kind of suite and of both shapes.
pub(crate) fn worlds(docket: &Docket) -> impl Iterator<Item = Trial<'_>> {
    let all = [(Suite::One, Shape::Warm), (Suite::Two, Shape::Bare), (Suite::Seven, Shape::Warm)];
    all.into_iter().map(|(suite, shape)| Trial::of(docket, &eight(suite, shape)))
}

/// A group, forged and followed.
#[derive(Clone)]
pub(crate) struct Trial<'d> {
    pub(crate) forge: Forge,
    pub(crate) group: Group,
    pub(crate) policy: &'d dyn Policy,
    pub(crate) docket: &'d Docket,
    name: String,
}

impl<'d> Trial<'d> {
    /// Begins one under the policy of the defaults.
    pub(crate) fn of(docket: &'d Docket, founding: &Founding) -> Self {
        Self::under(docket, founding, &Strict)
    }

    /// Begins one under a policy.
    pub(crate) fn under(docket: &'d Docket, founding: &Founding, policy: &'d dyn Policy) -> Self {
        let name = format!(
            "suite {}, {} members, {:?}, seed {}",
            founding.suite.number(),
            founding.members,
            founding.shape,
            founding.seed
        );
        let forge = Forge::new(founding).unwrap();
        let group = import(&forge, policy).unwrap_or_else(|why| panic!("{name}: {why}"));
        Self { forge, group, policy, docket, name }
    }

    /// The same group under another policy.
    pub(crate) fn judged_by(&self, policy: &'d dyn Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    pub(crate) fn verdict(&self, message: &[u8]) -> Result<Delta, Refusal> {
        self.group.validate(message, self.policy, NOW)
    }

    /// A message is taken.
    #[track_caller]
    pub(crate) fn takes(&self, what: &str, message: &[u8]) -> Delta {
        self.verdict(message).unwrap_or_else(|why| panic!("{}: {what}: {why} {why:?}", self.name))
    }

    /// A message is refused, and nothing is changed by it.
    #[track_caller]
    pub(crate) fn refuses(&self, what: &str, message: &[u8], expected: impl Into<Expected>) {
        let before = self.group.snapshot();
        self.docket.refused(&format!("{}: {what}", self.name), self.verdict(message), expected);
        assert!(self.group.snapshot() == before, "{}: {what}: a refusal changed the group", self.name);
    }

    /// A commit is taken, to the hash of its own tree.
    #[track_caller]
    pub(crate) fn takes_commit(&self, what: &str, draft: &Draft) {
        let commit = self.forge.commit(draft).unwrap();
        let mut after = self.group.clone();
        after.apply(self.takes(what, &commit.message)).unwrap();
        assert_eq!(after.tree_hash(), commit.tree_hash(), "{}: {what}", self.name);
        let transcript = after.confirmed_transcript_hash();
        assert_eq!(transcript, commit.confirmed_transcript_hash(), "{}: {what}", self.name);
    }

    /// A commit is refused.
    #[track_caller]
    pub(crate) fn refuses_commit(&self, what: &str, draft: &Draft, expected: impl Into<Expected>) {
        self.refuses(what, &self.forge.commit(draft).unwrap().message, expected);
    }

    /// Of a commit that is taken, one that differs from it is refused.
    #[track_caller]
    pub(crate) fn refuses_changed(
        &self,
        what: &str,
        honest: &Draft,
        change: impl FnOnce(&mut Draft),
        expected: impl Into<Expected>,
    ) {
        self.takes_commit(what, honest);
        let mut draft = honest.clone();
        change(&mut draft);
        self.refuses_commit(what, &draft, expected);
    }

    /// A proposal is taken.
    #[track_caller]
    pub(crate) fn takes_proposal(&self, what: &str, sender: Sender, proposal: Proposal) {
        let delta = self.takes(what, &self.forge.propose(sender, proposal).unwrap().message);
        assert!(delta.proposed().is_some(), "{}: {what}", self.name);
    }

    /// A proposal is refused.
    #[track_caller]
    pub(crate) fn refuses_proposal(
        &self,
        what: &str,
        sender: Sender,
        proposal: Proposal,
        expected: impl Into<Expected>,
    ) {
        self.refuses(what, &self.forge.propose(sender, proposal).unwrap().message, expected);
    }

    /// A proposal, drafted, is refused.
    #[track_caller]
    pub(crate) fn refuses_draft(&self, what: &str, draft: &ProposalDraft, expected: impl Into<Expected>) {
        self.refuses(what, &self.forge.proposal(draft).unwrap().message, expected);
    }

    /// Somebody proposes, and it waits.
    #[track_caller]
    pub(crate) fn propose(&mut self, sender: Sender, proposal: Proposal) -> ProposalMessage {
        let message = self.forge.propose(sender, proposal).unwrap();
        self.group.apply(self.takes("a proposal", &message.message)).unwrap();
        assert_eq!(self.group.pending().last().unwrap().reference(), message.reference);
        message
    }

    /// Somebody commits, and the group goes on.
    #[track_caller]
    pub(crate) fn play(&mut self, what: &str, draft: &Draft) {
        let commit = self.forge.commit(draft).unwrap();
        self.group.apply(self.takes(what, &commit.message)).unwrap();
        self.forge.play(&commit).unwrap();
        assert_eq!(self.group.tree_hash(), self.forge.tree_hash(), "{}: {what}", self.name);
    }
}
