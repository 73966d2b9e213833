//! Where a command finds what the service has stored: with the running service, which alone may open its store, or else in the
//! store itself.

use maypole_core::ledger::Ledger;
use maypole_room::description::ServiceKeys;

use super::asking::Asking;
use super::{Exit, Failure};
use crate::admin::AskError;
use crate::service::{open_store, signers};
use crate::storage::Store;

/// What can be asked about the store: the service that has it open, or else the store itself.
pub(super) enum Source {
    Service,
    Store(Opened),
}

/// The store, opened because no service runs.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) ledger: Ledger<Store>,
}

impl Source {
    /// The running service, if `asked` is not refused because none runs; or else the store, if there is one.
    pub(super) fn find<T>(asking: &Asking, asked: Result<T, AskError>) -> Result<(Self, Option<T>), Failure> {
        let config = &asking.settings().store;
        match asked {
            Ok(told) => Ok((Self::Service, Some(told))),
            Err(AskError::NotRunning(_)) => {
                if config.postgres.is_none() && !config.path.join("sled").exists() {
                    let why = format!("there is no store in {} (`store.path`)", config.path.display());
                    return Err(Failure::new(Exit::Store, why));
                }
                let store = asking.wait(open_store(config))?;
                Ok((Self::Store(Opened { ledger: Ledger::new(store.clone()), store }), None))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Closes what was opened.
    pub(super) fn close(self, asking: &Asking) {
        if let Self::Store(Opened { store, .. }) = self {
            asking.wait(store.close());
        }
    }
}

impl Opened {
    /// With what receipts must be signed, by the service's own keys; or why nobody says, in words.
    pub(super) fn signers(&self, asking: &Asking) -> Result<ServiceKeys, String> {
        asking.wait(signers(asking.settings(), &self.ledger)).map_err(|error| error.to_string())
    }
}
