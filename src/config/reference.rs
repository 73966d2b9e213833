//! The reference of every key, for the documentation.

use super::example::written;
use super::key_table::{self, Key, Kind};

/// `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "\
# Configuration

Maypole reads one YAML file: the one that `--config` names, or else `MAYPOLE_CONFIG`, or else `maypole.yaml` in the
current folder. `maypole config example` prints one to start from, `maypole config check` says whether yours can be
used, and `maypole config schema` prints its JSON Schema for editors. Maypole never writes to it.

- Keys that do not exist, and keys that are there twice, are refused. So are aliases, merge keys and tags.
- Each key can be set by a variable of the environment, which goes before the file: `MAYPOLE_<SECTION>__<KEY>`, with
  two underscores in the middle. Values are taken as they are, without quotes; the items of a list are separated by
  commas; `null` switches off what can be switched off. A variable with two underscores that is no key is refused.
- Where everything needed is in the environment, there need not be a file.
- Paths are relative to the folder of the file (or to the current folder, where there is none).
- A secret can stand in a file of its own, which the key that ends in `_file` names; a newline at its end is ignored.
",
    );
    for section in key_table::sections() {
        text.push_str(&format!("\n## `{}`\n\n{}\n", section.name, section.about));
        for key in &section.keys {
            text.push_str(&entry(key));
        }
    }
    text
}

fn entry(key: &Key) -> String {
    let kind = match &key.kind {
        Kind::Text => "a string".to_owned(),
        Kind::List => "a list of strings".to_owned(),
        Kind::OneOf(options) => {
            let options: Vec<String> = options.iter().map(|option| format!("`{option}`")).collect();
            format!("one of {}", options.join(", "))
        }
    };
    let secret = if key.secret { ", secret" } else { "" };
    let default = match (&key.default, key.required) {
        (_, true) => "none: it must be set".to_owned(),
        (Some(default), _) => format!("`{}`", written(default)),
        (None, false) => "none".to_owned(),
    };
    format!(
        "\n### `{}`\n\n{}\n\n- Value: {kind}{secret}\n- Default: {default}\n- Environment: `{}`\n",
        key.path(),
        key.about,
        key.variable()
    )
}
