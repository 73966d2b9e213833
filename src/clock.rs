//! The one place that reads the clock, and where the service waits before it tries again. Everything else takes a
//! [`Timestamp`] or a `Duration`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use maypole_core::time::Timestamp;

use crate::entropy;
use crate::homeserver::Backoff;

/// The wall clock, for what is recorded and expires.
#[expect(clippy::disallowed_methods, reason = "this is the edge where time enters")]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// The monotonic clock, for how long something took.
#[expect(clippy::disallowed_methods, reason = "this is the edge where time enters")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Waits before the next try: longer each time, never longer than a bound, whatever the other side asks for.
pub async fn back_off(backoff: &mut Backoff, hint: Option<Duration>) {
    tokio::time::sleep(backoff.next(entropy::jitter(), hint)).await;
}

/// Waits until then by the monotonic clock; without end where there is no such time.
pub async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
