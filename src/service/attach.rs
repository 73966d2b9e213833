//! Getting to know the homeserver at start: waited for while it cannot be reached, and a reason to end when it does not
//! know us.

use maypole_core::ids::TxnId;

use super::error::ServiceError;
use crate::clock;
use crate::homeserver::{Backoff, CallError, Homeserver, Probe};
use crate::telemetry::labels::Condition;
use crate::telemetry::readiness::Readiness;

/// Probes the homeserver until it answers; then lets it ping us.
pub(super) async fn attach(homeserver: &Homeserver, readiness: &Readiness) -> Result<Probe, ServiceError> {
    let mut backoff = Backoff::default();
    let probe = loop {
        match homeserver.probe().await {
            Ok(probe) => break probe,
            Err(
                error @ (CallError::NotUs { .. } | CallError::Refused { .. } | CallError::Unaskable { .. }),
            ) => {
                return Err(ServiceError::NotAccepted(error));
            }
            Err(error) => {
                tracing::warn!(%error, "the homeserver does not answer yet; trying again");
                readiness.set(Condition::Homeserver, Err(error.to_string()));
                clock::back_off(&mut backoff, error.retry_after()).await;
            }
        }
    };
    readiness.set(Condition::Homeserver, Ok(()));
    tracing::info!(%probe, "attached to the homeserver");
    if probe.abilities.push_ping {
        ping(homeserver).await;
    }
    Ok(probe)
}

/// Lets the homeserver ping us: it retries what it has for us at once, and the operator learns whether push arrives.
async fn ping(homeserver: &Homeserver) {
    let Some(txn_id) = TxnId::parse(format!("start-{}", clock::now().as_millis())) else { return };
    match homeserver.ping(&txn_id).await {
        Ok(took) => tracing::info!(?took, "the homeserver reaches us"),
        Err(error) => tracing::warn!(
            %error,
            "the homeserver does not reach us: room events come late; messages come by /sync all the same"
        ),
    }
}
