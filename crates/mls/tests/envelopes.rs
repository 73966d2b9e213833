//! Envelopes of messages that OpenMLS makes: read as OpenMLS means them, whole, and no prefix of them as anything else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test speaks"
)]

use maypole_mls::envelope::{ContentType, Envelope, EnvelopeError, Sender};
use maypole_testkit::mls::{Framing, Member};

const GROUP: &[u8] = b"!room:a.org";

/// Alice, in a group of her own, in epoch 0.
fn alice(suite: u16) -> Member {
    let mut alice = Member::new("@alice:a.org/ALICE1", suite).unwrap();
    alice.create_group(GROUP, &[]).unwrap();
    alice
}

/// No prefix is taken, but for those of a content that is not read here.
fn assert_no_prefix_is_taken(message: &[u8], unread_from: usize) {
    for length in 0..message.len().min(unread_from) {
        match Envelope::read(&message[..length]) {
            Err(EnvelopeError::Broken(broken)) => assert!(broken.offset <= length),
            other => panic!("{length} bytes of {} were taken: {other:?}", message.len()),
        }
    }
}

#[test]
fn public_messages() {
    for suite in [1, 2, 3] {
        let mut alice = alice(suite);
        let bob = Member::new("@bob:a.org/BOB1", suite).unwrap();
        let commit = alice.add(&[bob.key_package().unwrap()]).unwrap();
        let Ok(Envelope::Public(read)) = Envelope::read(&commit.message) else {
            panic!("not a public message")
        };
        assert_eq!((read.group_id, read.epoch), (GROUP, 0));
        assert_eq!((read.sender, read.content_type), (Sender::Member(0), ContentType::Commit));
        let unread_from = commit.message.len() - read.content.len();
        assert_no_prefix_is_taken(&commit.message, unread_from + 1);

        let welcome = Envelope::read(commit.welcome.as_ref().unwrap());
        assert!(matches!(welcome, Ok(Envelope::Welcome(_))), "{welcome:?}");
        let key_package = bob.key_package().unwrap();
        assert!(matches!(Envelope::read(&key_package), Ok(Envelope::KeyPackage(_))));
    }
}

#[test]
fn proposals_and_joiners() {
    let mut alice = alice(1);
    let proposal = alice.propose_update().unwrap();
    let Ok(Envelope::Public(read)) = Envelope::read(&proposal) else { panic!("not a public message") };
    assert_eq!((read.sender, read.content_type), (Sender::Member(0), ContentType::Proposal));

    let mut phone = Member::new("@alice:a.org/ALICE2", 1).unwrap();
    let (info, tree) = (alice.group_info(false).unwrap(), alice.ratchet_tree().unwrap());
    let joining = phone.join_by_commit(&info, Some(&tree), b"").unwrap();
    let Ok(Envelope::Public(read)) = Envelope::read(&joining.message) else { panic!("not a public message") };
    assert_eq!((read.sender, read.content_type), (Sender::NewMemberCommit, ContentType::Commit));
}

#[test]
fn private_messages() {
    let mut alice = alice(1);
    alice.set_framing(Framing::Private).unwrap();
    let commit = alice.update().unwrap().message;
    let Ok(Envelope::Private(read)) = Envelope::read(&commit) else { panic!("not a private message") };
    assert_eq!((read.group_id, read.epoch, read.content_type), (GROUP, 0, ContentType::Commit));
    assert_no_prefix_is_taken(&commit, usize::MAX);
    assert!(Envelope::read(&[&commit[..], &[0]].concat()).is_err(), "a byte too many");
}

#[test]
fn group_infos() {
    for (suite, with_tree) in [(1, true), (2, true), (3, false)] {
        let info = alice(suite).group_info(with_tree).unwrap();
        let Ok(Envelope::GroupInfo(read)) = Envelope::read(&info) else { panic!("not a group info") };
        let context = read.context;
        assert_eq!((context.group_id, context.epoch, context.suite, read.signer), (GROUP, 0, suite, 0));
        assert_no_prefix_is_taken(&info, usize::MAX);
        assert!(Envelope::read(&[&info[..], &[0]].concat()).is_err(), "a byte too many");
    }
}
