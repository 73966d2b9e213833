//! `maypole explain`: what the running service knows about the group of a room.

use clap::Args;
use maypole_core::ids::RoomId;

use super::asking::{Asking, room};
use super::{ConfigFile, Exit, Failure, Surroundings};
use crate::admin::{self, AdminLimits};
use crate::clock;

/// Arguments of `maypole explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The room's ID
    #[arg(value_name = "ROOM", value_parser = room)]
    room: RoomId,
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let asking = Asking::prepare(&self.config, surroundings)?;
        let explanation = asking.ask(admin::explain(asking.socket(), &self.room, AdminLimits::default()))?;
        if self.json {
            let json = serde_json::to_string_pretty(&explanation)
                .map_err(|error| Failure::new(Exit::Failed, error))?;
            writeln!(surroundings.out, "{json}")?;
        } else {
            write!(surroundings.out, "{}", admin::in_words(&explanation, clock::now()))?;
        }
        Ok(Exit::Ok)
    }
}
