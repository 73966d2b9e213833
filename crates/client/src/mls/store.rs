//! OpenMLS's store in memory, copied and written down: all of its keys and values.

use std::collections::HashMap;
use std::sync::PoisonError;

use openmls::prelude::OpenMlsProvider as _;
use openmls_rust_crypto::OpenMlsRustCrypto;

/// All entries of a store, in the order of their keys.
pub(crate) fn to_entries(provider: &OpenMlsRustCrypto) -> Vec<(Vec<u8>, Vec<u8>)> {
    let values = provider.storage().values.read().unwrap_or_else(PoisonError::into_inner);
    let mut entries: Vec<_> = values.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    entries.sort();
    entries
}

/// A store with these entries.
pub(crate) fn from_entries(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> OpenMlsRustCrypto {
    let provider = OpenMlsRustCrypto::default();
    *provider.storage().values.write().unwrap_or_else(PoisonError::into_inner) =
        entries.into_iter().collect::<HashMap<_, _>>();
    provider
}

/// Another store with the same entries: what fails in the copy has not happened.
pub(crate) fn copy(provider: &OpenMlsRustCrypto) -> OpenMlsRustCrypto {
    let values = provider.storage().values.read().unwrap_or_else(PoisonError::into_inner);
    from_entries(values.clone())
}
