//! How long a listener waits and how much it takes: the constants of `limits`, as a value, so that tests can be quick.

use std::time::Duration;

use maypole_core::limits;

/// The bounds of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections open at once.
    pub connections: usize,
    /// How long the head of a request may take, and how long a connection may be idle.
    pub head_timeout: Duration,
    /// The largest head of a request.
    pub head_bytes: usize,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// The largest body of a request.
    pub body_bytes: usize,
    /// Bodies held in memory at once.
    pub bodies: usize,
    /// How long a client may leave an answer lying.
    pub stall: Duration,
    /// How long a closed connection is still read from.
    pub linger: Duration,
    /// How long nothing is accepted after the system refused to.
    pub accept_pause: Duration,
    /// How long requests in flight may take when the service stops.
    pub drain: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: limits::HTTP_CONNECTIONS,
            head_timeout: limits::HTTP_HEAD_TIMEOUT,
            head_bytes: limits::HTTP_HEAD_BYTES,
            body_timeout: limits::HTTP_BODY_TIMEOUT,
            body_bytes: limits::HTTP_BODY_BYTES,
            bodies: limits::HTTP_BODIES,
            stall: limits::HTTP_STALL,
            linger: limits::HTTP_LINGER,
            accept_pause: limits::HTTP_ACCEPT_PAUSE,
            drain: limits::DRAIN,
        }
    }
}
