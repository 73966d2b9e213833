//! A private Synapse on loopback: its own folder, secrets and port, started in about a second and a half.
//!
//! It never outlives who started it: a pipe to it is watched that closes with this process, even with `kill -9`. Its
//! port is held for it as long as this value lives, so it comes back where it was. When it is dropped its folder
//! goes too; when it is dropped because a test panics, the folder stays and its place is printed. (A test that
//! returns an error does not panic: let tests `unwrap`.)

mod builder;
mod settings;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use reqwest::Method;
use tempfile::TempDir;

pub use builder::Builder;

use crate::bounds::{HEALTH_REQUEST, LOG_TAIL_BYTES, LOG_TAIL_LINES, SYNAPSE_BOOT, SYNAPSE_STOP};
use crate::ports::HeldPort;
use crate::requests;
use crate::tied::{Launch, Tied};
use crate::user::User;
use crate::wait::{Stopwatch, eventually};

/// What the interpreter runs to become Synapse.
const BECOME_IT: &str = include_str!("launch.py");

/// A Synapse of our own, running or not.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use std::time::Duration;
///
/// use maypole_testkit::ports::HeldPort;
/// use maypole_testkit::synapse::Synapse;
/// use serde_json::json;
///
/// // Held before the registration names it, and as long as the service may come back to it.
/// let service = HeldPort::any()?;
/// let registration = std::fs::read_to_string("registration.yaml")?.replace("URL", &service.url());
/// let mut synapse = Synapse::builder().server_name("maypole.test").registration(registration).start().await?;
/// let alice = synapse.register("alice", "PHONE").await?;
/// alice.send_to_device("m.mls.message", "1", &json!({"@:maypole.test": {"*": {}}})).await?;
/// synapse.kill()?;
/// synapse.boot().await?;
/// let answer = alice.next_to_device(Duration::from_secs(10), |message| message["type"] == "m.mls.rejected").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Synapse {
    server_name: String,
    registration_secret: String,
    port: HeldPort,
    python: PathBuf,
    process: Option<Tied>,
    booted_in: Duration,
    keep: bool,
    /// Taken when it is to stay.
    folder: Option<TempDir>,
    path: PathBuf,
}

impl Synapse {
    /// What to start. See [`Builder`] for what can be chosen.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts one in the ordinary way, without application services.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// The server name, as in `@alice:SERVER_NAME`.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// `http://127.0.0.1:PORT`: the same as long as this value lives, over restarts too.
    pub fn base_url(&self) -> String {
        self.port.url()
    }

    /// The port, which stays held while Synapse is away.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its folder: configuration, database, media, logs.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// The secret of Synapse's shared-secret registration.
    pub fn registration_shared_secret(&self) -> &str {
        &self.registration_secret
    }

    /// How long the last start took until Synapse answered.
    pub fn booted_in(&self) -> Duration {
        self.booted_in
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Tied::id)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.path.join(settings::LOG_FILE))
    }

    /// Makes a user on this homeserver, with one device.
    pub async fn register(&self, localpart: &str, device_id: &str) -> Result<User> {
        User::register(&self.base_url(), localpart, device_id).await
    }

    /// Starts it again, where it was stopped or killed: same folder, same port.
    pub async fn boot(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "this Synapse runs already");
        let watch = Stopwatch::start();
        let process = self.launch()?;
        let answered = self.await_health(&process).await;
        // Kept first: whatever happened, it is killed with this value.
        self.process = Some(process);
        answered?;
        self.booted_in = watch.elapsed();
        Ok(())
    }

    fn launch(&self) -> Result<Tied> {
        let console = self.path.join(settings::CONSOLE_FILE);
        let arguments = vec!["--config-path".into(), self.path.join(settings::CONFIG_FILE).into()];
        let (python, folder) = (&self.python, self.path.as_path());
        let launch =
            Launch { name: "Synapse", python, become_it: BECOME_IT, arguments, folder, console: &console };
        launch.start()
    }

    /// Looks until Synapse answers, or its process is gone.
    async fn await_health(&self, process: &Tied) -> Result<()> {
        let client = requests::client()?;
        let url = format!("{}/health", self.base_url());
        let waited = eventually(SYNAPSE_BOOT, "Synapse to answer", || async {
            if let Some(status) = process.ended()? {
                bail!("Synapse ended before it answered: {status}");
            }
            let asked = requests::send(&client, Method::GET, &url, None, None);
            let answer = tokio::time::timeout(HEALTH_REQUEST, asked).await;
            Ok(matches!(answer, Ok(Ok(answer)) if answer.status.is_success()).then_some(()))
        });
        waited.await.with_context(|| {
            let console = log_tail(&self.path.join(settings::CONSOLE_FILE));
            format!("{} says:\n{}\n{console}", self.path.display(), self.log_tail())
        })
    }

    /// Asks it to stop (SIGTERM), and kills it if it does not within a bound.
    pub async fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("this Synapse does not run")?;
        process.signal(Signal::SIGTERM)?;
        // A paused one hears it only when it goes on.
        process.signal(Signal::SIGCONT)?;
        let ended = eventually(SYNAPSE_STOP, "Synapse to stop", || async { process.ended() }).await;
        if ended.is_err() {
            process.kill()?;
        }
        Ok(())
    }

    /// Stops it if it runs, and starts it again.
    pub async fn restart(&mut self) -> Result<()> {
        if self.process.is_some() {
            self.stop().await?;
        }
        self.boot().await
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("this Synapse does not run")?.kill()
    }

    /// Stops the process where it is (SIGSTOP): connections stay open, nothing is answered from the return on.
    pub async fn pause(&self) -> Result<()> {
        let process = self.process.as_ref().context("this Synapse does not run")?;
        process.signal(Signal::SIGSTOP)?;
        eventually(SYNAPSE_STOP, "Synapse to pause", || async { Ok(process.stopped()?.then_some(())) }).await
    }

    /// Lets a paused process go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.process.as_ref().context("this Synapse does not run")?.signal(Signal::SIGCONT)
    }
}

impl Drop for Synapse {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            // It may have died by itself; then there is nothing to kill.
            let _ = process.kill();
        }
        let Some(folder) = self.folder.take() else { return };
        if self.keep || std::thread::panicking() {
            eprintln!(
                "The Synapse of {} left its logs and data in {}",
                self.server_name,
                folder.keep().display()
            );
        }
    }
}

/// The last lines of a log; empty when there is none.
pub(crate) fn log_tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_TAIL_LINES);
    lines.get(first..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_last_lines_of_a_log_however_long() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(log_tail(&log), "");
        let lines: Vec<String> = (0..100_000).map(|line| format!("line {line}")).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(log_tail(&log), lines[lines.len() - LOG_TAIL_LINES..].join("\n"));
        std::fs::write(&log, b"only \xff this\n").unwrap();
        assert_eq!(log_tail(&log), "only \u{fffd} this");
    }
}
