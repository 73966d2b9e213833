//! Every reason for which a registration is refused, and that no token is ever repeated.

use ruma::user_id;

use super::*;

const TOKEN: &str = "tell-nobody-0123456789-tell-nobody-0123456789";

fn right() -> String {
    let text = reference_form();
    let other = TOKEN.replace("0123456789", "9876543210");
    text.replace(PLACEHOLDER_TOKENS.0, TOKEN).replace(PLACEHOLDER_TOKENS.1, &other)
}

fn findings(text: &str) -> Vec<Finding> {
    let checked = check(text, Some(user_id!("@:a.org")));
    let shown = format!("{checked:?}");
    assert!(!shown.contains("tell-nobody"), "{shown}");
    checked.findings
}

/// The one finding that a change makes: `severity: key: reason`.
fn finding(from: &str, to: &str) -> String {
    assert!(right().contains(from), "{from}");
    let findings = findings(&right().replace(from, to));
    assert_eq!(findings.len(), 1, "{from} → {to}: {findings:?}");
    findings[0].to_string()
}

#[track_caller]
fn found(from: &str, to: &str, start: &str) {
    let finding = finding(from, to);
    assert!(finding.starts_with(start), "{from} → {to}: {finding}");
}

#[test]
fn what_is_no_registration_is_refused() {
    for text in
        ["", "tell-nobody", "- tell-nobody", "a: [tell-nobody", "id: tell-nobody\nid: tell-nobody", "\u{0}"]
    {
        let findings = findings(text);
        assert!(findings.len() == 1 && findings[0].is_error(), "{text}: {findings:?}");
    }
    assert!(findings("{}").len() >= 7);
}

#[test]
fn every_missing_key_is_named() {
    for key in ["id", "url", "as_token", "hs_token", "sender_localpart", "rate_limited"] {
        found(&format!("\n{key}:"), &format!("\nx-{key}:"), &format!("error: {key}: is missing"));
    }
    found("namespaces:", "x-namespaces:", "error: namespaces: is missing");
    found("  users:", "  x-users:", "error: namespaces.users: is missing");
    found(
        "- exclusive: true\n      regex",
        "- x-exclusive: true\n      regex",
        "error: namespaces.users[0].exclusive",
    );
    found("regex:", "x-regex:", "error: namespaces.users[0].regex: is missing");
}

#[test]
fn every_wrong_type_is_named() {
    found("id: maypole", "id: 7", "error: id: expected a string, found a number; put it in quotes");
    found("id: maypole", "id: ''", "error: id: must not be empty");
    found("'http://127.0.0.1:8668'", "[tell-nobody]", "error: url: expected a string, found a list");
    found(&format!("as_token: {TOKEN}"), "as_token: 7", "error: as_token: expected a string, found a number");
    found("_mls_ds", "true", "error: sender_localpart: expected a string, found true or false");
    found("rate_limited: false", "rate_limited: tell-nobody", "error: rate_limited: expected true or false");
    found(
        "receive_ephemeral: true",
        "receive_ephemeral: 'yes'",
        "error: receive_ephemeral: expected true or false",
    );
    found("aliases: []", "aliases: {}", "error: namespaces.aliases: expected a list, found a mapping");
    found(
        "exclusive: true",
        "exclusive: tell-nobody",
        "error: namespaces.users[0].exclusive: expected true or false",
    );
    found("'@:.+'", "[tell-nobody]", "error: namespaces.users[0].regex: expected a string, found a list");
}

#[test]
fn tokens_that_protect_nothing_are_refused() {
    let token = &format!("as_token: {TOKEN}");
    found(token, "as_token: tell-nobody", "error: as_token: must be at least 32 characters");
    found(token, "as_token: ''", "error: as_token: must not be empty");
    found(token, &format!("as_token: {}", PLACEHOLDER_TOKENS.0), "error: as_token: is a placeholder");
    let same = TOKEN.replace("0123456789", "9876543210");
    found(token, &format!("as_token: {same}"), "error: hs_token: must not be the same as as_token");
    assert_eq!(findings(&reference_form()).len(), 2);
}

#[test]
fn senders_that_homeservers_refuse_are_refused() {
    found("_mls_ds", "''", "error: sender_localpart: must not be empty");
    found("_mls_ds", "'tell nobody'", "error: sender_localpart: must be of letters");
    found("_mls_ds", "'@x:a.org'", "error: sender_localpart: must be of letters");
}

#[test]
fn namespaces_take_the_service_and_nobody_else() {
    found("exclusive: true", "exclusive: false", "error: namespaces.users[0].exclusive: must be true");
    found("'@:.+'", "'@:b\\.org'", "error: namespaces.users: does not cover @:a.org");
    found("'@:.+'", "'('", "error: namespaces.users[0].regex: is no regular expression");
    found(
        "'@:.+'",
        "'@.*:a\\.org'",
        "error: namespaces.users[0].regex: takes ordinary users such as @alice:a.org",
    );
    found("    - exclusive: true\n      regex: '@:.+'", "    []", "error: namespaces.users: does not cover");
    found(
        "aliases: []",
        "aliases: [{exclusive: true, regex: x}]",
        "warning: namespaces.aliases: should be empty".trim_end_matches(" empty"),
    );
}

#[test]
fn what_slows_the_service_down_is_said() {
    found("rate_limited: false", "rate_limited: true", "error: rate_limited: must be false");
    for key in PUSH_FLAGS {
        found(&format!("\n{key}: true"), "", &format!("warning: {key}: is missing"));
        found(&format!("\n{key}: true"), &format!("\n{key}: false"), &format!("warning: {key}: is false"));
    }
    found("url: 'http://127.0.0.1:8668'", "url: null", "warning: url: is null");
    found("http://127.0.0.1:8668", "tell-nobody", "error: url: is no URL");
    found("http://127.0.0.1:8668", "ftp://tell-nobody", "error: url: must begin with");
}

#[test]
fn everything_is_found_at_once() {
    let text = right()
        .replace("_mls_ds", "''")
        .replace("rate_limited: false", "rate_limited: true")
        .replace("id: maypole", "id: []")
        .replace("'@:.+'", "'.*'")
        .replace("receive_ephemeral: true\n", "");
    let errors = findings(&text);
    assert_eq!(errors.iter().filter(|finding| finding.is_error()).count(), 4, "{errors:?}");
    assert_eq!(errors.len(), 5, "{errors:?}");
}
