//! Holds generated pages to what is committed, in tests.

/// Compares a page of the repository with what the code makes of it. With `MAYPOLE_BLESS=1` it writes the page instead.
pub(crate) fn assert_current(page: &str, made: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    maypole_testkit::generated::ensure_current(&path, made).unwrap();
}
