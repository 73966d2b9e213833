//! Every key that there is, read off the JSON Schema, which is made from the sections themselves.
//!
//! The environment overlay, the refusal of unknown keys, the example and the reference all go by this one table, so a
//! key cannot exist in one of them and not in another.

use serde_json::Value;

use super::schema;

/// The sections, in the order in which a reader meets them.
pub(super) const SECTIONS: [&str; 9] =
    ["homeserver", "appservice", "listener", "operations", "admin", "store", "keys", "log", "protocol"];

/// A section of the file.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is about.
    pub(super) about: String,
    /// Its keys: first those that a new file should have.
    pub(super) keys: Vec<Key>,
}

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    /// The section.
    pub(super) section: &'static str,
    /// Its name in the section.
    pub(super) name: String,
    /// What it does.
    pub(super) about: String,
    /// Whether there is no doing without it.
    pub(super) required: bool,
    /// Whether a new file should have it, with this value.
    pub(super) example: Option<Value>,
    /// What it is if nobody says otherwise.
    pub(super) default: Option<Value>,
    /// What is written there.
    pub(super) kind: Kind,
    /// Whether `null` may be written instead.
    pub(super) nullable: bool,
    /// Whether its value is never shown.
    pub(super) secret: bool,
}

/// What is written as the value of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// A list of strings.
    List,
    /// One of these strings.
    OneOf(Vec<String>),
}

impl Key {
    /// `section.key`.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The variable of the environment that sets it.
    pub(super) fn variable(&self) -> String {
        variable(self.section, &self.name)
    }
}

/// The variable of the environment that sets a key.
pub(super) fn variable(section: &str, key: &str) -> String {
    format!("{}{}__{}", super::environment::PREFIX, section.to_uppercase(), key.to_uppercase())
}

/// The whole table.
pub(super) fn sections() -> Vec<Section> {
    let schema = schema::json_schema();
    SECTIONS
        .into_iter()
        .map(|name| {
            let section = schema.pointer(&format!("/properties/{name}")).unwrap_or(&Value::Null);
            Section { name, about: text_of(section, "description"), keys: keys_of(name, section) }
        })
        .collect()
}

fn keys_of(section: &'static str, schema: &Value) -> Vec<Key> {
    let required: Vec<&str> = array_of(schema, "required").iter().filter_map(Value::as_str).collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut keys: Vec<Key> = properties
        .into_iter()
        .flatten()
        .map(|(name, key)| Key {
            section,
            name: name.clone(),
            about: text_of(key, "description"),
            required: required.contains(&name.as_str()),
            example: array_of(key, "examples").first().cloned(),
            default: key.get("default").filter(|default| !default.is_null()).cloned(),
            kind: kind_of(key),
            nullable: array_of(key, "type").iter().any(|kind| kind == "null"),
            secret: key.get("writeOnly") == Some(&Value::Bool(true)),
        })
        .collect();
    keys.sort_by_key(|key| (key.example.is_none(), key.default.is_none(), key.name.clone()));
    keys
}

fn kind_of(key: &Value) -> Kind {
    if let Some(options) = key.get("enum").and_then(Value::as_array) {
        return Kind::OneOf(options.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    if key.get("items").is_some() { Kind::List } else { Kind::Text }
}

fn text_of(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn array_of<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_section_of_the_schema() {
        let schema = schema::json_schema();
        let mut known: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        known.sort();
        let mut listed = SECTIONS.to_vec();
        listed.sort_unstable();
        assert_eq!(known, listed);
        assert!(sections().iter().all(|section| !section.keys.is_empty() && !section.about.is_empty()));
    }

    #[test]
    fn keys_know_what_they_are() {
        let keys: Vec<Key> = sections().into_iter().flat_map(|section| section.keys).collect();
        let find = |path: &str| keys.iter().find(|key| key.path() == path).unwrap();
        assert!(find("homeserver.url").required);
        assert_eq!(find("homeserver.url").variable(), "MAYPOLE_HOMESERVER__URL");
        assert_eq!(find("listener.address").kind, Kind::List);
        assert_eq!(find("log.format").kind, Kind::OneOf(vec!["json".into(), "pretty".into()]));
        assert!(find("operations.address").nullable);
        let secrets: Vec<String> = keys.iter().filter(|key| key.secret).map(Key::path).collect();
        assert_eq!(secrets, ["appservice.as_token", "appservice.hs_token", "store.postgres"]);
        assert!(keys.iter().all(|key| !key.about.is_empty()));
        assert!(keys.iter().all(|key| !key.required || key.example.is_some()));
    }
}
