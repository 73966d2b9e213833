//! Why something could not be done.

use crate::check::Unpublished;
use crate::device::{DeviceError, Event};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// The homeserver refused.
    #[error("{request} was refused with {status} {errcode}: {error}")]
    Refused {
        /// Which request.
        request: String,
        /// The HTTP status.
        status: u16,
        /// Matrix's error code; empty where there is none.
        errcode: String,
        /// What the homeserver says about it.
        error: String,
        /// When it may be tried again, if the homeserver says so.
        retry_after_ms: Option<u64>,
    },
    /// No answer came.
    #[error("{request} got no answer: {error}")]
    NoAnswer {
        /// Which request.
        request: String,
        /// What went wrong.
        error: String,
    },
    /// The answer has more bytes than are read.
    #[error("the answer of {request} has more than {limit_bytes} bytes")]
    TooLarge {
        /// Which request.
        request: String,
        /// How many are read.
        limit_bytes: usize,
    },
    /// The answer is not what it must be.
    #[error("the answer of {request} {problem}")]
    Answer {
        /// Which request.
        request: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The device does not do it.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The delivery service did not do it.
    #[error("the delivery service did not do it: {0:?}")]
    Undone(Box<Event>),
    /// A device's key is not the one that it publishes.
    #[error("{device}: {problem}")]
    Unpublished {
        /// The device.
        device: String,
        /// What is wrong.
        problem: Unpublished,
    },
    /// Nobody of the user can be added.
    #[error("no device of {0} can be added")]
    NoDevices(String),
    /// The room is none that is served.
    #[error("the room is no MLS room: {0}")]
    Room(String),
    /// The settings, or what was stored, cannot be used.
    #[error("{0}")]
    Settings(String),
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What went wrong.
        error: std::io::Error,
    },
    /// The system gave no randomness, or a key could not be made of it.
    #[error("no key could be made")]
    NoKey,
}

impl MatrixError {
    /// Whether the same request would come to the same end: the homeserver refuses what is asked, and not for now.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                *status >= 400 && *status < 500 && !matches!(*status, 401 | 408 | 429)
            }
            Self::TooLarge { .. } => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_not_final() {
        let refused = |status| MatrixError::Refused {
            request: String::new(),
            status,
            errcode: String::new(),
            error: String::new(),
            retry_after_ms: None,
        };
        assert!([400, 403, 404, 413].into_iter().all(|status| refused(status).is_final()));
        assert!(![401, 408, 429, 500, 502].into_iter().any(|status| refused(status).is_final()));
        assert!(!MatrixError::NoAnswer { request: String::new(), error: String::new() }.is_final());
    }
}
