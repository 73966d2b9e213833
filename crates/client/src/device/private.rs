//! Bytes that no log may show.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// Bytes that are for this device alone: what was said, or its keys. Printed, they say only how many they are.
///
/// ```
/// use maypole_client::device::Private;
///
/// let text = Private::from(b"hello".to_vec());
/// assert_eq!(text, *b"hello");
/// assert_eq!(format!("{text:?}"), "Private(5 bytes)");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Private(Vec<u8>);

impl Private {
    /// The bytes, for whoever keeps them.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Private({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Private {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Private {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<[u8]> for Private {
    fn eq(&self, other: &[u8]) -> bool {
        *self.0 == *other
    }
}

impl<const LENGTH: usize> PartialEq<[u8; LENGTH]> for Private {
    fn eq(&self, other: &[u8; LENGTH]) -> bool {
        self.0 == other
    }
}
