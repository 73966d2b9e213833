//! Which users a namespace takes, as homeservers judge it: the regular expression must match from the first character
//! on, and need not match to the last.

use maypole_core::limits;
use regex::{Regex, RegexBuilder};
use ruma::{OwnedUserId, UserId};

/// A server for trying namespaces of any server.
const ANY_SERVER: &str = "some-server.invalid";

/// Localparts of ordinary users besides all single letters and digits.
const ORDINARY: [&str; 4] = ["alice", "bob", "mallory", "some.body-else_1"];

/// A user namespace.
pub(super) struct Namespace {
    regex: Regex,
    /// The one user that it takes, where it is written so plainly that this is known.
    only: Option<OwnedUserId>,
}

impl Namespace {
    /// Reads a regular expression of a registration.
    pub(super) fn parse(written: &str) -> Option<Self> {
        let regex =
            RegexBuilder::new(&format!("^(?:{written})")).size_limit(limits::REGEX_BYTES).build().ok()?;
        Some(Self { regex, only: literal(written).and_then(|user| UserId::parse(user).ok()) })
    }

    /// Whether it takes the service's user; where nobody said who that is, whether it takes one that it could be.
    pub(super) fn covers(&self, user: Option<&UserId>) -> bool {
        match (user, &self.only) {
            (Some(user), _) => self.regex.is_match(user.as_str()),
            (None, Some(_)) => true,
            (None, None) => self.regex.is_match(&format!("@:{ANY_SERVER}")),
        }
    }

    /// An ordinary user that it takes, though nobody but the service's own user should be in it.
    pub(super) fn ordinary(&self, user: Option<&UserId>) -> Option<String> {
        let service = user.or(self.only.as_deref());
        let server = service.map_or(ANY_SERVER, |user| user.server_name().as_str());
        let letters = ('a'..='z').chain('0'..='9').map(String::from);
        let mut users = ORDINARY
            .into_iter()
            .map(str::to_owned)
            .chain(letters)
            .flat_map(|localpart| [server, ANY_SERVER].map(|server| format!("@{localpart}:{server}")));
        users.find(|ordinary| {
            service.is_none_or(|service| service.as_str() != ordinary) && self.regex.is_match(ordinary)
        })
    }
}

/// The text that a regular expression matches, if it is one text: every special character escaped.
fn literal(written: &str) -> Option<String> {
    let written = written.strip_prefix('^').unwrap_or(written);
    let written = written.strip_suffix('$').unwrap_or(written);
    let mut text = String::new();
    let mut characters = written.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next().filter(|escaped| !escaped.is_ascii_alphanumeric())?),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            plain => text.push(plain),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruma::user_id;

    fn covers(written: &str, user: Option<&UserId>) -> bool {
        Namespace::parse(written).unwrap().covers(user)
    }

    #[test]
    fn matches_from_the_first_character_on() {
        let service = Some(user_id!("@:a.org"));
        for right in ["@:.+", "^@:a\\.org$", "@:a\\.org", "@:", "@:.*:?", "@(:a|:b).*"] {
            assert!(covers(right, service), "{right}");
        }
        for wrong in ["@:b\\.org", ":a\\.org", "@_mls.*", "^@:a\\.or$", "b|@:b.*"] {
            assert!(!covers(wrong, service), "{wrong}");
        }
    }

    #[test]
    fn without_a_server_name_any_that_could_be_meant_is_taken() {
        assert!(covers("@:.+", None));
        assert!(covers("^@:a\\.org$", None));
        assert!(!covers("@_mls.*", None));
    }

    #[test]
    fn ordinary_users_are_found() {
        let service = Some(user_id!("@:a.org"));
        for wide in ["@.*", "", "@[^:]*:a\\.org", "@a.*", "@[x-z]?:.*", ".*:a\\.org", "@:.*|@bob:.*"] {
            assert!(Namespace::parse(wide).unwrap().ordinary(service).is_some(), "{wide}");
        }
        for narrow in ["@:.+", "^@:a\\.org$", "@_mls.*"] {
            assert_eq!(Namespace::parse(narrow).unwrap().ordinary(service), None, "{narrow}");
        }
        let own = Some(user_id!("@bob:a.org"));
        assert_eq!(Namespace::parse("^@bob:a\\.org$").unwrap().ordinary(own), None);
    }

    #[test]
    fn bombs_are_refused() {
        assert!(Namespace::parse("(((a{1000}){1000}){1000})").is_none());
        assert!(Namespace::parse("(").is_none());
    }
}
