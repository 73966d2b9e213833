//! The store that the configuration names.

use std::path::PathBuf;

use maypole_core::batch::{Backend, BackendError, Batch};
use maypole_core::ids::OwedId;
use maypole_core::limits;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::copy::{Copied, Copying};
use super::forward::forward_questions;
use super::{Health, postgres, sled};

/// One of the stores. Clones are the same store.
#[derive(Clone, Debug)]
pub enum Store {
    /// The embedded one.
    Sled(sled::Store),
    /// The one that several processes share.
    Postgres(postgres::Store),
}

/// Does the same on whichever store it is.
macro_rules! on {
    ($store:expr, $inside:ident => $does:expr) => {
        match $store {
            Store::Sled($inside) => $does,
            Store::Postgres($inside) => $does,
        }
    };
}

/// Why no store could be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The embedded one.
    #[error(transparent)]
    Sled(#[from] sled::OpenError),
    /// The one that several processes share.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
    /// Whoever was to open it broke off.
    #[error("the store could not be opened: {0}")]
    BrokeOff(String),
}

impl Store {
    /// Opens the embedded store in a folder.
    pub async fn open_folder(folder: PathBuf) -> Result<Self, OpenError> {
        let opened = tokio::task::spawn_blocking(move || sled::Store::open(&folder)).await;
        Ok(Self::Sled(opened.map_err(|error| OpenError::BrokeOff(error.to_string()))??))
    }

    /// Opens the store in a PostgreSQL.
    pub async fn open_postgres(address: &str) -> Result<Self, OpenError> {
        Ok(Self::Postgres(postgres::Store::open(address, limits::POSTGRES_CONNECTIONS).await?))
    }

    /// Whether the store can be used, now and whenever that changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        on!(self, store => store.health())
    }

    /// Keeps looking whether the store can be used, where that does not show by itself.
    pub async fn keep_looking(&self, stop: CancellationToken) {
        let Self::Postgres(store) = self else { return };
        while stop.run_until_cancelled(tokio::time::sleep(limits::POSTGRES_LOOK)).await.is_some() {
            if *store.health().borrow() != Health::Ready {
                store.look().await;
            }
        }
    }

    /// How many damaged records were moved out of the way and are kept for the operator.
    pub async fn quarantined(&self) -> Result<u64, BackendError> {
        on!(self, store => store.quarantined().await)
    }

    /// Closes the store; whatever comes later is refused.
    pub async fn close(&self) {
        on!(self, store => store.close().await);
    }
}

impl Backend for Store {
    async fn apply(&self, batch: Batch) -> Result<Vec<OwedId>, BackendError> {
        on!(self, store => store.apply(batch).await)
    }

    forward_questions!(on);
}

impl Copied for Store {
    async fn copy(&self) -> Result<Copying, BackendError> {
        Ok(match self {
            Self::Sled(store) => Copying::Sled(store.copy().await?),
            Self::Postgres(store) => Copying::Postgres(store.copy().await?),
        })
    }

    async fn quarantined(&self) -> Result<u64, BackendError> {
        Self::quarantined(self).await
    }
}
