//! Holds generated pages to what is committed.

use std::path::Path;

/// Compares a page of a package, whose folder is `package`, with what the code makes of it. With `MAYPOLE_BLESS=1` it writes
/// the page instead.
#[expect(clippy::panic, reason = "a page that is not current must not look like a passed test")]
#[track_caller]
pub fn assert_current(package: &str, page: &str, made: &str) {
    let path = Path::new(package).join(page);
    if is_blessed() {
        std::fs::write(&path, made).unwrap_or_else(|error| panic!("{page}: {error}"));
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "{page} is not current: run the tests once with MAYPOLE_BLESS=1");
}

/// Whether pages are to be written.
#[expect(clippy::disallowed_methods, reason = "a test's own switch, not the service's configuration")]
pub fn is_blessed() -> bool {
    std::env::var("MAYPOLE_BLESS").is_ok()
}
