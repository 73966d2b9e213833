//! Where something is proved: a folder, and a database where that is the store. They go when it holds, and stay when it does not.

use std::path::Path;

use anyhow::{Context as _, Result};
use maypole_testkit::postgres::Postgres;
use tempfile::TempDir;

use crate::kind::Kind;

/// A store that is not there yet, and a folder for all else.
pub(crate) struct Ground {
    folder: TempDir,
    postgres: Option<Postgres>,
}

impl Ground {
    /// Makes one below a folder.
    pub(crate) async fn of(kind: Kind, below: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("maypole-prove-").tempdir_in(below);
        let folder = folder.with_context(|| format!("nothing can be put into {}", below.display()))?;
        let postgres = match kind {
            Kind::Sled => None,
            Kind::Postgres => Some(Postgres::start_durable_in(below).await?),
        };
        Ok(Self { folder, postgres })
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The place of its store.
    pub(crate) fn place(&self) -> Result<String> {
        match &self.postgres {
            Some(postgres) => Ok(postgres.url()),
            None => Ok(self.folder().join("store").to_str().context("a folder")?.to_owned()),
        }
    }

    /// Its database.
    pub(crate) fn postgres(&mut self) -> Result<&mut Postgres> {
        self.postgres.as_mut().context("a database")
    }

    /// All of it stays when this is dropped; where that is, in words.
    pub(crate) fn keep(&mut self) -> String {
        self.folder.disable_cleanup(true);
        let folder = self.folder.path().display();
        match &mut self.postgres {
            Some(postgres) => {
                format!("{folder}, and the database and its log in {}", postgres.keep().display())
            }
            None => folder.to_string(),
        }
    }
}
