//! Where a ledger lies: a folder, or a database by its address.

use anyhow::Result;
use maypole::storage::Store;

/// Opens the store at a place.
pub(crate) async fn open(place: &str) -> Result<Store> {
    if place.starts_with("postgres://") {
        Ok(Store::open_postgres(place).await?)
    } else {
        Ok(Store::open_folder(place.into()).await?)
    }
}

/// How many of its records are damaged.
pub(crate) async fn quarantined(store: &Store) -> Result<u64> {
    Ok(match store {
        Store::Sled(store) => store.quarantined().await?,
        Store::Postgres(store) => store.quarantined().await?,
    })
}
