//! Every known difference, with the section that decides it.

mod commits;
mod imports;
mod messages;
mod proposals;

use maypole_mls::Rule;
use maypole_testkit::forge::chance::Kind;

/// A library that follows groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Library {
    OpenMls,
    MlsRs,
}

/// Whom a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    OpenMls,
    MlsRs,
    Both,
}

impl Who {
    pub(crate) fn libraries(self) -> &'static [Library] {
        match self {
            Self::OpenMls => &[Library::OpenMls],
            Self::MlsRs => &[Library::MlsRs],
            Self::Both => &[Library::OpenMls, Library::MlsRs],
        }
    }
}

/// In which way a library differed: it takes what breaks a rule, refuses what is valid, or panics.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    Takes(Rule),
    Refuses(&'a str),
    Panics(&'a str),
}

/// A difference that was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference<'a> {
    pub(crate) library: Library,
    pub(crate) way: Way<'a>,
    pub(crate) kind: Kind,
    /// What the message does, and the lies in it.
    pub(crate) words: &'a [&'static str],
}

/// A difference that is known.
pub(crate) struct Row {
    pub(crate) who: Who,
    pub(crate) how: How,
    /// The section that decides: of RFC 9420, where it does not say otherwise.
    pub(crate) section: &'static str,
    pub(crate) sentence: &'static str,
    /// Kinds of messages; none, if any will do.
    kinds: &'static [Kind],
    /// Beginnings of words of which a message must have one; none, if any message will do.
    words: &'static [&'static str],
}

/// In which way a library differs.
pub(crate) enum How {
    /// It takes what breaks one of these rules.
    Takes(&'static [Rule]),
    /// It refuses what is valid, with an error that has one of these in it.
    Refuses(&'static [&'static str]),
    /// It reads it as something else: takes what breaks one of these rules, or refuses what is valid with such an error.
    Misreads(&'static [Rule], &'static [&'static str]),
    /// It panics with these words, in a build with debug assertions.
    Panics(&'static str),
    /// It counts beyond the last number, which is a panic in a build with debug assertions.
    Overflows(Rule),
}

impl Row {
    const fn new(who: Who, how: How, section: &'static str, sentence: &'static str) -> Self {
        Self { who, how, section, sentence, kinds: &[], words: &[] }
    }

    /// Of messages of these kinds alone.
    const fn of(self, kinds: &'static [Kind]) -> Self {
        Self { kinds, ..self }
    }

    /// Of messages with one of these words alone.
    const fn with(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    pub(crate) fn covers(&self, difference: &Difference<'_>) -> bool {
        let matches = match (&self.how, difference.way) {
            (How::Takes(rules) | How::Misreads(rules, _), Way::Takes(rule)) => rules.contains(&rule),
            (How::Refuses(errors) | How::Misreads(_, errors), Way::Refuses(why)) => {
                errors.iter().any(|error| why.contains(error))
            }
            (How::Panics(words), Way::Panics(why)) => why.contains(words),
            (How::Overflows(_), Way::Panics(why)) => why.contains("overflow"),
            (How::Overflows(broken), Way::Takes(rule)) => *broken == rule,
            _ => false,
        };
        let told = |word: &&str| difference.words.iter().any(|told| told.starts_with(word));
        matches
            && self.who.libraries().contains(&difference.library)
            && (self.kinds.is_empty() || self.kinds.contains(&difference.kind))
            && (self.words.is_empty() || self.words.iter().any(told))
    }
}

/// All rows. Of those that cover a difference the first one counts.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    [messages::ROWS, proposals::ROWS, commits::ROWS, imports::ROWS].into_iter().flatten()
}
