//! Where provisioned programs live: beside what cargo builds, so that a fresh clone needs no setting and
//! `cargo clean` removes everything.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Names the folder outright.
const OWN_VARIABLE: &str = "MAYPOLE_PROVISION_DIR";
/// Cargo's name for its target folder.
const CARGO_VARIABLE: &str = "CARGO_TARGET_DIR";
/// The file by which cargo marks its target folder.
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// The provisioning folder of this process.
pub(super) fn folder() -> Result<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let chosen = choose(std::env::var_os(OWN_VARIABLE), std::env::var_os(CARGO_VARIABLE), &program);
    std::path::absolute(&chosen).with_context(|| format!("no absolute path for {}", chosen.display()))
}

/// The variable of our own; cargo's target folder by its variable, or around the running program; `./target`.
fn choose(own: Option<OsString>, cargo: Option<OsString>, program: &Path) -> PathBuf {
    if let Some(own) = own.filter(|value| !value.is_empty()) {
        return own.into();
    }
    // A relative one is meant from where cargo was started, which a test does not know.
    let by_variable = cargo.map(PathBuf::from).filter(|path| path.is_absolute());
    let around =
        || program.ancestors().skip(1).find(|folder| folder.join(CACHE_TAG).is_file()).map(Path::to_owned);
    by_variable.or_else(around).unwrap_or_else(|| "target".into()).join("provision")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_variable_comes_first() {
        let chosen = choose(Some("/p".into()), Some("/t".into()), Path::new("/x/debug/maypole"));
        assert_eq!(chosen, Path::new("/p"));
        assert_eq!(choose(Some("".into()), Some("/t".into()), Path::new("/x")), Path::new("/t/provision"));
    }

    #[test]
    fn then_the_target_folder_however_it_is_named() {
        let target = tempfile::tempdir().unwrap();
        let program = target.path().join("debug/deps/it-0123");
        assert_eq!(choose(None, Some("/t".into()), &program), Path::new("/t/provision"));
        assert_eq!(choose(None, None, &program), Path::new("target/provision"), "no tag: no target folder");
        std::fs::write(target.path().join(CACHE_TAG), "").unwrap();
        assert_eq!(choose(None, None, &program), target.path().join("provision"));
        assert_eq!(choose(None, Some("relative".into()), &program), target.path().join("provision"));
    }

    #[test]
    fn the_folder_is_absolute() {
        assert!(folder().unwrap().is_absolute());
    }
}
