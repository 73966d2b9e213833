//! The `m.room.member` events that follow from a commit: invitations, kicks and bans, sent by the service.
//!
//! Their content names the commit, so that after a crash it shows whether an event was sent for it. To clients that is a
//! claim without a receipt.

use serde_json::{Map, Value, json};

use maypole_core::ids::{Epoch, GroupId, Sha256, UserId};

use crate::bytes::{Bytes, encode};
use crate::fields::{Fields, Wrong};

/// A membership that a commit brings about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChange {
    /// Whose.
    pub user: UserId,
    /// What it becomes.
    pub membership: Membership,
    /// Why, in the committer's words.
    pub reason: Option<String>,
    /// The room is a direct chat; said with an invitation.
    pub is_direct: bool,
}

/// What a membership becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// The user is invited.
    Invite,
    /// The user is kicked.
    Leave,
    /// The user is banned.
    Ban,
}

/// The commit that a member event belongs to: `mls_commit` in its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlsCommit {
    /// The group.
    pub group_id: GroupId,
    /// The epoch that the commit makes.
    pub epoch: Epoch,
    /// The commit.
    pub commit: Bytes,
    /// The user who made it.
    pub sender: UserId,
}

impl Membership {
    /// The membership as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }
}

/// The content of the member event that a change needs.
pub fn content(change: &MemberChange, commit: &MlsCommit) -> Value {
    let mut content = plain_content(change);
    content.insert("mls_commit".into(), commit.to_value());
    content.into()
}

/// The content without the commit: all that the authorisation rules look at.
pub(crate) fn plain_content(change: &MemberChange) -> Map<String, Value> {
    let mut content = Map::new();
    content.insert("membership".into(), change.membership.as_str().into());
    if let Some(reason) = &change.reason {
        content.insert("reason".into(), reason.as_str().into());
    }
    if change.is_direct && change.membership == Membership::Invite {
        content.insert("is_direct".into(), true.into());
    }
    content
}

/// Whether a member event belongs to the commit with that hash, which makes that epoch of that group.
pub fn is_ours(content: &Value, group: &GroupId, epoch: Epoch, commit_hash: Sha256) -> bool {
    MlsCommit::read(content).is_ok_and(|commit| {
        commit.group_id == *group && commit.epoch == epoch && commit.commit.hash() == commit_hash
    })
}

impl MlsCommit {
    fn to_value(&self) -> Value {
        json!({
            "group_id": encode(self.group_id.as_bytes()),
            "epoch": self.epoch.get(),
            "commit": self.commit.to_value(),
            "sender": self.sender,
        })
    }

    fn read(content: &Value) -> Result<Self, Wrong> {
        let fields = Fields::of("content", content)?;
        let fields = Fields::of("mls_commit", fields.value("mls_commit")?)?;
        Ok(Self {
            group_id: fields.group_id("group_id")?,
            epoch: fields.epoch("epoch")?,
            commit: fields.bytes("commit")?,
            sender: fields.user_id("sender")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Blob;

    fn invite() -> MemberChange {
        let user = UserId::parse("@bob:b.org").unwrap();
        MemberChange { user, membership: Membership::Invite, reason: None, is_direct: true }
    }

    fn commit(bytes: Bytes) -> MlsCommit {
        MlsCommit {
            group_id: GroupId::parse(*b"!room:a.org").unwrap(),
            epoch: Epoch::new(6).unwrap(),
            commit: bytes,
            sender: UserId::parse("@alice:a.org").unwrap(),
        }
    }

    fn ours(content: &Value) -> bool {
        let group = GroupId::parse(*b"!room:a.org").unwrap();
        is_ours(content, &group, Epoch::new(6).unwrap(), Sha256::of(b"commit"))
    }

    #[test]
    fn an_event_of_another_commit_is_not_ours() {
        assert!(!ours(&json!({"membership": "invite"})));
        assert!(!ours(&json!("invite")));
        let whole = content(&invite(), &commit(Bytes::Inline(b"commit".to_vec())));
        let wrong = [
            ("/mls_commit", json!(null)),
            ("/mls_commit/group_id", json!(encode(b"!other:a.org"))),
            ("/mls_commit/group_id", json!(7)),
            ("/mls_commit/epoch", json!(7)),
            ("/mls_commit/epoch", json!("6")),
            ("/mls_commit/commit", json!(encode(b"another"))),
            ("/mls_commit/commit", json!(["commit"])),
            ("/mls_commit/sender", json!(null)),
        ];
        for (place, value) in wrong {
            let mut content = whole.clone();
            *content.pointer_mut(place).unwrap() = value.clone();
            assert!(!ours(&content), "{place} is {value}");
        }
        assert!(ours(&whole));
    }

    #[test]
    fn a_commit_is_known_by_its_hash_wherever_it_lies() {
        let blob =
            |bytes: &[u8]| Blob { mxc: "mxc://a.org/abc".into(), sha256: Sha256::of(bytes), size_bytes: 6 };
        assert!(ours(&content(&invite(), &commit(Bytes::Blob(blob(b"commit"))))));
        assert!(!ours(&content(&invite(), &commit(Bytes::Blob(blob(b"another"))))));
    }

    #[test]
    fn what_is_not_said_is_not_written() {
        let kick = MemberChange { membership: Membership::Leave, reason: Some("spam".into()), ..invite() };
        assert_eq!(Value::from(plain_content(&kick)), json!({"membership": "leave", "reason": "spam"}));
        assert_eq!(Value::from(plain_content(&invite())), json!({"membership": "invite", "is_direct": true}));
        let ban = MemberChange { membership: Membership::Ban, is_direct: false, ..invite() };
        assert_eq!(Value::from(plain_content(&ban)), json!({"membership": "ban"}));
    }
}
