//! Structures written again from the fields that reading gave, while the spans that it kept are held against them.

use maypole_mls::{
    envelope::Sender,
    reader::Reader,
    service::Welcome,
    wire::{
        Capabilities, Content, Credential, Extensions, GroupContext, GroupInfo, KeyPackage, LeafNode,
        LeafSource, Listed, PathNode, PreSharedKey, Proposal, PublicMessage, ReInit, Types,
    },
    writer::Write as _,
};

/// Something that can be written from its fields.
pub(super) trait Written {
    fn write(&self, bytes: &mut Vec<u8>);

    fn written(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }
}

/// Writes something, which must come to the span that was kept of it.
fn spanned(bytes: &mut Vec<u8>, span: &[u8], what: &str, write: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    write(bytes);
    assert!(&bytes[start..] == span, "{what} is written as {:02x?} and was {span:02x?}", &bytes[start..]);
}

impl Written for Types<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.put_vector(|inside| self.iter().for_each(|kind| inside.put_u16(kind)));
    }
}

impl Written for Capabilities<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        for types in [self.versions, self.suites, self.extensions, self.proposals, self.credentials] {
            types.write(bytes);
        }
    }
}

impl Written for Credential<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        spanned(bytes, self.raw, "a credential", |bytes| {
            bytes.put_u16(self.kind);
            bytes.put_opaque(self.body);
        });
    }
}

impl Written for Extensions<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        spanned(bytes, self.raw, "a list of extensions", |bytes| {
            bytes.put_vector(|inside| {
                for extension in self.iter() {
                    inside.put_u16(extension.kind);
                    inside.put_opaque(extension.data);
                }
            });
        });
    }
}

impl Written for LeafSource<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::KeyPackage { not_before, not_after } => {
                bytes.put_u8(1);
                bytes.put_u64(*not_before);
                bytes.put_u64(*not_after);
            }
            Self::Update => bytes.put_u8(2),
            Self::Commit { parent_hash } => {
                bytes.put_u8(3);
                bytes.put_opaque(parent_hash);
            }
        }
    }
}

impl Written for LeafNode<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        spanned(bytes, self.raw, "a leaf", |bytes| {
            spanned(bytes, self.signed, "a leaf's signed part", |bytes| {
                bytes.put_opaque(self.encryption_key);
                bytes.put_opaque(self.signature_key);
                self.credential.write(bytes);
                self.capabilities.write(bytes);
                self.source.write(bytes);
                self.extensions.write(bytes);
            });
            bytes.put_opaque(self.signature);
        });
    }
}

impl Written for KeyPackage<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        spanned(bytes, self.raw, "a KeyPackage", |bytes| {
            spanned(bytes, self.signed, "a KeyPackage's signed part", |bytes| {
                bytes.put_u16(self.version);
                bytes.put_u16(self.suite);
                bytes.put_opaque(self.init_key);
                self.leaf.write(bytes);
                self.extensions.write(bytes);
            });
            bytes.put_opaque(self.signature);
        });
    }
}

impl Written for GroupContext<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        spanned(bytes, self.raw, "a GroupContext", |bytes| put_context(bytes, self));
    }
}

/// Writes a context whose fields may have been changed since it was read.
pub(super) fn put_context(bytes: &mut Vec<u8>, context: &GroupContext<'_>) {
    bytes.put_u16(context.version);
    bytes.put_u16(context.suite);
    bytes.put_opaque(context.group_id);
    bytes.put_u64(context.epoch);
    bytes.put_opaque(context.tree_hash);
    bytes.put_opaque(context.confirmed_transcript_hash);
    context.extensions.write(bytes);
}

impl Written for GroupInfo<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        spanned(bytes, self.signed, "a GroupInfo's signed part", |bytes| {
            self.context.write(bytes);
            self.extensions.write(bytes);
            bytes.put_opaque(self.confirmation_tag);
            bytes.put_u32(self.signer);
        });
        bytes.put_opaque(self.signature);
    }
}

impl Written for ReInit<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        spanned(bytes, self.raw, "a ReInit", |bytes| {
            bytes.put_opaque(self.group_id);
            bytes.put_u16(self.version);
            bytes.put_u16(self.suite);
            self.extensions.write(bytes);
        });
    }
}

impl Written for PreSharedKey<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        let head: &[u8] = match &self.usage {
            None => &[1],
            Some(usage) => &[2, *usage],
        };
        assert!(self.id.starts_with(head), "a pre-shared key's type and usage are not in {:02x?}", self.id);
        bytes.put(self.id);
        bytes.put_opaque(self.nonce);
    }
}

impl Written for Proposal<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.put_u16(self.kind());
        match self {
            Self::Add(key_package) => key_package.write(bytes),
            Self::Update(leaf) => leaf.write(bytes),
            Self::Remove(leaf) => bytes.put_u32(*leaf),
            Self::PreSharedKey(key) => key.write(bytes),
            Self::ReInit(reinit) => reinit.write(bytes),
            Self::ExternalInit(kem_output) => bytes.put_opaque(kem_output),
            Self::GroupContextExtensions(extensions) => extensions.write(bytes),
            Self::AppDataUpdate(update) => {
                bytes.put_u16(update.component);
                bytes.put_u8(if update.update.is_some() { 1 } else { 2 });
                update.update.iter().for_each(|update| bytes.put_opaque(update));
            }
            Self::AppEphemeral(said) => {
                bytes.put_u16(said.component);
                bytes.put_opaque(said.data);
            }
            Self::SelfRemove => {}
            Self::Other { body, .. } => bytes.put(body),
        }
    }
}

impl Written for Sender {
    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Member(leaf) => {
                bytes.put_u8(1);
                bytes.put_u32(*leaf);
            }
            Self::External(place) => {
                bytes.put_u8(2);
                bytes.put_u32(*place);
            }
            Self::NewMemberProposal => bytes.put_u8(3),
            Self::NewMemberCommit => bytes.put_u8(4),
        }
    }
}

impl Written for PublicMessage<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        spanned(bytes, self.authenticated, "an AuthenticatedContent", |bytes| {
            spanned(bytes, self.confirmed, "what a transcript takes", |bytes| {
                spanned(bytes, self.framed, "a FramedContent", |bytes| put_framed(bytes, self));
                bytes.put_opaque(self.signature);
            });
            if let Content::Commit(_) = self.content {
                bytes.put_opaque(self.confirmation_tag);
            }
        });
        if let Sender::Member(_) = self.sender {
            bytes.put_opaque(self.membership_tag);
        }
    }
}

/// Writes a `PublicMessage`'s `FramedContent`.
fn put_framed(bytes: &mut Vec<u8>, message: &PublicMessage<'_>) {
    let start = bytes.len();
    bytes.put_opaque(message.group_id);
    bytes.put_u64(message.epoch);
    message.sender.write(bytes);
    bytes.put_opaque(message.authenticated_data);
    let commit = match &message.content {
        Content::Proposal(proposal) => {
            bytes.put_u8(2);
            return proposal.write(bytes);
        }
        Content::Commit(commit) => commit,
    };
    bytes.put_u8(3);
    bytes.put_vector(|inside| {
        for listed in &commit.proposals {
            match listed {
                Listed::Value(proposal) => {
                    inside.put_u8(1);
                    proposal.write(inside);
                }
                Listed::Reference(reference) => {
                    inside.put_u8(2);
                    inside.put_opaque(reference);
                }
            }
        }
    });
    bytes.put_u8(u8::from(commit.path.is_some()));
    if let Some(path) = &commit.path {
        path.leaf.write(bytes);
        let nodes = &message.framed[bytes.len() - start..];
        check_path_nodes(&path.nodes, nodes);
        bytes.put(nodes);
    }
}

/// Of ciphertexts no more is kept than their number and sizes: these are counted again.
fn check_path_nodes(nodes: &[PathNode<'_>], bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let mut inside = reader.vector("path").unwrap();
    reader.end().unwrap();
    for node in nodes {
        assert_eq!(inside.opaque("key").unwrap(), node.encryption_key);
        let mut secrets = inside.vector("secrets").unwrap();
        let mut sizes = Vec::new();
        while !secrets.rest().is_empty() {
            sizes.push((secrets.opaque("output").unwrap().len(), secrets.opaque("secret").unwrap().len()));
        }
        let uniform = sizes.windows(2).all(|pair| pair[0] == pair[1]);
        assert_eq!(node.ciphertexts.count as usize, sizes.len());
        assert_eq!(node.ciphertexts.sizes, sizes.first().copied().filter(|_| uniform));
    }
    inside.end().unwrap();
}

impl Written for Welcome<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.put_u16(self.suite);
        bytes.put_vector(|inside| self.secrets.iter().for_each(|entry| inside.put(entry.raw)));
        bytes.put_opaque(self.encrypted_group_info);
    }
}
