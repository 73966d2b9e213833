//! Asking again and again, for those who cannot go on without an answer.

use maypole_core::limits;

use super::backoff::Backoff;
use super::error::CallError;
use crate::clock;

/// Asks until there is an answer, or a refusal that stands, or it has failed too often: then the last failure. Waits longer
/// each time, never longer than a bound. `what` is what the log says of each failure.
pub async fn patiently<T, F: Future<Output = Result<T, CallError>>>(
    what: &'static str,
    mut ask: impl FnMut() -> F,
) -> Result<T, CallError> {
    let mut backoff = Backoff::default();
    let mut tries = 1;
    loop {
        match ask().await {
            Err(error) if error.is_transient() && tries < limits::READ_TRIES => {
                tracing::warn!(%error, "{what}; trying again");
                clock::back_off(&mut backoff, error.retry_after()).await;
                tries += 1;
            }
            answer => return answer,
        }
    }
}
