//! Holds generated pages to what is committed, in tests.

/// Compares a page of the repository with what the code makes of it. With `MAYPOLE_BLESS=1` it writes the page instead.
#[expect(clippy::disallowed_methods, reason = "a test's own switch, not the service's configuration")]
pub(crate) fn assert_current(page: &str, made: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var("MAYPOLE_BLESS").is_ok() {
        std::fs::write(&path, made).unwrap_or_else(|error| panic!("{page}: {error}"));
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "{page} is not current: run the tests once with MAYPOLE_BLESS=1");
}
