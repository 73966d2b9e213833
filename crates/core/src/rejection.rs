//! The one enum behind every refusal: what went wrong, in types, and what follows from it.
//!
//! Each [`Rejection`] belongs to one [`Code`]; the code knows its name on the wire, its HTTP status,
//! what the caller can do, and whether the same question may be asked again. Dialects
//! translate a rejection into their own words; they add nothing to it.

use std::fmt;
use std::time::Duration;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The JSON around the message is not what it should be.
    #[error("`{field}` {problem}")]
    BadJson {
        /// Which part of the content.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The bytes are not the MLS structure that they should be.
    #[error("the message breaks off being MLS at byte {offset}: {problem}")]
    Malformed {
        /// Where the bytes stop making sense.
        offset: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// Well formed, but not something that this service does.
    #[error("{0}")]
    Unsupported(Unsupported),
    /// More bytes than are taken.
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How much is taken.
        limit_bytes: u64,
    },
    /// The transaction ID was used for other content.
    #[error("this transaction ID was used before, for other content")]
    TxnReused,
    /// No group has this ID here.
    #[error("this delivery service has no such group")]
    UnknownGroup,
    /// Too much, too fast.
    #[error("too many messages; wait before sending more")]
    LimitExceeded {
        /// How long to wait.
        retry_after: Duration,
    },
}

/// What is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// A protocol version other than MLS 1.0.
    ProtocolVersion(u16),
    /// A kind of MLS message that is not sent to a delivery service on its own.
    WireFormat(u16),
    /// An application message: those are room events.
    ApplicationMessage,
    /// An epoch that canonical JSON cannot write.
    Epoch,
    /// Bytes by way of the media repository.
    Blob,
    /// The registration of a group.
    Registration,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolVersion(version) => {
                write!(f, "protocol version {version} is not supported, only 1 (MLS 1.0)")
            }
            Self::WireFormat(format) => {
                write!(f, "wire format {format} is not taken on its own, only 1, 2 and 4")
            }
            Self::ApplicationMessage => {
                f.write_str("application messages are room events (m.room.encrypted), not to-device messages")
            }
            Self::Epoch => f.write_str("epochs from 2^53 on are not supported"),
            Self::Blob => {
                f.write_str("messages by way of the media repository are not supported yet; send the bytes")
            }
            Self::Registration => f.write_str("groups cannot be registered here yet"),
        }
    }
}

impl Rejection {
    /// The code that this refusal goes by.
    pub const fn code(&self) -> Code {
        match self {
            Self::BadJson { .. } => Code::BadJson,
            Self::Malformed { .. } => Code::Malformed,
            Self::Unsupported(_) => Code::Unsupported,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::TxnReused => Code::TxnReused,
            Self::UnknownGroup => Code::UnknownGroup,
            Self::LimitExceeded { .. } => Code::LimitExceeded,
        }
    }
}

/// The codes of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// See [`Rejection::BadJson`].
    BadJson,
    /// See [`Rejection::Malformed`].
    Malformed,
    /// See [`Rejection::Unsupported`].
    Unsupported,
    /// See [`Rejection::TooLarge`].
    TooLarge,
    /// See [`Rejection::TxnReused`].
    TxnReused,
    /// See [`Rejection::UnknownGroup`].
    UnknownGroup,
    /// See [`Rejection::LimitExceeded`].
    LimitExceeded,
}

/// What is known about a code, whatever the particular refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The code on the wire.
    pub errcode: &'static str,
    /// The status where the refusal travels by HTTP.
    pub http_status: u16,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What the caller can do about it, in a sentence.
    pub advice: &'static str,
    /// Whether the same message gets the same refusal again. Not where it may succeed later, and not where an earlier answer
    /// stands.
    pub remembered: bool,
}

impl Code {
    /// Every code there is.
    pub const ALL: [Self; 7] = [
        Self::BadJson,
        Self::Malformed,
        Self::Unsupported,
        Self::TooLarge,
        Self::TxnReused,
        Self::UnknownGroup,
        Self::LimitExceeded,
    ];

    /// What is known about this code.
    pub const fn facts(self) -> Facts {
        match self {
            Self::BadJson => Facts {
                errcode: "M_BAD_JSON",
                http_status: 400,
                meaning: "The event content lacks something or has something of the wrong kind; `field` says what.",
                advice: "Mend the field that is named and send again under a new `txn_id`.",
                remembered: true,
            },
            Self::Malformed => Facts {
                errcode: "M_MLS_MALFORMED",
                http_status: 400,
                meaning: "The decoded bytes are not an `MLSMessage` of RFC 9420; `offset` says where they stop being one.",
                advice: "Send the bytes that the MLS library made, whole, as unpadded standard base64.",
                remembered: true,
            },
            Self::Unsupported => Facts {
                errcode: "M_MLS_UNSUPPORTED",
                http_status: 400,
                meaning: "The message is well formed but not something that this service does; `supported` says what is.",
                advice: "Compare with `GET /_matrix/client/unstable/org.matrix.msc4244/delivery_service`; do not repeat.",
                remembered: true,
            },
            Self::TooLarge => Facts {
                errcode: "M_TOO_LARGE",
                http_status: 413,
                meaning: "There are more bytes than the service takes; `limit_bytes` says how many it does.",
                advice: "Make it smaller: split the commit into several.",
                remembered: true,
            },
            Self::TxnReused => Facts {
                errcode: "M_MLS_TXN_REUSED",
                http_status: 409,
                meaning: "The same device used the same `txn_id` before, for other content. The first answer stands.",
                advice: "Send the new content under a new `txn_id`.",
                remembered: false,
            },
            Self::UnknownGroup => Facts {
                errcode: "M_MLS_UNKNOWN_GROUP",
                http_status: 404,
                meaning: "This delivery service has no group of that ID.",
                advice: "Look up the room's delivery service (`m.mls.delivery_service` in the create event) and the \
                         group's ID there; the creator registers the group first.",
                remembered: true,
            },
            Self::LimitExceeded => Facts {
                errcode: "M_LIMIT_EXCEEDED",
                http_status: 429,
                meaning: "This account sends faster than the service takes. It is told so at most once a second; what it \
                          sends in between is not answered.",
                advice: "Wait `retry_after_ms`, then send what was not answered again, each under its own `txn_id`.",
                remembered: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.facts().errcode).collect();
        assert_eq!(codes.len(), Code::ALL.len());
    }

    #[test]
    fn every_code_says_what_to_do() {
        for code in Code::ALL {
            let facts = code.facts();
            assert!(facts.advice.ends_with('.') && facts.meaning.ends_with('.'), "{code:?}");
            assert!((400..500).contains(&facts.http_status), "{code:?}");
        }
    }
}
