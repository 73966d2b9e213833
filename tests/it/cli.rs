//! The real binary: what it prints where, and how it ends.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn maypole(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maypole"))
        .args(arguments)
        .env_clear()
        .envs(env.iter().copied())
        .current_dir(folder)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn exit_codes_are_what_help_says() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| maypole(folder.path(), arguments, &[]);
    let help = run(&["--help"]);
    assert!(help.status.success());
    assert!(out(&help).contains("Exit codes:\n  0  all went well\n"), "{}", out(&help));
    assert_eq!(run(&["version"]).status.code(), Some(0));
    assert_eq!(run(&["banana"]).status.code(), Some(2));
    let missing = run(&["config", "check"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(err(&missing).starts_with("maypole: maypole.yaml: there is no such file"), "{}", err(&missing));
    fs::write(folder.path().join("maypole.yaml"), out(&run(&["config", "example"]))).unwrap();
    let keys = run(&["keys", "backup", "backup"]);
    assert_eq!(keys.status.code(), Some(6));
    assert!(err(&keys).contains("keys are missing"), "{}", err(&keys));
}

#[test]
fn from_nothing_to_a_configuration_that_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| maypole(folder.path(), arguments, &[]);
    fs::write(folder.path().join("maypole.yaml"), out(&run(&["config", "example"]))).unwrap();
    let before = run(&["config", "check"]);
    assert_eq!(before.status.code(), Some(3));
    assert!(err(&before).contains("`maypole registration` makes one"), "{}", err(&before));
    let made = run(&["registration", "--config", "maypole.yaml", "--out", "registration.yaml"]);
    assert!(made.status.success(), "{}", err(&made));
    let check = run(&["config", "check"]);
    assert!(check.status.success(), "{}", err(&check));
    assert!(out(&check).starts_with("ok\n") && out(&check).contains("@:a.org"), "{}", out(&check));
    let before = fs::read(folder.path().join("maypole.yaml")).unwrap();
    assert_eq!(before, out(&run(&["config", "example"])).into_bytes());
}

#[test]
fn the_environment_alone_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let token = "tell-nobody-0123456789-tell-nobody-0123456789";
    fs::write(folder.path().join("hs"), format!("other-{token}\n")).unwrap();
    let mut env = vec![
        ("MAYPOLE_HOMESERVER__URL", "http://127.0.0.1:8008"),
        ("MAYPOLE_HOMESERVER__SERVER_NAME", "a.org"),
        ("MAYPOLE_APPSERVICE__AS_TOKEN", token),
        ("MAYPOLE_APPSERVICE__HS_TOKEN_FILE", "hs"),
        ("MAYPOLE_PORT_8668_TCP", "tcp://10.0.0.1:8668"),
    ];
    let check = maypole(folder.path(), &["config", "check"], &env);
    assert!(check.status.success(), "{}", err(&check));
    assert!(!out(&check).contains("tell-nobody"));

    env.push(("MAYPOLE_APPSERVICE__HS_TOKEN", token));
    env.push(("MAYPOLE_HOMESERVER__PORT", "tell-nobody"));
    let check = maypole(folder.path(), &["config", "check"], &env);
    assert_eq!(check.status.code(), Some(3));
    let said = err(&check);
    assert!(said.contains("MAYPOLE_HOMESERVER__PORT: there is no such key"), "{said}");
    assert!(said.contains("MAYPOLE_APPSERVICE__HS_TOKEN_FILE: appservice.hs_token_file: must not"), "{said}");
    assert!(!said.contains("tell-nobody"), "{said}");
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_maypole"))
        .args(["config", "reference"])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!((output.status.code(), err(&output)), (Some(0), String::new()));
}

#[test]
fn a_variable_with_a_typing_error_is_named_where_there_is_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let check = maypole(folder.path(), &["config", "check"], &[("MAYPOLE_HOMESERVER__ULR", "tell-nobody")]);
    assert_eq!(check.status.code(), Some(3));
    let said = err(&check);
    assert!(
        said.contains("MAYPOLE_HOMESERVER__ULR: there is no such key; MAYPOLE_HOMESERVER__URL was"),
        "{said}"
    );
    assert!(said.contains("environment: homeserver.url: is missing"), "{said}");
    assert!(!said.contains("tell-nobody"), "{said}");
}
