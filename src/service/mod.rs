//! The service put together: opened in the order in which things can fail, stopped in the order in which work flows.
//!
//! Nothing is bound before the configuration is good and the store and keys are open. On the first order to stop, intake
//! ends, then the inbox's worker, then the outbox; what is still owed stays in the store. On the second, nothing is
//! waited for.

mod attach;
mod error;
mod mark;
mod retention;
mod rooms;
mod signing;

pub use error::ServiceError;
pub(crate) use mark::{IN_DOUBT, in_doubt};
pub(crate) use rooms::open_store;
pub(crate) use signing::signers;

use maypole_core::auth::AuthToken;
use maypole_core::limits;

use self::rooms::Rooms;
use crate::config::{Config, LogFormat};
use crate::signals::Signals;
use crate::telemetry::exposition::Exposition;
use crate::telemetry::logs;

/// Runs the service until it is told to stop.
pub async fn run(config: Config, token: AuthToken, mut signals: Signals) -> Result<(), ServiceError> {
    logs::init(log_format(config.log.format), &config.log.level)?;
    let exposition = Exposition::install()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), user = %config.homeserver.user_id, "starting");
    for warning in &config.appservice.warnings {
        tracing::warn!(key = %warning.key, reason = %warning.reason, "the registration could be better");
    }
    let rooms = Rooms::open(&config, token, exposition).await?;
    let stops = rooms.stops();
    let working = rooms.work();
    tokio::pin!(working);
    let order = tokio::select! {
        ended = &mut working => return ended,
        order = signals.next() => order,
    };
    tracing::info!(order, "draining; a second order stops hard");
    stops.intake.cancel();
    tokio::select! {
        ended = &mut working => {
            tracing::info!("stopped");
            ended
        }
        order = signals.next() => {
            tracing::warn!(order, "stopping hard");
            Err(ServiceError::StoppedHard)
        }
        () = tokio::time::sleep(limits::DRAIN_WHOLE) => Err(ServiceError::DrainTooLong),
    }
}

fn log_format(format: LogFormat) -> logs::LogFormat {
    match format {
        LogFormat::Json => logs::LogFormat::Json,
        LogFormat::Pretty => logs::LogFormat::Pretty,
    }
}
