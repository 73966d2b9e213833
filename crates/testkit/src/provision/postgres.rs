//! PostgreSQL from PyPI: a wheel that carries its programs. Nothing of the wheel's own is run, since its launcher creates a
//! system user and widens the permissions of the folders above.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::attempts::{Attempt, Home};
use super::{Provision, place};

/// The wheel, whatever Python there is: only its files are used.
const WHEEL: &str =
    "pgserver==0.1.4 --hash=sha256:d595789b47624a3d963aa9aa6359da9be31beb7e61f1a45541953242068b8813\n";
/// For which Python and system it was made.
const MADE_FOR: [&str; 8] = [
    "--python-version",
    "311",
    "--implementation",
    "cp",
    "--abi",
    "cp311",
    "--platform",
    "manylinux2014_x86_64",
];
/// Names the folder with the programs of an installed PostgreSQL, to be used instead.
const OWN_VARIABLE: &str = "MAYPOLE_POSTGRES_BIN";
/// The programs in the wheel.
const PROGRAMS: &str = "pgserver/pginstall/bin";
/// The server in the wheel.
const SERVER: &str = "pgserver/pginstall/bin/postgres";

/// Where the programs of a PostgreSQL are.
#[derive(Clone, Debug)]
pub struct PostgresPrograms {
    /// The folder with everything that they need, if it may be copied elsewhere.
    pub(crate) root: Option<PathBuf>,
    /// The folder with `initdb` and `postgres`; below `root`, if there is one.
    pub(crate) folder: PathBuf,
}

impl PostgresPrograms {
    /// Those that a variable names, or those from PyPI, which are fetched now if they are not there.
    pub async fn find() -> Result<Self> {
        if let Some(own) = std::env::var_os(OWN_VARIABLE).filter(|own| !own.is_empty()) {
            let folder = PathBuf::from(own);
            ensure!(
                folder.join("postgres").is_file(),
                "{OWN_VARIABLE} names {}, where there is no `postgres`",
                folder.display()
            );
            return Ok(Self { root: None, folder });
        }
        ensure!(
            cfg!(all(target_os = "linux", target_arch = "x86_64")),
            "there is no PostgreSQL from PyPI for this system: set {OWN_VARIABLE} to the folder with the programs of one"
        );
        let root =
            Home::new(&place::folder()?, "postgres", WHEEL, SERVER)?.once(async |to| fetch(to).await).await?;
        Ok(Self { folder: root.join(PROGRAMS), root: Some(root) })
    }
}

async fn fetch(attempt: &Attempt) -> Result<()> {
    let python = Provision::synapse()?.python().await?;
    let folder = &attempt.folder;
    eprintln!("Fetching PostgreSQL from PyPI into {} (once) …", folder.display());
    std::fs::create_dir_all(folder).context("cannot make a folder for PostgreSQL")?;
    let list = folder.join("requirements.txt");
    std::fs::write(&list, WHEEL).context("cannot write the list of packages")?;
    let mut download = Command::new(&python);
    download.args(["-m", "pip", "download", "--no-input", "--disable-pip-version-check"]);
    download.args(["--no-deps", "--only-binary=:all:", "--require-hashes"]).args(MADE_FOR);
    download.arg("--dest").arg(folder).arg("-r").arg(&list);
    attempt.run(download, "pip cannot fetch PostgreSQL").await?;

    let wheel = wheel_in(folder)?;
    let mut unpack = Command::new(&python);
    unpack.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder);
    attempt.run(unpack, "the PostgreSQL from PyPI cannot be unpacked").await?;
    std::fs::remove_file(&wheel).context("cannot remove an unpacked wheel")?;
    // What a wheel is unpacked by does not keep permissions.
    for program in std::fs::read_dir(folder.join(PROGRAMS)).context("the wheel has no programs")? {
        std::fs::set_permissions(program?.path(), std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn wheel_in(folder: &Path) -> Result<PathBuf> {
    let files = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let wheel = files
        .into_iter()
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|ext| ext == "whl"));
    wheel.context("pip fetched no wheel")
}
