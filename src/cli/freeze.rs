//! `maypole freeze` and `maypole unfreeze`: whether the running service orders anything in a room's group.

use std::time::Duration;

use clap::Args;
use maypole_core::ids::{FreezeReason, RoomId};
use maypole_core::limits;

use super::asking::{Asking, room};
use super::{ConfigFile, Exit, Failure, Surroundings};
use crate::admin::{self, AdminLimits, FrozenRoom, age, group_of_text, plain};
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
    /// List the rooms whose groups are frozen instead, by the operator or for a cause of their own
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

/// Does something with each frozen group, page by page: the pages follow the groups, so that a group that is unfrozen meanwhile
/// moves none of them.
fn each_frozen(
    asking: &Asking,
    mut does: impl FnMut(&FrozenRoom) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = asking.ask(admin::frozen(asking.socket(), after, AdminLimits::default()))?;
        page.rooms.iter().try_for_each(&mut does)?;
        let Some(next) = page.next else { return Ok(()) };
        let unknown = || Failure::new(Exit::Failed, "the service names a group that cannot be one");
        after = Some(group_of_text(&next).ok_or_else(unknown)?);
    }
}

fn list(asking: &Asking, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
    let now = clock::now().as_millis();
    each_frozen(asking, |FrozenRoom { room, freeze }| {
        let since = age(Duration::from_millis(now.saturating_sub(freeze.since_ms)));
        Ok(writeln!(surroundings.out, "{}  for {since}: {}", plain(room.as_str()), freeze.in_words())?)
    })?;
    Ok(Exit::Ok)
}

impl Unfreeze {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let asking = Asking::prepare(&self.config, surroundings)?;
        let Some(room) = &self.room else { return lift_doubts(&asking, surroundings) };
        writeln!(surroundings.out, "{}", lift(&asking, room)?)?;
        Ok(Exit::Ok)
    }
}

/// Unfreezes a group, and says so.
fn lift(asking: &Asking, room: &RoomId) -> Result<String, Failure> {
    let lifted = asking.ask(admin::unfreeze(asking.socket(), room, AdminLimits::default()))?;
    let words = if lifted.was_frozen { "unfrozen" } else { "was not frozen" };
    Ok(format!("{}: {words}", plain(lifted.room.as_str())))
}

/// Unfreezes whatever was frozen because the store had gone back, and says what else is frozen. One group that cannot be
/// unfrozen is in no other's way.
fn lift_doubts(asking: &Asking, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
    let (mut lifted, mut failed, mut others) = (0_u64, 0_u64, 0_u64);
    each_frozen(asking, |FrozenRoom { room, freeze }| {
        if freeze.reason != IN_DOUBT || freeze.cause.is_some() {
            others = others.saturating_add(1);
            return Ok(());
        }
        match lift(asking, room) {
            Ok(words) => {
                lifted = lifted.saturating_add(1);
                writeln!(surroundings.out, "{words}")?;
            }
            Err(failure) => {
                failed = failed.saturating_add(1);
                writeln!(surroundings.err, "{}: still frozen: {failure}", plain(room.as_str()))?;
            }
        }
        Ok(())
    })?;
    writeln!(surroundings.err, "{lifted} groups were frozen because of the backup, and are not any more")?;
    if others > 0 {
        let others = format_args!("{others} other reasons for which groups are frozen stand");
        writeln!(surroundings.err, "{others}: see `maypole freeze --list`")?;
    }
    if failed > 0 {
        return Err(Failure::new(Exit::Failed, format_args!("{failed} groups could not be unfrozen")));
    }
    Ok(Exit::Ok)
}
