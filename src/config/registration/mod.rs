//! The registration: read for its tokens, checked for everything that makes homeservers refuse or misunderstand it.
//!
//! Every problem is found in one go, with its key and the reason, and no token is ever repeated.

mod generate;
mod namespace;
pub(super) mod token;

use std::fmt;

use ruma::UserId;
use serde_json::{Map, Value};

use super::secret::Secret;
use super::yaml;

pub use self::generate::{
    ID, PLACEHOLDER_TOKENS, SENDER_LOCALPART, Wanted, default_user, generate, reference_form,
};
use self::namespace::Namespace;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It will not work.
    Error,
    /// It will work, but worse.
    Warning,
}

/// Something about a registration that should be otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The key.
    pub key: String,
    /// What is wrong, without any token.
    pub reason: String,
}

impl Finding {
    /// Whether it will not work like this.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{severity}: {}: {}", self.key, self.reason)
    }
}

/// A registration that was looked at.
#[derive(Debug)]
pub struct Checked {
    /// Everything that should be otherwise.
    pub findings: Vec<Finding>,
    /// What the homeserver calls the service, if that can be used.
    pub id: Option<String>,
    /// `as_token` and `hs_token`, if both can be used.
    pub tokens: Option<(Secret, Secret)>,
}

/// Checks a registration, for the service's user if it is known who that is.
pub fn check(text: &str, user: Option<&UserId>) -> Checked {
    let mut check = Check { user, findings: Vec::new() };
    let keys = match yaml::parse::<Value>(text) {
        Ok(Value::Object(keys)) => keys,
        Ok(_) => {
            check.error("registration", "is no mapping of keys to values");
            return Checked { findings: check.findings, id: None, tokens: None };
        }
        Err(fault) => {
            let place = format!("line {}, column {}", fault.line, fault.column);
            check.error(&place, fault.reason);
            return Checked { findings: check.findings, id: None, tokens: None };
        }
    };
    let id = check.text(&keys, "id").map(str::to_owned);
    check.url(&keys);
    let tokens = check.tokens(&keys);
    check.sender(&keys);
    check.namespaces(&keys);
    check.rate_limited(&keys);
    check.push_flags(&keys);
    Checked { findings: check.findings, id, tokens }
}

/// Flags without which a homeserver pushes less than it could. Synapse reads all four.
const PUSH_FLAGS: [&str; 4] =
    ["receive_ephemeral", "de.sorunome.msc2409.push_ephemeral", "org.matrix.msc3202", "io.element.msc4190"];

struct Check<'u> {
    user: Option<&'u UserId>,
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn error(&mut self, key: &str, reason: impl Into<String>) {
        self.findings.push(Finding { severity: Severity::Error, key: key.into(), reason: reason.into() });
    }

    fn warning(&mut self, key: &str, reason: impl Into<String>) {
        self.findings.push(Finding { severity: Severity::Warning, key: key.into(), reason: reason.into() });
    }

    /// A string that must be there.
    fn text<'k>(&mut self, keys: &'k Map<String, Value>, key: &str) -> Option<&'k str> {
        match keys.get(key) {
            None => self.error(key, "is missing"),
            Some(Value::String(text)) if text.is_empty() && key == "id" => {
                self.error(key, "must not be empty");
            }
            Some(Value::String(text)) => return Some(text),
            Some(other) => self.error(key, expected("a string", other)),
        }
        None
    }

    fn url(&mut self, keys: &Map<String, Value>) {
        if keys.get("url") == Some(&Value::Null) {
            self.warning("url", "is null: the homeserver cannot push, so messages are found a little later");
            return;
        }
        let Some(url) = self.text(keys, "url") else { return };
        match url::Url::parse(url) {
            Err(_) => self.error("url", "is no URL, such as `http://127.0.0.1:8668`"),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                self.error("url", "must begin with `http://` or `https://`");
            }
            Ok(_) => {}
        }
    }

    fn tokens(&mut self, keys: &Map<String, Value>) -> Option<(Secret, Secret)> {
        let mut usable = |key: &str| {
            let token = self.text(keys, key)?;
            match token::fault(token) {
                Some(fault) => self.error(key, fault),
                None => return Some(Secret::new(token)),
            }
            None
        };
        let (as_token, hs_token) = (usable("as_token"), usable("hs_token"));
        let written = |key: &str| keys.get(key).and_then(Value::as_str);
        if written("as_token").is_some() && written("as_token") == written("hs_token") {
            self.error("hs_token", "must not be the same as as_token");
            return None;
        }
        as_token.zip(hs_token)
    }

    fn sender(&mut self, keys: &Map<String, Value>) {
        const KEY: &str = "sender_localpart";
        let Some(sender) = self.text(keys, KEY) else { return };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-~/".contains(&byte);
        if sender.is_empty() {
            self.error(KEY, "must not be empty: Synapse answers such a user's requests with an error");
        } else if !sender.bytes().all(plain) {
            self.error(KEY, "must be of letters, digits and `_.-~/`: homeservers refuse others");
        }
    }

    fn namespaces(&mut self, keys: &Map<String, Value>) {
        let namespaces = match keys.get("namespaces") {
            Some(Value::Object(namespaces)) => namespaces,
            None => return self.error("namespaces", "is missing"),
            Some(other) => return self.error("namespaces", expected("a mapping", other)),
        };
        for kind in ["aliases", "rooms"] {
            let key = format!("namespaces.{kind}");
            match namespaces.get(kind) {
                None => {}
                Some(Value::Array(list)) if list.is_empty() => {}
                Some(Value::Array(_)) => {
                    self.warning(&key, "should be an empty list: nothing is done with it")
                }
                Some(other) => self.error(&key, expected("a list", other)),
            }
        }
        match namespaces.get("users") {
            None => self.error("namespaces.users", "is missing"),
            Some(Value::Array(users)) => self.users(users),
            Some(other) => self.error("namespaces.users", expected("a list", other)),
        }
    }

    /// Some namespace must take the service's user, for it alone, and none may take anybody else.
    fn users(&mut self, users: &[Value]) {
        let mut covered = false;
        let mut judged_all = true;
        for (index, entry) in users.iter().enumerate() {
            match self.user_namespace(&format!("namespaces.users[{index}]"), entry) {
                Some(covers) => covered |= covers,
                None => judged_all = false,
            }
        }
        if !covered && judged_all {
            let user = self
                .user
                .map_or_else(|| "the service's user, `@:` of some server".into(), |u| format!("{u}"));
            self.error("namespaces.users", format!("does not cover {user}"));
        }
    }

    fn user_namespace(&mut self, key: &str, entry: &Value) -> Option<bool> {
        let Value::Object(entry) = entry else {
            self.error(key, expected("a mapping", entry));
            return None;
        };
        let exclusive = match entry.get("exclusive") {
            Some(Value::Bool(exclusive)) => Some(*exclusive),
            None => {
                self.error(&format!("{key}.exclusive"), "is missing");
                None
            }
            Some(other) => {
                self.error(&format!("{key}.exclusive"), expected("true or false", other));
                None
            }
        };
        let key = format!("{key}.regex");
        let namespace = match entry.get("regex") {
            Some(Value::String(regex)) => Namespace::parse(regex),
            None => {
                self.error(&key, "is missing");
                return None;
            }
            Some(other) => {
                self.error(&key, expected("a string", other));
                return None;
            }
        };
        let Some(namespace) = namespace else {
            self.error(&key, "is no regular expression that every homeserver understands");
            return None;
        };
        if let Some(user) = namespace.ordinary(self.user) {
            self.error(&key, format!("takes ordinary users such as {user}"));
        }
        let covers = namespace.covers(self.user);
        if covers && exclusive == Some(false) {
            let key = key.replace(".regex", ".exclusive");
            self.error(&key, "must be true: nobody else may become the service's user");
        }
        Some(covers)
    }

    fn rate_limited(&mut self, keys: &Map<String, Value>) {
        const KEY: &str = "rate_limited";
        match keys.get(KEY) {
            Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) => {
                self.error(KEY, "must be false: one commit may concern hundreds of devices")
            }
            None => self.error(KEY, "is missing, and then homeservers limit the rate; it must be false"),
            Some(other) => self.error(KEY, expected("true or false", other)),
        }
    }

    fn push_flags(&mut self, keys: &Map<String, Value>) {
        for key in PUSH_FLAGS {
            match keys.get(key) {
                Some(Value::Bool(true)) => {}
                Some(Value::Bool(false)) => {
                    self.warning(key, "is false: the homeserver pushes less than it could")
                }
                None => self.warning(key, "is missing: the homeserver pushes less than it could"),
                Some(other) => self.error(key, expected("true or false", other)),
            }
        }
    }
}

fn expected(what: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number; put it in quotes",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    };
    format!("expected {what}, found {found}")
}

#[cfg(test)]
mod tests;
