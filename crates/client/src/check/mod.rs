//! What a client checks about others, beyond MLS: that a leaf's key is the one that its device publishes, and that the
//! events which a commit cites are what they are said to be. Pure: the caller fetches.

mod cited;
mod published;

#[cfg(test)]
pub(crate) use cited::tests::event as cited_event;
pub use cited::{Uncited, cited};
pub use published::{Unpublished, published};

use ruma::CanonicalJsonObject;
use serde_json::Value;

/// An object in the form over which Matrix hashes and signs.
pub(crate) fn canonical(value: &Value) -> Option<CanonicalJsonObject> {
    serde_json::from_value(value.clone()).ok()
}
