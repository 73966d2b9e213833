//! What a simulation does with a store: it looks into it, notes what is written, lets writes fail, and puts copies back.

use super::{Found, Memory, Records, Shared, apply};
use crate::batch::{BackendError, Batch};
use crate::ids::OwedId;

/// What goes wrong next, and what was written.
#[derive(Debug, Default)]
pub(super) struct Hand {
    fault: Option<Fault>,
    written: Option<Vec<Written>>,
}

/// What goes wrong with a write. In each case the writer is told that the store is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is written.
    Lost,
    /// All is written.
    Unheard,
}

/// A batch that was applied, and the numbers that were given out.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The batch.
    pub(crate) batch: Batch,
    /// The numbers of what is owed by it.
    pub(crate) ids: Vec<OwedId>,
}

impl Memory {
    /// What it keeps, as a copy: what is written later does not show.
    pub(crate) fn records(&self) -> Records {
        self.shared().records.clone()
    }

    /// It keeps this from now on, whatever it kept before: as a store that is restored from a copy of itself.
    pub(crate) fn restore(&self, records: Records) {
        self.shared().records = records;
    }

    /// Looks at what it keeps.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Records) -> T) -> T {
        look(&self.shared().records)
    }

    /// The next write fails so.
    pub(crate) fn fail(&self, fault: Fault) {
        self.shared().hand.fault = Some(fault);
    }

    /// The batches that were applied since it was last asked; the first time none.
    pub(crate) fn written(&self) -> Vec<Written> {
        self.shared().hand.written.replace(Vec::new()).unwrap_or_default()
    }
}

impl Shared {
    pub(super) fn apply(&mut self, batch: Batch) -> Found<Vec<OwedId>> {
        let fault = self.hand.fault.take();
        let unavailable = || BackendError::Unavailable("so it was asked for".to_owned());
        if fault == Some(Fault::Lost) {
            return Err(unavailable());
        }
        let ids = apply(&mut self.records, batch.clone())?;
        if let Some(written) = &mut self.hand.written {
            written.push(Written { batch, ids: ids.clone() });
        }
        if fault.is_some() { Err(unavailable()) } else { Ok(ids) }
    }
}
