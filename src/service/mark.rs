//! How far the store has come, noted with the homeserver: so a store that was replaced by an older copy of itself is noticed,
//! wherever the copy came from, and nothing that was decided since is decided otherwise.
//!
//! The note is written when the service begins and ends, and now and then between. A copy that is younger than the last note
//! cannot be told from the store itself.

use std::sync::Arc;

use maypole_core::batch::Backend;
use maypole_core::group::Frozen;
use maypole_core::ids::FreezeReason;
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::records::Progress;
use maypole_core::time::Timestamp;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::error::ServiceError;
use crate::clock;
use crate::hold::Hold;
use crate::homeserver::{Backoff, Homeserver};

/// The note's type.
const KIND: &str = "org.maypole.progress";
/// Larger numbers cannot be told exactly in JSON, and none of ours comes near.
const LARGEST: u64 = 1 << 53;

/// What members of groups are told that may have gone on before the store was replaced. It stands in stored records, and
/// `maypole unfreeze --after-restore` knows the groups by it: it must never change, or those that an earlier version froze are
/// not found any more.
pub(crate) const IN_DOUBT: &str = "the service's store was restored from a backup, and this group may have gone on since that was \
                                   made: its operator will look into it";

/// What the homeserver has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    /// No note: this store is the first.
    Nothing,
    /// The store had come as far.
    Progress(Progress),
    /// It does not say, or what it says cannot be read. Then nothing is written over it.
    Unknown,
}

/// How far the store is known to have come, for as long as the service runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    reached: Progress,
    /// Whether it is noted with the homeserver.
    is_kept: bool,
}

/// Holds the store against what was noted of it before anything is decided. One that is behind is an older copy: it is brought
/// into a state from which the service can go on. Messages of the inbox from `since` on came in after the start.
pub(super) async fn check<B: Backend>(
    ledger: &Ledger<B>,
    homeserver: &Homeserver,
    since: u64,
) -> Result<Mark, ServiceError> {
    let noted = read(homeserver).await;
    let found = ledger.progress().await?;
    if let Noted::Progress(noted) = noted
        && found.is_behind(&noted)
    {
        recover(ledger, found, noted, since).await?;
    }
    let mark = Mark { reached: ledger.progress().await?, is_kept: noted != Noted::Unknown };
    if mark.is_kept {
        write(homeserver, mark.reached).await;
    }
    Ok(mark)
}

async fn recover<B: Backend>(
    ledger: &Ledger<B>,
    found: Progress,
    noted: Progress,
    since: u64,
) -> Result<(), ServiceError> {
    tracing::error!(
        ?found,
        ?noted,
        "the store is an older copy of itself, as from a backup: what was decided since is lost. All groups are frozen, what \
         waited is set aside, and no KeyPackage of the stock is given out any more"
    );
    let now = clock::now();
    let done = ledger.recover(since, noted, &in_doubt(now)?, now).await?;
    tracing::error!(
        frozen = done.frozen,
        key_packages = done.key_packages,
        set_aside = done.set_aside,
        "groups that did not go on since the backup can be unfrozen: see `maypole freeze --list`"
    );
    Ok(())
}

/// That a group is frozen because it may have gone on.
pub(crate) fn in_doubt(now: Timestamp) -> Result<Frozen, LedgerError> {
    let reason = FreezeReason::parse(IN_DOUBT);
    let reason = reason.ok_or_else(|| LedgerError::Unavailable("no words for the members".to_owned()))?;
    Ok(Frozen { reason, frozen_at: now })
}

/// Looks now and then whether the store is still what it was; whoever reads the homeserver's stream notes how far it has come.
/// Ends with an error if the store went back under the service's hands: only from the beginning can it be gone on with.
pub(super) async fn keep<B: Backend>(
    ledger: Arc<Ledger<B>>,
    homeserver: Homeserver,
    hold: Hold,
    mut mark: Mark,
    stop: CancellationToken,
) -> Result<(), ServiceError> {
    loop {
        let stops = stop.run_until_cancelled(tokio::time::sleep(limits::MARK_EVERY)).await.is_none();
        look(&ledger, &homeserver, &mut mark, hold.held().stream).await?;
        if stops {
            return Ok(());
        }
    }
}

/// Looks once; notes what is new if it is to.
async fn look<B: Backend>(
    ledger: &Ledger<B>,
    homeserver: &Homeserver,
    mark: &mut Mark,
    notes: bool,
) -> Result<(), ServiceError> {
    let Ok(found) = ledger.progress().await else { return Ok(()) };
    if found.is_behind(&mark.reached) {
        return Err(ServiceError::WentBack);
    }
    if !notes || !mark.is_kept || found == mark.reached {
        mark.reached = mark.reached.at_least(Progress { owed: mark.reached.owed, ..found });
        return Ok(());
    }
    // Another store of this service may have been at work: then this is the older one.
    if let Ok(Some(noted)) = homeserver.account_data(KIND).await
        && progress_of(&noted).is_some_and(|noted| found.is_behind(&noted))
    {
        return Err(ServiceError::WentBack);
    }
    if write(homeserver, found).await {
        mark.reached = found;
    }
    Ok(())
}

/// What was noted last.
async fn read(homeserver: &Homeserver) -> Noted {
    let mut backoff = Backoff::default();
    loop {
        match homeserver.account_data(KIND).await {
            // Without it nothing may be decided, so that it is waited for like the homeserver itself.
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "how far the store had come cannot be asked; trying again");
                clock::back_off(&mut backoff, error.retry_after()).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the homeserver keeps no note of how far the store has come: a restored backup is not noticed");
                return Noted::Unknown;
            }
            Ok(None) => return Noted::Nothing,
            Ok(Some(note)) => {
                let progress = progress_of(&note);
                if progress.is_none() {
                    tracing::warn!(
                        kind = KIND,
                        "the account data that says how far the store had come cannot be read: a restored backup is not noticed \
                         until it is removed"
                    );
                }
                return progress.map_or(Noted::Unknown, Noted::Progress);
            }
        }
    }
}

/// What a note says, if anything that can be true.
fn progress_of(note: &Map<String, Value>) -> Option<Progress> {
    let number = |field| note.get(field).and_then(Value::as_u64).filter(|number| *number < LARGEST);
    Some(Progress { inbox: number("inbox")?, owed: number("owed")?, issued: number("issued")? })
}

/// Notes it; says whether that was possible.
async fn write(homeserver: &Homeserver, progress: Progress) -> bool {
    let written = homeserver.put_account_data(KIND, &note_of(progress)).await;
    if let Err(error) = &written {
        tracing::warn!(%error, "how far the store has come cannot be noted with the homeserver");
    }
    written.is_ok()
}

fn note_of(Progress { inbox, owed, issued }: Progress) -> Map<String, Value> {
    let fields = [("inbox", inbox), ("owed", owed), ("issued", issued)];
    fields.into_iter().map(|(field, number)| (field.to_owned(), number.into())).collect()
}

#[cfg(test)]
mod tests;
