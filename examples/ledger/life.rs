//! The life of a process that writes, up to its death: what it says, line by line.
//!
//! `ack N`: the answer to message N is durable. `mark N`: it was asked for a sign of life, the N-th time. `all`: what it was to
//! write is written, and it goes on until it is killed. `end`: it has come to its end in order. Whoever ends without that word has failed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use maypole_testkit::recorder::SplitMix64;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How many messages a writer has in hand at most.
pub(crate) const TASKS: u64 = 8;
/// How long the next line may take to come, whatever has happened.
const PATIENCE: Duration = Duration::from_secs(60);
/// A writer is killed at the latest so long after its start, or so many answers.
const LONGEST: Duration = Duration::from_millis(700);
const MOST_ANSWERS: u64 = 120;
/// How many answers are a sign of life.
const SIGNS_OF_LIFE: u64 = 5;

/// A writer that runs.
pub(crate) struct Life {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    stderr: PathBuf,
    /// What it said to be durable.
    acked: Vec<u64>,
    /// How often it was asked for a sign of life, and how often it has heard that.
    asked: u64,
    heard: u64,
    has_all: bool,
    has_ended: bool,
}

/// What came of a life.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// What was said to be durable.
    pub(crate) acked: Vec<u64>,
    /// Whether it was killed; if not, it had come to its end.
    pub(crate) killed: bool,
}

impl Life {
    /// Starts this program once more, as one who writes. Its complaints go to a file.
    pub(crate) fn begin(arguments: &[&str], stderr: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(stderr)?)
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().context("its input")?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let (acked, stderr) = (Vec::new(), stderr.to_owned());
        Ok(Self { child, stdin, lines, stderr, acked, asked: 0, heard: 0, has_all: false, has_ended: false })
    }

    /// Lets it live until an instant that chance gives: a time after its start, or a moment after an answer.
    pub(crate) async fn live(&mut self, random: &mut SplitMix64) -> Result<()> {
        let longest = u64::try_from(LONGEST.as_micros())?;
        if random.coin() {
            return self.listen(Duration::from_micros(random.below(longest))).await;
        }
        self.answers(1 + random.below(MOST_ANSWERS)).await?;
        self.listen(Duration::from_micros(random.below(4_000))).await
    }

    /// Lets it live until it has given so many answers more; `false` where it came to its end before.
    pub(crate) async fn answers(&mut self, more: u64) -> Result<bool> {
        let until = self.acked.len() + usize::try_from(more)?;
        self.until(|life| life.acked.len() >= until).await
    }

    /// Lets it live until it has given answers to what it began to write after now; `false` where it came to its end before.
    /// What it has said already, and what lies in the pipe, is none of that.
    pub(crate) async fn signs_of_life(&mut self) -> Result<bool> {
        self.asked += 1;
        // One who is dead hears nothing, and says nothing, which is found below.
        self.stdin.write_all(format!("{}\n", self.asked).as_bytes()).await.ok();
        let asked = self.asked;
        // What it has in hand when it hears that may have been written before.
        Ok(self.until(|life| life.heard >= asked).await? && self.answers(TASKS + SIGNS_OF_LIFE).await?)
    }

    /// Lets it live until everything that it was to write is written.
    pub(crate) async fn has_written_all(&mut self) -> Result<()> {
        ensure!(self.until(|life| life.has_all).await?, "it has come to its end too early");
        Ok(())
    }

    /// Takes down what it says for a time.
    pub(crate) async fn listen(&mut self, time: Duration) -> Result<()> {
        timeout(time, self.until(|_| false)).await.map_or(Ok(()), |heard| heard.map(drop))
    }

    /// Takes down what it says until something is so; `false` where it comes to its end before.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) -> Result<bool> {
        while !is_so(self) {
            let Ok(said) = timeout(PATIENCE, self.take_down()).await else {
                bail!("nothing came within {PATIENCE:?}: {}", self.complaint());
            };
            if !said? {
                ensure!(
                    self.has_ended,
                    "the writer ended where it should have gone on: {}",
                    self.complaint()
                );
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes down the next line; `false` where there is none any more. A line is taken whole or not at all.
    async fn take_down(&mut self) -> Result<bool> {
        let Some(line) = self.lines.next_line().await? else { return Ok(false) };
        match line.split_once(' ') {
            Some(("ack", number)) => self.acked.push(number.parse()?),
            Some(("mark", number)) => self.heard = number.parse()?,
            _ if line == "all" => self.has_all = true,
            _ if line == "end" => self.has_ended = true,
            _ => {}
        }
        Ok(true)
    }

    /// `kill -9`, of which it is not told here.
    pub(crate) async fn silence(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// `kill -9`; everything that it has said is heard.
    pub(crate) async fn kill(mut self) -> Result<Ended> {
        let ended_itself = self.child.try_wait()?;
        if ended_itself.is_none() {
            self.child.kill().await?;
        }
        while self.take_down().await? {}
        if let Some(status) = ended_itself {
            let in_order = status.success() && self.has_ended;
            ensure!(in_order, "the writer ended with {status}: {}", self.complaint());
        }
        // Killed or not, it must not have failed before.
        let complaint = self.complaint();
        let failed = complaint.contains("Error") || complaint.contains("panicked");
        ensure!(!failed, "the writer failed: {complaint}");
        Ok(Ended { acked: self.acked, killed: ended_itself.is_none() })
    }

    fn complaint(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }
}
