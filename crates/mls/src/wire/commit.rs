//! Commits (RFC 9420 §12.4) and their update paths (§7.6).

use super::{
    LeafNode, Proposal,
    proposal::{Body, Unreadable},
};
use crate::{
    policy::{READ_PATH_NODES, READ_PROPOSALS},
    reader::{Broken, Reader},
};

/// A `Commit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// What it commits, in order.
    pub proposals: Vec<Listed<'a>>,
    /// The committer's new keys.
    pub path: Option<Box<UpdatePath<'a>>>,
}

/// A `ProposalOrRef`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed<'a> {
    /// The proposal itself, made by the committer.
    Value(Proposal<'a>),
    /// The `ProposalRef` of one that was sent before.
    Reference(&'a [u8]),
}

/// An `UpdatePath`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatePath<'a> {
    /// The committer's new leaf.
    pub leaf: LeafNode<'a>,
    /// One entry for each node of the committer's filtered direct path, from the leaf up.
    pub nodes: Vec<PathNode<'a>>,
}

/// An `UpdatePathNode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathNode<'a> {
    /// The node's new HPKE key.
    pub encryption_key: &'a [u8],
    /// What its secret was encrypted to.
    pub ciphertexts: Ciphertexts,
}

/// The encrypted path secrets of a node, of which nobody outside can read more than their number and sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ciphertexts {
    /// How many there are.
    pub count: u32,
    /// The bytes of each one's KEM output and of its ciphertext, if they are the same for all.
    pub sizes: Option<(usize, usize)>,
}

impl<'a> Commit<'a> {
    /// Reads one out of what follows it; `declared` as in [`Proposal::read`].
    pub fn read(reader: &mut Reader<'a>, declared: &dyn Fn(u16) -> Option<Body>) -> Result<Self, Unreadable> {
        let mut inside = reader.vector("a commit's proposals are cut short")?;
        let mut proposals = Vec::new();
        while !inside.rest().is_empty() {
            if proposals.len() >= READ_PROPOSALS {
                return Err(inside.broken("a commit has more entries than are read").into());
            }
            let unknown = inside.broken("a commit's entry is neither a proposal nor a reference");
            proposals.push(match inside.u8("a commit's entry is cut short")? {
                1 => Listed::Value(Proposal::read(&mut inside, declared)?),
                2 => Listed::Reference(inside.opaque("a reference is cut short")?),
                _ => return Err(unknown.into()),
            });
        }
        let path = reader
            .present("a commit's path is missing")?
            .then(|| UpdatePath::read(reader).map(Box::new))
            .transpose()?;
        Ok(Self { proposals, path })
    }
}

impl<'a> UpdatePath<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let leaf = LeafNode::read(reader)?;
        let mut inside = reader.vector("a path is cut short")?;
        let mut nodes = Vec::new();
        while !inside.rest().is_empty() {
            if nodes.len() >= READ_PATH_NODES {
                return Err(inside.broken("a path is longer than any tree is deep"));
            }
            let encryption_key = inside.opaque("a path's key is cut short")?;
            nodes.push(PathNode { encryption_key, ciphertexts: Ciphertexts::read(&mut inside)? });
        }
        Ok(Self { leaf, nodes })
    }
}

impl Ciphertexts {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Broken> {
        let mut inside = reader.vector("encrypted path secrets are cut short")?;
        let mut read = Self { count: 0, sizes: None };
        let mut uniform = true;
        while !inside.rest().is_empty() {
            let kem_output = inside.opaque("a KEM output is cut short")?.len();
            let sizes = Some((kem_output, inside.opaque("an encrypted path secret is cut short")?.len()));
            uniform &= read.count == 0 || read.sizes == sizes;
            read = Self { count: read.count.saturating_add(1), sizes };
        }
        Ok(if uniform { read } else { Self { sizes: None, ..read } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::Write as _;

    /// A commit of so many empty references, without a path.
    fn of(references: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_vector(|inside| inside.put(&[2, 0].repeat(references)));
        bytes.put_u8(0);
        bytes
    }

    #[test]
    fn no_more_entries_are_read_than_are_bounded() {
        let read = |bytes: &[u8]| {
            Commit::read(&mut Reader::new(bytes), &|_| None).map(|commit| commit.proposals.len())
        };
        assert_eq!(read(&of(READ_PROPOSALS)), Ok(READ_PROPOSALS));
        assert!(matches!(read(&of(READ_PROPOSALS + 1)), Err(Unreadable::Broken(_))));
    }
}
