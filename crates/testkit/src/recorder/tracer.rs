//! Follows a program and all its threads and children from one system call to the next.
//!
//! A thread about to change the folder waits at the entry of its call while another's change is under way: so the order of the
//! record is the order in which the kernel did it. All calls of `ptrace` come from the thread that made the tracer; it waits for its own children
//! alone, because the process may have others.

use std::collections::{HashMap, VecDeque};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::calls::{Intent, Watch};
use super::op::Op;
use super::process::Thread;
use super::registers::{self, Side};

/// The most steps of one record.
const OPS: usize = 4_000_000;
/// The most bytes that one record may hold.
const RECORD_BYTES: usize = 512 * 1024 * 1024;
/// The largest file, holes included: a replay has it in memory.
const FILE_BYTES: u64 = 512 * 1024 * 1024;
/// The longest line that is looked at for an acknowledgement.
const LINE_BYTES: usize = 4_096;

/// How a recorded program came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(Signal),
    /// By the recorder, which had seen enough.
    SeenEnough,
}

/// A program under observation, and what was recorded of it so far.
pub(super) struct Tracer {
    root: Pid,
    watch: Watch,
    acks_wanted: Option<u64>,
    acks: u64,
    line: Vec<u8>,
    ops: Vec<Op>,
    bytes: usize,
    under_way: HashMap<Pid, Intent>,
    changing: Option<Pid>,
    waiting: VecDeque<Pid>,
    torn: bool,
}

/// The record of a program that has ended.
pub(super) struct Traced {
    pub(super) ops: Vec<Op>,
    pub(super) ended: Ended,
    /// Whether a change was under way when the program ended, so that the folder may hold more than the record.
    pub(super) torn: bool,
}

impl Tracer {
    /// Takes hold of a child of this thread that has stopped itself. It dies with this thread.
    pub(super) fn seize(root: Pid, watch: Watch, acks_wanted: Option<u64>) -> Result<Self> {
        let own = WaitPidFlag::WUNTRACED | WaitPidFlag::__WNOTHREAD;
        match waitpid(root, Some(own))? {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
            other => bail!("the program ended before it was recorded: {other:?}"),
        }
        let options = Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(root, options).context("ptrace is not allowed here")?;
        kill(root, Signal::SIGCONT)?;
        Ok(Self {
            root,
            watch,
            acks_wanted,
            acks: 0,
            line: Vec::new(),
            ops: Vec::new(),
            bytes: 0,
            under_way: HashMap::new(),
            changing: None,
            waiting: VecDeque::new(),
            torn: false,
        })
    }

    /// Records until the program ends. Children that outlive it are killed.
    pub(super) fn run(mut self) -> Result<Traced> {
        let outcome = self.follow();
        if !matches!(outcome, Ok(Ended::Exited(_) | Ended::Killed(_))) {
            end(self.root)?;
        }
        let torn = self.torn || self.changing.is_some();
        Ok(Traced { ended: outcome?, ops: self.ops, torn })
    }

    fn follow(&mut self) -> Result<Ended> {
        let own = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        while !self.seen_enough() {
            match waitpid(None, Some(own))? {
                WaitStatus::Exited(pid, status) if pid == self.root => return Ok(Ended::Exited(status)),
                WaitStatus::Signaled(pid, signal, _) if pid == self.root => {
                    return Ok(Ended::Killed(signal));
                }
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _) => self.lost(pid)?,
                WaitStatus::PtraceSyscall(pid) => {
                    if let Err(error) = self.stopped(pid)
                        && ptrace::getregs(pid).is_ok()
                    {
                        // The thread is still there, so the error is no sign of its death.
                        return Err(error);
                    }
                }
                WaitStatus::PtraceEvent(pid, _, _) => resume(pid, None)?,
                WaitStatus::Stopped(pid, signal) => resume(pid, Some(signal))?,
                WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
            }
        }
        Ok(Ended::SeenEnough)
    }

    /// The last acknowledgement is there and no change is under way, so that the record is whole.
    fn seen_enough(&self) -> bool {
        self.changing.is_none() && self.acks_wanted.is_some_and(|wanted| self.acks >= wanted)
    }

    fn stopped(&mut self, pid: Pid) -> Result<()> {
        match registers::side(pid)? {
            Some(Side::Entry) => self.entered(pid),
            Some(Side::Exit) => self.left(pid),
            None => resume(pid, None),
        }
    }

    fn entered(&mut self, pid: Pid) -> Result<()> {
        let call = registers::call(pid)?;
        let Some(intent) = self.watch.plan(Thread(pid), call, self.ops.len())? else {
            return resume(pid, None);
        };
        if intent.is_exclusive() {
            if self.changing.is_some() {
                self.waiting.push_back(pid);
                return Ok(());
            }
            self.changing = Some(pid);
        }
        if let Intent::Say { text } = &intent {
            self.heard(text);
        }
        self.under_way.insert(pid, intent);
        resume(pid, None)
    }

    fn left(&mut self, pid: Pid) -> Result<()> {
        if let Some(intent) = self.under_way.remove(&pid) {
            let result = registers::result(pid)?;
            if let Some(op) = self.watch.done(Thread(pid), intent, result)? {
                self.record(op)?;
            }
            resume(pid, None)?;
            return self.next_change(pid);
        }
        resume(pid, None)
    }

    /// A thread or child has ended; the change that it had under way, if any, has ended with it.
    fn lost(&mut self, pid: Pid) -> Result<()> {
        self.torn |= self.under_way.remove(&pid).is_some_and(|intent| intent.is_exclusive());
        self.waiting.retain(|waiting| *waiting != pid);
        self.next_change(pid)
    }

    /// Lets the longest-waiting thread make its change, after `pid` has made its own.
    fn next_change(&mut self, pid: Pid) -> Result<()> {
        if self.changing == Some(pid) {
            self.changing = None;
        }
        while self.changing.is_none()
            && !self.seen_enough()
            && let Some(next) = self.waiting.pop_front()
        {
            if let Err(error) = self.entered(next)
                && ptrace::getregs(next).is_ok()
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Looks for acknowledgements in what the program prints. They count from the call's beginning: from there on somebody may have seen them.
    fn heard(&mut self, text: &[u8]) {
        for byte in text {
            if *byte != b'\n' {
                if self.line.len() < LINE_BYTES {
                    self.line.push(*byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let number = std::str::from_utf8(&line).ok().and_then(|line| line.strip_prefix("ack "));
            if let Some(number) = number.and_then(|number| number.trim().parse().ok()) {
                self.acks += 1;
                self.ops.push(Op::Ack { number });
            }
        }
    }

    fn record(&mut self, op: Op) -> Result<()> {
        let end = match &op {
            Op::Write { offset, data, .. } => {
                self.bytes += data.len();
                *offset
            }
            Op::SetLen { len, .. } | Op::Grow { len, .. } => *len,
            _ => 0,
        };
        if end > FILE_BYTES {
            bail!("a file of more than {FILE_BYTES} bytes cannot be recorded");
        }
        if self.ops.len() >= OPS || self.bytes > RECORD_BYTES {
            bail!("the record is full: {} steps, {} bytes", self.ops.len(), self.bytes);
        }
        self.ops.push(op);
        Ok(())
    }
}

/// Kills the program and waits until it is gone.
fn end(root: Pid) -> Result<()> {
    kill(root, Signal::SIGKILL)?;
    loop {
        // Its threads have to be waited for as well: before they are gone, the program is not.
        match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) if pid == root => return Ok(()),
            Err(Errno::ECHILD) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Lets a stopped thread run to its next stop. That it may have died meanwhile is no error: its end is reported by itself.
fn resume(pid: Pid, signal: Option<Signal>) -> Result<()> {
    match ptrace::syscall(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
