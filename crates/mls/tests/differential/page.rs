//! `docs/differences.md`: the table in words, and the figures of the last full run.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use maypole_mls::Rule;
use maypole_testkit::generated::{self, is_blessed};

use crate::table::{How, Row, Who, rows};
use crate::tally::{Counts, Tally};

/// Where the figures begin. What stands above is made of the table, what stands below of a full run.
const FIGURES: &str = "## Figures of the last full run\n";

const LOCK: &str = include_str!("../../../../Cargo.lock");

const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");
const PAGE: &str = "../../docs/differences.md";

fn path() -> PathBuf {
    Path::new(PACKAGE).join(PAGE)
}

/// Holds the page to the table; its figures stay as they are.
pub(crate) fn assert_current() {
    let committed = std::fs::read_to_string(path()).unwrap_or_default();
    let figures = committed.split_once(FIGURES).map_or("", |(_, figures)| figures);
    generated::assert_current(PACKAGE, PAGE, &format!("{}{FIGURES}{figures}", table()));
}

/// Writes the figures of a full run, if pages are to be written.
pub(crate) fn bless_figures(tally: &Tally, seeds: Range<u64>) {
    if is_blessed() {
        std::fs::write(path(), format!("{}{FIGURES}{}", table(), figures(tally, seeds))).unwrap();
    }
}

fn table() -> String {
    let mut page = format!(
        "# Where OpenMLS and mls-rs differ

For whoever writes a client or a service on one of these libraries: what they take and RFC 9420 refuses, and what they \
refuse and RFC 9420 allows, as somebody sees it who follows a group from its public messages (OpenMLS {} with its \
`PublicGroup`, mls-rs {} with its `ExternalGroup`).

Made from the table of `crates/mls/tests/differential`. That test forges groups of 2 to 16 members, rightly signed, and \
draws what is said in them: proposals, commits, external commits and imports, many of them with up to three lies, some \
damaged byte by byte. Each message is judged by `maypole-mls` and by each library that can follow the group at that moment: one that has refused \
something honest waits for the next epoch, and not every suite is known to both. Where all take it they must come to \
the same tree hash and transcript hash; where verdicts differ, the text of the RFC has decided, or where it leaves something open the policy, and a line below says so. \
A difference without a line fails the test, and so does, in a full run, a line that nothing meets.

```sh
cargo test -p maypole-mls --test differential
MAYPOLE_DIFFERENTIAL_MESSAGES=100000 cargo test -p maypole-mls --test differential
```

draws some thousand messages, and a hundred thousand. With `MAYPOLE_BLESS=1` the full run writes its figures here; \
`MAYPOLE_DIFFERENTIAL_SEED` says with which seed to begin.

What is left to the application is judged as leniently as the libraries do. *extensions* are the MLS extensions beyond RFC \
9420, *policy* is what no document decides.

| section | library | | what | by our rule |
|---|---|---|---|---|
",
        version("openmls"),
        version("mls-rs"),
    );
    let mut sorted: Vec<&Row> = rows().collect();
    sorted.sort_by_key(|row| place(row.section));
    for row in sorted {
        let who = match row.who {
            Who::OpenMls => "OpenMLS",
            Who::MlsRs => "mls-rs",
            Who::Both => "both",
        };
        let (how, rules) = match &row.how {
            How::Takes(rules) => {
                ("takes", rules.iter().map(|rule| rule.name()).collect::<Vec<_>>().join(", "))
            }
            How::Refuses(_) => ("refuses", String::new()),
            How::Misreads(..) => ("misreads", String::new()),
            How::Panics(_) => ("panics", String::new()),
            How::Overflows(rule) => ("takes or panics", rule.name().to_owned()),
        };
        writeln!(page, "| {} | {who} | {how} | {} | {rules} |", row.section, row.sentence).unwrap();
    }
    page.push('\n');
    page
}

/// The version of a package that is tested against.
fn version(package: &str) -> &'static str {
    let start = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = LOCK.split_once(&start).expect("the package is in the lock file");
    rest.split('"').next().unwrap()
}

/// The numbers of a section; sections of other documents come behind all of them.
fn place(section: &str) -> (Vec<u32>, &str) {
    match section.strip_prefix('§') {
        Some(numbers) => (numbers.split('.').map(|number| number.parse().unwrap()).collect(), ""),
        None => (vec![u32::MAX], section),
    }
}

fn figures(tally: &Tally, seeds: Range<u64>) -> String {
    let mut text = format!("\nSeeds {} to {}.\n\n", seeds.start, seeds.end - 1);
    text += "| | judged by all three | taken by all | refused by all | differ | judged by fewer |\n|---|---|---|---|---|---|\n";
    let mut line = |name: &str, counts: &Counts| {
        let Counts { messages, taken_by_all, refused_by_all, differ, of_fewer } = counts;
        writeln!(text, "| {name} | {messages} | {taken_by_all} | {refused_by_all} | {differ} | {of_fewer} |")
            .unwrap();
    };
    for (kind, counts) in &tally.kinds {
        line(&format!("{kind:?}"), counts);
    }
    line("all", &tally.total());
    let broken = tally.broken().into_iter().map(|(rule, count)| format!("{} {count}", rule.name()));
    let beyond = tally.unbroken().into_iter().map(Rule::name).collect::<Vec<_>>();
    writeln!(text, "\nRules that ours found broken: {}.", broken.collect::<Vec<_>>().join(", ")).unwrap();
    writeln!(text, "\nRules that nothing here can break: {}.", beyond.join(", ")).unwrap();
    text
}
