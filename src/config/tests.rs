//! What a configuration may be, and what it may not. No refusal may repeat a value.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::registration::{Wanted, generate, reference_form};
use super::*;

/// Stands wherever a value is wrong: it may be a secret.
const SECRET: &str = "tell-nobody-0123456789-tell-nobody-0123456789";
const TOKEN: &str = "another-token-0123456789-another-token-0123456789";
const HOMESERVER: &str = "homeserver: {server_name: a.org, url: 'http://127.0.0.1:8008'}\n";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("registration.yaml"), generate(&Wanted::default()).unwrap()).unwrap();
    folder
}

fn load_in(folder: &Path, text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = folder.join("maypole.yaml");
    fs::write(&file, text).unwrap();
    Config::load(Some(&file), env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load_in(folder().path(), text, env)
}

/// The problems of a configuration that is refused, as `key: reason`, and none of them shows a value.
fn problems(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let error = load(text, env).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("tell-nobody"), "{error} {error:?}");
    match error {
        ConfigError::Invalid(problems) => {
            problems.iter().map(|problem| format!("{}: {}", problem.key, problem.reason)).collect()
        }
        other => panic!("{other}"),
    }
}

/// The one problem that some lines make beside a homeserver and a registration that are right.
fn problem(lines: &str) -> String {
    let appservice =
        if lines.contains("appservice:") { "" } else { "appservice: {registration: registration.yaml}\n" };
    let homeserver = if lines.contains("homeserver:") { "" } else { HOMESERVER };
    let problems = problems(&format!("{homeserver}{appservice}{lines}\n"), &[]);
    assert_eq!(problems.len(), 1, "{lines}: {problems:?}");
    problems[0].clone()
}

#[track_caller]
fn refused(lines: &str, start: &str) {
    let problem = problem(lines);
    assert!(problem.starts_with(start), "{lines}: {problem}");
}

#[test]
fn yaml_that_is_broken_is_refused_with_its_line() {
    for (text, at) in [
        ("homeserver:\n  url: [tell-nobody\n", None),
        ("homeserver:\n  url: tell-nobody\n  url: tell-nobody\n", Some(3)),
        ("log: {}\nlog: {}\n", Some(2)),
        ("- tell-nobody\n", Some(1)),
        ("tell-nobody", Some(1)),
        ("a: &x tell-nobody\nb: *x\n", Some(2)),
        ("a: b\n---\ntell-nobody: d\n", None),
    ] {
        let error = load(text, &[]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("tell-nobody"), "{error}");
        let ConfigError::Yaml { file, line, .. } = &error else { panic!("{text}: {error}") };
        assert!(file.ends_with("maypole.yaml") && *line > 0, "{text}: {error}");
        assert!(at.is_none_or(|at| at == *line), "{text}: {error}");
    }
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let none = Config::load(Some(&folder.path().join("none.yaml")), std::iter::empty()).unwrap_err();
    assert!(matches!(&none, ConfigError::Missing(file) if file.ends_with("none.yaml")), "{none}");
    let env = [("MAYPOLE_CONFIG".to_owned(), folder.path().join("other.yaml").display().to_string())];
    let other = Config::load(None, env.into_iter()).unwrap_err();
    assert!(matches!(&other, ConfigError::Missing(file) if file.ends_with("other.yaml")), "{other}");
    let error = Config::load(Some(folder.path()), std::iter::empty()).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
    let error = load(&format!("# {}", "x".repeat(256 * 1024)), &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
}

#[test]
fn names_that_do_not_exist_are_refused() {
    refused("logs: {}", "logs: there is no such section; `log` was probably meant");
    refused("banana: tell-nobody", "banana: there is no such section; there are homeserver, appservice,");
    refused("log: {levle: tell-nobody}", "log.levle: there is no such key; `level` was probably meant");
    refused("tell-nobody-0123456789-0123456789: x", "(a key that is no name): there is no such section");
    refused("log: tell-nobody", "log: expected a section with keys, found a string");
    refused("log: [tell-nobody]", "log: expected a section with keys, found a list");
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    refused("log: {level: 17}", "log.level: expected a string, found a number; put it in quotes");
    refused("log: {level: [tell-nobody]}", "log.level: expected a string, found a list");
    refused("log: {level: }", "log.level: expected a string, found nothing");
    refused("log: {format: tell-nobody}", "log.format: must be one of json, pretty");
    refused("log: {level: tell-nobody}", "log.level: must be error, warn");
    refused(
        "protocol: {event_prefix: tell-nobody}",
        "protocol.event_prefix: must be one of stable, unstable",
    );
    refused("listener: {address: 'tell-nobody'}", "listener.address: is no IP address with a port");
    refused("listener: {address: 17}", "listener.address: expected a list of addresses");
    refused(
        "listener: {address: [{a: tell-nobody}]}",
        "listener.address: expected a string, found a mapping",
    );
    refused("store: {path: {a: tell-nobody}}", "store.path: expected");
    refused("store: {path: ''}", "store.path: must not be empty");
    refused("store: {postgres: tell-nobody}", "store.postgres: is no address of a PostgreSQL");
    refused("store: {postgres: 'mysql://tell-nobody/x'}", "store.postgres: is no address of a PostgreSQL");
    refused("store: {postgres_file: nowhere}", "store.postgres_file: ");
    let both = "store: {postgres: 'postgres://tell-nobody/x', postgres_file: x}";
    refused(both, "store.postgres_file: must not be given together with store.postgres");
    refused("admin: {socket: ''}", "admin.socket: must not be empty");
    refused("keys: {path: ''}", "keys.path: must not be empty");
}

#[test]
fn homeservers_that_cannot_be_reached_or_named_are_refused() {
    let with = |key: &str, value: &str| {
        let mut keys = vec![("server_name", "a.org"), ("url", "http://127.0.0.1:8008")];
        keys.retain(|(name, _)| *name != key);
        keys.push((key, value));
        let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}: '{value}'")).collect();
        problem(&format!("homeserver: {{{}}}", keys.join(", ")))
    };
    for url in [
        "",
        "a.org",
        "127.0.0.1:8008",
        "ftp://a.org",
        "unix:/x",
        "http://",
        "http://alice:tell-nobody@a.org",
        "http://tell-nobody@a.org",
        "http://a.org/?access_token=tell-nobody",
        "http://a.org/#tell-nobody",
    ] {
        assert!(with("url", url).starts_with("homeserver.url: "), "{url}");
    }
    for name in ["", "http://a.org", "a.org/", "@:a.org", "tell-nobody!", "a.org:99999999"] {
        assert!(with("server_name", name).starts_with("homeserver.server_name: "), "{name}");
    }
    assert!(with("server_name", &"a.".repeat(127)).starts_with("homeserver.server_name: "));
    for user in ["", "tell-nobody", "@tell-nobody", "!:a.org", "@:b.org", "@:a.org:8448"] {
        assert!(with("user_id", user).starts_with("homeserver.user_id: "), "{user}");
    }
}

#[test]
fn addresses_that_cannot_be_listened_on_are_refused() {
    for address in
        ["[]", "[localhost:1]", "['127.0.0.1']", "['::1:8668']", "['127.0.0.1:99999']", "[tell-nobody]"]
    {
        refused(&format!("listener: {{address: {address}}}"), "listener.address: ");
    }
    refused("listener: {address: ['127.0.0.1:1', '127.0.0.1:1']}", "listener.address: has an address twice");
    let many = vec!["'127.0.0.1:0'"; 17].join(", ");
    refused(&format!("listener: {{address: [{many}]}}"), "listener.address: must not have more than 16");
    refused("listener: {public_url: tell-nobody}", "listener.public_url: ");
    refused("operations: {address: tell-nobody}", "operations.address: ");
    refused(
        "operations: {address: '127.0.0.1:8668'}",
        "operations.address: is also an address of listener.address",
    );
}

#[test]
fn tokens_come_from_one_place() {
    refused("appservice: {}", "appservice.registration: is missing; give it, or both");
    refused(&format!("appservice: {{as_token: {SECRET}}}"), "appservice.hs_token: is missing");
    refused(
        &format!("appservice: {{as_token: {SECRET}, hs_token: {SECRET}}}"),
        "appservice.hs_token: must not be the same",
    );
    refused(
        &format!("appservice: {{registration: registration.yaml, as_token: {SECRET}}}"),
        "appservice.as_token: must not be given together with appservice.registration",
    );
    refused(
        &format!("appservice: {{as_token: {SECRET}, as_token_file: x, hs_token: {TOKEN}}}"),
        "appservice.as_token_file: must not be given together with the token itself",
    );
    for fault in ["tell-nobody", "'tell-nobody 0123456789 0123456789 0123456789'", "12345", "[tell-nobody]"] {
        refused(&format!("appservice: {{as_token: {fault}, hs_token: {TOKEN}}}"), "appservice.as_token: ");
    }
    refused(&format!("appservice: {{as_token_file: none, hs_token: {TOKEN}}}"), "appservice.as_token_file: ");
}

#[test]
fn registrations_that_cannot_be_used_are_refused() {
    refused("appservice: {registration: none.yaml}", "appservice.registration: ");
    refused("appservice: {registration: ''}", "appservice.registration: must not be empty");
    let folder = folder();
    let text = format!("{HOMESERVER}appservice: {{registration: registration.yaml}}\n");
    for (registration, key) in [
        (reference_form(), "as_token"),
        ("tell-nobody".to_owned(), "registration"),
        ("as_token: [tell-nobody\n".to_owned(), "line"),
        (generate(&Wanted { user: Some(ruma::user_id!("@:b.org")), url: None }).unwrap(), "namespaces.users"),
    ] {
        fs::write(folder.path().join("registration.yaml"), registration).unwrap();
        let error = load_in(folder.path(), &text, &[]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("tell-nobody"), "{error}");
        let ConfigError::Invalid(problems) = &error else { panic!("{error}") };
        assert!(problems[0].key.starts_with(key), "{error}");
        assert!(matches!(&problems[0].origin, Origin::File(file) if file.ends_with("registration.yaml")));
    }
}

#[test]
fn all_problems_are_found_at_once_each_with_its_place() {
    let found = problems(
        "homeserver: {url: tell-nobody}\nlog: {level: tell-nobody, colour: true}\nlisteners: {}\n",
        &[("MAYPOLE_STORE__PATH", ""), ("MAYPOLE_STORE__FOLDER", "tell-nobody")],
    );
    for key in [
        "log.colour: there is no such key",
        "listeners: there is no such section",
        "MAYPOLE_STORE__FOLDER: there is no such key",
        "homeserver.server_name: is missing",
        "store.path: must not be empty",
        "log.level: must be",
        "appservice.registration: is missing",
    ] {
        assert!(found.iter().any(|problem| problem.starts_with(key)), "{key}: {found:?}");
    }
    let error = load(HOMESERVER, &[("MAYPOLE_LOG__LEVEL", SECRET)]).unwrap_err().to_string();
    assert!(error.contains("environment variable MAYPOLE_LOG__LEVEL: log.level: must be"), "{error}");
    assert!(error.contains("maypole.yaml: appservice.registration: is missing"), "{error}");
}

#[test]
fn the_example_loads_and_names_every_key() {
    let folder = folder();
    let config = load_in(folder.path(), &example(), &[]).unwrap();
    assert_eq!(config.homeserver.user_id, "@:a.org");
    assert_eq!(config.store.path, folder.path().join("data"));
    assert_eq!(config.keys.path, folder.path().join("data/keys"));
    assert_eq!(config.admin.socket, folder.path().join("data/admin.sock"));
    assert_eq!(config.appservice.registration, Some(folder.path().join("registration.yaml")));
    assert_eq!(config.listener.address, ["127.0.0.1:8668".parse().unwrap()]);
    assert_eq!(config.operations.address, Some("127.0.0.1:8669".parse().unwrap()));
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Pretty, "info"));
    assert_eq!(config.protocol.event_prefix, EventPrefix::Unstable);
    assert_eq!(config.appservice.warnings, []);

    // With nothing commented out it names every key of the schema, and only keys.
    let text = example().replace("  #", "  ");
    for section in key_table::sections() {
        assert!(text.contains(&format!("\n{}:\n", section.name)));
        for key in section.keys {
            assert!(text.contains(&format!("\n  {}:", key.name)), "{}", key.path());
        }
    }
}

#[test]
fn the_examples_defaults_are_the_defaults() {
    let folder = folder();
    let plain = load_in(folder.path(), &example(), &[]).unwrap();
    let set = example().lines().map(uncommented).collect::<Vec<_>>().join("\n");
    assert_ne!(set, example());
    let set = load_in(folder.path(), &set, &[]).unwrap();
    let shown = |config: &Config| format!("{:?} {:?} {:?}", config.listener, config.operations, config.log);
    assert_eq!(shown(&plain), shown(&set));
    assert_eq!(plain.store.path, set.store.path);
    assert_eq!(plain.protocol.event_prefix, set.protocol.event_prefix);
}

/// A line of the example, with its setting no longer commented out.
fn uncommented(line: &str) -> String {
    match line.strip_prefix("  #") {
        Some(setting) if setting.starts_with(|first: char| first.is_ascii_lowercase()) => {
            format!("  {setting}")
        }
        _ => line.to_owned(),
    }
}

#[test]
fn the_environment_goes_before_the_file() {
    let folder = folder();
    fs::write(folder.path().join("token"), format!("{TOKEN}\r\n")).unwrap();
    let config = load_in(
        folder.path(),
        &format!("{HOMESERVER}log:\nstore: {{path: /a}}\nkeys: {{path: mine}}\n"),
        &[
            ("MAYPOLE_HOMESERVER__SERVER_NAME", "localhost:8448"),
            ("MAYPOLE_HOMESERVER__USER_ID", "@mls:localhost:8448"),
            ("MAYPOLE_APPSERVICE__AS_TOKEN", SECRET),
            ("MAYPOLE_APPSERVICE__HS_TOKEN_FILE", "token"),
            ("MAYPOLE_LISTENER__ADDRESS", "0.0.0.0:0,[::1]:0"),
            ("MAYPOLE_OPERATIONS__ADDRESS", "null"),
            ("MAYPOLE_LOG__FORMAT", "json"),
            ("MAYPOLE_STORE__PATH", "elsewhere"),
            ("MAYPOLE_ADMIN__SOCKET", "/run/mine.sock"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.homeserver.user_id, "@mls:localhost:8448");
    assert_eq!(config.homeserver.url.as_str(), "http://127.0.0.1:8008/");
    assert_eq!((config.appservice.as_token.expose(), config.appservice.hs_token.expose()), (SECRET, TOKEN));
    assert_eq!(config.listener.address.len(), 2);
    assert_eq!(config.operations.address, None);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.store.path, folder.path().join("elsewhere"));
    assert_eq!(config.keys.path, folder.path().join("mine"));
    assert_eq!(config.admin.socket, Path::new("/run/mine.sock"));
    assert!(!format!("{config:?}").contains("tell-nobody"));
}

#[test]
fn before_there_is_a_registration_the_rest_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("maypole.yaml");
    fs::write(&file, example()).unwrap();
    assert!(Config::load(Some(&file), std::iter::empty()).is_err());
    let settings = Settings::load(Some(&file), std::iter::empty()).unwrap();
    assert_eq!(settings.listener.url(), "http://127.0.0.1:8668");
    fs::write(&file, format!("{}\nbanana: 1\n", example())).unwrap();
    assert!(Settings::load(Some(&file), std::iter::empty()).is_err());
}

#[test]
fn the_url_of_a_listener_can_be_connected_to() {
    let url = |listener: &str| {
        let text =
            format!("{HOMESERVER}appservice: {{registration: registration.yaml}}\nlistener: {listener}\n");
        load(&text, &[]).unwrap().listener.url()
    };
    assert_eq!(url("{address: ['0.0.0.0:80', '127.0.0.1:81']}"), "http://127.0.0.1:80");
    assert_eq!(url("{address: ['[::]:80']}"), "http://[::1]:80");
    assert_eq!(url("{public_url: 'https://mls.a.org/'}"), "https://mls.a.org");
}

#[test]
fn the_schema_and_the_readers_agree_on_what_is_refused() {
    let schema = json_schema();
    assert_eq!(schema["additionalProperties"], serde_json::Value::Bool(false));
    for name in key_table::SECTIONS {
        let section = &schema["properties"][name];
        let section = section.get("anyOf").map_or(section, |any| &any[0]);
        assert_eq!(section["additionalProperties"], serde_json::Value::Bool(false), "{name}");
    }
}
