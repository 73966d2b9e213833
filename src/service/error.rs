//! Why the service did not start, or ended by itself.

use std::io;
use std::path::PathBuf;

use maypole_core::ids::UserId;
use maypole_core::ledger::LedgerError;

use crate::admin::AdminError;
use crate::entropy::NoEntropy;
use crate::homeserver::{CallError, SettingsError};
use crate::http::auth::EmptyToken;
use crate::http::listener::BindError;
use crate::keys::KeysError;
use crate::storage::OpenError;
use crate::telemetry::exposition::MetricsError;
use crate::telemetry::logs::LogError;

/// Why the service is not running.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Logging cannot start.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Metrics cannot start.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store's folder cannot be made.
    #[error("the folder {} cannot be made (`store.path`): {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store cannot be used.
    #[error("the store cannot be used: {0}")]
    Ledger(#[from] LedgerError),
    /// The store is another service's.
    #[error(
        "the store belongs to {owner}, and this service is {user}: each needs a store of its own (`store.path`, `store.postgres`)"
    )]
    OtherOwner {
        /// Whose store it is.
        owner: UserId,
        /// Who asks for it.
        user: UserId,
    },
    /// The system gives no randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// A copy was taken in, and not all of it.
    #[error(
        "the store has a part of a copy: an import broke off. Remove what it left (the folder, or the tables) and import \
         the copy again"
    )]
    HalfImported,
    /// The store was replaced while the service ran.
    #[error(
        "the store was replaced by an older copy of itself while the service ran: start the service again"
    )]
    WentBack,
    /// The keys are others than those of the store.
    #[error(
        "the keys in {} are others than those that the store's groups know: give this process the keys of the service \
         (`maypole keys restore`, `keys.path`)", folder.display()
    )]
    OtherKeys {
        /// Where the keys lie.
        folder: PathBuf,
    },
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A token or name of the configuration cannot be used.
    #[error("{key} {reason}")]
    Setting {
        /// Which.
        key: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The homeserver's settings cannot be used.
    #[error(transparent)]
    Homeserver(#[from] SettingsError),
    /// The homeserver's token cannot be used.
    #[error(transparent)]
    Token(#[from] EmptyToken),
    /// A listener cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The operator's socket cannot be opened.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The homeserver does not accept the service.
    #[error(transparent)]
    NotAccepted(CallError),
    /// A second order to stop came while the service was draining.
    #[error("stopped hard: what was under way is repeated after the next start")]
    StoppedHard,
    /// The drain took too long.
    #[error("the drain took too long; what was under way is repeated after the next start")]
    DrainTooLong,
}
