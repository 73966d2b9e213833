//! Groups of which every signature key is at hand, so that any number of commits for one epoch can be had.
//!
//! The commits are made by the testkit's forge: rightly signed, and right in all that a delivery service can check. What only
//! members could check (ciphertexts, confirmation and membership tags) is bytes from the seed.

use anyhow::{Context, Result};
use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::group::{Command, Request};
use maypole_core::ids::{ClientId, Epoch, GroupId, Sha256};
use maypole_testkit::forge::{Commit, Draft, Forge, Founding, GroupInfoDraft, Shape, Suite};
use maypole_testkit::wait::unix_seconds;

use crate::tape::Reel;
use crate::terms::{Here, SERVICE, client};

/// The identity of the member at a leaf.
fn member(leaf: u32) -> String {
    format!("@user{leaf}:a.org/D")
}

/// A group, as its members have it.
pub(crate) struct Hall {
    pub(crate) id: GroupId,
    forge: Forge,
}

/// A commit: what is asked of the service, and what becomes of the group by it.
pub(crate) struct Made {
    pub(crate) command: Authenticated<Command>,
    commit: Commit,
}

impl Made {
    /// The hash of the message.
    pub(crate) fn hash(&self) -> Sha256 {
        self.command.get().message_hash()
    }
}

impl Hall {
    /// A group of one member, and what registers it.
    pub(crate) fn found(number: u64, seed: u64) -> Result<(Self, Authenticated<Command>)> {
        let id = GroupId::parse(format!("!hall{number}:a.org")).context("a group")?;
        let founding = Founding {
            group_id: id.as_bytes().to_vec(),
            epoch: 0,
            external_senders: vec![SERVICE.to_owned()],
            ..Founding::of(Suite::One, 1, Shape::Bare, seed).at(unix_seconds())
        };
        let hall = Self { id, forge: Forge::new(&founding)? };
        let group_info = hall.forge.group_info(&GroupInfoDraft::by(0).with_tree())?;
        let command = hall.command(0, Request::Register { group_info })?;
        Ok((hall, command))
    }

    /// What the service is to its groups.
    pub(crate) fn terms(&self) -> Result<Here> {
        Ok(Here { key: self.forge.external_key(0)?.public().to_vec() })
    }

    /// What comes next in it, from an epoch on.
    pub(crate) fn reel(&self, first: u64, commands: Vec<Command>) -> Result<Reel> {
        Ok(Reel { group: self.id.clone(), key: self.terms()?.key, first, commands })
    }

    /// The next member comes in from outside.
    pub(crate) fn join(&self) -> Result<Made> {
        let leaf = u32::try_from(self.forge.members().count())?;
        self.make(leaf, &self.forge.draft_external(&member(leaf), &[])?)
    }

    /// A member renews its keys.
    pub(crate) fn update(&self, leaf: u32) -> Result<Made> {
        self.make(leaf, &self.forge.draft_update(leaf))
    }

    /// The group goes on by a commit.
    pub(crate) fn play(&mut self, made: &Made) -> Result<()> {
        self.forge.play(&made.commit)
    }

    /// How many members it has.
    pub(crate) fn members(&self) -> u64 {
        self.forge.members().count() as u64
    }

    /// The epoch it is in.
    pub(crate) fn epoch(&self) -> u64 {
        self.forge.epoch()
    }

    /// The hash of its tree.
    pub(crate) fn tree_hash(&self) -> &[u8] {
        self.forge.tree_hash()
    }

    fn make(&self, leaf: u32, draft: &Draft) -> Result<Made> {
        let commit = self.forge.commit(draft)?;
        let mut after = self.forge.clone();
        after.play(&commit)?;
        let group_info = after.group_info(&GroupInfoDraft::by(commit.committer))?;
        let request = Request::Commit {
            epoch: Epoch::new(self.epoch()).context("an epoch")?,
            message: commit.message.clone(),
            welcome: None,
            group_info: Some(group_info),
        };
        Ok(Made { command: self.command(leaf, request)?, commit })
    }

    #[expect(clippy::disallowed_methods, reason = "an example authenticates for itself")]
    fn command(&self, leaf: u32, request: Request) -> Result<Authenticated<Command>> {
        let ClientId { user, device } = client(member(leaf).as_bytes()).context("a member")?;
        let caller = Authenticated::by(AuthToken::make(), user);
        Ok(Command::of(&caller, device, self.id.clone(), request))
    }
}
