//! What the routes need of the rest of the house.

use std::future::Future;

use bytes::Bytes;
use maypole_core::auth::Authenticated;
use maypole_core::ids::PushTxnId;

/// The homeserver, as a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeserverCaller;

/// Takes in the homeserver's push transactions.
pub trait PushIntake: Send + Sync + 'static {
    /// Takes in one transaction, given whole and unread. An answer of `Ok` says that it is durable, or was before.
    ///
    /// The future is dropped where it stands when the homeserver hangs up.
    fn transaction(
        &self,
        caller: Authenticated<HomeserverCaller>,
        id: PushTxnId,
        body: Bytes,
    ) -> impl Future<Output = Result<(), PushRefused>> + Send;
}

/// Why a push transaction was not taken in. The homeserver sends it again, unchanged, until it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushRefused {
    /// It is not a transaction at all. One event that cannot be read is no reason: refusing it would hold up all that follow.
    #[error("{0}")]
    BadJson(String),
    /// It cannot be made durable now.
    #[error("the service cannot store anything at the moment")]
    Unavailable,
}

/// Says what this delivery service is.
pub trait Describe: Send + Sync + 'static {
    /// The body of `GET …/delivery_service`.
    fn delivery_service(&self) -> serde_json::Value;
}
