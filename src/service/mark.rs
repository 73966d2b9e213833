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
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::error::ServiceError;
use crate::clock;
use crate::hold::Hold;
use crate::homeserver::{Backoff, CallError, Homeserver};

/// The note's type.
const KIND: &str = "org.maypole.progress";
/// Larger numbers cannot be told exactly in JSON, and none of ours comes near.
const LARGEST: u64 = 1 << 53;

/// What members of groups are told that may have gone on before the store was replaced.
pub(crate) const IN_DOUBT: &str = "the service's store was restored from a backup, and this group may have gone on since that was \
                                   made: its operator will look into it";

/// Holds the store against what was noted of it before anything is decided. One that is behind is an older copy: it is brought
/// into a state from which the service can go on.
pub(super) async fn check<B: Backend>(
    ledger: &Ledger<B>,
    homeserver: &Homeserver,
) -> Result<(), ServiceError> {
    let noted = match read(homeserver).await {
        Ok(noted) => noted,
        Err(error) => {
            tracing::warn!(
                %error,
                "the homeserver does not say how far the store had come: a restored backup would not be noticed"
            );
            None
        }
    };
    let found = ledger.progress().await?;
    if let Some(noted) = noted.filter(|noted| found.is_behind(noted)) {
        recover(ledger, found, noted).await?;
    }
    if let Err(error) = write(homeserver, ledger.progress().await?).await {
        tracing::warn!(%error, "how far the store has come cannot be noted with the homeserver");
    }
    Ok(())
}

async fn recover<B: Backend>(
    ledger: &Ledger<B>,
    found: Progress,
    noted: Progress,
) -> Result<(), ServiceError> {
    tracing::error!(
        ?found,
        ?noted,
        "the store is an older copy of itself, as from a backup: what was decided since is lost. All groups are frozen, what \
         waited is set aside, and no KeyPackage of the stock is given out any more"
    );
    let reason = FreezeReason::parse(IN_DOUBT)
        .ok_or_else(|| LedgerError::Unavailable("no words for the members".to_owned()))?;
    let now = clock::now();
    let done = ledger.recover(found, noted, &Frozen { reason, frozen_at: now }, now).await?;
    tracing::error!(
        frozen = done.frozen,
        key_packages = done.key_packages,
        set_aside = done.set_aside,
        "groups that did not go on since the backup can be unfrozen: see `maypole freeze --list`"
    );
    Ok(())
}

/// Notes how far the store has come, now and then, as long as this process is the one that reads the homeserver's stream.
pub(super) async fn keep<B: Backend>(
    ledger: Arc<Ledger<B>>,
    homeserver: Homeserver,
    hold: Hold,
    stop: CancellationToken,
) -> Result<(), ServiceError> {
    let mut noted = Progress::default();
    loop {
        let stops = stop.run_until_cancelled(tokio::time::sleep(limits::MARK_EVERY)).await.is_none();
        if hold.held().stream {
            noted = note(&ledger, &homeserver, noted).await?;
        }
        if stops {
            return Ok(());
        }
    }
}

/// Notes it once, if there is something new; what is noted then. A store that went back under the service's hands is an error:
/// only from the beginning can it be gone on with.
async fn note<B: Backend>(
    ledger: &Ledger<B>,
    homeserver: &Homeserver,
    noted: Progress,
) -> Result<Progress, ServiceError> {
    let Ok(found) = ledger.progress().await else { return Ok(noted) };
    if found.is_behind(&noted) {
        return Err(ServiceError::WentBack);
    }
    if found == noted {
        return Ok(noted);
    }
    match write(homeserver, found).await {
        Ok(()) => Ok(found),
        Err(error) => {
            tracing::warn!(%error, "how far the store has come cannot be noted with the homeserver; trying again later");
            Ok(noted)
        }
    }
}

/// What was noted last, if anything that can be read.
async fn read(homeserver: &Homeserver) -> Result<Option<Progress>, CallError> {
    let mut backoff = Backoff::default();
    let note = loop {
        match homeserver.account_data(KIND).await {
            // Without it nothing may be decided, so that it is waited for like the homeserver itself.
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "how far the store had come cannot be asked; trying again");
                clock::back_off(&mut backoff, error.retry_after()).await;
            }
            read => break read?,
        }
    };
    Ok(note.as_ref().and_then(progress_of))
}

/// What a note says, if anything that can be true.
fn progress_of(note: &Map<String, Value>) -> Option<Progress> {
    let number = |field| note.get(field).and_then(Value::as_u64).filter(|number| *number < LARGEST);
    Some(Progress { inbox: number("inbox")?, owed: number("owed")?, issued: number("issued")? })
}

async fn write(homeserver: &Homeserver, progress: Progress) -> Result<(), CallError> {
    homeserver.put_account_data(KIND, &note_of(progress)).await
}

fn note_of(Progress { inbox, owed, issued }: Progress) -> Map<String, Value> {
    let fields = [("inbox", inbox), ("owed", owed), ("issued", issued)];
    fields.into_iter().map(|(field, number)| (field.to_owned(), number.into())).collect()
}

#[cfg(test)]
mod tests;
