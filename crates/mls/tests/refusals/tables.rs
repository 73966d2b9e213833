//! Every rule has a message that breaks it, and the tables of the crate's documentation say which, and what of RFC 9420 the
//! rules are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use maypole_mls::Rule;
use maypole_testkit::generated::assert_current;

use crate::trial::Docket;

/// The rules, each with the names of the cases that break it.
static BROKEN: LazyLock<BTreeMap<Rule, BTreeSet<&str>>> = LazyLock::new(|| {
    let docket = Docket::default();
    let themes = [
        crate::messages::ALL,
        crate::leaves::ALL,
        crate::keys::ALL,
        crate::key_packages::ALL,
        crate::lists::ALL,
        crate::paths::ALL,
        crate::external_commits::ALL,
        crate::proposals::ALL,
        crate::extensions::ALL,
        crate::trees::ALL,
        crate::group_infos::ALL,
        crate::welcomes::ALL,
        crate::facts::ALL,
        crate::policy::ALL,
        crate::app_data::ALL,
        crate::abilities::ALL,
        crate::removes::ALL,
    ];
    for case in themes.into_iter().flatten() {
        docket.hear(case);
    }
    docket.broken()
});

#[test]
fn every_rule_has_a_message_that_breaks_it() {
    let missing: Vec<Rule> = Rule::ALL.iter().copied().filter(|rule| !BROKEN.contains_key(rule)).collect();
    assert_eq!(missing, []);
}

#[test]
fn the_table_of_rules_is_current() {
    let mut page = String::from(
        "Made from `src/refusal.rs` and the cases of `tests/refusals`. The last column has the cases that break a rule: \
         something that is wrong in one point, and rightly signed where that is not the point.\n\n\
         | rule | section | what is refused | cases |\n|---|---|---|---|\n",
    );
    for rule in Rule::ALL {
        let cases = BROKEN.get(rule).into_iter().flatten();
        let cases: Vec<String> =
            cases.map(|case| format!("`{}`", case.trim_start_matches("refusals::"))).collect();
        let (name, section) = (rule.name(), rule.section());
        writeln!(page, "| `{name}` | {section} | {rule} | {} |", cases.join(", ")).unwrap();
    }
    assert_current(env!("CARGO_MANIFEST_DIR"), "docs/rules.md", &page);
}

/// A row of the tables of sections: the section, or the part of the draft, and the rules that are named.
fn rows() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let page = include_str!("../../docs/sections.md");
    let heads = ["| section |", "| part |", "|---"];
    let rows = page.lines().filter(|line| line.starts_with('|'));
    rows.filter(move |line| !heads.iter().any(|head| line.starts_with(head))).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [section, _, judged] = cells[..] else { panic!("not three cells: {line}") };
        let quoted = judged.split('`').skip(1).step_by(2);
        (section, quoted.filter(|word| !word.contains("::") && *word != "Component").collect())
    })
}

#[test]
fn the_table_of_sections_names_rules_that_there_are() {
    let known: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    for (section, named) in rows() {
        for name in named {
            assert!(known.contains(name), "{section}: there is no rule {name}");
        }
    }
}

#[test]
fn the_table_of_sections_has_each_rule_in_its_section() {
    for rule in Rule::ALL.iter().filter(|rule| rule.section() != "policy") {
        let (name, own) = (rule.name(), rule.section());
        let is_own = |section: &str| match own {
            "extensions" => !section.starts_with('§'),
            own => section == own,
        };
        let named = rows().any(|(section, named)| is_own(section) && named.contains(&name));
        assert!(named, "{name} is named in no row of {own}");
    }
}
