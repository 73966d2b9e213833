//! How a chain of receipts breaks.

use std::fmt;

use maypole_core::ids::Epoch;

use crate::fields::ShapeError;

/// Where a chain breaks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    /// The epoch of the receipt that is not the next link, if it can be read.
    pub epoch: Option<Epoch>,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The receipt is none, or not one of the service.
    #[error("{0}")]
    Receipt(ShapeError),
    /// The receipt is of another room or group.
    #[error("the receipt is of another group")]
    Group,
    /// The receipt is of another term, and there is no handover.
    #[error("the receipt is of another term")]
    Term,
    /// The same receipt comes twice.
    #[error("the receipt comes twice")]
    Twice,
    /// There are two receipts of one epoch, and they differ.
    #[error("there are two receipts of this epoch, and they differ")]
    Fork,
    /// Another epoch would be the next.
    #[error("the next receipt should be of epoch {expected}")]
    Epoch {
        /// Which.
        expected: Epoch,
    },
    /// `prev` is not the hash of the receipt before.
    #[error("`prev` is not the hash of the receipt before")]
    Prev,
    /// `commit` is not the hash of the message.
    #[error("`commit` is not the hash of the message")]
    Message,
    /// A first epoch names a receipt before it, or a later one names none.
    #[error("`prev` is null in epoch 0, and only there")]
    Beginning,
}

impl Flaw {
    /// The flaw's name, for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Receipt(ShapeError::Unsigned) => "unsigned",
            Self::Receipt(ShapeError::Forged) => "forged",
            Self::Receipt(_) => "malformed",
            Self::Group => "group",
            Self::Term => "term",
            Self::Twice => "twice",
            Self::Fork => "fork",
            Self::Epoch { .. } => "epoch",
            Self::Prev => "prev",
            Self::Message => "message",
            Self::Beginning => "beginning",
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            Some(epoch) => write!(f, "at epoch {epoch}: {}", self.flaw),
            None => write!(f, "{}", self.flaw),
        }
    }
}
