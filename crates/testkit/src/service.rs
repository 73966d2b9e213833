//! The service itself as a process of its own, beside a private Synapse: started, killed and started again by tests and
//! by the demo.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::bounds::SERVICE_READY;
use crate::ports::HeldPort;
use crate::synapse::{Builder, Synapse};
use crate::wait::eventually;

/// The server name of the private Synapse.
pub const SERVER_NAME: &str = "maypole.test";

/// A private Synapse and a service that is registered with it.
pub struct House {
    /// The Synapse.
    pub synapse: Synapse,
    /// The service.
    pub service: Service,
}

impl House {
    /// Starts both, and waits until the service is ready.
    pub async fn start(binary: &Path) -> Result<Self> {
        Self::start_with(binary, |builder| builder).await
    }

    /// Starts both, the Synapse with changed settings, and waits until the service is ready.
    pub async fn start_with(binary: &Path, settings: impl FnOnce(Builder) -> Builder) -> Result<Self> {
        Self::start_as(Service::prepare(binary)?, settings).await
    }

    /// Starts both, the service with its store in a database, and waits until the service is ready.
    pub async fn start_on(binary: &Path, database: &str) -> Result<Self> {
        let mut service = Service::prepare(binary)?;
        service.database = Some(database.to_owned());
        Self::start_as(service, |builder| builder).await
    }

    async fn start_as(mut service: Service, settings: impl FnOnce(Builder) -> Builder) -> Result<Self> {
        let builder = Synapse::builder().server_name(SERVER_NAME).registration_file(service.registration());
        let synapse = settings(builder).start().await?;
        service.configure(&synapse.base_url(), "")?;
        service.start()?;
        service.ready().await?;
        Ok(Self { synapse, service })
    }

    /// Stops both, the service by SIGTERM; an error if it did not end well.
    pub async fn stop(mut self) -> Result<()> {
        let ended = self.service.stop().await?;
        self.synapse.stop().await?;
        ensure!(ended.success(), "the service ended with {ended}:\n{}", self.service.log());
        Ok(())
    }
}

/// The service: its folder with registration, configuration, store and log, and its process while it runs.
pub struct Service {
    binary: PathBuf,
    folder: Option<TempDir>,
    listener: HeldPort,
    operations: HeldPort,
    database: Option<String>,
    child: Mutex<Option<Child>>,
    http: reqwest::Client,
}

impl Service {
    /// Makes a folder with a registration for it.
    pub fn prepare(binary: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("maypole-service-").tempdir()?;
        let service = Self {
            binary: binary.to_owned(),
            folder: Some(folder),
            listener: HeldPort::any()?,
            operations: HeldPort::any()?,
            database: None,
            child: Mutex::default(),
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?,
        };
        service.run(&[
            "registration",
            "generate",
            "--server-name",
            SERVER_NAME,
            "--url",
            &service.listener.url(),
            "--out",
            &service.registration().to_string_lossy(),
        ])?;
        Ok(service)
    }

    /// Another process of the same service: with its registration, its keys and its database, and a folder and ports of its
    /// own.
    pub fn twin(&self) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("maypole-service-").tempdir()?;
        let twin = Self {
            binary: self.binary.clone(),
            folder: Some(folder),
            listener: HeldPort::any()?,
            operations: HeldPort::any()?,
            database: self.database.clone(),
            child: Mutex::default(),
            http: self.http.clone(),
        };
        std::fs::copy(self.registration(), twin.registration()).context("cannot copy the registration")?;
        Ok(twin)
    }

    /// Has its store in this database, or with none in its folder, from the next configuration on.
    pub fn use_database(&mut self, database: Option<&str>) {
        self.database = database.map(str::to_owned);
    }

    /// Where its keys lie.
    pub fn keys(&self) -> PathBuf {
        self.folder().join("data/keys")
    }

    /// Runs one of the binary's commands; gives what it printed, or fails with what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.binary).args(arguments).stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "maypole {} ended with {}: {said}",
            arguments.join(" "),
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Writes the configuration: the Synapse at `homeserver_url`, and whatever sections stand in `more`.
    pub fn configure(&self, homeserver_url: &str, more: &str) -> Result<()> {
        let database = self.database.as_ref().map(|address| format!(", postgres: {address:?}"));
        let database = database.unwrap_or_default();
        let text = format!(
            "homeserver: {{url: {homeserver_url:?}, server_name: {SERVER_NAME:?}}}\n\
             appservice: {{registration: registration.yaml}}\n\
             listener: {{address: [{:?}]}}\n\
             operations: {{address: {:?}}}\n\
             store: {{path: data{database}}}\n{more}\n",
            self.listener.address().to_string(),
            self.operations.address().to_string(),
        );
        std::fs::write(self.config(), text).context("cannot write the configuration")
    }

    /// Where everything of the service lies.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// The registration file.
    pub fn registration(&self) -> PathBuf {
        self.folder().join("registration.yaml")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder().join("maypole.yaml")
    }

    /// Where the homeserver and clients reach it.
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// Where its operator reaches it.
    pub fn operations_url(&self) -> String {
        self.operations.url()
    }

    /// Starts the process. It ends by itself when ours does.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child().is_none(), "the service runs already");
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let child = Command::new(&self.binary)
            .args(["serve", "--stop-with-stdin", "--config"])
            .arg(self.config())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", self.binary.display()))?;
        *self.child() = Some(child);
        Ok(())
    }

    /// Waits until it says that it is ready; fails with its log if it ends instead.
    pub async fn ready(&mut self) -> Result<()> {
        eventually(SERVICE_READY, "the service to be ready", async || {
            if let Some(ended) = self.ended()? {
                bail!("the service ended with {ended}:\n{}", self.log());
            }
            Ok(self.readiness().await.filter(|(ready, _)| *ready).map(drop))
        })
        .await
        .with_context(|| self.log())
    }

    /// What `/ready` says: whether it is, and the conditions; nothing if it does not answer.
    pub async fn readiness(&self) -> Option<(bool, Value)> {
        let answer = self.http.get(format!("{}/ready", self.operations_url())).send().await.ok()?;
        let ready = answer.status().is_success();
        Some((ready, serde_json::from_str(&crate::requests::text_of(answer).await.ok()?).ok()?))
    }

    /// The value of a metric with exactly these labels as they are written out, such as `maypole_inbox_rows`.
    pub async fn metric(&self, series: &str) -> Result<f64> {
        let answer = self.http.get(format!("{}/metrics", self.operations_url())).send().await?;
        let text = crate::requests::text_of(answer).await?;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(Ok(0.0), |value| value.parse().with_context(|| format!("{series} is {value}")))
    }

    /// How the process ended, if it has.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        let mut child = self.child();
        let Some(child) = child.as_mut() else { return Ok(None) };
        child.try_wait().context("cannot ask whether the service runs")
    }

    /// `kill -9`, and waits for its end.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child().take().context("the service does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) -> Result<()> {
        let id = self.child().as_ref().context("the service does not run")?.id();
        Ok(kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM)?)
    }

    /// SIGTERM, and waits for its end.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.terminate()?;
        self.wait().await
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let ended = eventually(SERVICE_READY, "the service to end", async || self.ended())
            .await
            .with_context(|| self.log())?;
        *self.child() = None;
        Ok(ended)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("maypole.log")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let child = self.child().take();
        if let Some(mut child) = child {
            // It may have ended by itself; either way it is waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            let kept = folder.keep();
            eprintln!("the service's folder is kept: {}", kept.display());
        }
    }
}
