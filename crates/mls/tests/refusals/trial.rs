//! A group that is forged and followed at once, and the verdicts that are asked for in it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use maypole_mls::{Delta, Group, Place, Policy, Refusal, Rule, Strict, UnixSeconds};
use maypole_testkit::forge::{
    Draft, Forge, Founding, GroupInfoDraft, Proposal, ProposalDraft, ProposalMessage, Sender, Shape, Suite,
};

/// The time of all trials.
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// A type of proposal, extension or credential that nobody knows.
pub(crate) const UNKNOWN: u16 = 0xf123;

/// A case with its name.
pub(crate) type Case = (&'static str, fn(&Docket));

/// The rules that were found broken, and by which cases.
#[derive(Debug, Default)]
pub(crate) struct Docket {
    case: Cell<&'static str>,
    broken: RefCell<BTreeMap<Rule, BTreeSet<&'static str>>>,
}

impl Docket {
    /// Hears a case under its name.
    pub(crate) fn hear(&self, (name, case): &Case) {
        self.case.set(name);
        case(self);
    }

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
        self.broken.borrow_mut().entry(rule).or_default().insert(self.case.get());
    }

    /// The rules that were broken, each with the cases that broke it.
    pub(crate) fn broken(self) -> BTreeMap<Rule, BTreeSet<&'static str>> {
        self.broken.into_inner()
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

/// Bytes of the right length that are no HPKE key of a suite, or one that nobody can encrypt to.
pub(crate) fn keys_that_are_none(forge: &Forge) -> Vec<Vec<u8>> {
    let key = forge.new_hpke_key().unwrap();
    if key.len() == 32 {
        // Numbers with which every agreement comes to nothing: 0, 1, and p with the highest bit, which does not count.
        let (mut one, mut p) = (vec![0; 32], vec![0xff; 32]);
        (one[0], p[0]) = (1, 0xed);
        return vec![vec![0; 32], one, p];
    }
    let changed = |place: usize, value: u8| {
        let mut key = key.clone();
        key[place] = value;
        key
    };
    // The marks of compressed and of hybrid points, of none, and a point beside the curve.
    vec![changed(0, 2), changed(0, 3), changed(0, 6), changed(0, 0), changed(9, !key[9])]
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
