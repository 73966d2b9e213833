//! `maypole log show`: who committed and when, who came and went, and the receipts.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use maypole_core::ids::{Epoch, RoomId};
use maypole_core::time::Timestamp;
use maypole_room::bytes::encode;
use maypole_room::receipt::RoomReceipt;

use super::epoch;
use super::pages::Pages;
use crate::admin::{LogPage, LogRange, LoggedEpoch, age, plain};
use crate::cli::asking::room;
use crate::cli::{ConfigFile, Exit, Failure, Surroundings};
use crate::clock;

/// Arguments of `maypole log show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The room's ID
    #[arg(value_name = "ROOM", value_parser = room)]
    room: RoomId,
    /// The first epoch [default: the first that the log has]
    #[arg(long, value_name = "EPOCH", value_parser = epoch)]
    from: Option<Epoch>,
    /// The last epoch [default: the newest]
    #[arg(long, value_name = "EPOCH", value_parser = epoch)]
    to: Option<Epoch>,
    /// Print one JSON object a line, each with a whole receipt: `maypole log verify --file` reads it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl Show {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let range = LogRange { from: self.from.unwrap_or(Epoch::ZERO), to: self.to };
        let (pages, first) = Pages::open(self.room.clone(), range, &self.config, surroundings)?;
        let shown = self.show(&pages, first, surroundings);
        pages.close();
        shown
    }

    fn show(
        &self,
        pages: &Pages,
        mut page: LogPage,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Exit, Failure> {
        self.say_what_is_not_there(&page, surroundings)?;
        loop {
            for logged in &page.epochs {
                if self.json {
                    let line =
                        serde_json::to_string(logged).map_err(|error| Failure::new(Exit::Failed, error))?;
                    writeln!(surroundings.out, "{line}")?;
                } else {
                    print(logged, clock::now(), &mut surroundings.out)?;
                }
            }
            let Some(next) = page.next else { return Ok(Exit::Ok) };
            page = pages.read(LogRange { from: next, to: self.to })?;
        }
    }

    /// Beside the log, where it does not spoil what a program reads.
    fn say_what_is_not_there(
        &self,
        page: &LogPage,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<(), Failure> {
        let LogPage { begins, current, .. } = page;
        if page.epochs.is_empty() {
            writeln!(surroundings.err, "none of these: the log has the epochs {begins} to {current}")?;
        } else if self.from.unwrap_or(Epoch::ZERO) < *begins {
            writeln!(surroundings.err, "the log begins with epoch {begins}: earlier ones were removed")?;
        }
        Ok(())
    }
}

fn print(logged: &LoggedEpoch, now: Timestamp, out: &mut dyn Write) -> std::io::Result<()> {
    let ago = age(Duration::from_millis(now.as_millis().saturating_sub(logged.accepted_at_ms)));
    let receipt = RoomReceipt::read(&logged.receipt)
        .map_or_else(|error| error.to_string(), |receipt| encode(receipt.hash().as_bytes()));
    writeln!(out, "epoch {}, by {}, {ago} ago", logged.epoch, plain(&logged.sender))?;
    for (what, clients, total) in
        [("came", &logged.joined, logged.joined_total), ("went", &logged.left, logged.left_total)]
    {
        for client in clients {
            writeln!(out, "  {what:<8} {}", plain(client))?;
        }
        let untold = total.saturating_sub(u64::try_from(clients.len()).unwrap_or(u64::MAX));
        if untold > 0 {
            writeln!(out, "  {what:<8} {untold} more")?;
        }
    }
    writeln!(out, "  commit   {}", plain(&logged.commit))?;
    writeln!(out, "  receipt  {receipt}")
}
