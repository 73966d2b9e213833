//! A writer's life as a process of its own, up to its death.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use maypole_testkit::recorder::SplitMix64;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long an answer may take to come, whatever has happened.
const PATIENCE: Duration = Duration::from_secs(60);
/// A writer is killed at the latest so long after its start, or so many answers.
const LONGEST: Duration = Duration::from_millis(700);
const MOST_ANSWERS: u64 = 120;

/// A writer that runs.
pub(crate) struct Life {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    stderr: PathBuf,
    /// What it said to be durable.
    acked: Vec<u64>,
}

/// What came of a life.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// What was said to be durable.
    pub(crate) acked: Vec<u64>,
    /// Whether it was killed; if not, its tape was at its end.
    pub(crate) killed: bool,
}

impl Life {
    /// Starts a writer at a place, with a tape.
    pub(crate) fn begin(place: &str, tape: &Path, stderr: PathBuf) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["writer", place, "1000000", "8", "0"])
            .arg(tape)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr)?)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("its output")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines(), stderr, acked: Vec::new() })
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

    /// Lets it live until it has given so many answers more.
    pub(crate) async fn answers(&mut self, more: u64) -> Result<()> {
        let until = self.acked.len() + usize::try_from(more)?;
        while self.acked.len() < until {
            match timeout(PATIENCE, self.next()).await {
                Ok(said) => {
                    if !said? {
                        break;
                    }
                }
                Err(_) => bail!("no answer came within {PATIENCE:?}: {}", self.complaint()),
            }
        }
        Ok(())
    }

    /// Takes down what it says for a time.
    pub(crate) async fn listen(&mut self, time: Duration) -> Result<()> {
        let listening = async {
            while self.next().await? {}
            Ok(())
        };
        timeout(time, listening).await.unwrap_or(Ok(()))
    }

    /// Takes down the next line; `false` where there is none any more. A line is taken whole or not at all.
    async fn next(&mut self) -> Result<bool> {
        let Some(line) = self.lines.next_line().await? else { return Ok(false) };
        if let Some(number) = line.strip_prefix("ack ") {
            self.acked.push(number.parse()?);
        }
        Ok(true)
    }

    /// `kill -9`; everything that it has said is heard.
    pub(crate) async fn kill(mut self) -> Result<Ended> {
        let ended_itself = self.child.try_wait()?;
        if let Some(status) = ended_itself {
            ensure!(status.success(), "the writer ended with {status}: {}", self.complaint());
        } else {
            self.child.kill().await?;
        }
        while self.next().await? {}
        let killed = ended_itself.is_none();
        // Killed or not, it must not have failed before.
        let complaint = self.complaint();
        let failed = complaint.contains("Error") || complaint.contains("panicked");
        ensure!(!failed, "the writer failed: {complaint}");
        Ok(Ended { acked: self.acked, killed })
    }

    fn complaint(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }
}
