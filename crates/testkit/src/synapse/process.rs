//! The process of a Synapse: started with a pipe that ties its life to ours, signalled by its own process id alone.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::settings::{CONFIG_FILE, CONSOLE_FILE};

/// What the interpreter runs.
const LAUNCH: &str = include_str!("launch.py");

/// A running Synapse, or one that ended and was not yet waited for. Its standard input is a pipe that we hold.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    /// Behind a lock, so that it can be asked about while it is awaited.
    child: Mutex<Child>,
}

impl Process {
    /// Starts Synapse in a folder that has its configuration.
    ///
    /// It gets a process group of its own, so that Ctrl-C in a terminal reaches us and not it: it is stopped in its
    /// turn.
    pub(super) fn start(python: &Path, folder: &Path) -> Result<Self> {
        let console = File::options()
            .create(true)
            .append(true)
            .open(folder.join(CONSOLE_FILE))
            .context("cannot open Synapse's console log")?;
        let child = Command::new(python)
            // Isolated: no variable and no package of the user's own changes what is tested.
            .args(["-I", "-c", LAUNCH, "--config-path"])
            .arg(folder.join(CONFIG_FILE))
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()
            .with_context(|| format!("cannot run {}", python.display()))?;
        Ok(Self { pid: child.id(), child: Mutex::new(child) })
    }

    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Result<Option<ExitStatus>> {
        self.child().try_wait().context("cannot ask whether Synapse runs")
    }

    /// Sends a signal to this process, unless it has ended: then its id may be another's.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("Synapse ended by itself: {status}");
        }
        kill(self.as_pid()?, signal).with_context(|| format!("cannot send {signal} to Synapse"))
    }

    /// Whether it has stopped after a SIGSTOP, with all its threads.
    pub(super) fn stopped(&self) -> Result<bool> {
        let asked = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status =
            waitid(Id::Pid(self.as_pid()?), asked).context("cannot ask whether Synapse is paused")?;
        Ok(matches!(status, WaitStatus::Stopped(..)))
    }

    /// `kill -9`, paused or not, and waits for its end.
    pub(super) fn kill(self) -> Result<()> {
        let mut child = self.child();
        child.kill().context("cannot kill Synapse")?;
        child.wait().context("cannot wait for a killed Synapse")?;
        Ok(())
    }

    fn as_pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.pid).context("a process id beyond i32")?))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
