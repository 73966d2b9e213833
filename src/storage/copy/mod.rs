//! A copy of a whole store, as it was at one moment: what one back end tells of itself, and another can take in.
//!
//! A store is read record by record while it works; nothing that is written meanwhile is in the copy. `file.rs` says how a
//! copy lies in a file.

mod file;
mod records;
mod restoring;
#[cfg(test)]
mod tests;

use maypole_core::batch::{Backend, BackendError};
use tokio::sync::mpsc;

pub use self::file::{CopyError, Reader, Told, Writer};
pub use self::records::{Record, Tally};
pub use self::restoring::{ImportError, Restored, restore};
use super::{postgres, sled};

/// A back end that can tell all of itself.
pub trait Copied: Backend {
    /// Begins a copy of the store as it is now.
    fn copy(&self) -> impl Future<Output = Result<Copying, BackendError>> + Send;

    /// How many damaged records it keeps for the operator, which are in no copy.
    fn quarantined(&self) -> impl Future<Output = Result<u64, BackendError>> + Send;
}

/// A store that is being copied. What is kept for it is let go when it is dropped.
#[derive(Debug)]
pub enum Copying {
    /// The embedded one.
    Sled(sled::Copying),
    /// The one that several processes share.
    Postgres(postgres::Copying),
}

impl Copying {
    /// The next records; none when all were told.
    pub async fn next(&mut self) -> Result<Vec<Record>, BackendError> {
        match self {
            Self::Sled(copying) => copying.next().await,
            Self::Postgres(copying) => copying.next().await,
        }
    }

    /// How many records could not be told because they are damaged.
    pub fn damaged(&self) -> u64 {
        match self {
            Self::Sled(copying) => copying.damaged(),
            Self::Postgres(copying) => copying.damaged(),
        }
    }
}

/// Makes a copy of a store, piece by piece, for whoever takes the pieces; ends when nobody does any more. A copy that breaks off
/// says why.
pub async fn pour<S: Copied>(store: &S, pieces: mpsc::Sender<Vec<u8>>) -> Result<(), BackendError> {
    let mut copying = store.copy().await?;
    let (mut writer, name) = Writer::begin();
    let mut piece = name;
    loop {
        if pieces.send(piece).await.is_err() {
            return Ok(());
        }
        let records = copying.next().await;
        let last = match records {
            Ok(records) if !records.is_empty() => match writer.records(records) {
                Ok(frame) => {
                    piece = frame;
                    continue;
                }
                Err(error) => writer.broken(&error.to_string()),
            },
            Ok(_) => writer.end(copying.damaged()),
            Err(error) => writer.broken(&error.to_string()),
        };
        if let Ok(last) = last {
            // Whether anybody still takes it does not matter any more.
            let _ = pieces.send(last).await;
        }
        return Ok(());
    }
}
