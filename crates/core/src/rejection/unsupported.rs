//! What is well formed and not done here.

use std::fmt;

use maypole_mls::Refusal;

/// What is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// A protocol version other than MLS 1.0.
    ProtocolVersion(u16),
    /// A kind of MLS message that is not sent to a delivery service on its own.
    WireFormat(u16),
    /// An application message: those are room events.
    ApplicationMessage,
    /// A commit or proposal that only members can read.
    PrivateHandshake,
    /// A proposal that is sent by itself.
    Proposal,
    /// A type of proposal that is not taken by itself.
    ProposalType(u16),
    /// An epoch that canonical JSON cannot write.
    Epoch,
    /// A cipher suite that groups cannot have here.
    CipherSuite(u16),
    /// Something in a commit that this service does not take, by the rule that says so.
    ByRule(Refusal),
    /// A want that no request can have.
    Want,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolVersion(version) => {
                write!(f, "protocol version {version} is not supported, only 1 (MLS 1.0)")
            }
            Self::WireFormat(format) => {
                write!(f, "wire format {format} is not taken on its own, only 1 and 4")
            }
            Self::ApplicationMessage => {
                f.write_str("application messages are room events (m.room.encrypted), not to-device messages")
            }
            Self::PrivateHandshake => f.write_str(
                "a delivery service must be able to read commits: frame them as PublicMessage (RFC 9420 §6.2)",
            ),
            Self::Proposal => f.write_str("proposals by themselves are not supported yet; commit them by value"),
            Self::ProposalType(kind) => {
                write!(f, "a proposal of type {kind} is not taken by itself, only 1, 2, 3, 7 and 10")
            }
            Self::Epoch => f.write_str("epochs from 2^53 on are not supported"),
            Self::CipherSuite(suite) => write!(f, "cipher suite {suite} is not supported"),
            Self::ByRule(refusal) => refusal.fmt(f),
            Self::Want => f.write_str("this cannot be requested"),
        }
    }
}
