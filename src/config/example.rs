//! The example: a configuration with every key, each with what it does, ready to be edited.

use serde_json::Value;

use super::key_table::{self, Key};

/// How wide the comments are.
const WIDTH: usize = 100;

/// The example configuration. Keys that a new file should have are set; all others show their default.
pub fn example() -> String {
    let mut text = String::from(
        "\
# The configuration of Maypole, an MLS Delivery Service for Matrix. `maypole config example` prints this file, with
# every key that there is, and `maypole config check` says whether yours can be used.
#
# A key behind a `#` has the value that is shown, or none. Paths are relative to the folder of this file. Each key can
# be set by the environment instead, which goes before the file: MAYPOLE_HOMESERVER__URL sets homeserver.url.
",
    );
    for section in key_table::sections() {
        text.push('\n');
        comment(&section.about, "", &mut text);
        text.push_str(&format!("{}:\n", section.name));
        for key in &section.keys {
            comment(&key.about, "  ", &mut text);
            text.push_str(&setting(key));
        }
    }
    text
}

fn setting(key: &Key) -> String {
    match (&key.example, &key.default) {
        (Some(example), _) => format!("  {}: {}\n", key.name, written(example)),
        (None, Some(default)) => format!("  #{}: {}\n", key.name, written(default)),
        (None, None) => format!("  #{}:\n", key.name),
    }
}

/// A value as YAML. Strings that YAML could take for something else stand in quotes.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

/// Wraps a paragraph into comment lines.
fn comment(about: &str, indent: &str, text: &mut String) {
    let mut line = String::new();
    for word in about.split_whitespace() {
        if !line.is_empty() && indent.len() + line.len() + word.len() + 3 > WIDTH {
            text.push_str(&format!("{indent}# {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    text.push_str(&format!("{indent}# {line}\n"));
}
