//! Every bound of the testkit, in one file. Units stand last in the names, or in the type.

use std::time::Duration;

/// How often a condition that is awaited is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long one process may build the virtual environment, downloads included.
pub const PROVISION: Duration = Duration::from_mins(15);
/// How long a process waits for another one that builds it: its turn may come after two that failed.
pub const PROVISION_TURN: Duration = Duration::from_mins(45);
/// How long Python may take to say its version.
pub const PYTHON_VERSION: Duration = Duration::from_secs(30);

/// How long a Synapse may take until it answers, on a machine that is busy with other tests.
pub const SYNAPSE_BOOT: Duration = Duration::from_secs(90);
/// How long a Synapse may take to stop by itself before it is killed.
pub const SYNAPSE_STOP: Duration = Duration::from_secs(20);
/// How long one look at a starting Synapse's health may take.
pub const HEALTH_REQUEST: Duration = Duration::from_secs(2);

/// How long a PostgreSQL may take until it answers.
pub const POSTGRES_BOOT: Duration = Duration::from_secs(90);
/// How long a PostgreSQL may take to stop by itself before it is killed.
pub const POSTGRES_STOP: Duration = Duration::from_secs(30);

/// How long one request of a user may take.
pub const USER_REQUEST: Duration = Duration::from_secs(60);
/// How long `/sync` is asked to wait for something to happen.
pub const SYNC_POLL: Duration = Duration::from_secs(5);
/// The largest answer that is read.
pub const ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// Lines of a log that an error shows.
pub const LOG_TAIL_LINES: usize = 25;
/// The end of a log from which those lines are taken.
pub const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// How long the service may take until it is ready, or to end, on a machine that is busy with other tests.
pub const SERVICE_READY: Duration = Duration::from_secs(90);
