//! What every back end must do, whatever it is made of. Each law takes a [`Place`] where stores can be opened.

pub(crate) mod directory;
mod key_packages;
mod laws;
mod memory;
pub(crate) mod random;
pub(crate) mod samples;

use std::future::Future;

use maypole_core::batch::Backend;

pub(crate) use self::laws::all;
pub(crate) use self::random::agrees_with_the_model;

/// Where a store can be opened, again and again.
pub(crate) trait Place: Sync {
    /// The back end under test.
    type Store: Backend;

    /// Opens the store; what was written before is there.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;

    /// Closes a store, so that it can be opened again.
    fn close(&self, store: Self::Store) -> impl Future<Output = ()> + Send;
}
