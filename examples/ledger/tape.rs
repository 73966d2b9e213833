//! Commits made beforehand, for a writer that is killed and has to go on: of each group those that come next, epoch by epoch.

use std::path::Path;

use anyhow::{Context, Result};
use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::group::Command;
use maypole_core::ids::GroupId;
use maypole_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::terms::Here;

/// The commits of some groups.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tape {
    /// When they were made, in milliseconds.
    pub(crate) now: u64,
    pub(crate) groups: Vec<Reel>,
}

/// What comes next in one group.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reel {
    pub(crate) group: GroupId,
    /// The service's key in it.
    pub(crate) key: Vec<u8>,
    /// The epoch that the first of them begins.
    pub(crate) first: u64,
    pub(crate) commands: Vec<Command>,
}

impl Tape {
    /// Reads a tape.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("the tape {}", path.display()))?;
        Ok(postcard::from_bytes(&bytes)?)
    }

    /// Writes a tape.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        Ok(std::fs::write(path, postcard::to_stdvec(self)?)?)
    }

    /// When its commits were made.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }
}

impl Reel {
    /// What the group is held against.
    pub(crate) fn terms(&self) -> Here {
        Here { key: self.key.clone() }
    }

    /// What begins an epoch; nothing where the tape is at its end.
    #[expect(clippy::disallowed_methods, reason = "an example authenticates for itself")]
    pub(crate) fn command(&self, epoch: u64) -> Option<Authenticated<Command>> {
        let place = usize::try_from(epoch.checked_sub(self.first)?).ok()?;
        let Command { group, by, request } = self.commands.get(place)?.clone();
        let caller = Authenticated::by(AuthToken::make(), by.user);
        Some(Command::of(&caller, by.device, group, request))
    }
}
