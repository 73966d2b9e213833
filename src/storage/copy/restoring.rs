//! Taking a copy into a store that is empty.

use std::io::Read;

use maypole_core::batch::{Backend, Op};
use maypole_core::group::Frozen;
use maypole_core::ids::UserId;
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::records::Progress;

use super::file::{CopyError, Reader, Told};
use super::{Record, Tally};

/// Why a copy was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The copy is no good.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// It belongs to nobody.
    #[error("the copy is of a store that no service has ever used: there is nothing in it to take over")]
    Nobody,
    /// It lacks what was damaged.
    #[error(
        "{0} records of the store that it was made of were damaged and are not in it: a group may be unfrozen by that, or a \
         KeyPackage new again. If there is no better copy, say --damaged: all groups are frozen then"
    )]
    Incomplete(u64),
    /// Something is in the store.
    #[error(
        "the store is not empty: a copy is taken into a new one alone. If an import broke off, remove what it left (the \
         folder, or the tables) and begin again"
    )]
    NotEmpty,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] LedgerError),
}

/// What was taken in.
#[derive(Debug, PartialEq, Eq)]
pub struct Restored {
    /// Whose store it is.
    pub owner: UserId,
    /// How much it was.
    pub tally: Tally,
}

/// Takes a copy into a store. It belongs to nobody until everything is there: a service does not take a part for the whole. One
/// that lacks what was damaged is taken in only if it is said how its groups are frozen, and they are before it is anybody's.
pub async fn restore<B: Backend>(
    ledger: &Ledger<B>,
    mut copy: Reader<impl Read>,
    distrust: Option<&Frozen>,
) -> Result<Restored, ImportError> {
    if !ledger.is_untouched().await? {
        return Err(ImportError::NotEmpty);
    }
    let (mut owner, mut progress, mut begun) = (None::<UserId>, Progress::default(), false);
    loop {
        let records = match copy.read()? {
            Told::Records(records) => records,
            Told::End { tally, damaged } => {
                let owner = owner.ok_or(ImportError::Nobody)?;
                if damaged > 0 {
                    // What is lacking may have been a freeze, or that a KeyPackage was given out.
                    let frozen = distrust.ok_or(ImportError::Incomplete(damaged))?;
                    ledger.recover(progress.inbox, progress, frozen, frozen.frozen_at).await?;
                }
                ledger.take_over(vec![Op::SkipTo(progress), Op::Bind(owner.clone())]).await?;
                return Ok(Restored { owner, tally });
            }
        };
        if !begun {
            // They come with the first page.
            let keys = records.iter().find_map(|record| match record {
                Record::Keys(keys) => Some(*keys),
                _ => None,
            });
            ledger.begin_to_take_over(keys.ok_or(ImportError::Nobody)?).await?;
            begun = true;
        }
        let mut ops = Vec::new();
        for record in records {
            match record {
                Record::Owner(told) => owner = Some(told),
                // Last, since what is put in counts too.
                Record::Progress(told) => progress = told,
                other => ops.extend(other.into_ops()),
            }
        }
        while !ops.is_empty() {
            let rest = ops.split_off(ops.len().min(limits::RESTORED_AT_ONCE));
            ledger.take_over(std::mem::replace(&mut ops, rest)).await?;
        }
    }
}
