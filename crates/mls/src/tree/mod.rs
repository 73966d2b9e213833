//! The ratchet tree (RFC 9420 §4.1, §7), held so that a commit touches a path and nothing more.
//!
//! [`Tree`] keeps the nodes in the order of RFC 9420 appendix C, and beside each its tree hash and the size of
//! its resolution; which leaves are occupied; where each key stands; and what members can do, counted. A [`Draft`] lays
//! changes over a tree without touching it, and knows the hashes of the result; applying it cannot fail.

mod bits;
mod census;
mod draft;
mod export;
mod import;
mod keys;
mod math;
mod nodes;
mod parent_hash;
mod places;
mod store;
#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests;

pub(crate) use census::{Census, Kind, Moves};
pub(crate) use draft::Draft;
pub(crate) use export::write_tree;
pub(crate) use import::ImportError;
pub(crate) use math::leaves_under;
pub(crate) use store::{Changes, Tree};

/// A node as it was written: a `LeafNode` at even places, a `ParentNode` at odd ones; nothing where it is blank.
pub(crate) type Node = Option<Box<[u8]>>;
