//! What the operator sees: logs, metrics, and whether the service is ready.
//!
//! Keeps true: no secret, and no user, room or URL, becomes a label; every metric stands in one table
//! ([`metrics::METRICS`]); logs go to standard error, because standard output belongs to commands.

pub mod exposition;
pub mod labels;
pub mod logs;
pub mod metrics;
pub mod readiness;
pub mod record;
