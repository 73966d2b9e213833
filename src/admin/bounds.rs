//! How long the socket waits and how much it takes: the constants of `limits`, as a value, so that tests can be quick.

use std::time::Duration;

use maypole_core::limits;

/// The bounds of the operator's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminLimits {
    /// Connections open at once.
    pub connections: usize,
    /// The longest request.
    pub request_bytes: usize,
    /// The longest answer.
    pub answer_bytes: usize,
    /// How long a request may take to arrive, and an answer to be taken.
    pub stall: Duration,
    /// How long each piece of a copy may take to be made, and to be taken.
    pub pour_stall: Duration,
    /// How long the service may take to find an answer.
    pub thought: Duration,
    /// How long a command waits for the whole answer.
    pub patience: Duration,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self {
            connections: limits::ADMIN_CONNECTIONS,
            request_bytes: limits::ADMIN_REQUEST_BYTES,
            answer_bytes: limits::ADMIN_ANSWER_BYTES,
            stall: limits::ADMIN_STALL,
            pour_stall: limits::COPY_IDLE,
            thought: limits::ADMIN_THOUGHT,
            patience: limits::ADMIN_PATIENCE,
        }
    }
}
