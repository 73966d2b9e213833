//! Messages to begin with.

use anyhow::Result;
use maypole_mls::{
    wire::{BASIC, X509},
    writer::Write as _,
};
use maypole_testkit::{
    mls::{Framing, Member, history::History},
    vectors::{self, bytes},
};

/// Which of the vectors' messages are taken: of each suite in them some.
const EVERY: usize = 20;

/// Everything that members of some histories said, the other kinds of message, oddities, and some of the public vectors.
pub(crate) fn messages() -> Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    for (suite, seed) in [(1, 1), (2, 2), (3, 3)] {
        let history = History::play(suite, seed)?;
        messages.extend(oddities(&history.first.group_info));
        messages.extend([history.first.group_info, history.first_with_tree]);
        for step in history.steps {
            messages.extend(step.proposals.into_iter().chain([step.commit, step.epoch.group_info]));
        }
        messages.extend(others(suite)?);
    }
    if let Some(vectors) = vectors::read("messages") {
        for vector in vectors.as_array().into_iter().flatten().step_by(EVERY) {
            let field = |name: &str| bytes(&vector[name]);
            let whole = ["mls_welcome", "mls_group_info", "mls_key_package", "public_message_application"];
            let framed = ["public_message_proposal", "public_message_commit", "private_message"];
            messages.extend(whole.into_iter().chain(framed).map(field));
            let proposals = ["add", "update", "remove", "pre_shared_key", "re_init", "external_init"];
            for (kind, name) in (1..).zip(proposals.into_iter().chain(["group_context_extensions"])) {
                messages.push(proposal(kind, &field(&format!("{name}_proposal"))));
            }
        }
    }
    Ok(messages)
}

/// A Welcome, KeyPackages and an encrypted message.
fn others(suite: u16) -> Result<Vec<Vec<u8>>> {
    let mut alice = Member::new("@alice:a.org/PHONE", suite)?;
    let bob = Member::new("@bob:b.org/LAPTOP", suite)?;
    alice.create_group(b"!room:a.org", &[])?;
    let commit = alice.add(&[bob.key_package()?])?;
    alice.merge()?;
    alice.set_framing(Framing::Private)?;
    let mut messages = vec![bob.last_resort_key_package()?, alice.say(b"hello")?];
    messages.extend(commit.welcome);
    Ok(messages)
}

/// One message at least for each known difference between the codecs.
fn oddities(group_info: &[u8]) -> Vec<Vec<u8>> {
    let mut other_context = group_info.to_vec();
    other_context[5] = 2;
    let mut other_version = proposal(3, &[0, 0, 0, 1]);
    other_version[1] = 2;
    let mut reserved_content = vec![0, 1, 0, 2];
    reserved_content.put_opaque(b"group");
    reserved_content.put_u64(7);
    reserved_content.put(&[0, 0, 1, 0xaa, 1, 0xbb]);
    vec![
        other_version,
        other_context,
        reserved_content,
        framed(&[1, 2, b'h', b'i']),
        proposal(8, &[0, 5, 1, 1, 0xdd]),
        proposal(8, &[0, 5, 2]),
        proposal(8, &[1, 0xdd]),
        proposal(9, &[0, 5, 1, 0xdd]),
        proposal(9, &[1, 0xdd]),
        proposal(10, &[]),
        proposal(10, &[0]),
        proposal(0xf001, &[2, 1, 2]),
        proposal(3, &(1u32 << 24).to_be_bytes()),
        resumption(0),
        resumption(1),
        update(BASIC, b"alice"),
        update(X509, &[1, 0xcc]),
        update(X509, &[5, 0xcc]),
        update(0x1001, b"alice"),
        reinit(1, 1, &[]),
        reinit(2, 1, &[]),
        reinit(1, 99, &[]),
        // Of the list: two unknown extensions of one type; an application_id; required_capabilities with one list of three.
        reinit(1, 1, &[0xf0, 1, 0, 0xf0, 1, 0]),
        reinit(1, 1, &[0, 1, 3, 2, b'i', b'd']),
        reinit(1, 1, &[0, 3, 1, 0]),
    ]
}

fn resumption(usage: u8) -> Vec<u8> {
    let mut body = vec![2, usage];
    body.put_opaque(b"group");
    body.put_u64(6);
    body.put_opaque(b"nonce");
    proposal(4, &body)
}

fn reinit(version: u16, suite: u16, extensions: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_opaque(b"successor");
    body.put_u16(version);
    body.put_u16(suite);
    body.put_opaque(extensions);
    proposal(5, &body)
}

fn update(credential: u16, content: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_opaque(b"encryption key");
    body.put_opaque(b"signature key");
    body.put_u16(credential);
    body.put_opaque(content);
    // Capabilities of nothing, the source of an Update, no extensions.
    body.put(&[0, 0, 0, 0, 0, 2, 0]);
    body.put_opaque(b"signature");
    proposal(2, &body)
}

/// A proposal by an external sender, unsigned: its type and what follows it.
fn proposal(kind: u16, body: &[u8]) -> Vec<u8> {
    framed(&[&[2][..], &kind.to_be_bytes(), body].concat())
}

/// A PublicMessage by an external sender, unsigned, with the content's type and the content.
fn framed(content: &[u8]) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 1];
    message.put_opaque(b"group");
    message.put_u64(7);
    message.put(&[2, 0, 0, 0, 0]);
    message.put_opaque(b"authenticated");
    message.put(content);
    message.put_opaque(b"signature");
    message
}
