//! A group as bytes, and back (RFC 9420's structures, one after the other).

use super::{
    Group, Pending,
    changes::{put_successor, read_successor},
};
use crate::{
    reader::{Broken, Reader},
    suite::Suite,
    tree::{ImportError, Tree, write_tree},
    wire::GroupContext,
    writer::{VECTOR_BYTES, Write as _},
};

/// The format of a snapshot.
const FORMAT: u16 = 0x0301;

/// Why bytes are not a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The bytes are not what they say they are.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// A format that this version does not read.
    #[error("snapshots of format {0:#06x} are not known")]
    Format(u16),
    /// A cipher suite that this version does not follow.
    #[error("cipher suite {0} is not supported")]
    Suite(u16),
    /// The tree has another shape than a tree has.
    #[error("the tree is not a tree")]
    Tree,
    /// The tree does not have the hash that the context states.
    #[error("the tree does not have the hash of its context")]
    TreeHash,
}

impl From<ImportError> for RestoreError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Broken(broken) => Self::Broken(broken),
            _ => Self::Tree,
        }
    }
}

impl Group {
    /// The whole group as bytes: context, tag, tree, and what is pending.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.tree.bytes() + self.context.len() + 256);
        bytes.put_u16(FORMAT);
        bytes.put(&self.context);
        bytes.put_opaque(&self.confirmation_tag);
        put_successor(&mut bytes, self.successor.as_deref());
        write_tree(&self.tree, &mut bytes);
        bytes.put_vector(|inside| {
            for pending in &self.pending {
                inside.put_opaque(pending.authenticated());
            }
        });
        bytes
    }

    /// The group of a snapshot. It was judged before it was written, so signatures are not verified again; the tree must
    /// have its hash.
    ///
    /// ```
    /// use maypole_mls::{Group, RestoreError, Strict, UnixSeconds};
    /// use maypole_testkit::mls::Member;
    ///
    /// let now = UnixSeconds(maypole_testkit::wait::unix_seconds());
    /// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
    /// alice.create_group(b"!room:a.org", &[])?;
    /// let snapshot = Group::import(&alice.group_info(true)?, None, &Strict, now)?.snapshot();
    /// assert_eq!(Group::restore(&snapshot)?.ratchet_tree(), alice.ratchet_tree()?);
    /// assert!(matches!(Group::restore(b"\x09\x09"), Err(RestoreError::Format(0x0909))));
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// When the bytes are not a snapshot that this version can read.
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        let mut reader = Reader::new(bytes);
        let format = reader.u16("the snapshot's format is missing")?;
        if format != FORMAT {
            return Err(RestoreError::Format(format));
        }
        let context = GroupContext::read(&mut reader)?;
        let suite = Suite::from_code(context.suite).ok_or(RestoreError::Suite(context.suite))?;
        let confirmation_tag = reader.opaque("the confirmation tag is cut short")?;
        let successor = read_successor(&mut reader)?;
        let start = reader.clone();
        reader.opaque("the ratchet tree is cut short")?;
        let tree = Tree::read(suite, reader.since(&start), VECTOR_BYTES as u32, false)?;
        if tree.root_hash().as_ref() != context.tree_hash {
            return Err(RestoreError::TreeHash);
        }
        let mut group = Self::assemble(&context, suite, confirmation_tag, tree);
        group.successor = successor;
        let mut pending = reader.vector("the pending proposals are cut short")?;
        while !pending.rest().is_empty() {
            let authenticated = pending.opaque("a pending proposal is cut short")?;
            group.keep(Pending::read(authenticated, suite)?);
        }
        reader.end()?;
        Ok(group)
    }
}
