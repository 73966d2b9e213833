//! A private PostgreSQL on loopback: its own folder and port, started in less than a second.
//!
//! It never outlives who started it (see [`crate::synapse::Synapse`]), comes back on the same port, and goes with its
//! folder when it is dropped, unless that is to be kept. PostgreSQL refuses to run as root: then it runs as nobody, from a copy of its programs, since
//! the folder that they were fetched into may be closed to nobody.

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::Uid;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::bounds::{POSTGRES_BOOT, POSTGRES_STOP};
use crate::ports::HeldPort;
use crate::provision::{PostgresPrograms, Provision};
use crate::synapse::log_tail;
use crate::tied::{Launch, Tied};
use crate::wait::eventually;

/// What the interpreter runs to become the server.
const BECOME_IT: &str = include_str!("launch.py");
/// Whom it runs as where we are root.
const NOBODY: u32 = 65_534;
/// The one account of its databases.
const ACCOUNT: &str = "maypole";

/// A PostgreSQL of our own, running or not.
#[derive(Debug)]
pub struct Postgres {
    python: PathBuf,
    programs: PathBuf,
    is_durable: bool,
    port: HeldPort,
    process: Option<Tied>,
    folder: TempDir,
}

impl Postgres {
    /// Starts one that does not wait for the disk: it survives `kill -9`, and no loss of power.
    pub async fn start() -> Result<Self> {
        Self::start_as(false, &std::env::temp_dir()).await
    }

    /// Starts one that waits for the disk, as an operator's does.
    pub async fn start_durable() -> Result<Self> {
        Self::start_durable_in(&std::env::temp_dir()).await
    }

    /// The same, with its databases below this folder, on whose disk they lie then. Where we are root, the account
    /// `nobody` must be let through to it.
    pub async fn start_durable_in(folder: &Path) -> Result<Self> {
        Self::start_as(true, folder).await
    }

    async fn start_as(is_durable: bool, below: &Path) -> Result<Self> {
        let below = below.canonicalize().with_context(|| format!("no folder {}", below.display()))?;
        can_be_reached(&below)?;
        let (python, found) = (Provision::synapse()?.python().await?, PostgresPrograms::find().await?);
        let folder = tempfile::Builder::new().prefix("maypole-postgres-").tempdir_in(&below)?;
        let programs = match &found.root {
            Some(root) if is_root() => copied(root, &found.folder, folder.path())?,
            _ => found.folder,
        };
        let port = HeldPort::any()?;
        let mut postgres = Self { python, programs, is_durable, port, process: None, folder };
        postgres.prepare().await?;
        postgres.boot().await?;
        Ok(postgres)
    }

    /// Where it listens.
    pub fn listens_at(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its address, with the database that it comes with.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Its address, with a database.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{ACCOUNT}@{}/{database}", self.port.address())
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Tied::id)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.console())
    }

    /// Makes the folder of its databases.
    async fn prepare(&self) -> Result<()> {
        let home = self.folder.path();
        let data = self.data();
        std::fs::create_dir(&data).context("cannot make a folder for databases")?;
        if is_root() {
            std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o755))?;
            chown(&data, Some(NOBODY), Some(NOBODY)).context("cannot give a folder to nobody")?;
        }
        let console = File::options().create(true).append(true).open(self.console())?;
        let mut initdb = Command::new(self.programs.join("initdb"));
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]);
        // So that it finds a bit that a test has turned in its files.
        initdb.arg("--data-checksums");
        initdb.arg(format!("--username={ACCOUNT}")).arg("-D").arg(&data).current_dir(home);
        initdb.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console).kill_on_drop(true);
        if is_root() {
            initdb.uid(NOBODY).gid(NOBODY);
        }
        let ended = initdb.status().await.context("cannot run initdb")?;
        ensure!(ended.success(), "initdb ended with {ended}:\n{}", self.log_tail());
        Ok(())
    }

    /// Starts it again, where it was stopped or killed: same folder, same port.
    pub async fn boot(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "this PostgreSQL runs already");
        self.await_the_end_of_its_children().await?;
        let fsync = if self.is_durable { "fsync=on" } else { "fsync=off" };
        let mut arguments: Vec<OsString> = vec![self.programs.join("postgres").into(), "-D".into()];
        arguments.extend([self.data().into(), "-p".into(), self.port.number().to_string().into()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "shared_buffers=64MB",
            fsync,
        ] {
            arguments.extend(["-c".into(), setting.into()]);
        }
        let (python, folder) = (&self.python, self.folder.path());
        let console = self.console();
        let launch =
            Launch { name: "PostgreSQL", python, become_it: BECOME_IT, arguments, folder, console: &console };
        let process = launch.start()?;
        let answered = self.await_answer(&process).await;
        self.process = Some(process);
        answered
    }

    /// Whoever its first process left behind when it was killed notices, and lets go of the memory that they share. Before that
    /// no other may begin.
    async fn await_the_end_of_its_children(&self) -> Result<()> {
        // The seventh line of the file that names its process has the key and the ID of that memory.
        let state = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let Some(id) = state.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) else {
            return Ok(());
        };
        eventually(POSTGRES_STOP, "the sessions of a killed PostgreSQL to end", async || {
            let all = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
            let columns = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let ours = columns.into_iter().find(|columns| columns.get(1).copied() == Some(id));
            let attached = ours.and_then(|columns| columns.get(6).copied().map(str::to_owned));
            Ok(attached.is_none_or(|count| count == "0").then_some(()))
        })
        .await
    }

    /// Looks until it says that it takes connections, or its process is gone. It listens before it does, while it recovers.
    async fn await_answer(&self, process: &Tied) -> Result<()> {
        eventually(POSTGRES_BOOT, "PostgreSQL to answer", async || {
            if let Some(status) = process.ended()? {
                bail!("PostgreSQL ended before it answered: {status}");
            }
            // The ninth line of the file that names its process says how it is.
            let state = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let is_ours = state.lines().next() == Some(process.id().to_string().as_str());
            let is_ready = state.lines().nth(7).is_some_and(|line| line.trim() == "ready");
            let listens = is_ours && is_ready && TcpStream::connect(self.port.address()).await.is_ok();
            Ok(listens.then_some(()))
        })
        .await
        .with_context(|| self.log_tail())
    }

    /// Ends every connection at once and stops it in order; kills it if it does not stop within a bound.
    pub async fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("this PostgreSQL does not run")?;
        process.signal(Signal::SIGINT)?;
        let ended = eventually(POSTGRES_STOP, "PostgreSQL to stop", async || process.ended()).await;
        if ended.is_err() {
            process.kill()?;
        }
        Ok(())
    }

    /// `kill -9` of its first process; the others notice, and end.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("this PostgreSQL does not run")?.kill()
    }

    /// Its folder, with its databases and its log, stays when it is dropped; where that is.
    pub fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    /// A file in the folder of its databases, as it names it itself. To be changed only while it is stopped.
    pub fn file(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn console(&self) -> PathBuf {
        self.folder.path().join("console.log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        // On SIGQUIT it ends its own processes and gives back what it has of the system, within seconds.
        let asked = process.signal(Signal::SIGQUIT);
        let _ = if asked.is_ok() { process.wait() } else { process.kill() };
        if std::thread::panicking() {
            eprintln!("The PostgreSQL of this test says:\n{}", self.log_tail());
        }
    }
}

fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Refuses a folder that the account `nobody` cannot reach, if PostgreSQL is to run as that.
fn can_be_reached(folder: &Path) -> Result<()> {
    for above in folder.ancestors().filter(|_| is_root()) {
        let (metadata, folder) = (std::fs::metadata(above)?, above.display());
        ensure!(
            metadata.mode() & 0o001 != 0,
            "PostgreSQL runs as the account `nobody` here, to which {folder} is closed"
        );
    }
    Ok(())
}

/// Copies the programs and what they need; gives the folder of the copied programs.
fn copied(root: &Path, programs: &Path, into: &Path) -> Result<PathBuf> {
    let copy = into.join("programs");
    copy_folder(root, &copy).with_context(|| format!("cannot copy PostgreSQL into {}", into.display()))?;
    Ok(copy.join(programs.strip_prefix(root).context("the programs are elsewhere")?))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let (path, name) = {
            let entry = entry?;
            (entry.path(), entry.file_name())
        };
        // Headers and static libraries are for who builds with them.
        if name == "include" || path.extension().is_some_and(|extension| extension == "a") {
            continue;
        }
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
