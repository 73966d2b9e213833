//! Command lines, what they print, and how they end.

pub(crate) mod stored;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

#[expect(clippy::disallowed_methods, reason = "a test stands in for main")]
fn token() -> maypole_core::auth::AuthToken {
    maypole_core::auth::AuthToken::make()
}

pub(crate) struct Ran {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) fn maypole(arguments: &[&str]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut surroundings = Surroundings { token: token(), env: Vec::new(), out: &mut out, err: &mut err };
    let exit = run(std::iter::once(&"maypole").chain(arguments), &mut surroundings);
    Ran { exit, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn wrong_command_lines_are_refused() {
    for wrong in [
        &["banana"][..],
        &[],
        &["config"],
        &["keys"],
        &["keys", "backup"],
        &["explain"],
        &["explain", "alice"],
        &["explain", "@alice:a.org"],
        &["explain", "!room:a.org", "x"],
        &["log"],
        &["log", "show"],
        &["log", "show", "alice"],
        &["log", "show", "!room:a.org", "--from", "-1"],
        &["log", "show", "!room:a.org", "--to", "9007199254740992"],
        &["log", "verify"],
        &["log", "verify", "!room:a.org", "--file", "x"],
        &["log", "verify", "--file", "x", "--key", "AAAA"],
        &["freeze"],
        &["freeze", "!room:a.org"],
        &["freeze", "!room:a.org", "--reason", ""],
        &["freeze", "--reason", "x"],
        &["freeze", "!room:a.org", "--list"],
        &["freeze", "room", "--reason", "x"],
        &["unfreeze"],
        &["unfreeze", "alice"],
        &["registration", "check"],
        &["registration", "banana"],
        &["registration", "--server-name", "http://a.org"],
        &["registration", "--user-id", "alice"],
        &["registration", "--url", "a.org"],
        &["registration", "--server-name", "a.org", "--user-id", "@:a.org"],
        &["registration", "--server-name", "a.org", "check", "x"],
        &["version", "x"],
    ] {
        let ran = maypole(wrong);
        assert_eq!(ran.exit, Exit::Usage, "{wrong:?}: {} {}", ran.out, ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{wrong:?}");
    }
}

#[test]
fn help_and_version_are_answers() {
    for asked in
        [&["--help"][..], &["help"], &["config", "--help"], &["keys", "restore", "-h"], &["--version"]]
    {
        let ran = maypole(asked);
        assert_eq!((ran.exit, ran.err.as_str()), (Exit::Ok, ""), "{asked:?}");
    }
    assert!(maypole(&["--help"]).out.contains(&Exit::help()));
    assert_eq!(maypole(&["version"]).out, format!("maypole {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_bare_registration_is_generated() {
    let bare = maypole(&["registration"]);
    let named = maypole(&["registration", "generate"]);
    assert_eq!((bare.exit, named.exit), (Exit::Ok, Exit::Ok));
    let without_tokens = |text: &str| {
        text.lines().filter(|line| !line.contains("_token: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without_tokens(&bare.out), without_tokens(&named.out));
    assert_ne!(bare.out, named.out);
    assert!(bare.out.contains("regex: '@:.+'") && bare.out.contains("url: 'http://127.0.0.1:8668'"));
}

#[test]
fn a_registration_says_what_it_is_told() {
    let ran = maypole(&["registration", "--server-name", "a-b.org:8448", "--url", "http://10.0.0.1:1/"]);
    assert!(ran.out.contains("regex: '^@:a\\-b\\.org:8448$'"), "{}", ran.out);
    assert!(ran.out.contains("url: 'http://10.0.0.1:1'"), "{}", ran.out);
    let ran = maypole(&["registration", "generate", "--user-id", "@mls:a.org"]);
    assert!(ran.out.contains("regex: '^@mls:a\\.org$'"), "{}", ran.out);
}

#[test]
fn a_registration_follows_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (config, out) = (folder.path().join("c.yaml"), folder.path().join("registration.yaml"));
    fs::write(&config, crate::config::example().replace("#public_url:", "public_url: https://mls.a.org"))
        .unwrap();
    let arguments = ["registration", "--config", text(&config), "--out", text(&out)];
    let ran = maypole(&arguments);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Ok, ""));
    let written = fs::read_to_string(&out).unwrap();
    assert!(written.contains("'^@:a\\.org$'") && written.contains("'https://mls.a.org'"), "{written}");
    assert!(!ran.out.contains("_token"), "{}", ran.out);
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);

    let again = maypole(&arguments);
    assert_eq!(again.exit, Exit::Failed, "{}", again.err);
    assert_eq!(fs::read_to_string(&out).unwrap(), written);

    let check = maypole(&["registration", "check", text(&out), "--config", text(&config)]);
    assert_eq!((check.exit, check.out.as_str()), (Exit::Ok, "ok (errors: 0, warnings: 0)\n"));
    let config_check = maypole(&["config", "check", text(&config)]);
    assert_eq!(config_check.exit, Exit::Ok, "{}", config_check.err);
    assert!(config_check.out.starts_with("ok\n"), "{}", config_check.out);

    fs::write(&config, "banana: 1\n").unwrap();
    assert_eq!(maypole(&["registration", "--config", text(&config)]).exit, Exit::Configuration);
}

#[test]
fn a_check_says_everything_and_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registration.yaml");
    let good = maypole(&["registration"]).out;
    fs::write(&file, good.replace("org.matrix.msc3202: true", "")).unwrap();
    let warned = maypole(&["registration", "check", text(&file)]);
    assert_eq!(warned.exit, Exit::Ok);
    assert!(
        warned.out.contains("registration.yaml: warning: org.matrix.msc3202: is missing"),
        "{}",
        warned.out
    );
    assert!(warned.out.ends_with("ok (errors: 0, warnings: 1)\n"), "{}", warned.out);

    let tokens: Vec<&str> =
        good.lines().filter_map(|line| line.split_once("_token: ")).map(|pair| pair.1).collect();
    fs::write(&file, good.replace(tokens[1], tokens[0]).replace("_mls_ds", "''")).unwrap();
    let refused = maypole(&["registration", "check", text(&file)]);
    assert_eq!(refused.exit, Exit::Configuration);
    assert!(refused.out.contains("error: hs_token: ") && refused.out.contains("error: sender_localpart: "));
    assert!(!tokens.iter().any(|token| refused.out.contains(token)), "{}", refused.out);

    let none = maypole(&["registration", "check", text(&folder.path().join("none"))]);
    assert_eq!(none.exit, Exit::Configuration);
}

#[test]
fn a_wrong_configuration_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    fs::write(&file, crate::config::example().replace("url:", "ulr:")).unwrap();
    let ran = maypole(&["config", "check", text(&file)]);
    assert_eq!(ran.exit, Exit::Configuration);
    assert!(
        ran.err.contains("c.yaml: homeserver.ulr: there is no such key; `url` was probably meant"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("homeserver.url: is missing"), "{}", ran.err);
    let ran = maypole(&["config", "check", text(&folder.path().join("none.yaml"))]);
    assert!(ran.exit == Exit::Configuration && ran.err.contains("there is no such file"), "{}", ran.err);
}

#[test]
fn keys_go_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (config, backup) = (folder.path().join("c.yaml"), folder.path().join("backup"));
    fs::write(&config, crate::config::example()).unwrap();
    let keys = |command| maypole(&["keys", command, text(&backup), "--config", text(&config)]);

    let none = keys("backup");
    assert!(none.exit == Exit::Keys && none.err.contains("keys are missing"), "{}", none.err);
    assert_eq!(keys("restore").exit, Exit::Keys);
    crate::keys::Keys::open_or_create(&folder.path().join("data/keys"), false).unwrap();
    assert_eq!(keys("backup").exit, Exit::Ok);
    assert_eq!(keys("backup").exit, Exit::Keys);
    let same = keys("restore");
    assert!(same.exit == Exit::Ok && same.out.contains("nothing was changed"), "{}", same.out);
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    assert_eq!(keys("restore").exit, Exit::Ok);
    crate::keys::Keys::open_or_create(&folder.path().join("data/keys"), true).unwrap();
}

#[test]
fn an_explanation_comes_from_the_running_service() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.yaml");
    let socket = folder.path().join("data/admin.sock");
    fs::write(&config, crate::config::example()).unwrap();
    let explain =
        |room, more: &[&str]| maypole(&[&["explain", room, "--config", text(&config)], more].concat());
    let without = explain("!room:a.org", &[]);
    assert_eq!((without.exit, without.out.as_str()), (Exit::Failed, ""));
    assert!(without.err.contains("no service listens on") && without.err.contains("maypole serve"));

    fs::create_dir(folder.path().join("data")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(crate::admin::Listener::open(&socket)).unwrap();
    let known = crate::admin::tests::explanation();
    let fake = crate::admin::tests::Fake::Knows(Box::new(known.clone()));
    let stop = tokio_util::sync::CancellationToken::new();
    let serving = runtime.spawn(listener.serve(fake, crate::admin::AdminLimits::default(), stop.clone()));

    let words = explain("!room:a.org", &[]);
    assert_eq!((words.exit, words.err.as_str()), (Exit::Ok, ""));
    assert!(
        words.out.starts_with("!room:a.org\n  group ") && words.out.contains("leaf 2      @bob:b.org/LAPTOP")
    );
    let json = explain("!room:a.org", &["--json"]);
    assert_eq!(serde_json::from_str::<crate::admin::Explanation>(&json.out).unwrap(), known);
    let frozen = maypole(&["freeze", "!room:a.org", "--reason", "moving", "--config", text(&config)]);
    assert_eq!((frozen.exit, frozen.err.as_str()), (Exit::Ok, ""));
    assert!(frozen.out.starts_with("!room:a.org: frozen."), "{}", frozen.out);
    let listed = maypole(&["freeze", "--list", "--config", text(&config)]);
    let lines: Vec<&str> = listed.out.lines().collect();
    assert!(lines[0].starts_with("!room:a.org  for ") && lines[0].ends_with(": moving to another server"));
    assert!(lines[1].ends_with(": the service lacks power in the room: it may not ban"), "{}", listed.out);
    assert_eq!(lines.len(), 2, "{}", listed.out);
    let lifted = maypole(&["unfreeze", "!room:a.org", "--config", text(&config)]);
    assert_eq!((lifted.exit, lifted.out.as_str()), (Exit::Ok, "!room:a.org: unfrozen\n"));
    let unknown = maypole(&["unfreeze", "!other:a.org", "--config", text(&config)]);
    assert_eq!((unknown.exit, unknown.out.as_str()), (Exit::Failed, ""));

    let unknown = explain("!other:a.org", &["--json"]);
    assert_eq!((unknown.exit, unknown.out.as_str()), (Exit::Failed, ""));
    assert!(unknown.err.contains("keeps no group for !other:a.org"), "{}", unknown.err);

    stop.cancel();
    runtime.block_on(serving).unwrap();
    assert!(explain("!room:a.org", &[]).err.contains("no service listens on"));
}

#[test]
fn all_that_a_backup_froze_is_unfrozen_whatever_else_is_frozen() {
    let place = stored::Place::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut known = crate::admin::tests::explanation();
    let in_doubt =
        |cause| crate::admin::Freeze { since_ms: 0, reason: crate::service::IN_DOUBT.into(), cause };
    // The first page is full of other reasons; the second has what is looked for, and a cause of the group's own.
    known.agenda.freezes.push(in_doubt(None));
    let fake = crate::admin::tests::Fake::Knows(Box::new(known));
    let socket = place.path("data/admin.sock");
    let listener = runtime.block_on(crate::admin::Listener::open(&socket)).unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let serving = runtime.spawn(listener.serve(fake, crate::admin::AdminLimits::default(), stop.clone()));
    let lifted = place.run(&["unfreeze", "--after-restore"]);
    assert_eq!((lifted.exit, lifted.out.as_str()), (Exit::Ok, "!room:a.org: unfrozen\n"), "{}", lifted.err);
    let said = "1 groups were frozen because of the backup, and are not any more\n\
                2 other reasons for which groups are frozen stand: see `maypole freeze --list`\n";
    assert_eq!(lifted.err, said);
    stop.cancel();
    runtime.block_on(serving).unwrap();
}

/// A reader that has gone, as `maypole config example | head -1` leaves it.
struct ClosedPipe;

impl Write for ClosedPipe {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let mut err = Vec::new();
    let mut surroundings =
        Surroundings { token: token(), env: Vec::new(), out: &mut ClosedPipe, err: &mut err };
    assert_eq!(run(["maypole", "config", "example"], &mut surroundings), Exit::Ok);
    assert!(err.is_empty());
}
