//! `maypole db mend`: damaged records of one group, put back from a copy.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;
use maypole_core::ids::{GroupId, ProcessId, RoomId};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::shares::Shares;

use crate::admin::{self, AdminLimits, AskError, plain};
use crate::cli::asking::{Asking, room};
use crate::cli::source::Source;
use crate::cli::{ConfigFile, Exit, Failure, Surroundings};
use crate::entropy;
use crate::groups::{MendError, Mended, mend};
use crate::storage::Store;
use crate::storage::copy::{CopyError, Reader};

/// Arguments of `maypole db mend`.
#[derive(Debug, Args)]
pub(super) struct Mend {
    /// The room's ID
    #[arg(value_name = "ROOM", value_parser = room)]
    room: RoomId,
    /// A file that `maypole db export` or `backup` wrote
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
}

impl Mend {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let asking = Asking::prepare(&self.config, surroundings)?;
        let asked = asking.wait(admin::frozen(asking.socket(), None, AdminLimits::default()));
        // A service that runs and says no is a service that runs.
        let asked = match asked {
            Err(AskError::Refused(_)) => Ok(Default::default()),
            asked => asked,
        };
        let (source, _) = Source::find(&asking, asked)?;
        let mended = self.mend(&source, &asking);
        source.close(&asking);
        let Mended { epoch, entries, trees, left } = mended?;
        let out = &mut surroundings.out;
        writeln!(out, "{}: whole again, in epoch {epoch}, where it stood", plain(self.room.as_str()))?;
        writeln!(
            out,
            "  {entries} epochs of its log and {trees} of its trees were put back; see `maypole db check`"
        )?;
        if left > 0 {
            writeln!(
                out,
                "  {left} trees of epochs that have passed stay damaged: the copy does not have what leads to them"
            )?;
        }
        Ok(Exit::Ok)
    }

    fn mend(&self, source: &Source, asking: &Asking) -> Result<Mended, Failure> {
        let Source::Store(opened) = source else {
            let why = "the service runs: stop it first, and every other process that uses its store";
            return Err(Failure::new(Exit::Failed, why));
        };
        let failed = |error: MendError| {
            Failure::new(Exit::Store, format_args!("{}: {error}", plain(self.room.as_str())))
        };
        let file = self.from.display();
        let copy = || -> Result<_, CopyError> { Reader::open(BufReader::new(File::open(&self.from)?)) };
        // All of it is looked at before anything is written.
        let whole = copy().and_then(Reader::verify);
        whole.map_err(|error| Failure::new(Exit::Store, format_args!("{file}: {error}")))?;
        let group = GroupId::parse(self.room.as_str()).ok_or(MendError::Unknown).map_err(failed)?;
        let keys = opened.signers(asking).ok();
        let copy = copy().map_err(|error| failed(error.into()))?;
        let process =
            ProcessId::from_bytes(entropy::random().map_err(|why| Failure::new(Exit::Failed, why))?);
        asking.wait(async {
            is_alone(&opened.ledger, process).await?;
            let mended = mend(&opened.ledger, keys.as_ref(), &group, copy).await;
            opened.ledger.retire(process).await.map_err(|error| failed(error.into()))?;
            mended.map_err(failed)
        })
    }
}

/// Takes all work of the store, so that no process begins any meanwhile; refuses where another has some.
async fn is_alone(ledger: &Ledger<Store>, process: ProcessId) -> Result<(), Failure> {
    let unreadable = |error| Failure::new(Exit::Store, error);
    let held = ledger.renew(process, limits::MEND_TERM).await.map_err(unreadable)?;
    if held.shares == Shares::ALL && held.stream {
        return Ok(());
    }
    ledger.retire(process).await.map_err(unreadable)?;
    let why = format!(
        "another process uses the store: stop it first; one that died is forgotten {} s after it was last heard of, a `db mend` \
         that was broken off after {} s",
        limits::LEASE_TERM.as_secs(),
        limits::MEND_TERM.as_secs()
    );
    Err(Failure::new(Exit::Failed, why))
}
