//! The recorder's front: run a program, and ask for its acknowledgements and for the folder after a power loss.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::Pid;

use super::base::Base;
use super::bounded::{killed_after, process_id};
use super::calls::Watch;
use super::cut::{Cut, Cuts, Policy};
use super::live::LiveTree;
use super::op::Op;
use super::replay::Replay;
use super::tracer::{Ended, Traced, Tracer};

/// How much of a program's error output a failure quotes.
const STDERR_BYTES: u64 = 4_096;
/// The shell stops itself, so that the recorder can take hold of it, and then becomes the program.
const STOP_AND_BECOME: &str = "kill -STOP $$; exec \"$@\"";

/// When a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When the program ends by itself. Its status must be 0.
    Exit,
    /// When it has printed so many acknowledgements; then it is killed with SIGKILL.
    Acks(u64),
}

/// Everything that a program did to one folder, in order.
#[derive(Clone, Debug)]
pub struct Recording {
    base: Base,
    ops: Vec<Op>,
}

impl Recording {
    /// Runs the program and records what it does to the watched folder, which must exist; what is in it already counts as durable.
    /// Program, arguments, environment and working folder are taken from `command`; it gets no input, and its output is read for
    /// acknowledgements only. Processes that it starts are recorded as well, and killed when it ends. It fails if the program takes
    /// longer than `within`, ends otherwise than `until` says, or does what cannot be recorded.
    pub fn run(command: &Command, watched: &Path, until: Until, within: Duration) -> Result<Self> {
        let mut errors = tempfile::tempfile()?;
        let stderr = errors.try_clone()?;
        let recorded = thread::scope(|scope| {
            // A thread of its own: only it has the program for a child, and the program dies with it.
            let tracer = scope.spawn(move || record(command, watched, until, within, stderr));
            tracer.join().map_err(|_| anyhow!("the recorder panicked"))?
        });
        recorded.with_context(|| format!("the program's last words: {}", last_words(&mut errors)))
    }

    /// All steps.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The acknowledgements that were printed within the first `at` steps, in their order.
    pub fn acked_before(&self, at: usize) -> Vec<u64> {
        let acks = self.ops.iter().take(at).filter_map(|op| match op {
            Op::Ack { number } => Some(*number),
            _ => None,
        });
        acks.collect()
    }

    /// The acknowledgements that were printed before the cut.
    pub fn acked(&self, cut: &Cut) -> Vec<u64> {
        self.acked_before(cut.at)
    }

    /// So many cuts, chosen by the seed.
    pub fn cuts(&self, seed: u64, count: usize) -> Cuts {
        Cuts::new(&self.ops, seed, count)
    }

    /// The disk after the first `at` steps.
    pub fn replay(&self, at: usize) -> Replay<'_> {
        let mut replay = Replay::new(&self.base);
        self.ops.iter().take(at).for_each(|op| replay.play(op));
        replay
    }

    /// Writes what the disk holds after the cut into a folder that is empty or absent.
    pub fn materialise(&self, cut: &Cut, into: &Path) -> Result<()> {
        let found = self.replay(cut.at).after_power_loss(cut.policy, cut.seed);
        found.write_into(into).with_context(|| cut.to_string())
    }

    /// Materialises each cut in a folder of its own that vanishes afterwards, has it looked at, and returns what was seen, in the order
    /// of the cuts. As many folders are looked at side by side as there are processors.
    pub fn look_at<T: Send>(
        &self,
        cuts: impl IntoIterator<Item = Cut>,
        look: impl Fn(&Cut, &Path) -> Result<T> + Sync,
    ) -> Result<Vec<(Cut, T)>> {
        let cuts: Vec<_> = cuts.into_iter().collect();
        let left = Mutex::new(cuts.iter().enumerate());
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            let mut seen = Vec::new();
            while let Some((place, cut)) = next() {
                let folder = tempfile::tempdir()?;
                self.materialise(cut, folder.path())?;
                seen.push((place, *cut, look(cut, folder.path()).with_context(|| cut.to_string())?));
            }
            anyhow::Ok(seen)
        };
        let seen = thread::scope(|scope| {
            let workers = thread::available_parallelism().map_or(1, usize::from);
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let seen = workers.into_iter().map(|worker| match worker.join() {
                Ok(seen) => seen,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            seen.collect::<Result<Vec<_>>>()
        })?;
        let mut seen: Vec<_> = seen.into_iter().flatten().collect();
        seen.sort_by_key(|(place, ..)| *place);
        Ok(seen.into_iter().map(|(_, cut, what)| (cut, what)).collect())
    }

    /// Fails unless the record, played to its end, gives the folder as it is.
    fn compare_with(&self, watched: &Path) -> Result<()> {
        let there = Base::read(watched)?;
        let there = Replay::new(&there).after_power_loss(Policy::KeepAll, 0);
        if self.replay(self.ops.len()).after_power_loss(Policy::KeepAll, 0) != there {
            bail!("the record does not explain what is in {}", watched.display());
        }
        Ok(())
    }
}

/// The path of a program among this package's `examples`, which `cargo test` builds beside the tests.
pub fn example_program(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test has no build folder")?;
    let program = folder.join("examples").join(name);
    if !program.is_file() {
        bail!("{} is not built: run `cargo build --examples` in its package", program.display());
    }
    Ok(program)
}

fn record(
    command: &Command,
    watched: &Path,
    until: Until,
    within: Duration,
    stderr: File,
) -> Result<Recording> {
    let watched = watched.canonicalize().context("the watched folder")?;
    let base = Base::read(&watched)?;
    let stdout = tempfile::tempfile()?;
    let meta = stdout.metadata()?;
    let watch =
        Watch { folder: watched.clone(), tree: LiveTree::new(&base), stdout: (meta.dev(), meta.ino()) };
    let root = spawn(command, stdout, stderr)?;
    let acks = match until {
        Until::Exit => None,
        Until::Acks(count) => Some(count),
    };
    let traced = killed_after(root, within, || Tracer::seize(root, watch, acks)?.run())?;
    let Traced { ops, ended, torn } = traced;
    match (until, ended) {
        (Until::Exit, Ended::Exited(0)) | (Until::Acks(_), Ended::SeenEnough) => {}
        (_, ended) => bail!("the program was to run until {until:?}, but: {ended:?}"),
    }
    let recording = Recording { base, ops };
    if !torn {
        recording.compare_with(&watched)?;
    }
    Ok(recording)
}

/// Starts the program, stopped before its first instruction.
fn spawn(command: &Command, stdout: File, stderr: File) -> Result<Pid> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(STOP_AND_BECOME).arg("sh").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    let child = shell.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn()?;
    process_id(&child)
}

fn last_words(errors: &mut File) -> String {
    let mut text = Vec::new();
    let read = errors.rewind().and_then(|()| errors.take(STDERR_BYTES).read_to_end(&mut text));
    match read {
        Ok(_) => String::from_utf8_lossy(&text).trim().to_owned(),
        Err(error) => error.to_string(),
    }
}
