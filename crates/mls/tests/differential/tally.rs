//! What was heard, counted, and held against the table.

use std::collections::BTreeMap;

use maypole_mls::Rule;
use maypole_testkit::forge::chance::Kind;

use crate::table::{Difference, How, Library, Row, Way, Who, rows};
use crate::verdict::Verdict;

/// Rules that nothing here can break: bounds that are not set so low, what the policies do not ask, what is said of
/// GroupInfos and Welcomes that come with a commit, groups that begin in epoch 0, keys of both kinds, and the application's
/// data and wire formats.
const OUT_OF_REACH: &[Rule] = &[
    Rule::TooLarge,
    Rule::TagDiffers,
    Rule::ContextDiffers,
    Rule::NoExternalPub,
    Rule::FirstEpoch,
    Rule::WelcomeRecipients,
    Rule::KeyOfBothKinds,
    Rule::CredentialRefused,
    Rule::TooManyPending,
    Rule::PskOrigins,
    Rule::MustCommit,
    Rule::TooManyMembers,
    Rule::ComponentUnknown,
    Rule::AppDataRefused,
    Rule::AppDataAbsent,
    Rule::AppDataTogether,
    Rule::AppDataReplaced,
    Rule::AppDataDictionary,
    Rule::WireFormats,
    Rule::LeafWireFormats,
    Rule::RequiredWireFormats,
];

/// A message is shown in hex if it has no more bytes than this.
const SHOWN_BYTES: usize = 400;
/// How many examples are told of one unknown difference.
const EXAMPLES: usize = 3;

/// A message and what everybody says of it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) words: Vec<&'static str>,
    pub(crate) is_honest: bool,
    pub(crate) message: Vec<u8>,
    pub(crate) suite: u16,
    pub(crate) ours: Verdict,
    pub(crate) others: Vec<(Library, Verdict)>,
}

impl std::fmt::Display for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{} (suite {})", self.name, self.suite)?;
        writeln!(formatter, "    ours {}", self.ours)?;
        for (library, verdict) in &self.others {
            writeln!(formatter, "    {library:?} {verdict}")?;
        }
        if self.message.len() <= SHOWN_BYTES {
            let hex: String = self.message.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(formatter, "    {hex}")?;
        }
        Ok(())
    }
}

/// How often what was seen of one kind of message, where all three have judged it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) messages: usize,
    pub(crate) taken_by_all: usize,
    pub(crate) refused_by_all: usize,
    pub(crate) differ: usize,
    /// Messages beside these that a library could not judge, because it could not follow.
    pub(crate) of_fewer: usize,
}

/// Everything that was heard.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) kinds: BTreeMap<Kind, Counts>,
    rules: BTreeMap<Rule, usize>,
    /// Those of the strict policy.
    strict: BTreeMap<Rule, usize>,
    /// By the place of the row, and the library.
    rows: BTreeMap<(usize, Library), usize>,
    unknown: BTreeMap<String, (usize, Vec<String>)>,
}

impl Tally {
    /// How many messages all three have judged.
    pub(crate) fn messages(&self) -> usize {
        self.total().messages
    }

    /// Of all kinds together.
    pub(crate) fn total(&self) -> Counts {
        self.kinds.values().fold(Counts::default(), |sum, counts| Counts {
            messages: sum.messages + counts.messages,
            taken_by_all: sum.taken_by_all + counts.taken_by_all,
            refused_by_all: sum.refused_by_all + counts.refused_by_all,
            differ: sum.differ + counts.differ,
            of_fewer: sum.of_fewer + counts.of_fewer,
        })
    }

    pub(crate) fn strict(&mut self, rule: Rule) {
        *self.strict.entry(rule).or_default() += 1;
    }

    /// Counts a message, and looks up each difference.
    pub(crate) fn count(&mut self, case: &Case) {
        match &case.ours {
            Verdict::Refuses(_, Some(rule)) => *self.rules.entry(*rule).or_default() += 1,
            Verdict::Refuses(why, None) => panic!("{case}ours refuses without a rule: {why}"),
            Verdict::Panics(why) => panic!("{case}ours panics: {why}"),
            Verdict::Takes(_) => {}
        }
        if case.is_honest && !matches!(case.ours, Verdict::Takes(_)) {
            self.unknown(format!("honest, and ours refuses: {}", case.ours), case);
        }
        let mut differs = false;
        for (library, verdict) in &case.others {
            differs |= self.compare(case, *library, verdict);
        }
        let counts = self.kinds.entry(case.kind).or_default();
        if case.others.len() < Who::Both.libraries().len() {
            counts.of_fewer += 1;
            return;
        }
        counts.messages += 1;
        match (&case.ours, differs) {
            (_, true) => counts.differ += 1,
            (Verdict::Takes(_), false) => counts.taken_by_all += 1,
            (_, false) => counts.refused_by_all += 1,
        }
    }

    /// Whether a library differs from ours.
    fn compare(&mut self, case: &Case, library: Library, verdict: &Verdict) -> bool {
        let way = match (&case.ours, verdict) {
            (Verdict::Takes(ours), Verdict::Takes(its)) if ours == its => return false,
            (Verdict::Refuses(..), Verdict::Refuses(..)) => return false,
            (Verdict::Takes(_), Verdict::Takes(_)) => {
                self.unknown(format!("{library:?} comes to other hashes"), case);
                return true;
            }
            (Verdict::Refuses(_, Some(rule)), Verdict::Takes(_)) => Way::Takes(*rule),
            (_, Verdict::Refuses(why, _)) => Way::Refuses(why),
            (_, Verdict::Panics(why)) => Way::Panics(why),
            (Verdict::Refuses(_, None) | Verdict::Panics(_), Verdict::Takes(_)) => return true,
        };
        let difference = Difference { library, way, kind: case.kind, words: &case.words };
        match rows().position(|row| row.covers(&difference)) {
            Some(row) => *self.rows.entry((row, library)).or_default() += 1,
            None => self.unknown(format!("{library:?} {way:?}"), case),
        }
        true
    }

    fn unknown(&mut self, what: String, case: &Case) {
        let (count, examples) = self.unknown.entry(what).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(case.to_string());
        }
    }

    /// Fails where something differs and nobody knows why.
    pub(crate) fn assert_known(&self) {
        let mut told = String::new();
        for (what, (count, examples)) in &self.unknown {
            told += &format!("== {what}: {count}\n{}", examples.concat());
        }
        assert!(self.unknown.is_empty(), "differences that no row knows:\n{told}");
    }

    /// Fails where too few messages are taken, or one kind is rare: a generator that went astray is noticed.
    pub(crate) fn assert_varied(&self) {
        let total = self.total();
        assert!(total.taken_by_all * 100 >= total.messages * 15, "too few are taken: {total:?}");
        assert!(total.refused_by_all * 100 >= total.messages * 15, "too few are refused: {total:?}");
        assert!(self.kinds.values().all(|counts| counts.messages * 40 > total.messages), "{:?}", self.kinds);
    }

    /// Fails where a row was not met by each library that it is about, or a rule within reach was not broken.
    pub(crate) fn assert_full(&self) {
        assert_eq!(self.unbroken(), OUT_OF_REACH, "rules that nothing has broken");
        let mut idle = Vec::new();
        // Debug assertions panic in builds that have them.
        let can_be = |row: &Row| cfg!(debug_assertions) || !matches!(row.how, How::Panics(_));
        for (place, row) in rows().enumerate().filter(|(_, row)| can_be(row)) {
            for library in row.who.libraries() {
                if !self.rows.contains_key(&(place, *library)) {
                    idle.push(format!("{library:?}: {}: {}", row.section, row.sentence));
                }
            }
        }
        assert!(idle.is_empty(), "no message has met: {idle:#?}");
    }

    /// How often each rule was found broken: under the lenient policy, or where only the strict one has it, under that.
    pub(crate) fn broken(&self) -> BTreeMap<Rule, usize> {
        let mut broken = self.strict.clone();
        broken.extend(&self.rules);
        broken
    }

    /// Rules that nothing has broken, under either policy.
    pub(crate) fn unbroken(&self) -> Vec<Rule> {
        let broken = self.broken();
        Rule::ALL.iter().copied().filter(|rule| !broken.contains_key(rule)).collect()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, counts) in &self.kinds {
            writeln!(formatter, "{kind:?}: {counts:?}")?;
        }
        writeln!(formatter, "all: {:?}", self.total())?;
        writeln!(formatter, "rules: {:?}", self.broken())?;
        let names: Vec<&str> = self.unbroken().into_iter().map(Rule::name).collect();
        writeln!(formatter, "never broken: {names:?}")?;
        for (place, row) in rows().enumerate() {
            let of = |library| self.rows.get(&(place, library)).copied().unwrap_or(0);
            let (openmls, mls_rs) = (of(Library::OpenMls), of(Library::MlsRs));
            writeln!(formatter, "{openmls:6} {mls_rs:6} {} {}", row.section, row.sentence)?;
        }
        Ok(())
    }
}
