//! What can go wrong with a call, by whose fault it is, in words for the operator.

use std::time::Duration;

use crate::telemetry::labels::CallOutcome;

/// A call to the homeserver that brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody answered, or not in time, or not to the end.
    #[error(
        "{call}: the homeserver cannot be reached ({why}); see that it runs and that `homeserver.url` is right"
    )]
    Unreachable {
        /// What was asked.
        call: &'static str,
        /// How it failed.
        why: String,
    },
    /// The homeserver asks for patience.
    #[error(
        "{call}: the homeserver asks to be asked less often; set `rate_limited: false` in the registration"
    )]
    Busy {
        /// What was asked.
        call: &'static str,
        /// How long it wants to be left alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// Something answered that is not a working homeserver.
    #[error(
        "{call}: what answers is not a working homeserver ({why}); see its log and any reverse proxy before it"
    )]
    Broken {
        /// What was asked.
        call: &'static str,
        /// What is wrong with the answer.
        why: String,
    },
    /// The homeserver does not know the registration.
    #[error(
        "{call}: the homeserver does not know us ({errcode}: {error}); see that it has loaded this registration file, \
         that `as_token` is the same in both, and that the namespaces hold the service's user"
    )]
    NotUs {
        /// What was asked.
        call: &'static str,
        /// Its code.
        errcode: String,
        /// Its words.
        error: String,
    },
    /// The homeserver understood and said no: asking the same again will not help.
    #[error("{call}: the homeserver refuses ({status} {errcode}: {error})")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// Its code.
        errcode: String,
        /// Its words.
        error: String,
    },
    /// The request cannot be written down, so it was not sent.
    #[error("{call}: cannot be asked: {why}")]
    Unaskable {
        /// What was to be asked.
        call: &'static str,
        /// What is in the way.
        why: String,
    },
}

impl CallError {
    /// How it is counted.
    pub fn outcome(&self) -> CallOutcome {
        match self {
            Self::Busy { .. } => CallOutcome::Limited,
            Self::Unreachable { .. } => CallOutcome::Unavailable,
            Self::Broken { .. } => CallOutcome::Garbage,
            Self::NotUs { .. } | Self::Refused { .. } | Self::Unaskable { .. } => CallOutcome::Refused,
        }
    }

    /// Whether the same request may succeed later: the fault is not in the request. A homeserver that does not know
    /// us may have its registration mended; what was refused as such stays refused.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Broken { .. } | Self::NotUs { .. } => true,
            Self::Refused { .. } | Self::Unaskable { .. } => false,
        }
    }

    /// How long the homeserver wants to be left alone, for [`Backoff::next`](super::Backoff::next).
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The homeserver's code, where it gave one.
    pub fn errcode(&self) -> Option<&str> {
        match self {
            Self::NotUs { errcode, .. } | Self::Refused { errcode, .. } => Some(errcode),
            _ => None,
        }
    }
}
