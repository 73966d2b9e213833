//! `maypole freeze` and `maypole unfreeze`: whether the running service orders anything in a room's group.

use std::time::Duration;

use clap::Args;
use maypole_core::ids::{FreezeReason, RoomId};
use maypole_core::limits;

use super::asking::{Asking, room};
use super::{ConfigFile, Exit, Failure, Surroundings};
use crate::admin::{self, AdminLimits, FrozenRoom, age, plain};
use crate::clock;
use crate::service::IN_DOUBT;

/// Arguments of `maypole freeze`.
#[derive(Debug, Args)]
pub(super) struct Freeze {
    /// The room's ID
    #[arg(value_name = "ROOM", value_parser = room, required_unless_present = "list")]
    room: Option<RoomId>,
    /// Why, in a sentence that the group's members are told
    #[arg(long, value_name = "TEXT", value_parser = reason, required_unless_present = "list")]
    reason: Option<FreezeReason>,
    /// List the rooms whose groups are frozen instead
    #[arg(long, conflicts_with_all = ["room", "reason"])]
    list: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Arguments of `maypole unfreeze`.
#[derive(Debug, Args)]
pub(super) struct Unfreeze {
    /// The room's ID
    #[arg(value_name = "ROOM", value_parser = room, required_unless_present = "after_restore")]
    room: Option<RoomId>,
    /// All rooms instead that were frozen because the store was restored from a backup: only if nothing was decided since that
    /// was made, or else members and service go on from two different states
    #[arg(long, conflicts_with = "room")]
    after_restore: bool,
    #[command(flatten)]
    config: ConfigFile,
}

fn reason(text: &str) -> Result<FreezeReason, String> {
    let wrong = || format!("a reason is a sentence of 1 to {} bytes", limits::FREEZE_REASON_BYTES);
    FreezeReason::parse(text).ok_or_else(wrong)
}

impl Freeze {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let asking = Asking::prepare(&self.config, surroundings)?;
        let (Some(room), Some(reason)) = (self.room, self.reason) else { return list(&asking, surroundings) };
        let done = asking.ask(admin::freeze(asking.socket(), &room, reason, AdminLimits::default()))?;
        writeln!(
            surroundings.out,
            "{}: frozen. No command is taken until `maypole unfreeze`; a commit that was already being carried out is \
             finished.",
            plain(done.room.as_str())
        )?;
        Ok(Exit::Ok)
    }
}

fn list(asking: &Asking, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
    let frozen = asking.ask(admin::frozen(asking.socket(), AdminLimits::default()))?;
    let now = clock::now().as_millis();
    for FrozenRoom { room, freeze } in &frozen.rooms {
        let since = age(Duration::from_millis(now.saturating_sub(freeze.since_ms)));
        writeln!(surroundings.out, "{}  for {since}: {}", plain(room.as_str()), plain(&freeze.reason))?;
    }
    if frozen.more {
        writeln!(surroundings.out, "and more")?;
    }
    Ok(Exit::Ok)
}

impl Unfreeze {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let asking = Asking::prepare(&self.config, surroundings)?;
        let Some(room) = &self.room else { return lift_doubts(&asking, surroundings) };
        lift(&asking, room, surroundings)?;
        Ok(Exit::Ok)
    }
}

fn lift(asking: &Asking, room: &RoomId, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let lifted = asking.ask(admin::unfreeze(asking.socket(), room, AdminLimits::default()))?;
    let words = if lifted.was_frozen { "unfrozen" } else { "was not frozen" };
    writeln!(surroundings.out, "{}: {words}", plain(lifted.room.as_str()))?;
    Ok(())
}

/// Unfreezes whatever was frozen because the store had gone back, as often as the list is full of it.
fn lift_doubts(asking: &Asking, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
    loop {
        let frozen = asking.ask(admin::frozen(asking.socket(), AdminLimits::default()))?;
        let in_doubt: Vec<_> = frozen.rooms.iter().filter(|room| room.freeze.reason == IN_DOUBT).collect();
        for room in &in_doubt {
            lift(asking, &room.room, surroundings)?;
        }
        if !frozen.more {
            return Ok(Exit::Ok);
        }
        if in_doubt.is_empty() {
            let why = "so many groups are frozen for other reasons that those are not listed: unfreeze them room by room";
            return Err(Failure::new(Exit::Failed, why));
        }
    }
}
