//! What is read is written again as the same bytes.

use maypole_mls::{
    Group,
    envelope::{Envelope, Private, Public},
    reader::Reader,
    service::Welcome,
    wire::{Extensions, GroupContext, GroupInfo, KeyPackage, LeafNode, Proposal, PublicMessage},
    writer::Write as _,
};
use maypole_testkit::forge::chance::Choices;

use super::{
    choices::one_of,
    policies::{TakesAll, declared},
    tree_hash,
    world::{Kind, World, world},
    written::{Written, put_context},
};

/// What can be read is written again as it was: messages, GroupInfos, KeyPackages, Welcomes, trees, leaves, extensions,
/// proposals, snapshots; deltas are carried out again to the same state, and a Welcome that is cut to a reader is read as
/// that reader's entry.
pub fn round_trip(input: &[u8]) {
    let mut choices = Choices::new(input);
    let world = world(&mut choices);
    let kinds: [OfKind; 10] = [
        (Kind::Message, |_, bytes| message(bytes)),
        (Kind::GroupInfo, |_, bytes| group_info(bytes)),
        (Kind::KeyPackage, |_, bytes| key_package(bytes)),
        (Kind::Welcome, |_, bytes| welcome(bytes)),
        (Kind::Tree, tree),
        (Kind::Snapshot, |_, bytes| snapshot(bytes)),
        (Kind::Delta, delta),
        (Kind::Leaf, |_, bytes| leaf(bytes)),
        (Kind::Proposal, |_, bytes| proposal(bytes)),
        (Kind::Extensions, |_, bytes| extensions(bytes)),
    ];
    let (kind, law) = one_of(&mut choices, &kinds);
    law(world, &world.of_kind(*kind, &mut choices));
}

/// The law for a kind.
type OfKind = (Kind, fn(&World, &[u8]));

#[track_caller]
fn same(what: &str, written: &[u8], bytes: &[u8]) {
    assert!(written == bytes, "{what} is written as {written:02x?} and was {bytes:02x?}");
}

/// Reads something that is all there is.
fn whole<'a, T, E>(bytes: &'a [u8], read: impl FnOnce(&mut Reader<'a>) -> Result<T, E>) -> Option<T> {
    let mut reader = Reader::new(bytes);
    let read = read(&mut reader).ok()?;
    reader.end().is_ok().then_some(read)
}

fn message(bytes: &[u8]) {
    let Ok(envelope) = Envelope::read(bytes) else { return };
    assert_eq!(Envelope::read(bytes).as_ref(), Ok(&envelope));
    let mut written = vec![0, 1, 0];
    match envelope {
        Envelope::Public(public) => {
            written.put_u8(1);
            put_public(&mut written, &public);
            public_message(&bytes[4..], &public);
        }
        Envelope::Private(private) => {
            written.put_u8(2);
            put_private(&mut written, &private);
            // What only members can read is not kept: two vectors, and nothing behind them.
            let mut reader = Reader::new(&bytes[written.len()..]);
            reader.opaque("sender").and_then(|_| reader.opaque("content")).unwrap();
            reader.end().unwrap();
            written.put(&bytes[written.len()..]);
        }
        Envelope::Welcome(inside) => {
            written.put_u8(3);
            written.put(inside);
            welcome(bytes);
        }
        Envelope::GroupInfo(info) => {
            written.put_u8(4);
            info.write(&mut written);
        }
        Envelope::KeyPackage(inside) => {
            written.put_u8(5);
            written.put(inside);
            key_package(inside);
        }
    }
    same("a message", &written, bytes);
}

fn put_public(bytes: &mut Vec<u8>, public: &Public<'_>) {
    bytes.put_opaque(public.group_id);
    bytes.put_u64(public.epoch);
    public.sender.write(bytes);
    bytes.put_opaque(public.authenticated_data);
    bytes.put_u8(public.content_type as u8 + 1);
    bytes.put(public.content);
}

fn put_private(bytes: &mut Vec<u8>, private: &Private<'_>) {
    bytes.put_opaque(private.group_id);
    bytes.put_u64(private.epoch);
    bytes.put_u8(private.content_type as u8 + 1);
    bytes.put_opaque(private.authenticated_data);
}

fn public_message(bytes: &[u8], envelope: &Public<'_>) {
    let Some(message) = whole(bytes, |reader| PublicMessage::read(reader, &declared)) else { return };
    same("a PublicMessage", &message.written(), bytes);
    let seen = (message.group_id, message.epoch, message.sender, message.authenticated_data);
    assert_eq!(seen, (envelope.group_id, envelope.epoch, envelope.sender, envelope.authenticated_data));
}

fn group_info(bytes: &[u8]) {
    if let Ok(info) = GroupInfo::from_bytes(bytes) {
        let written = info.written();
        same("a GroupInfo", &written, &bytes[bytes.len().saturating_sub(written.len())..]);
        assert!(bytes.len() == written.len() || bytes.starts_with(&[0, 1, 0, 4]));
        let context = info.context.written();
        let again = whole(&context, GroupContext::read).unwrap();
        assert_eq!(again, info.context);
    }
}

fn key_package(bytes: &[u8]) {
    for bytes in [bytes, bytes.get(4..).unwrap_or_default()] {
        if let Some(key_package) = whole(bytes, KeyPackage::read) {
            same("a KeyPackage", &key_package.written(), bytes);
        }
    }
}

fn welcome(bytes: &[u8]) {
    let Ok(welcome) = Welcome::read(bytes) else { return };
    let written = welcome.written();
    assert!(bytes.ends_with(&written), "a Welcome is written as {written:02x?} and was {bytes:02x?}");
    assert!(bytes.len() == written.len() || bytes[..bytes.len() - written.len()] == [0, 1, 0, 3]);
    for entry in &welcome.secrets {
        let cut = welcome.cut_to(entry.key_package).unwrap();
        let read = Welcome::read(&cut).unwrap();
        let first = welcome.secrets.iter().find(|one| one.key_package == entry.key_package);
        assert_eq!(read.secrets.first(), first);
        assert_eq!(read.secrets.len(), 1);
        assert_eq!((read.suite, read.encrypted_group_info), (welcome.suite, welcome.encrypted_group_info));
    }
    assert_eq!(welcome.cut_to(b"nobody has this reference"), None);
}

/// A tree, in a snapshot that states its hash.
fn tree(world: &World, bytes: &[u8]) {
    let Some(hash) = tree_hash::of(world.suite, bytes) else { return };
    let context = whole(world.group.context(), GroupContext::read).unwrap();
    let mut snapshot = world.group.snapshot()[..2].to_vec();
    put_context(&mut snapshot, &GroupContext { tree_hash: &hash, ..context });
    snapshot.put_opaque(world.group.confirmation_tag());
    snapshot.put_u8(0);
    snapshot.put(bytes);
    snapshot.put_u8(0);
    if let Ok(group) = Group::restore(&snapshot) {
        same("a tree", &group.ratchet_tree(), bytes);
        same("a snapshot", &group.snapshot(), &snapshot);
        same("a tree hash", group.tree_hash(), &hash);
        assert_eq!(group.members().count(), group.member_count() as usize);
        for member in group.members() {
            same("a leaf", &member.node.written(), member.node.raw);
        }
    }
}

fn snapshot(bytes: &[u8]) {
    if let Ok(group) = Group::restore(bytes) {
        same("a snapshot", &group.snapshot(), bytes);
        for pending in group.pending() {
            if let Ok(proposal) = pending.proposal(&TakesAll) {
                assert_eq!(proposal.kind(), pending.proposal_type());
            }
        }
        if let Some(successor) = group.successor() {
            successor.written();
        }
    }
}

/// Bytes behind the base that the group has, and a delta of theirs.
fn delta(world: &World, bytes: &[u8]) {
    let mut copy = world.group.clone();
    if copy.replay(bytes).is_err() {
        assert!(copy.snapshot() == world.group.snapshot(), "a delta that was refused has changed the group");
        return;
    }
    let mut second = Group::restore(&world.group.snapshot()).unwrap();
    second.replay(bytes).unwrap();
    same("a state", &second.snapshot(), &copy.snapshot());
    same("a state", &Group::restore(&copy.snapshot()).unwrap().snapshot(), &copy.snapshot());
    assert!(copy.replay(bytes).is_err(), "a delta was carried out twice");
}

fn leaf(bytes: &[u8]) {
    if let Ok(leaf) = LeafNode::from_bytes(bytes) {
        same("a leaf", &leaf.written(), bytes);
    }
}

fn proposal(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(proposal) = Proposal::read(&mut reader, &declared) else { return };
    same("a proposal", &proposal.written(), &bytes[..reader.offset()]);
}

fn extensions(bytes: &[u8]) {
    let Some(list) = whole(bytes, Extensions::read) else { return };
    same("extensions", &list.written(), bytes);
    if let Ok(Some(required)) = list.required_capabilities() {
        let all = [required.extensions, required.proposals, required.credentials];
        same("required capabilities", &all.map(|types| types.written()).concat(), list.find(3).unwrap());
    }
    if let Ok(senders) = list.external_senders()
        && let Some(data) = list.find(5)
    {
        let mut written = Vec::new();
        written.put_vector(|inside| {
            for sender in senders {
                inside.put_opaque(sender.signature_key);
                sender.credential.write(inside);
            }
        });
        same("external senders", &written, data);
    }
}
