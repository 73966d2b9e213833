//! Generated pages, held to what is committed.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Compares a page with what the code makes of it. With `MAYPOLE_BLESS=1` it writes the page instead.
///
/// # Errors
/// When the page is not what the code makes, or cannot be read or written.
pub fn ensure_current(page: &Path, made: &str) -> Result<()> {
    let name = page.display();
    if is_blessed() {
        std::fs::write(page, made).with_context(|| format!("{name} cannot be written"))?;
    }
    let committed = std::fs::read_to_string(page).with_context(|| format!("{name} cannot be read"))?;
    ensure!(committed == made, "{name} is not current: run the tests once with MAYPOLE_BLESS=1");
    Ok(())
}

/// Whether pages are to be written.
#[expect(clippy::disallowed_methods, reason = "a test's own switch, not the service's configuration")]
pub fn is_blessed() -> bool {
    std::env::var("MAYPOLE_BLESS").is_ok()
}
