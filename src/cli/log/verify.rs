//! `maypole log verify`: are the receipts of a log one whole chain, and does another log tell the same?

use std::path::{Path, PathBuf};

use clap::Args;
use maypole_core::ids::{Epoch, RoomId};
use maypole_room::chain::{Break, Chain, Flaw, Link, Stories};
use maypole_room::description::ServiceKeys;
use maypole_room::receipt::RoomReceipt;

use super::lines::{Line, Lines};
use super::pages::Pages;
use crate::admin::{LogPage, LogRange, LoggedEpoch, plain};
use crate::cli::asking::room;
use crate::cli::{ConfigFile, Exit, Failure, Surroundings};

/// Arguments of `maypole log verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The room's ID: the log that the service has stored is checked
    #[arg(value_name = "ROOM", value_parser = room, required_unless_present = "file")]
    room: Option<RoomId>,
    /// A file that `maypole log show --json` wrote: it is checked instead
    #[arg(long, value_name = "FILE", conflicts_with = "room")]
    file: Option<PathBuf>,
    /// Another such file: does it tell the same of each epoch that both have?
    #[arg(long, value_name = "OTHER")]
    against: Option<PathBuf>,
    /// What the receipts must be signed with, as the group's external sender names it: `@:a.org/KEY ID/KEY`
    /// [default: the service's own; for files, signatures are not looked at]
    #[arg(long, value_name = "KEY", value_parser = keys)]
    key: Option<ServiceKeys>,
    #[command(flatten)]
    config: ConfigFile,
}

fn keys(text: &str) -> Result<ServiceKeys, &'static str> {
    ServiceKeys::parse(text).ok_or("a key looks like @:a.org/ed25519:1/AAAA…")
}

/// A log on its way through the checks.
struct Checked {
    name: String,
    chain: Chain,
    against: Option<Stories>,
    receipts: u64,
    in_common: u64,
    signer: Option<ServiceKeys>,
    /// Why signatures are not looked at, where they are not.
    unsigned: String,
}

impl Verify {
    pub(super) fn run(mut self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let (against, key) = (self.against.take(), self.key.take());
        if let Some(room) = self.room.take() {
            return self.verify_stored(&room, key, against.as_deref(), surroundings);
        }
        let no_file = || Failure::new(Exit::Usage, "there is neither a ROOM nor a FILE");
        let file = self.file.ok_or_else(no_file)?;
        let stories = against.as_deref().map(|other| stories(other, key.as_ref())).transpose()?;
        let name = file.display().to_string();
        let mut checked = Checked::begin(name, key, stories);
        checked.read(&file, |_| {})?;
        checked.report(against.as_deref(), surroundings)
    }

    /// Goes through the log that the service has stored.
    fn verify_stored(
        &self,
        room: &RoomId,
        key: Option<ServiceKeys>,
        against: Option<&Path>,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Exit, Failure> {
        let (pages, first) = Pages::open(room.clone(), FROM_THE_FIRST, &self.config, surroundings)?;
        let checked = check(&pages, first, room, key, against);
        let is_of_store = pages.is_of_store();
        pages.close();
        let exit = checked?.report(against, surroundings)?;
        if is_of_store {
            writeln!(surroundings.out, "  read from the store, since no service runs")?;
        }
        Ok(exit)
    }
}

/// The whole of a log.
const FROM_THE_FIRST: LogRange = LogRange { from: Epoch::ZERO, to: None };

fn check(
    pages: &Pages,
    mut page: LogPage,
    room: &RoomId,
    key: Option<ServiceKeys>,
    against: Option<&Path>,
) -> Result<Checked, Failure> {
    let (signer, unsigned) = match (key, &pages.signers) {
        (Some(key), _) => (Some(key), None),
        (None, Ok(signer)) => (Some(signer.clone()), None),
        (None, Err(why)) if pages.is_of_store() => (None, Some(why.clone())),
        (None, Err(why)) => return Err(Failure::new(Exit::Failed, why)),
    };
    let stories = against.map(|other| stories(other, signer.as_ref())).transpose()?;
    let mut checked = Checked::begin(plain(room.as_str()), signer, stories);
    checked.unsigned = unsigned.unwrap_or(checked.unsigned);
    loop {
        for logged in &page.epochs {
            let taken = as_link(logged).and_then(|link| checked.take(&link).map(drop));
            taken.map_err(|broken| checked.broken(None, broken))?;
        }
        let Some(from) = page.next else { return Ok(checked) };
        page = pages.read(LogRange { from, ..FROM_THE_FIRST })?;
    }
}

fn as_link(logged: &LoggedEpoch) -> Result<Link, Break> {
    let told = serde_json::to_value(logged).unwrap_or_default();
    let broken = |error| Break { epoch: Some(logged.epoch), flaw: Flaw::Receipt(error) };
    Link::read(&told).map_err(broken)
}

/// What another log tells. It must be whole itself.
fn stories(path: &Path, key: Option<&ServiceKeys>) -> Result<Stories, Failure> {
    let mut stories = Stories::default();
    let mut checked = Checked::begin(path.display().to_string(), key.cloned(), None);
    checked.read(path, |receipt| stories.note(receipt))?;
    Ok(stories)
}

impl Checked {
    fn begin(name: String, signer: Option<ServiceKeys>, against: Option<Stories>) -> Self {
        let (chain, unsigned) = (Chain::new(signer.clone()), "say by --key whose they must be".to_owned());
        Self { name, chain, against, receipts: 0, in_common: 0, signer, unsigned }
    }

    /// Takes all links of a file.
    fn read(&mut self, path: &Path, mut each: impl FnMut(&RoomReceipt)) -> Result<(), Failure> {
        let mut lines = Lines::open(path)?;
        while let Some(Line { number, link }) = lines.next()? {
            let taken = link.and_then(|link| self.take(&link).map(&mut each));
            taken.map_err(|broken| self.broken(Some(number), broken))?;
        }
        Ok(())
    }

    /// Takes the next link.
    fn take(&mut self, link: &Link) -> Result<&RoomReceipt, Break> {
        let receipt = self.chain.take(link)?;
        if let Some(stories) = &self.against {
            self.in_common = self.in_common.saturating_add(u64::from(stories.agree(receipt)?));
        }
        self.receipts = self.receipts.saturating_add(1);
        Ok(receipt)
    }

    fn broken(&self, line: Option<usize>, broken: Break) -> Failure {
        let exit = if broken.flaw == Flaw::Fork { Exit::Forked } else { Exit::Broken };
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let whole = match (self.chain.first(), self.chain.last()) {
            (Some(first), Some(last)) => format!("; whole from {first} to {}", last.receipt().epoch),
            _ => String::new(),
        };
        Failure::new(exit, format_args!("{}: {place}{broken}{whole}", self.name))
    }

    fn report(self, against: Option<&Path>, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let (Some(first), Some(last)) = (self.chain.first(), self.chain.last()) else {
            return Err(Failure::new(Exit::Broken, format_args!("{}: there is no receipt", self.name)));
        };
        let (out, last) = (&mut surroundings.out, last.receipt().epoch);
        writeln!(out, "{}: {} receipts, one chain from epoch {first} to {last}", self.name, self.receipts)?;
        match &self.signer {
            Some(signer) => writeln!(out, "  signed by {}", plain(&signer.to_string()))?,
            None => writeln!(out, "  signatures were not looked at: {}", self.unsigned)?,
        }
        if let Some(other) = against {
            writeln!(out, "  {} tells the same of {} of these epochs", other.display(), self.in_common)?;
        }
        Ok(Exit::Ok)
    }
}
