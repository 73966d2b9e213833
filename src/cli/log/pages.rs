//! A log page by page: as the running service has it or, where none runs, as it lies in the store.

use maypole_core::ids::RoomId;
use maypole_room::description::ServiceKeys;

use crate::admin::{self, AdminLimits, LogPage, LogRange};
use crate::cli::asking::Asking;
use crate::cli::source::Source;
use crate::cli::{ConfigFile, Exit, Failure, Surroundings};
use crate::groups::log_page;

/// The log of a room's group.
pub(super) struct Pages {
    asking: Asking,
    source: Source,
    room: RoomId,
    /// With what its receipts must be signed, or why nobody says.
    pub(super) signers: Result<ServiceKeys, String>,
}

impl Pages {
    /// Finds the log, and its first page.
    pub(super) fn open(
        room: RoomId,
        range: LogRange,
        config: &ConfigFile,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<(Self, LogPage), Failure> {
        let asking = Asking::prepare(config, surroundings)?;
        let asked = asking.wait(admin::log(asking.socket(), &room, range, AdminLimits::default()));
        let (source, first) = Source::find(&asking, asked)?;
        let signers = match (&source, &first) {
            (Source::Store(opened), _) => opened.signers(&asking),
            (Source::Service, first) => {
                let told = first.as_ref().and_then(|page| ServiceKeys::parse(page.service.as_deref()?));
                told.ok_or_else(|| "the service does not say what it signs with".to_owned())
            }
        };
        let pages = Self { asking, source, room, signers };
        match first.map_or_else(|| pages.read(range), Ok) {
            Ok(first) => Ok((pages, first)),
            Err(failure) => {
                pages.close();
                Err(failure)
            }
        }
    }

    /// A page.
    pub(super) fn read(&self, range: LogRange) -> Result<LogPage, Failure> {
        let opened = match &self.source {
            Source::Service => {
                let asked = admin::log(self.asking.socket(), &self.room, range, AdminLimits::default());
                return self.asking.ask(asked);
            }
            Source::Store(opened) => opened,
        };
        let read = self.asking.wait(log_page(&opened.ledger, None, &self.room, range));
        let read = read.map_err(|error| Failure::new(Exit::Store, error))?;
        let unknown = format!("the store has no group for {}: see that the ID is right", self.room);
        read.ok_or_else(|| Failure::new(Exit::Failed, unknown))
    }

    /// Whether they are read from the store, since no service runs.
    pub(super) fn is_of_store(&self) -> bool {
        matches!(self.source, Source::Store(_))
    }

    /// Lets go of what was opened.
    pub(super) fn close(self) {
        self.source.close(&self.asking);
    }
}
