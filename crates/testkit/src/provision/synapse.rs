//! Synapse from PyPI, in a Python virtual environment. Its folder is named after the pinned list of packages, so a new list
//! makes a new environment.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::process::Command;

use super::attempts::{Attempt, Home};
use super::place;
use crate::bounds::PYTHON_VERSION;
use crate::wait;

/// Synapse and everything that it needs, each at one version.
const REQUIREMENTS: &str = include_str!("../../synapse-requirements.txt");
/// The oldest Python that the pinned Synapse runs on.
const OLDEST_PYTHON: (u32, u32) = (3, 10);
/// The interpreter of an environment.
const PYTHON: &str = "bin/python";

/// What to install, with which Python, and where.
#[derive(Debug, Clone)]
pub struct Provision {
    python: PathBuf,
    requirements: String,
    folder: PathBuf,
}

impl Provision {
    /// The pinned Synapse, with the `python3` of the path, in the provisioning folder.
    pub fn synapse() -> Result<Self> {
        Ok(Self { python: "python3".into(), requirements: REQUIREMENTS.into(), folder: place::folder()? })
    }

    /// The Python interpreter of the complete environment, which is built now if it is not there.
    pub async fn python(&self) -> Result<PathBuf> {
        let home = self.home()?;
        let venv = home.once(async |attempt| self.build(attempt).await).await?;
        Ok(venv.join(PYTHON))
    }

    fn home(&self) -> Result<Home> {
        Home::new(&self.folder, "synapse-venv", &self.requirements, PYTHON)
    }

    async fn build(&self, attempt: &Attempt) -> Result<()> {
        self.check_python().await?;
        let watch = wait::Stopwatch::start();
        let venv = &attempt.folder;
        eprintln!("Installing Synapse from PyPI into {} (once; about a minute) …", venv.display());

        let mut make = Command::new(&self.python);
        make.arg("-m").arg("venv").arg(venv);
        attempt.run(make, "python3 cannot make a virtual environment (`python3 -m venv`)").await?;

        let list = venv.join("requirements.txt");
        std::fs::write(&list, &self.requirements).context("cannot write the list of packages")?;
        let mut install = Command::new(venv.join(PYTHON));
        install.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "-r"]).arg(&list);
        attempt.run(install, "pip cannot install Synapse").await?;
        eprintln!("Installed Synapse in {:.1} s.", watch.elapsed().as_secs_f64());
        Ok(())
    }

    /// Refuses a Python that is missing or too old, before anything is downloaded.
    async fn check_python(&self) -> Result<()> {
        let (major, minor) = OLDEST_PYTHON;
        let needed =
            format!("Synapse needs Python {major}.{minor} or newer, as `python3`, with its `venv` module");
        let mut ask = Command::new(&self.python);
        ask.args(["-c", "import sys; print(*sys.version_info[:2])"]).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PYTHON_VERSION, ask.output())
            .await
            .map_err(|_| anyhow!("`{}` does not say its version", self.python.display()))?
            .with_context(|| format!("cannot run `{}`. {needed}", self.python.display()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = parse_version(&said).with_context(|| {
            format!("`{}` said {said:?}, which is no version. {needed}", self.python.display())
        })?;
        ensure!(version >= OLDEST_PYTHON, "this is Python {}.{}. {needed}", version.0, version.1);
        Ok(())
    }
}

/// "3 11" as numbers.
fn parse_version(said: &str) -> Option<(u32, u32)> {
    let (major, minor) = said.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::attempts::fingerprint;
    use super::*;

    /// A folder with a stand-in for `python3`: it says `version`, and makes environments whose Python does `install`.
    fn stand_in(version: &str, install: &str) -> (tempfile::TempDir, Provision) {
        let folder = tempfile::tempdir().unwrap();
        let python = folder.path().join("python3");
        let script = format!(
            "#!/bin/sh\ncase \"$1 $2\" in\n'-c '*) echo {version};;\n'-m venv')\n\
             mkdir -p \"$3/bin\"; echo made >> '{0}/made'\n\
             printf '#!/bin/sh\\n%s\\n' '{install}' > \"$3/bin/python\"; chmod +x \"$3/bin/python\";;\nesac\n",
            folder.path().display()
        );
        // Written by another process: were it open for writing here while another test forks, it could not be run.
        let write = "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"";
        let written =
            std::process::Command::new("sh").args(["-c", write, "sh", &script]).arg(&python).status();
        assert!(written.unwrap().success());
        let requirements = "nothing==1.0\n".into();
        let provision = Provision { python, requirements, folder: folder.path().join("provision") };
        (folder, provision)
    }

    fn made(folder: &tempfile::TempDir) -> usize {
        std::fs::read_to_string(folder.path().join("made")).unwrap_or_default().lines().count()
    }

    async fn refusal(provision: &Provision) -> String {
        let refused = tokio::time::timeout(Duration::from_secs(20), provision.python()).await.unwrap();
        format!("{:#}", refused.unwrap_err())
    }

    #[tokio::test]
    async fn a_missing_python_is_said_clearly() {
        let (folder, mut provision) = stand_in("3 11", "");
        provision.python = folder.path().join("nowhere");
        let error = refusal(&provision).await;
        assert!(error.contains("cannot run") && error.contains("Python 3.10 or newer"), "{error}");
    }

    #[tokio::test]
    async fn an_old_python_is_refused_before_anything_is_made() {
        let (folder, provision) = stand_in("3 9", "");
        let error = refusal(&provision).await;
        assert!(error.contains("this is Python 3.9. Synapse needs Python 3.10"), "{error}");
        assert_eq!(made(&folder), 0);
        for nonsense in ["", "2", "x y"] {
            let (_folder, provision) = stand_in(nonsense, "");
            assert!(refusal(&provision).await.contains("which is no version"));
        }
    }

    #[tokio::test]
    async fn a_failing_pip_shows_its_last_lines_and_the_log() {
        let (_folder, provision) = stand_in("3 11", "seq 1 500; echo no such package; exit 3");
        let error = refusal(&provision).await;
        assert!(error.contains("pip cannot install Synapse") && error.contains("no such package"), "{error}");
        assert!(!error.contains("\n400\n") && error.contains("\n500\n"), "{error}");
        let log = error.split("The whole log is in ").nth(1).unwrap().split(';').next().unwrap();
        assert!(std::fs::read_to_string(log).unwrap().contains("\n400\n"));
    }

    #[tokio::test]
    async fn what_failed_or_was_half_built_is_built_again() {
        let (folder, provision) = stand_in("3 11", "exit 1");
        refusal(&provision).await;
        let (other, good) = stand_in("3 11", "exit 0");
        let provision = Provision { folder: provision.folder, ..good };
        let python = provision.python().await.unwrap();
        assert!(python.is_file());
        assert_eq!((made(&folder), made(&other)), (1, 1));
        // Complete: used again as it is.
        assert_eq!(provision.python().await.unwrap(), python);
        assert_eq!(made(&other), 1);
        // The interpreter is gone, as after an upgrade of the system's Python.
        std::fs::remove_file(&python).unwrap();
        assert_ne!(provision.python().await.unwrap(), python);
        assert_eq!(made(&other), 2);
    }

    #[tokio::test]
    async fn a_mark_that_names_something_else_is_not_believed() {
        let (_folder, provision) = stand_in("3 11", "exit 0");
        let python = provision.python().await.unwrap();
        let home = python.ancestors().nth(3).unwrap();
        for mark in ["", "built-", "built-../../..", "..", "built-0123456789"] {
            std::fs::write(home.join("complete"), mark).unwrap();
            assert_eq!(provision.home().unwrap().complete(), None, "{mark:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_at_once_build_once() {
        let (folder, provision) = stand_in("3 11", "exit 0");
        let all: Vec<_> = (0..8)
            .map(|_| {
                let provision = provision.clone();
                tokio::spawn(async move { provision.python().await.unwrap() })
            })
            .collect();
        let mut pythons = Vec::new();
        for one in all {
            pythons.push(one.await.unwrap());
        }
        pythons.dedup();
        assert_eq!((pythons.len(), made(&folder)), (1, 1));
    }

    #[test]
    fn another_list_has_another_folder() {
        assert_ne!(fingerprint("a==1").unwrap(), fingerprint("a==2").unwrap());
        assert!(REQUIREMENTS.contains("matrix-synapse==1.163.2\n"));
    }
}
