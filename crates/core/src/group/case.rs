//! One command on its way to its decision.
//!
//! ```text
//! Begin ──▶ Need(Permit) ──▶ Need(Keys) ──▶ Stage ──Outcome──▶ Decide
//!   │            │              │             │  (each only where it is needed)
//!   └────────────┴── Reject ◀───┴─────────────┘
//! ```

use std::collections::BTreeSet;

use maypole_mls::Suite;

use super::commit::{self, Commit};
use super::register::{self, Registration};
use super::{Command, Decision, Group, Request, Terms};
use crate::auth::Authenticated;
use crate::ids::{ClientId, UserId};
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
    /// It is valid; whether it may is asked.
    Asking(Verdict),
    /// It may; whose keys it brings is asked.
    Checking(Verdict, Permit),
    /// Something must happen outside first.
    Staged(Verdict, Permit),
    /// It is decided or refused.
    Done,
}

/// What a command does to its group, as far as MLS goes.
#[derive(Debug)]
pub(super) enum Verdict {
    Registration(Registration),
    Commit(Box<Commit>),
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
}

/// How what was staged went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Which effects were refused, by their place, and why.
    pub refused: Vec<(usize, String)>,
}

/// Something that a case lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Do these devices publish these keys?
    Keys(Vec<LeafKey>),
    /// May the caller?
    Permit(Question),
}

/// A signature key that is new to the group, or comes with a KeyPackage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafKey {
    /// The leaf, in the tree that the command makes; or which KeyPackage of an upload it is.
    pub leaf: u32,
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
            let verdict = judge(group, case.command.get(), terms, now)?;
            let question = verdict.question(case.command.get());
            case.stage = Stage::Asking(verdict);
            Ok(Step::Need(Need::Permit(question)))
        }
        (Input::Fetched(Fetched::Permit(permit)), Stage::Asking(verdict)) => {
            let permit = permit?;
            if verdict.keys().is_empty() {
                return settle(group, case, verdict, permit, now);
            }
            let keys = verdict.keys().to_vec();
            case.stage = Stage::Checking(verdict, permit);
            Ok(Step::Need(Need::Keys(keys)))
        }
        (Input::Fetched(Fetched::Keys(known)), Stage::Checking(verdict, permit)) => {
            known?;
            settle(group, case, verdict, permit, now)
        }
        (Input::Resume(permit), Stage::New) => {
            let verdict = judge(group, case.command.get(), terms, now)?;
            case.stage = Stage::Staged(verdict, permit.clone());
            Ok(Step::Stage(permit))
        }
        (Input::Outcome(outcome), Stage::Staged(verdict, permit)) => {
            if let Some((_, reason)) = outcome.refused.iter().find(|(place, _)| *place == 0) {
                return Err(Rejection::forbidden(format!("the homeserver refused it: {reason}")));
            }
            let withheld = withheld(&permit, &outcome);
            decide(group, case, verdict, permit, withheld, now)
        }
        _ => Err(OUT_OF_TURN),
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
    now: Timestamp,
) -> Result<Step, Rejection> {
    if permit.effects.is_empty() {
        return decide(group, case, verdict, permit, BTreeSet::new(), now);
    }
    case.stage = Stage::Staged(verdict, permit.clone());
    Ok(Step::Stage(permit))
}

/// The accounts for whom something was refused.
fn withheld(permit: &Permit, outcome: &Outcome) -> BTreeSet<UserId> {
    let refused = outcome.refused.iter().filter_map(|(place, _)| permit.effects.get(*place));
    refused.filter_map(|effect| effect.about.clone()).collect()
}

fn judge(
    group: Option<&Group>,
    command: &Command,
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Verdict, Rejection> {
    match &command.request {
        Request::Register { group_info } => {
            register::judge(group, command, group_info, terms, now).map(Verdict::Registration)
        }
        Request::Commit { epoch, message, welcome, group_info } => {
            let parts =
                commit::Parts { message, welcome: welcome.as_deref(), group_info: group_info.as_deref() };
            let group = group.ok_or(Rejection::UnknownGroup)?;
            let commit = commit::judge(group, &command.by, *epoch, &parts, terms, now)?;
            Ok(Verdict::Commit(Box::new(commit)))
        }
    }
}

/// Nothing is lacking any more.
fn decide(
    group: Option<&Group>,
    case: &Case,
    verdict: Verdict,
    permit: Permit,
    withheld: BTreeSet<UserId>,
    now: Timestamp,
) -> Result<Step, Rejection> {
    let decision = match (verdict, group) {
        (Verdict::Registration(registration), None) => registration.decide(case.command.get(), permit, now),
        (Verdict::Commit(commit), Some(group)) => {
            commit.decide(group, case.command.get(), permit, withheld, now)?
        }
        _ => return Err(OUT_OF_TURN),
    };
    Ok(Step::Decide(Box::new(decision)))
}

impl Verdict {
    /// Signature keys that are new to the group.
    fn keys(&self) -> &[LeafKey] {
        match self {
            Self::Registration(registration) => registration.keys(),
            Self::Commit(commit) => commit.keys(),
        }
    }

    fn question(&self, command: &Command) -> Question {
        match self {
            Self::Registration(registration) => registration.question(command),
            Self::Commit(commit) => commit.question(command),
        }
    }
}
