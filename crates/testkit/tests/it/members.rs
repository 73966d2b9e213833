//! MLS members whose messages OpenMLS reads back, and follows.

use anyhow::{Context as _, Result, ensure};
use maypole_testkit::mls::{Change, Framing, Heard, Member, Outsider, Read, SUITES, read};

const GROUP: &[u8] = b"!room:a.org";

/// Alice's group with Bob in it, both at epoch 1, and the delivery service that it names.
fn pair(suite: u16) -> Result<(Member, Member, Outsider)> {
    let service = Outsider::new("@:a.org/key/abc", suite)?;
    let mut alice = Member::new("@alice:a.org/A", suite)?;
    alice.create_group(GROUP, &[service.external_sender()])?;
    let mut bob = Member::new("@bob:a.org/B", suite)?;
    let commit = alice.add(&[bob.key_package()?])?;
    alice.merge()?;
    bob.join(&commit.welcome.context("a Welcome")?, &commit.ratchet_tree)?;
    Ok((alice, bob, service))
}

fn agree(members: &[&Member]) -> Result<()> {
    let mut states = Vec::new();
    for member in members {
        states.push((member.epoch_authenticator()?, member.ratchet_tree()?));
    }
    states.dedup();
    ensure!(states.len() == 1, "members of one epoch differ");
    Ok(())
}

fn group_message(public: bool, epoch: u64, content: &'static str) -> Read {
    Read::Group { public, group_id: GROUP.to_vec(), epoch, content }
}

#[test]
fn every_kind_of_message_is_read_back() {
    for suite in SUITES {
        let (mut alice, mut bob, service) = pair(suite).unwrap();
        agree(&[&alice, &bob]).unwrap();
        let carol = Member::new("@carol:b.org/C", suite).unwrap();
        let key_package = carol.key_package().unwrap();
        assert_eq!(read(&key_package).unwrap(), Read::KeyPackage { suite, last_resort: false });
        let last = carol.last_resort_key_package().unwrap();
        assert_eq!(read(&last).unwrap(), Read::KeyPackage { suite, last_resort: true });

        for with_tree in [true, false] {
            let info = alice.group_info(with_tree).unwrap();
            let group_id = GROUP.to_vec();
            let expected = Read::GroupInfo { group_id, epoch: 1, with_tree, with_external_pub: true };
            assert_eq!(read(&info).unwrap(), expected);
        }

        let add = alice.commit(&Change { add: &[key_package], aad: b"{}", ..Change::default() }).unwrap();
        assert_eq!(read(&add.message).unwrap(), group_message(true, 1, "commit"));
        assert_eq!(read(add.welcome.as_ref().unwrap()).unwrap(), Read::Welcome);
        let group_id = GROUP.to_vec();
        let next = Read::GroupInfo { group_id, epoch: 2, with_tree: false, with_external_pub: true };
        assert_eq!(read(&add.group_info).unwrap(), next);
        assert!(
            add.message.windows(2).any(|window| window == b"{}"),
            "the authenticated data is in the open"
        );
        alice.discard().unwrap();

        let update = alice.update().unwrap();
        assert_eq!(
            (read(&update.message).unwrap(), update.welcome),
            (group_message(true, 1, "commit"), None)
        );
        alice.discard().unwrap();
        alice.set_framing(Framing::Private).unwrap();
        let private = alice.update().unwrap();
        assert_eq!(read(&private.message).unwrap(), group_message(false, 1, "commit"));
        alice.discard().unwrap();
        let hidden = alice.propose_update().unwrap();
        assert_eq!(read(&hidden).unwrap(), group_message(false, 1, "proposal"));
        alice.forget_proposals().unwrap();

        let text = alice.say(b"hello").unwrap();
        assert_eq!(read(&text).unwrap(), group_message(false, 1, "application"));
        assert_eq!(bob.hear(&text).unwrap(), Heard::Text(b"hello".to_vec()));
        assert_eq!(alice.hear(&text).unwrap(), Heard::Own);

        let outside = service.propose_remove(GROUP, 1, 0, 1).unwrap();
        assert_eq!(read(&outside).unwrap(), group_message(true, 1, "proposal"));
        assert_eq!(read(&carol.ask_to_join(GROUP, 1).unwrap()).unwrap(), group_message(true, 1, "proposal"));
    }
}

#[test]
fn members_follow_each_other_through_commits() {
    for suite in SUITES {
        let (mut alice, mut bob, service) = pair(suite).unwrap();
        // An update, in the open and hidden; one's own echo is known.
        for framing in [Framing::Public, Framing::Private] {
            bob.set_framing(framing).unwrap();
            let update = bob.update().unwrap();
            assert_eq!(alice.hear(&update.message).unwrap(), Heard::Commit);
            match framing {
                Framing::Public => assert_eq!(bob.hear(&update.message).unwrap(), Heard::Commit),
                Framing::Private => bob.merge().unwrap(),
            }
            assert_eq!(bob.ratchet_tree().unwrap(), update.ratchet_tree);
            agree(&[&alice, &bob]).unwrap();
        }
        // An external join, upon a GroupInfo without its tree.
        let mut carol = Member::new("@carol:b.org/C", suite).unwrap();
        let (info, tree) = (alice.group_info(false).unwrap(), alice.ratchet_tree().unwrap());
        assert!(carol.join_by_commit(&info, None, b"").is_err(), "nobody joins without a tree");
        let joined = carol.join_by_commit(&info, Some(&tree), b"").unwrap();
        assert_eq!(read(&joined.message).unwrap(), group_message(true, 3, "commit"));
        assert_eq!(
            (alice.hear(&joined.message).unwrap(), bob.hear(&joined.message).unwrap()),
            (Heard::Commit, Heard::Commit)
        );
        assert_eq!(carol.ratchet_tree().unwrap(), joined.ratchet_tree);
        agree(&[&alice, &bob, &carol]).unwrap();

        // Proposals of the service, of one who asks, and of members, all in one commit by reference.
        let dave = Member::new("@dave:b.org/D", suite).unwrap();
        let bobs = alice.leaf_of("@bob:a.org/B").unwrap().unwrap();
        assert_eq!(bobs, bob.leaf_index().unwrap());
        let epoch = alice.epoch().unwrap();
        let mut proposals = vec![service.propose_remove(GROUP, epoch, 0, bobs).unwrap()];
        proposals.push(dave.ask_to_join(GROUP, epoch).unwrap());
        for proposal in &proposals {
            for member in [&mut alice, &mut bob, &mut carol] {
                assert_eq!(member.hear(proposal).unwrap(), Heard::Proposal);
            }
        }
        let update = carol.propose_update().unwrap();
        assert_eq!(alice.hear(&update).unwrap(), Heard::Proposal);
        assert_eq!(bob.hear(&update).unwrap(), Heard::Proposal);
        let commit = alice.commit(&Change::default()).unwrap();
        for member in [&mut alice, &mut bob, &mut carol] {
            assert_eq!(member.hear(&commit.message).unwrap(), Heard::Commit);
        }
        assert!(!bob.is_active() && alice.is_active());
        assert_eq!(alice.leaf_of("@bob:a.org/B").unwrap(), None);
        assert!(alice.leaf_of("@dave:b.org/D").unwrap().is_some());
        agree(&[&alice, &carol]).unwrap();

        // The last kinds: Add and Remove proposed by a member, SelfRemove.
        let erin = Member::new("@erin:b.org/E", suite).unwrap();
        let add = alice.propose_add(&erin.key_package().unwrap()).unwrap();
        assert_eq!(carol.hear(&add).unwrap(), Heard::Proposal);
        let remove = alice.propose_remove(alice.leaf_of("@dave:b.org/D").unwrap().unwrap()).unwrap();
        assert_eq!(carol.hear(&remove).unwrap(), Heard::Proposal);
        let leave = carol.propose_self_remove().unwrap();
        assert_eq!(read(&leave).unwrap(), group_message(true, 5, "proposal"));
        assert_eq!(alice.hear(&leave).unwrap(), Heard::Proposal);
        let commit = alice.commit(&Change::default()).unwrap();
        assert_eq!(carol.hear(&commit.message).unwrap(), Heard::Commit);
        assert!(!carol.is_active());
        alice.merge().unwrap();
        assert!(
            alice.leaf_of("@erin:b.org/E").unwrap().is_some()
                && alice.leaf_of("@dave:b.org/D").unwrap().is_none()
        );
    }
}

#[test]
fn a_device_that_lost_its_place_comes_back() {
    let (mut alice, mut bob, _) = pair(1).unwrap();
    let info = alice.group_info(true).unwrap();
    let before = bob.leaf_index().unwrap();
    let back = bob.join_by_commit(&info, None, b"back").unwrap();
    assert_eq!(alice.hear(&back.message).unwrap(), Heard::Commit);
    agree(&[&alice, &bob]).unwrap();
    assert_eq!((bob.leaf_index().unwrap(), alice.epoch().unwrap()), (before, 2));
}

#[test]
fn of_two_commits_for_one_epoch_one_is_heard() {
    let (mut alice, mut bob, _) = pair(1).unwrap();
    let (hers, his) = (alice.update().unwrap(), bob.update().unwrap());
    assert!(alice.update().is_err(), "a second one would replace the first");
    bob.discard().unwrap();
    bob.hear(&hers.message).unwrap();
    alice.merge().unwrap();
    assert!(alice.hear(&his.message).is_err(), "of an epoch that is over");
    agree(&[&alice, &bob]).unwrap();
}

#[test]
fn what_is_not_whole_is_not_read() {
    let (mut alice, mut bob, _) = pair(1).unwrap();
    let commit = alice.add(&[Member::new("@carol:b.org/C", 1).unwrap().key_package().unwrap()]).unwrap();
    let messages = [
        commit.message.clone(),
        commit.welcome.clone().unwrap(),
        commit.group_info.clone(),
        alice.group_info(true).unwrap(),
    ];
    for message in messages {
        for end in 0..message.len() {
            assert!(read(&message[..end]).is_err(), "a prefix of {end} bytes was read");
        }
        let longer = [message.as_slice(), b"x"].concat();
        assert!(read(&longer).unwrap_err().to_string().contains("1 bytes after"));
    }
    let mut forged = commit.message.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(bob.hear(&forged).is_err(), "a changed membership tag");
    assert!(bob.hear(&commit.welcome.unwrap()).is_err() && bob.join(&commit.message, b"").is_err());
    assert!(bob.create_group(GROUP, &[]).is_err() && bob.merge().is_err());
    bob.hear(&commit.message).unwrap();
}

#[test]
fn without_a_group_or_a_suite_nothing_is_made() {
    for suite in [0, 4, 5, 6, 7, 0xf000] {
        assert!(Member::new("@alice:a.org/A", suite).is_err() && Outsider::new("@:a.org", suite).is_err());
    }
    let mut nobody = Member::new("@alice:a.org/A", 1).unwrap();
    assert!(nobody.update().is_err() && nobody.say(b"x").is_err() && nobody.group_info(true).is_err());
    assert!(nobody.propose_self_remove().is_err() && nobody.epoch().is_err() && !nobody.is_active());
    assert!(nobody.join_by_commit(b"", None, b"").is_err() && nobody.hear(b"\x00\x01\x00\x01").is_err());
    assert!(!format!("{nobody:?}").contains("private"));
}
