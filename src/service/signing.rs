//! With what the receipts of a store must be signed, where no service runs that would say so.

use maypole_core::batch::Backend;
use maypole_core::ids::UserId;
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_room::description::ServiceKeys;

use super::error::ServiceError;
use crate::config::Settings;
use crate::dialects::matrix::terms::MatrixTerms;
use crate::keys::Keys;

/// The service as its groups name it, by the keys that are configured, if they are those of the store. Nothing is made or changed.
pub(crate) async fn signers<B: Backend>(
    settings: &Settings,
    ledger: &Ledger<B>,
) -> Result<ServiceKeys, ServiceError> {
    let folder = &settings.keys.path;
    let nobody = || LedgerError::Unavailable("no user".to_owned());
    let user = UserId::parse(settings.homeserver.user_id.as_str()).ok_or_else(nobody)?;
    let terms = MatrixTerms::new(&user, &Keys::read(folder)?);
    let other = || ServiceError::OtherKeys { folder: folder.clone() };
    if ledger.keys().await? != Some(terms.known_by()) {
        return Err(other());
    }
    ServiceKeys::parse(terms.identity()).ok_or_else(other)
}
