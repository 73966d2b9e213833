//! `maypole explain`: what the running service knows about the group of a room.

use clap::Args;
use maypole_core::ids::RoomId;

use super::{ConfigFile, Exit, Failure, Surroundings};
use crate::admin::{self, AdminLimits, AskError};
use crate::clock;
use crate::config::Settings;

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

fn room(text: &str) -> Result<RoomId, &'static str> {
    let sound = ruma::RoomId::parse(text).is_ok();
    RoomId::parse(text).filter(|_| sound).ok_or("a room ID looks like !abc:a.org, or !abc in newer rooms")
}

impl Explain {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let settings = Settings::load(self.config.path(), std::mem::take(&mut surroundings.env).into_iter())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = admin::explain(&settings.admin.socket, &self.room, AdminLimits::default());
        let explanation = runtime.block_on(asked)?;
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

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::new(Exit::Failed, error)
    }
}
