//! What RFC 9420 asks of single things: leaves, KeyPackages, proposals. What it asks of them together is in
//! [`crate::group`].

mod demands;
mod key_package;
mod leaf;
mod proposal;

pub(crate) use demands::Demands;
pub(crate) use leaf::{Entry, leaf_content};
pub(crate) use proposal::ProposalContext;
