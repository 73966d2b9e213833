//! What nobody can leave out who follows a group: for each commit, the signatures over exactly its bytes, and the hashes
//! of exactly what it changes.
//!
//! - Signatures: the frame's, by the committer's leaf or, from outside, by the leaf of the path, and the path leaf's; with an
//!   Add, also the KeyPackage's and its leaf's.
//! - Tree hashes (RFC 9420 §7.8) of all nodes whose hash differs after the commit. What is blank in a half that a tree
//!   has just grown is left out: it depends on nothing and can be known beforehand.
//! - Parent hashes (§7.9) of the path, and the two transcript hashes (§8.2).
//!
//! No reading, no look-up, no copy is in it. What is hashed and verified is put together beforehand, and it is checked that
//! it leads to the commit's own tree hash and parent hashes, so that the floor is neither too low nor too high.

use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::{
    digest::{Digest, SHA256, digest},
    signature::{ED25519, UnparsedPublicKey},
};
use maypole_mls::{
    envelope::Sender,
    reader::Reader,
    wire::{Commit as WireCommit, Content, LeafSource, Listed, Proposal, PublicMessage},
    writer::Write as _,
};
use maypole_testkit::forge::{Commit, Forge};

use crate::tree::HashedTree;

/// The cryptography of one commit.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    verified: Vec<Signed>,
    hashed: Vec<Vec<u8>>,
}

/// A signature and what it is over.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) key: Vec<u8>,
    pub(crate) content: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl Signed {
    pub(crate) fn of(key: &[u8], label: &str, parts: &[&[u8]], signature: &[u8]) -> Self {
        let mut content = Vec::new();
        content.put_opaque(format!("MLS 1.0 {label}").as_bytes());
        content.put_opaque(&parts.concat());
        Self { key: key.to_vec(), content, signature: signature.to_vec() }
    }

    pub(crate) fn verify(&self) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.key).verify(&self.content, &self.signature).is_ok()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes)
}

impl Floor {
    /// What a commit asks for that leads from one state to the other.
    pub(crate) fn of(before: &Forge, after: &Forge, commit: &Commit) -> Result<Self> {
        let mut reader = Reader::new(commit.message.get(4..).context("no envelope")?);
        let message = PublicMessage::read(&mut reader, &|_| None)
            .map_err(|unreadable| anyhow::anyhow!("{unreadable:?}"))?;
        let Content::Commit(content) = &message.content else { bail!("not a commit") };
        let mut floor = Self::default();
        floor.take_signatures(before, &message, commit.committer, content)?;
        floor.take_tree(before, after, commit.committer, content)?;

        let transcript = [before.interim_transcript_hash(), &[0, 1], message.confirmed].concat();
        ensure!(sha256(&transcript).as_ref() == after.confirmed_transcript_hash(), "another transcript");
        floor.hashed.push(transcript);
        let mut interim = after.confirmed_transcript_hash().to_vec();
        interim.put_opaque(message.confirmation_tag);
        ensure!(sha256(&interim).as_ref() == after.interim_transcript_hash(), "another interim transcript");
        floor.hashed.push(interim);
        floor.run()?;
        Ok(floor)
    }

    /// All of it, as fast as it can be done.
    pub(crate) fn run(&self) -> Result<()> {
        for signed in &self.verified {
            ensure!(signed.verify(), "a signature does not verify");
        }
        for input in &self.hashed {
            std::hint::black_box(sha256(std::hint::black_box(input)));
        }
        Ok(())
    }

    fn take_signatures(
        &mut self,
        before: &Forge,
        message: &PublicMessage<'_>,
        committer: u32,
        commit: &WireCommit<'_>,
    ) -> Result<()> {
        let leaf = commit.path.as_ref().context("no path")?.leaf;
        let key = match message.sender {
            Sender::Member(sender) => before.leaf(sender)?.signature_key.as_slice(),
            Sender::NewMemberCommit => leaf.signature_key,
            _ => bail!("nobody who commits"),
        };
        let head: &[u8] = &[0, 1, 0, 1];
        let context = before.group_context();
        let parts = [head, message.framed, context.as_slice()];
        self.verified.push(Signed::of(key, "FramedContentTBS", &parts, message.signature));

        let mut bound = Vec::new();
        bound.put_opaque(before.group_id());
        bound.put_u32(committer);
        let parts = [leaf.signed, bound.as_slice()];
        self.verified.push(Signed::of(leaf.signature_key, "LeafNodeTBS", &parts, leaf.signature));

        for listed in &commit.proposals {
            let Listed::Value(Proposal::Add(added)) = listed else { continue };
            let leaf = added.leaf;
            let key = leaf.signature_key;
            self.verified.push(Signed::of(key, "KeyPackageTBS", &[added.signed], added.signature));
            self.verified.push(Signed::of(key, "LeafNodeTBS", &[leaf.signed], leaf.signature));
        }
        Ok(())
    }

    fn take_tree(
        &mut self,
        before: &Forge,
        after: &Forge,
        committer: u32,
        commit: &WireCommit<'_>,
    ) -> Result<()> {
        let old = HashedTree::read(&before.ratchet_tree())?;
        let new = HashedTree::read(&after.ratchet_tree())?;
        ensure!(new.root_hash()? == after.tree_hash(), "another tree");
        self.hashed.extend(new.inputs_that_differ(&old)?);

        let path = commit.path.as_ref().context("no path")?;
        let LeafSource::Commit { parent_hash } = path.leaf.source else { bail!("no leaf of a commit") };
        let mut expected = parent_hash.to_vec();
        for step in new.path(committer)? {
            ensure!(sha256(&step.input).as_ref() == expected, "another parent hash");
            expected = step.parent_hash;
            self.hashed.push(step.input);
        }
        ensure!(expected.is_empty(), "the path does not end at the root");
        Ok(())
    }
}
