//! No program that a test starts may hold it up: each has its time, and is killed by its process id after that.

use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Runs a program without input to its end and returns what it printed. If that takes longer than `within`, it is killed,
/// which is an error: a reader that never comes back has found nothing.
pub fn output_within(command: &mut Command, within: Duration) -> Result<Output> {
    let program = command.get_program().to_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.with_context(|| format!("cannot start {}", program.display()))?;
    killed_after(process_id(&child)?, within, || Ok(child.wait_with_output()?))
}

/// The process id of a child.
pub(super) fn process_id(child: &Child) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(child.id())?))
}

/// Does the work that waits for a process, and kills the process if that takes too long.
pub(super) fn killed_after<T>(process: Pid, within: Duration, work: impl FnOnce() -> Result<T>) -> Result<T> {
    thread::scope(|scope| {
        let (done, waits) = mpsc::channel::<()>();
        let guard = scope.spawn(move || {
            let late = waits.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                // It may have ended at this very moment.
                kill(process, Signal::SIGKILL).ok();
            }
            late
        });
        let outcome = work();
        drop(done);
        match guard.join() {
            Ok(true) => bail!("the program did not end within {within:?}"),
            _ => outcome,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let refusal = output_within(Command::new("sleep").arg("100"), Duration::from_millis(50));
        assert!(refusal.unwrap_err().to_string().contains("did not end"));
    }

    #[test]
    fn a_program_that_ends_has_its_say() {
        let output = output_within(Command::new("echo").arg("hello"), Duration::from_secs(20)).unwrap();
        assert_eq!(output.stdout, b"hello\n");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        assert!(output_within(&mut Command::new("/absent"), Duration::from_secs(20)).is_err());
    }
}
