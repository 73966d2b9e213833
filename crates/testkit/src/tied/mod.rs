//! A server's process whose life is tied to ours: started with a pipe that is watched, signalled by its own process id alone.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// What the interpreter runs first: the watcher.
const TIE: &str = include_str!("tie.py");

/// How a server is started: by a Python that becomes it.
pub(crate) struct Launch<'a> {
    /// What it is, in errors.
    pub(crate) name: &'static str,
    /// The interpreter.
    pub(crate) python: &'a Path,
    /// What the interpreter does, once it is watched, to become the server.
    pub(crate) become_it: &'a str,
    /// What that is told.
    pub(crate) arguments: Vec<OsString>,
    /// Where it runs.
    pub(crate) folder: &'a Path,
    /// Where what it prints goes.
    pub(crate) console: &'a Path,
}

/// A running server, or one that ended and was not yet waited for. Its standard input is a pipe that we hold.
#[derive(Debug)]
pub(crate) struct Tied {
    name: &'static str,
    pid: u32,
    /// Behind a lock, so that it can be asked about while it is awaited.
    child: Mutex<Child>,
}

impl Launch<'_> {
    /// Starts it.
    ///
    /// It gets a process group of its own, so that Ctrl-C in a terminal reaches us and not it: it is stopped in its
    /// turn.
    pub(crate) fn start(self) -> Result<Tied> {
        let Self { name, python, become_it, arguments, folder, console } = self;
        let console = File::options()
            .create(true)
            .append(true)
            .open(console)
            .with_context(|| format!("cannot open {name}'s console log"))?;
        let child = Command::new(python)
            // Isolated: no variable and no package of the user's own changes what is tested.
            .args(["-I", "-c", &format!("{TIE}\n{become_it}")])
            .args(arguments)
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()
            .with_context(|| format!("cannot run {}", python.display()))?;
        Ok(Tied { name, pid: child.id(), child: Mutex::new(child) })
    }
}

impl Tied {
    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Result<Option<ExitStatus>> {
        self.child().try_wait().with_context(|| format!("cannot ask whether {} runs", self.name))
    }

    /// Sends a signal to this process, unless it has ended: then its id may be another's.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("{} ended by itself: {status}", self.name);
        }
        kill(self.as_pid()?, signal).with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Whether it has stopped after a SIGSTOP, with all its threads.
    pub(crate) fn stopped(&self) -> Result<bool> {
        let asked = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = waitid(Id::Pid(self.as_pid()?), asked)
            .with_context(|| format!("cannot ask whether {} is paused", self.name))?;
        Ok(matches!(status, WaitStatus::Stopped(..)))
    }

    /// Waits for its end, which was asked for.
    pub(crate) fn wait(self) -> Result<()> {
        self.child().wait().with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    /// `kill -9`, paused or not, and waits for its end.
    pub(crate) fn kill(self) -> Result<()> {
        let mut child = self.child();
        child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        child.wait().with_context(|| format!("cannot wait for {}, which was killed", self.name))?;
        Ok(())
    }

    fn as_pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.pid).context("a process id beyond i32")?))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
