//! The environment over the file: `MAYPOLE_<SECTION>__<KEY>`.
//!
//! Two underscores tell a setting from other variables that begin alike, such as the `MAYPOLE_PORT_8668_TCP` that
//! Kubernetes sets by itself beside a service called `maypole`. What has the two must be a key.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use super::key_table::{Key, Kind, Section};
use super::suggestion;

/// What every variable begins with.
pub(super) const PREFIX: &str = "MAYPOLE_";
/// Names the configuration file.
pub(super) const FILE: &str = "MAYPOLE_CONFIG";

/// Stands in a value where the process was given bytes that are not UTF-8.
const NOT_UTF8: char = char::REPLACEMENT_CHARACTER;

/// The variables of this process that could be meant for the service.
pub fn of_process() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

/// The overlay, and what is wrong with it. It has no `Debug`: the values may be secrets.
#[derive(Default)]
pub(super) struct Overlay {
    /// What `MAYPOLE_CONFIG` says.
    pub(super) file: Option<String>,
    /// The values, by section and key.
    pub(super) values: Dict,
    /// Variables that are no setting, each with the reason.
    pub(super) refused: Vec<(String, String)>,
}

/// Takes the settings out of an environment.
pub(super) fn read(env: impl Iterator<Item = (String, String)>, sections: &[Section]) -> Overlay {
    let keys: BTreeMap<String, &Key> =
        sections.iter().flat_map(|section| &section.keys).map(|key| (key.variable(), key)).collect();
    let mut overlay = Overlay::default();
    let variables: BTreeMap<String, String> = env.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    for (name, value) in variables {
        let key = keys.get(&name);
        if key.is_none() && name != FILE {
            overlay.refused.extend(refusal(&name, keys.keys()).map(|reason| (name, reason)));
        } else if value.contains(NOT_UTF8) {
            overlay.refused.push((name, "the value is not UTF-8".to_owned()));
        } else if let Some(key) = key {
            put(&mut overlay.values, key, &value);
        } else {
            overlay.file = Some(value);
        }
    }
    overlay
}

/// Why a variable that is no setting is refused, if it looks like one.
fn refusal<'k>(name: &str, keys: impl Iterator<Item = &'k String>) -> Option<String> {
    let keys: Vec<&str> = keys.map(String::as_str).collect();
    let squeezed = |text: &str| text.to_uppercase().replace('_', "");
    let same = keys.iter().find(|key| squeezed(key) == squeezed(name)).copied();
    if !name.contains("__") && same.is_none() {
        return None;
    }
    Some(match same.or_else(|| suggestion::nearest(name, keys)) {
        Some(meant) => format!("there is no such key; {meant} was probably meant"),
        None => "there is no such key; `maypole config example` shows all of them".to_owned(),
    })
}

fn put(values: &mut Dict, key: &Key, value: &str) {
    let value = if key.nullable && value == "null" {
        Value::from(figment::value::Empty::Unit)
    } else if key.kind == Kind::List {
        Value::from(value.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>())
    } else {
        Value::from(value.to_owned())
    };
    let section = values.entry(key.section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, section) = section {
        section.insert(key.name.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::key_table;

    fn overlay(env: &[(&str, &str)]) -> Overlay {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        read(env, &key_table::sections())
    }

    #[test]
    fn what_looks_like_a_setting_must_be_one() {
        for (name, meant) in [
            ("MAYPOLE_HOMESERVER__ULR", "MAYPOLE_HOMESERVER__URL was probably"),
            ("MAYPOLE_HOMESERVER_URL", "MAYPOLE_HOMESERVER__URL was probably"),
            ("MAYPOLE_homeserver__url", "MAYPOLE_HOMESERVER__URL was probably"),
            ("MAYPOLE_APPSERVICE__ASTOKEN", "MAYPOLE_APPSERVICE__AS_TOKEN was probably"),
            ("MAYPOLE_LISTENER__ADDRESS__0", "MAYPOLE_LISTENER__ADDRESS was probably"),
            ("MAYPOLE_X__Y", "no such key"),
        ] {
            let overlay = overlay(&[(name, "tell-nobody")]);
            let [(refused, reason)] = &*overlay.refused else { panic!("{name}: {:?}", overlay.refused) };
            assert_eq!(refused, name);
            assert!(reason.contains(meant) && !reason.contains("tell-nobody"), "{name}: {reason}");
            assert!(overlay.values.is_empty());
        }
    }

    #[test]
    fn other_variables_are_left_alone() {
        let overlay = overlay(&[
            ("MAYPOLE_PORT_8668_TCP_ADDR", "10.0.0.1"),
            ("MAYPOLE_SERVICE_HOST", "10.0.0.1"),
            ("HOME__X", "x"),
            ("MAYPOLE_CONFIG", "a.yaml"),
        ]);
        assert_eq!(overlay.file.as_deref(), Some("a.yaml"));
        assert!(overlay.refused.is_empty() && overlay.values.is_empty(), "{:?}", overlay.refused);
    }

    #[test]
    fn values_are_taken_as_they_are() {
        let overlay = overlay(&[
            ("MAYPOLE_HOMESERVER__USER_ID", "@:a.org"),
            ("MAYPOLE_HOMESERVER__SERVER_NAME", "null"),
            ("MAYPOLE_LISTENER__ADDRESS", "127.0.0.1:1, [::1]:2"),
            ("MAYPOLE_OPERATIONS__ADDRESS", "null"),
        ]);
        let get = |section: &str, key: &str| overlay.values[section].as_dict().unwrap()[key].clone();
        assert_eq!(get("homeserver", "user_id").as_str(), Some("@:a.org"));
        assert_eq!(get("homeserver", "server_name").as_str(), Some("null"));
        let listener = get("listener", "address").into_array().unwrap();
        assert_eq!(listener.iter().filter_map(Value::as_str).collect::<Vec<_>>(), ["127.0.0.1:1", "[::1]:2"]);
        assert!(matches!(get("operations", "address"), Value::Empty(..)));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let overlay = overlay(&[("MAYPOLE_APPSERVICE__AS_TOKEN", "x\u{fffd}")]);
        assert_eq!(overlay.refused.len(), 1);
        assert!(overlay.values.is_empty());
    }
}
