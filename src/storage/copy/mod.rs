//! A copy of a whole store, as it was at one moment: what one back end tells of itself, and another can take in.
//!
//! A store is read record by record while it works; nothing that is written meanwhile is in the copy. `file.rs` says how a
//! copy lies in a file.

mod file;
mod records;
mod restoring;
#[cfg(test)]
mod tests;

use maypole_core::batch::BackendError;

pub use self::file::{CopyError, Reader, Told, Writer};
pub use self::records::{Record, Tally};
pub use self::restoring::{ImportError, Restored, restore};
use super::{postgres, sled};

/// A store that is being copied. To be closed when the last page was read, or before.
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
