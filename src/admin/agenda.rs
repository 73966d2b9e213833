//! What a group owes, as the operator is told of it, in words.

use std::fmt::Write as _;

use maypole_core::group::{self, Cause, Does, FreezeCause, Proposer};
use maypole_core::limits;
use serde::{Deserialize, Serialize};

use super::{Freeze, plain};

/// What a group owes: what must be done in it, by whom, and whether anything is ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agenda {
    /// Why nothing is ordered in it, besides what its operator said.
    pub freezes: Vec<Freeze>,
    /// Every leaf must go, so that nobody in it can commit.
    pub dormant: bool,
    /// It may be begun anew although somebody could go on with it.
    pub reset_open: bool,
    /// The group that was begun in its place: as text where it is text, otherwise as base64.
    pub successor: Option<String>,
    /// Who is to make the next commit.
    pub duty: Option<Duty>,
    /// Leaves that must go, in the order in which they were announced; the first of them if there are many.
    pub leaving: Vec<Leaving>,
    /// How many must go.
    pub leaving_total: u64,
    /// Proposals that wait for a commit, in the order in which they came; the first of them if there are many.
    pub proposals: Vec<Proposal>,
    /// How many wait.
    pub proposals_total: u64,
    /// Devices that somebody should add; the first of them if there are many.
    pub wanted: Vec<String>,
    /// How many should be added.
    pub wanted_total: u64,
}

/// The duty to commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    /// Who has it: `@user:server/DEVICE`.
    pub holder: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it goes to another, in milliseconds since 1970.
    pub until_ms: u64,
}

/// A leaf that must go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Whose it is: `@user:server/DEVICE`.
    pub identity: String,
    /// Why, a few words for each cause.
    pub causes: Vec<String>,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// A proposal that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Whose it is: `@user:server/DEVICE`, or `the service`.
    pub by: String,
    /// What it does, in a few words.
    pub does: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

impl From<&group::Agenda> for Agenda {
    /// What stands in the agenda alone: neither whether the group is dormant nor which one succeeds it.
    fn from(agenda: &group::Agenda) -> Self {
        let total = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        Self {
            freezes: agenda.frozen.iter().map(Freeze::from).collect(),
            dormant: false,
            reset_open: agenda.reset_open,
            successor: None,
            duty: agenda.lease.as_ref().map(Duty::from),
            leaving: agenda.leaving.iter().take(limits::EXPLAINED_OWED).map(Leaving::from).collect(),
            leaving_total: total(agenda.leaving.len()),
            proposals: agenda.proposals.iter().take(limits::EXPLAINED_OWED).map(Proposal::from).collect(),
            proposals_total: total(agenda.proposals.len()),
            wanted: agenda.wanted.iter().take(limits::EXPLAINED_OWED).map(ToString::to_string).collect(),
            wanted_total: total(agenda.wanted.len()),
        }
    }
}

impl From<&group::Lease> for Duty {
    fn from(lease: &group::Lease) -> Self {
        let (since_ms, until_ms) = (lease.since.as_millis(), lease.until().as_millis());
        Self { holder: lease.holder.to_string(), since_ms, until_ms }
    }
}

impl From<&group::Leaving> for Leaving {
    fn from(leaving: &group::Leaving) -> Self {
        Self {
            identity: leaving.client.to_string(),
            causes: leaving.causes.iter().map(|cause| why(*cause).to_owned()).collect(),
            since_ms: leaving.announced_at.as_millis(),
        }
    }
}

impl From<&group::Waiting> for Proposal {
    fn from(waiting: &group::Waiting) -> Self {
        let by = match &waiting.by {
            Proposer::Service => "the service".to_owned(),
            Proposer::Member(client) | Proposer::Joiner(client) => client.to_string(),
        };
        let does = match &waiting.does {
            Does::Updates => "renews its own leaf".to_owned(),
            Does::Adds(client) => format!("adds {client}"),
            Does::Removes(client) => format!("removes {client}"),
            Does::Leaves(_) => "removes itself".to_owned(),
            Does::Extends => "replaces the group's extensions".to_owned(),
        };
        Self { by, does, since_ms: waiting.proposed_at.as_millis() }
    }
}

/// Why a leaf must go.
const fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::Left => "its user left",
        Cause::Kicked => "its user was kicked",
        Cause::Banned => "its user was banned",
        Cause::DeviceGone => "its device is gone",
        Cause::KeyReplaced => "its device has another key",
        Cause::Withheld => "it was never told how to join",
        Cause::SelfRemove => "it asked for it",
    }
}

/// What froze a group, besides its operator.
pub(super) const fn by_what(cause: FreezeCause) -> &'static str {
    match cause {
        FreezeCause::Power => "the service lacks power in the room",
        FreezeCause::Upgraded => "the room has moved elsewhere",
        FreezeCause::Succeeded => "the group was begun anew",
    }
}

impl Agenda {
    /// The same with no longer lists than an answer may have.
    pub(super) fn bounded(mut self) -> Self {
        self.leaving.truncate(limits::EXPLAINED_OWED);
        self.proposals.truncate(limits::EXPLAINED_OWED);
        self.wanted.truncate(limits::EXPLAINED_OWED);
        self
    }

    /// Adds a line for everything that there is. `age` says how long ago a time was, and `ahead` how far ahead it is.
    pub(super) fn write(
        &self,
        text: &mut String,
        age: impl Fn(u64) -> String,
        ahead: impl Fn(u64) -> Option<String>,
    ) {
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<12} {value}");
        };
        for freeze in &self.freezes {
            line("stopped", format!("for {}: {}", age(freeze.since_ms), freeze.in_words()));
        }
        if let Some(successor) = &self.successor {
            line("successor", plain(successor));
        }
        if self.dormant {
            line("dormant", "yes: every leaf must go, so that nobody in it can commit".to_owned());
        }
        if self.reset_open {
            line("reset", "open: the group may be begun anew".to_owned());
        }
        if let Some(Duty { holder, since_ms, until_ms }) = &self.duty {
            let until = ahead(*until_ms).map_or_else(
                || format!("let it pass {} ago", age(*until_ms)),
                |ahead| format!("for {ahead} more"),
            );
            line("duty", format!("{} is to commit, asked {} ago, {until}", plain(holder), age(*since_ms)));
        }
        let mut list = |name: &str, items: Vec<String>, total: u64| {
            if total > 0 {
                line(name, total.to_string());
            }
            let untold = total.saturating_sub(u64::try_from(items.len()).unwrap_or(u64::MAX));
            let more = (untold > 0).then(|| format!("and {untold} more"));
            items.into_iter().chain(more).for_each(|item| line("", item));
        };
        let leaving = self.leaving.iter().map(|leaving| {
            let causes: Vec<String> = leaving.causes.iter().map(|cause| plain(cause)).collect();
            format!("{}, for {}: {}", plain(&leaving.identity), age(leaving.since_ms), causes.join(", "))
        });
        list("must go", leaving.collect(), self.leaving_total);
        let proposals = self.proposals.iter().map(|proposal| {
            format!("{} {}, for {}", plain(&proposal.by), plain(&proposal.does), age(proposal.since_ms))
        });
        list("proposals", proposals.collect(), self.proposals_total);
        list("to be added", self.wanted.iter().map(|client| plain(client)).collect(), self.wanted_total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::conformance::samples;

    #[test]
    fn what_a_group_owes_is_told_whole() {
        let told = Agenda::from(&samples::agenda(1, 2, 10));
        assert_eq!(told.leaving[0].identity, "@carol:a.org/PHONE");
        assert_eq!(told.leaving[0].causes, ["its user left", "its device is gone"]);
        let proposals: Vec<String> =
            told.proposals.iter().map(|proposal| format!("{} {}", proposal.by, proposal.does)).collect();
        assert_eq!(
            proposals,
            [
                "the service removes @carol:a.org/PHONE",
                "@dan:a.org/PHONE removes itself",
                "@bob:a.org/PHONE adds @bob:a.org/PHONE"
            ]
        );
        let duty = Duty { holder: "@alice:a.org/PHONE".to_owned(), since_ms: 2, until_ms: 30_002 };
        assert_eq!(told.duty, Some(duty));
        assert_eq!((told.wanted.as_slice(), told.reset_open), (&["@bob:a.org/PHONE".to_owned()][..], true));
        let totals = (told.leaving_total, told.proposals_total, told.wanted_total);
        assert_eq!(totals, (1, 3, 1));
        assert_eq!(told.freezes[0].in_words(), "the service lacks power in the room: it lacks power");
    }

    #[test]
    fn lists_are_bounded_and_what_is_left_out_is_counted() {
        let mut owes = samples::agenda(1, 1, 1);
        let number = limits::EXPLAINED_OWED + 5;
        owes.leaving = vec![owes.leaving[0].clone(); number];
        owes.proposals = vec![owes.proposals[0].clone(); number];
        owes.wanted = vec![owes.wanted[0].clone(); number];
        let told = Agenda::from(&owes);
        let lengths = [told.leaving.len(), told.proposals.len(), told.wanted.len()];
        assert_eq!(lengths, [limits::EXPLAINED_OWED; 3]);
        let total = u64::try_from(number).unwrap();
        assert_eq!([told.leaving_total, told.proposals_total, told.wanted_total], [total; 3]);
        let mut text = String::new();
        told.write(&mut text, |_| "1 s".to_owned(), |_| None);
        assert_eq!(text.matches("and 5 more").count(), 3, "{text}");
    }
}
