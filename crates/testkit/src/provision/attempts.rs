//! Something that is built once, in a folder, and then used by every test.
//!
//! One process builds, under a lock that the system frees even if that process is killed; the others wait for it. Each
//! attempt builds under a name of its own, and a file that is written last, by a rename, names the attempt that is
//! complete: what was left half-built is never used, not even while its orphaned installer still writes into it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use openmls::prelude::{HashType, OpenMlsCrypto as _};
use openmls_rust_crypto::RustCrypto;
use tokio::process::Command;

use crate::bounds::{PROVISION, PROVISION_TURN};
use crate::secrets;
use crate::synapse::log_tail;
use crate::wait::eventually;

/// What the name of an attempt begins with.
const ATTEMPT: &str = "built-";

/// Where something is built.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    /// A file, in the folder of an attempt, without which it is not complete.
    marker: &'static str,
}

/// One attempt, alone in its home.
pub(super) struct Attempt {
    /// Where it builds.
    pub(super) folder: PathBuf,
    /// Where what it prints goes.
    pub(super) log: PathBuf,
}

impl Home {
    /// A home of its own for each list of what is built.
    pub(super) fn new(folder: &Path, name: &str, list: &str, marker: &'static str) -> Result<Self> {
        Ok(Self { path: folder.join(format!("{name}-{}", fingerprint(list)?)), marker })
    }

    /// The folder of the complete attempt; it is built now if there is none.
    pub(super) async fn once(&self, build: impl AsyncFnOnce(&Attempt) -> Result<()>) -> Result<PathBuf> {
        if let Some(folder) = self.complete() {
            return Ok(folder);
        }
        let path = &self.path;
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let lock = File::create(path.join("lock")).context("cannot make the lock file")?;
        eventually(PROVISION_TURN, "another process that builds the same", async || match lock.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context("cannot lock the provisioning folder"),
        })
        .await?;
        if let Some(folder) = self.complete() {
            return Ok(folder);
        }
        self.discard_attempts()?;
        let name = format!("{ATTEMPT}{}", secrets::name()?);
        let attempt = Attempt { folder: path.join(&name), log: path.join(format!("{name}.log")) };
        tokio::time::timeout(PROVISION, build(&attempt))
            .await
            .map_err(|_| anyhow!("building in {} took more than {PROVISION:?}", path.display()))??;
        self.mark_complete(&name)?;
        Ok(attempt.folder)
    }

    /// The attempt that the home says is complete, if it still is.
    pub(super) fn complete(&self) -> Option<PathBuf> {
        let attempt = std::fs::read_to_string(self.path.join("complete")).ok()?;
        let plain = attempt.strip_prefix(ATTEMPT)?.bytes().all(|byte| byte.is_ascii_hexdigit());
        // The marker may be a link to something of the system's, which may have gone with an upgrade.
        let folder = self.path.join(&attempt);
        (plain && folder.join(self.marker).is_file()).then_some(folder)
    }

    /// Says, in one atomic step, which attempt is complete.
    fn mark_complete(&self, attempt: &str) -> Result<()> {
        let draft = self.path.join("complete.draft");
        std::fs::write(&draft, attempt).context("cannot write the mark of what is complete")?;
        std::fs::rename(&draft, self.path.join("complete")).context("cannot set the mark of what is complete")
    }

    /// Removes what earlier attempts left. One whose installer was orphaned and still writes may resist: it stays, unused.
    fn discard_attempts(&self) -> Result<()> {
        let path = &self.path;
        for entry in std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
            let path = entry?.path();
            if path.file_name().unwrap_or_default().to_string_lossy().starts_with(ATTEMPT) {
                let _ =
                    if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            }
        }
        Ok(())
    }
}

impl Attempt {
    /// Runs a step with its output in the log. What failed is said with the log's last lines.
    pub(super) async fn run(&self, mut command: Command, failure: &str) -> Result<()> {
        let log = &self.log;
        let file = File::options().create(true).append(true).open(log).context("cannot open the log")?;
        let status: ExitStatus = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .context(failure.to_owned())?
            .wait()
            .await?;
        if !status.success() {
            bail!("{failure}: {status}. The whole log is in {}; it ends:\n{}", log.display(), log_tail(log));
        }
        Ok(())
    }
}

/// A short name for a list of what is built.
pub(super) fn fingerprint(list: &str) -> Result<String> {
    let digest = RustCrypto::default()
        .hash(HashType::Sha2_256, list.as_bytes())
        .map_err(|error| anyhow!("no SHA-256: {error:?}"))?;
    Ok(secrets::hexadecimal(&digest).chars().take(16).collect())
}
