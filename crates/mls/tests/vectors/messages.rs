//! The public vectors of `deserialization` and `messages`: every structure is read to its last byte and no further.

use std::collections::BTreeSet;

use maypole_mls::{
    envelope::{ContentType, Envelope},
    reader::Reader,
    service::Welcome,
    wire::{Commit, Content, GroupInfo, KeyPackage, Proposal, PublicMessage},
};
use maypole_testkit::vectors::{self, bytes};

/// Reads bytes that are all there is, and says whether they are what they should be.
type Read = fn(&[u8]) -> bool;

/// How each field is read.
const READ: [(&str, Read); 15] = [
    ("mls_welcome", |bytes| {
        matches!(Envelope::read(bytes), Ok(Envelope::Welcome(_))) && Welcome::read(bytes).is_ok()
    }),
    ("mls_group_info", |bytes| {
        matches!(Envelope::read(bytes), Ok(Envelope::GroupInfo(_)))
            && GroupInfo::from_bytes(bytes).is_ok()
            && bytes.get(4..).is_some_and(|bare| GroupInfo::from_bytes(bare).is_ok())
    }),
    ("mls_key_package", |bytes| {
        let Ok(Envelope::KeyPackage(bare)) = Envelope::read(bytes) else { return false };
        let mut reader = Reader::new(bare);
        KeyPackage::read(&mut reader).is_ok() && reader.end().is_ok()
    }),
    ("add_proposal", |bytes| is_proposal(1, bytes)),
    ("update_proposal", |bytes| is_proposal(2, bytes)),
    ("remove_proposal", |bytes| is_proposal(3, bytes)),
    ("pre_shared_key_proposal", |bytes| is_proposal(4, bytes)),
    ("re_init_proposal", |bytes| is_proposal(5, bytes)),
    ("external_init_proposal", |bytes| is_proposal(6, bytes)),
    ("group_context_extensions_proposal", |bytes| is_proposal(7, bytes)),
    ("commit", |bytes| {
        let mut reader = Reader::new(bytes);
        Commit::read(&mut reader, &|_| None).is_ok() && reader.end().is_ok()
    }),
    ("public_message_proposal", |bytes| {
        matches!(public_message(bytes), Some((ContentType::Proposal, Content::Proposal(_))))
    }),
    ("public_message_commit", |bytes| {
        matches!(public_message(bytes), Some((ContentType::Commit, Content::Commit(_))))
    }),
    ("private_message", |bytes| matches!(Envelope::read(bytes), Ok(Envelope::Private(_)))),
    // Read as a tree, beside the tree.
    ("ratchet_tree", |bytes| {
        let mut reader = Reader::new(bytes);
        reader.opaque("tree").is_ok() && reader.end().is_ok()
    }),
];

/// Only members are given these.
const UNREAD: [&str; 1] = ["group_secrets"];

/// RFC 9420 §6.2 has none.
const REFUSED: [&str; 1] = ["public_message_application"];

fn is_proposal(kind: u16, body: &[u8]) -> bool {
    let bytes = [&kind.to_be_bytes(), body].concat();
    let mut reader = Reader::new(&bytes);
    let read = Proposal::read(&mut reader, &|_| None);
    read.is_ok_and(|proposal| proposal.kind() == kind) && reader.end().is_ok()
}

fn public_message(bytes: &[u8]) -> Option<(ContentType, Content<'_>)> {
    let Ok(Envelope::Public(envelope)) = Envelope::read(bytes) else { return None };
    let message = PublicMessage::read(&mut Reader::new(bytes.get(4..)?), &|_| None).ok()?;
    let same = message.group_id == envelope.group_id
        && message.epoch == envelope.epoch
        && message.sender == envelope.sender
        && message.authenticated_data == envelope.authenticated_data;
    same.then_some((envelope.content_type, message.content))
}

#[test]
fn lengths_are_those_of_their_headers() {
    let Some(vectors) = vectors::read("deserialization") else { return };
    let vectors = vectors.as_array().unwrap();
    for vector in vectors {
        let header = bytes(&vector["vlbytes_header"]);
        let mut reader = Reader::new(&header);
        assert_eq!(reader.length("length").unwrap() as u64, vector["length"].as_u64().unwrap());
        reader.end().unwrap();
    }
    assert!(!vectors.is_empty());
}

#[test]
fn messages_are_read_whole_and_only_whole() {
    let Some(vectors) = vectors::read("messages") else { return };
    let known: BTreeSet<&str> =
        READ.map(|(field, _)| field).into_iter().chain(UNREAD).chain(REFUSED).collect();
    for (number, vector) in vectors.as_array().unwrap().iter().enumerate() {
        let fields: BTreeSet<&str> = vector.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, known);
        for (field, read) in READ {
            let whole = bytes(&vector[field]);
            assert!(read(&whole), "{field} of {number} is refused");
            assert!(!read(&whole[..whole.len() - 1]), "{field} of {number} is taken one byte short");
            for appended in [0, 1, 0xff] {
                let longer = [&whole[..], &[appended]].concat();
                assert!(!read(&longer), "{field} of {number} is taken with {appended} behind it");
            }
        }
        for field in REFUSED {
            let whole = bytes(&vector[field]);
            assert!(Envelope::read(&whole).is_err(), "{field} of {number} is taken");
            assert!(PublicMessage::read(&mut Reader::new(&whole[4..]), &|_| None).is_err());
        }
    }
}
