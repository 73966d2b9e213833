//! One command on its way to its decision.
//!
//! ```text
//! Begin ──▶ Need(Predecessor) ──▶ Need(Permit) ──▶ Need(Keys) ──▶ Stage ──Outcome──▶ Need(Signatures) ──▶ Decide
//!   │               │                  │               │            │  (each only where it is needed)      or Amend
//!   └───────────────┴───── Reject ◀────┴───────────────┴────────────┘
//! ```

use std::collections::BTreeSet;

use maypole_mls::Suite;

use super::agenda::Agenda;
use super::commit::{self, Commit, Held};
use super::issue::Issue;
use super::propose::{self, Proposal};
use super::register::{self, Registration};
use super::{Amendment, Command, Decision, Group, Request, Standing, Terms, ToSign};
use crate::auth::Authenticated;
use crate::ids::{ClientId, GroupId, UserId};
use crate::permit::{Permit, Question};
use crate::rejection::Rejection;
use crate::time::Timestamp;

/// A command, and what has become of it so far.
#[derive(Debug)]
pub struct Case {
    command: Authenticated<Command>,
    stage: Stage,
}

/// How far a case is. Each stage can only be reached from the one before.
#[derive(Debug)]
enum Stage {
    /// Nobody has looked at it.
    New,
    /// It is valid; how the generation before stands is asked. With a permit, it was staged before a restart.
    Succeeding(Box<Registration>, Option<Permit>),
    /// It is valid; whether it may is asked.
    Asking(Verdict),
    /// It may; whose keys it brings is asked.
    Checking(Verdict, Permit),
    /// Something must happen outside first.
    Staged(Verdict, Permit),
    /// It counts; the service's own proposals for its epoch are to be signed.
    Signing(Box<Signing>),
    /// It is decided or refused.
    Done,
}

/// What a command does to its group, as far as MLS goes.
#[derive(Debug)]
pub(super) enum Verdict {
    Registration(Box<Registration>),
    Commit(Box<Commit>),
    Proposal(Box<Proposal>),
}

/// A commit for whose epoch the service has something to sign.
#[derive(Debug)]
struct Signing {
    commit: Box<Commit>,
    permit: Permit,
    withheld: BTreeSet<UserId>,
    agenda: Agenda,
    issue: Issue,
}

/// What a case is told.
#[derive(Debug)]
pub enum Input {
    /// It is its turn.
    Begin,
    /// Something that it asked for.
    Fetched(Fetched),
    /// What was staged has been carried out, as far as it was.
    Outcome(Outcome),
    /// It was staged before a restart, with this permit.
    Resume(Permit),
}

/// Something that a case asked for.
#[derive(Debug)]
pub enum Fetched {
    /// Whether the devices publish the keys of their leaves.
    Keys(Result<(), Rejection>),
    /// Whether the caller may.
    Permit(Result<Permit, Rejection>),
    /// How the generation before stands; none where there is no such group.
    Predecessor(Result<Option<Box<Standing>>, Rejection>),
    /// Signatures of the service, in the order of what was to be signed. Fewer leave the rest unsigned: what they were for is
    /// made another time.
    Signatures(Vec<Vec<u8>>),
}

/// How what was staged went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Which effects were refused, by their place, and why.
    pub refused: Vec<(usize, String)>,
    /// Who was to be told how to join, and has no place there any more.
    pub unwanted: BTreeSet<UserId>,
}

/// Something that a case lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Do these devices publish these keys?
    Keys(Vec<LeafKey>),
    /// May the caller?
    Permit(Question),
    /// How does this generation stand?
    Predecessor(GroupId),
    /// The service's signature as an external sender.
    Signatures(ToSign),
}

/// A signature key that is new to the group, or comes with a KeyPackage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafKey {
    /// The leaf, in the tree that the command makes, or which KeyPackage of an upload it is; none where that is not known yet.
    pub leaf: Option<u32>,
    /// Whom it names.
    pub client: ClientId,
    /// The suite that the key is for.
    pub suite: Suite,
    /// The key.
    pub key: Vec<u8>,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// This is lacking.
    Need(Need),
    /// This must be written down, then carried out.
    Stage(Permit),
    /// This was decided.
    Decide(Box<Decision>),
    /// This is to wait for a commit.
    Amend(Box<Amendment>),
    /// No.
    Reject(Rejection),
}

impl Case {
    /// A command at its beginning.
    pub fn new(command: Authenticated<Command>) -> Self {
        Self { command, stage: Stage::New }
    }

    /// The command.
    pub fn command(&self) -> &Authenticated<Command> {
        &self.command
    }

    /// Whose devices it adds, who are to be told how to join once it is decided; of a case that was staged.
    pub fn adds(&self) -> BTreeSet<UserId> {
        match &self.stage {
            Stage::Staged(Verdict::Commit(commit), _) => commit.adds().cloned().collect(),
            _ => BTreeSet::new(),
        }
    }
}

/// Takes a case one step further. The group is the one that it was begun with, in the same state, or `None` where there is
/// none of that ID. A step out of turn ends the case.
pub fn step(group: Option<&Group>, case: &mut Case, input: Input, terms: &dyn Terms, now: Timestamp) -> Step {
    let stage = std::mem::replace(&mut case.stage, Stage::Done);
    match advance(group, case, stage, input, terms, now) {
        Ok(step) => step,
        Err(rejection) => Step::Reject(rejection),
    }
}

fn advance(
    group: Option<&Group>,
    case: &mut Case,
    stage: Stage,
    input: Input,
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Step, Rejection> {
    match (input, stage) {
        (Input::Begin, Stage::New) => {
            let verdict = judge(group, case.command.get(), Held::ToAgenda, terms, now)?;
            Ok(ask(case, verdict, None))
        }
        (Input::Fetched(Fetched::Predecessor(before)), Stage::Succeeding(mut registration, staged)) => {
            registration.succeed(before?.map(|before| *before))?;
            Ok(ask_further(case, Verdict::Registration(registration), staged))
        }
        (Input::Fetched(Fetched::Permit(permit)), Stage::Asking(verdict)) => {
            let permit = permit?;
            if verdict.keys().is_empty() {
                return settle(group, case, verdict, permit, terms, now);
            }
            let keys = verdict.keys().to_vec();
            case.stage = Stage::Checking(verdict, permit);
            Ok(Step::Need(Need::Keys(keys)))
        }
        (Input::Fetched(Fetched::Keys(known)), Stage::Checking(verdict, permit)) => {
            known?;
            settle(group, case, verdict, permit, terms, now)
        }
        (Input::Resume(permit), Stage::New) => {
            let verdict = judge(group, case.command.get(), Held::ToNothing, terms, now)?;
            Ok(ask(case, verdict, Some(permit)))
        }
        (Input::Outcome(outcome), Stage::Staged(verdict, permit)) => {
            if let Some((_, reason)) = outcome.refused.iter().find(|(place, _)| *place == 0) {
                return Err(Rejection::forbidden(format!("the homeserver refused it: {reason}")));
            }
            let withheld = withheld(&permit, &outcome);
            let verdict = renew(group, case.command.get(), verdict, terms)?;
            conclude(group, case, verdict, permit, withheld, terms, now)
        }
        (Input::Fetched(Fetched::Signatures(signatures)), Stage::Signing(signing)) => {
            sign(group, case.command.get(), *signing, &signatures, terms, now)
        }
        _ => Err(OUT_OF_TURN),
    }
}

/// Asks for what is lacking first; with a permit, the case was staged before a restart.
fn ask(case: &mut Case, verdict: Verdict, staged: Option<Permit>) -> Step {
    match verdict {
        Verdict::Registration(registration) => match registration.predecessor(case.command.get()) {
            Some(before) => {
                case.stage = Stage::Succeeding(registration, staged);
                Step::Need(Need::Predecessor(before))
            }
            None => ask_further(case, Verdict::Registration(registration), staged),
        },
        verdict => ask_further(case, verdict, staged),
    }
}

fn ask_further(case: &mut Case, verdict: Verdict, staged: Option<Permit>) -> Step {
    match staged {
        Some(permit) => {
            case.stage = Stage::Staged(verdict, permit.clone());
            Step::Stage(permit)
        }
        None => {
            let question = verdict.question(case.command.get());
            case.stage = Stage::Asking(verdict);
            Step::Need(Need::Permit(question))
        }
    }
}

/// What was staged is judged anew where the group owes something else by now: proposals may have come since. Nothing else may
/// stand in its way any more.
fn renew(
    group: Option<&Group>,
    command: &Command,
    verdict: Verdict,
    terms: &dyn Terms,
) -> Result<Verdict, Rejection> {
    match (&verdict, group) {
        (Verdict::Commit(commit), Some(open)) => match commit.outdated(open) {
            Some(judged_at) => judge(group, command, Held::ToNothing, terms, judged_at),
            None => Ok(verdict),
        },
        _ => Ok(verdict),
    }
}

/// Nobody does this; if somebody does, nothing is decided by it.
const OUT_OF_TURN: Rejection =
    Rejection::Unavailable { users: Vec::new(), problem: "a step was taken out of turn" };

/// All is known: what must happen outside first is staged, and what needs nothing is decided.
fn settle(
    group: Option<&Group>,
    case: &mut Case,
    verdict: Verdict,
    permit: Permit,
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Step, Rejection> {
    // Members are told so at once; who comes from outside learns it when it may.
    if let Some(group) = group {
        commit::is_ordered(group)?;
    }
    if permit.effects.is_empty() || matches!(verdict, Verdict::Proposal(_)) {
        return conclude(group, case, verdict, permit, BTreeSet::new(), terms, now);
    }
    case.stage = Stage::Staged(verdict, permit.clone());
    Ok(Step::Stage(permit))
}

/// The accounts for whom something was refused, or that have no place there any more.
fn withheld(permit: &Permit, outcome: &Outcome) -> BTreeSet<UserId> {
    let refused = outcome.refused.iter().filter_map(|(place, _)| permit.effects.get(*place));
    refused.filter_map(|effect| effect.about.clone()).chain(outcome.unwanted.iter().cloned()).collect()
}

fn judge(
    group: Option<&Group>,
    command: &Command,
    held: Held,
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Verdict, Rejection> {
    let open = || group.ok_or(Rejection::UnknownGroup);
    match &command.request {
        Request::Register { group_info } => {
            let registration = register::judge(group, command, group_info, terms, now)?;
            Ok(Verdict::Registration(Box::new(registration)))
        }
        Request::Commit { epoch, message, welcome, group_info } => {
            let parts =
                commit::Parts { message, welcome: welcome.as_deref(), group_info: group_info.as_deref() };
            let commit = commit::judge(open()?, &command.by, *epoch, &parts, held, terms, now)?;
            Ok(Verdict::Commit(Box::new(commit)))
        }
        Request::Propose { epoch, message } => {
            let proposal = propose::judge(open()?, &command.by, *epoch, message, terms, now)?;
            Ok(Verdict::Proposal(Box::new(proposal)))
        }
    }
}

/// Nothing is lacking any more but what the service itself has to sign.
fn conclude(
    group: Option<&Group>,
    case: &mut Case,
    verdict: Verdict,
    permit: Permit,
    withheld: BTreeSet<UserId>,
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Step, Rejection> {
    match (verdict, group) {
        (Verdict::Registration(registration), None) => {
            let decision = registration.decide(case.command.get(), permit, now);
            Ok(Step::Decide(Box::new(decision)))
        }
        (Verdict::Proposal(proposal), Some(group)) => {
            let draft = proposal.accept(group, terms, now).ok_or(OUT_OF_TURN)?;
            let amendment = draft.signed(&[], terms, now).ok_or(OUT_OF_TURN)?;
            Ok(Step::Amend(Box::new(amendment)))
        }
        (Verdict::Commit(commit), Some(group)) => {
            let agenda = commit.agenda(group, &withheld, now);
            if let Some(issue) = commit.issue(group, &agenda, terms) {
                let to_sign = issue.to_sign();
                case.stage = Stage::Signing(Box::new(Signing { commit, permit, withheld, agenda, issue }));
                return Ok(Step::Need(Need::Signatures(to_sign)));
            }
            let owed = (agenda, Vec::new());
            let decision = commit.decide(group, case.command.get(), permit, withheld, owed, now)?;
            Ok(Step::Decide(Box::new(decision)))
        }
        _ => Err(OUT_OF_TURN),
    }
}

/// The service has signed what it has to for the epoch of a commit.
fn sign(
    group: Option<&Group>,
    command: &Command,
    signing: Signing,
    signatures: &[Vec<u8>],
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Step, Rejection> {
    let Signing { commit, permit, withheld, mut agenda, issue } = signing;
    let deltas = issue.signed(signatures, &mut agenda, terms, now);
    let decision =
        commit.decide(group.ok_or(OUT_OF_TURN)?, command, permit, withheld, (agenda, deltas), now)?;
    Ok(Step::Decide(Box::new(decision)))
}

impl Verdict {
    /// Signature keys that are new to the group.
    fn keys(&self) -> &[LeafKey] {
        match self {
            Self::Registration(registration) => registration.keys(),
            Self::Commit(commit) => commit.keys(),
            Self::Proposal(proposal) => proposal.keys(),
        }
    }

    fn question(&self, command: &Command) -> Question {
        match self {
            Self::Registration(registration) => registration.question(command),
            Self::Commit(commit) => commit.question(command),
            Self::Proposal(proposal) => proposal.question(command),
        }
    }
}
