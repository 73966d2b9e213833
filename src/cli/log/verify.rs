//! `maypole log verify`: are the receipts of a log one whole chain, and does another log tell the same?

use std::path::{Path, PathBuf};

use clap::Args;
use maypole_core::ids::{Epoch, RoomId};
use maypole_room::chain::{Break, Chain, Flaw, Link, Stories};
use maypole_room::description::ServiceKeys;
use maypole_room::receipt::RoomReceipt;

use super::lines::{Line, Lines};
use crate::admin::{self, AdminLimits, LogRange, LoggedEpoch, plain};
use crate::cli::asking::{Asking, room};
use crate::cli::{ConfigFile, Exit, Failure, Surroundings};

/// Arguments of `maypole log verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The room's ID: the log of the running service is checked
    #[arg(value_name = "ROOM", value_parser = room, required_unless_present = "file")]
    room: Option<RoomId>,
    /// A file that `maypole log show --json` wrote: it is checked instead
    #[arg(long, value_name = "FILE", conflicts_with = "room")]
    file: Option<PathBuf>,
    /// Another such file: does it tell the same of each epoch that both have?
    #[arg(long, value_name = "OTHER")]
    against: Option<PathBuf>,
    /// What the receipts must be signed with, as the group's external sender names it: `@:a.org/KEY ID/KEY`
    /// [default: what the running service says; for files, signatures are not looked at]
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
}

impl Verify {
    pub(super) fn run(mut self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let (against, key) = (self.against.take(), self.key.take());
        let Some(file) = self.file.take() else {
            return self.verify_service(key, against.as_deref(), surroundings);
        };
        let stories = against.as_deref().map(|other| stories(other, key.as_ref())).transpose()?;
        let name = file.display().to_string();
        let mut checked = Checked::begin(name, key, stories);
        checked.read(&file, |_| {})?;
        checked.report(against.as_deref(), surroundings)
    }

    /// Goes through the log of the running service.
    fn verify_service(
        self,
        key: Option<ServiceKeys>,
        against: Option<&Path>,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Exit, Failure> {
        let asking = Asking::prepare(&self.config, surroundings)?;
        let Some(room) = self.room else { return Err(Failure::new(Exit::Usage, "there is no ROOM")) };
        let ask = |from| {
            let range = LogRange { from, to: None };
            asking.ask(admin::log(asking.socket(), &room, range, AdminLimits::default()))
        };
        let mut page = ask(Epoch::ZERO)?;
        let unknown = || Failure::new(Exit::Failed, "the service does not say what it signs with");
        let told = || ServiceKeys::parse(&page.service).ok_or_else(unknown);
        let key = key.map_or_else(told, Ok)?;
        let stories = against.map(|other| stories(other, Some(&key))).transpose()?;
        let mut checked = Checked::begin(plain(room.as_str()), Some(key), stories);
        loop {
            for logged in &page.epochs {
                let taken = as_link(logged).and_then(|link| checked.take(&link).map(drop));
                taken.map_err(|broken| checked.broken(None, broken))?;
            }
            let Some(next) = page.next else { return checked.report(against, surroundings) };
            page = ask(next)?;
        }
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
        Self { name, chain: Chain::new(signer.clone()), against, receipts: 0, in_common: 0, signer }
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
            None => writeln!(out, "  signatures were not looked at: say by --key whose they must be")?,
        }
        if let Some(other) = against {
            writeln!(out, "  {} tells the same of {} of these epochs", other.display(), self.in_common)?;
        }
        Ok(Exit::Ok)
    }
}
