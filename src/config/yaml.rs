//! Reads YAML strictly, and says what is wrong with it without repeating any of it.
//!
//! The library's own messages show the lines around a fault, and a token may stand in them.

use serde::de::DeserializeOwned;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, MergeKeyPolicy};

use maypole_core::limits;

/// Where YAML is broken, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct YamlFault {
    /// The line, from 1; 0 where it is not known.
    pub(crate) line: u64,
    /// The column, from 1.
    pub(crate) column: u64,
    /// What is wrong there.
    pub(crate) reason: String,
}

/// One YAML document: duplicate and merge keys refused, nesting and aliases bounded.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, YamlFault> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits::YAML_DEPTH,
            max_nodes: limits::YAML_NODES,
            max_aliases: 0,
        },
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| fault(&error))
}

fn fault(error: &Error) -> YamlFault {
    let (line, column) = error.location().map_or((0, 0), |place| (place.line(), place.column()));
    YamlFault { line, column, reason: reason(error.without_snippet()) }
}

/// The parser's own messages are fixed sentences. Others may carry text of the document, so they are said anew.
fn reason(error: &Error) -> String {
    match error {
        Error::ExternalMessage { msg, .. } => format!("not YAML: {msg}"),
        Error::Eof { .. } => "not YAML: it ends too early".to_owned(),
        Error::MultipleDocuments { .. } => "there is more than one document".to_owned(),
        Error::MergeKeyNotAllowed { .. } => "merge keys (`<<`) are not supported".to_owned(),
        Error::Budget { breach: BudgetBreach::Aliases { .. }, .. } => "aliases are not supported".to_owned(),
        Error::Budget { .. } => "it nests too deeply or is too large".to_owned(),
        Error::DuplicateMappingKey { key: Some(key), .. } if is_plain_key(key) => {
            format!("the key `{key}` is there twice")
        }
        Error::DuplicateMappingKey { .. } => "a key is there twice".to_owned(),
        Error::UnknownAnchor { .. } | Error::AliasError { .. } => "aliases are not supported".to_owned(),
        Error::UnsupportedTag { .. } => "tags are not supported".to_owned(),
        Error::SerdeInvalidType { expected, .. } => format!("expected {expected}"),
        _ => "this value cannot be read".to_owned(),
    }
}

/// Whether a key is a name, and not a secret that slipped to the wrong side of a colon.
fn is_plain_key(key: &str) -> bool {
    key.len() <= 64 && key.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> YamlFault {
        parse::<serde_json::Value>(text).unwrap_err()
    }

    #[test]
    fn faults_have_a_line_and_repeat_nothing() {
        let twice = refusal("a:\n  url: 1\n  url: tell-nobody\n");
        assert_eq!((twice.line, twice.reason.as_str()), (3, "the key `url` is there twice"));
        for text in [
            "a: [tell-nobody\n",
            "a: 'tell-nobody\n",
            "a: tell-nobody: x\n",
            "tell-nobody: 1\ntell-nobody: 2\n",
            "a: *tell-nobody\n",
            "a: !tell-nobody x\n",
            "a: &tell-nobody x\nb: *tell-nobody\n",
            "<<: {tell-nobody: 1}\n",
            "a: 1\n---\ntell-nobody: 2\n",
            "a: @tell-nobody\n",
            "a:\n\t- tell-nobody\n",
            "a: 99999999e99999\n",
        ] {
            let fault = refusal(text);
            assert!(!format!("{fault:?}").contains("tell-nobody"), "{text}: {fault:?}");
            assert!(!fault.reason.contains("99999"), "{text}: {fault:?}");
            assert!(fault.line > 0, "{text}: {fault:?}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        refusal(&"[".repeat(100_000));
        refusal(&format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000)));
        refusal(&format!("[{}]", "1,".repeat(100_000)));
    }
}
