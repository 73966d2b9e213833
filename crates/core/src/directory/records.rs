//! What the store keeps of KeyPackages.

use maypole_mls::Suite;
use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, KeyPackageRef, ShelfPlace};
use crate::limits;
use crate::time::Timestamp;

/// A KeyPackage that was judged. What its client can do stands in its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPackage {
    /// Whose it is.
    pub client: ClientId,
    /// By what it is known.
    pub reference: KeyPackageRef,
    /// The suite that it is for.
    #[serde(with = "suite_code")]
    pub suite: Suite,
    /// From when on it is good.
    pub begins: Timestamp,
    /// Until when it is good, to the last millisecond.
    pub ends: Timestamp,
    /// Whether it may be handed out more than once, when there is nothing else.
    pub last_resort: bool,
    /// When it came.
    pub uploaded_at: Timestamp,
    /// What the dialect notes of it.
    pub notes: Vec<u8>,
    /// The KeyPackage, without an `MLSMessage` around it.
    pub bytes: Vec<u8>,
}

impl KeyPackage {
    /// Whether it is good at a time.
    pub fn is_good_at(&self, now: Timestamp) -> bool {
        self.begins <= now && now <= self.ends
    }

    /// From when on nothing need be known of it: nobody takes it any more, here or in a commit.
    pub fn known_until(&self) -> Timestamp {
        self.ends.plus(limits::KEY_PACKAGE_LEEWAY).plus(limits::KEY_PACKAGE_KNOWN_AFTER)
    }
}

/// A KeyPackage in a device's stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelved {
    /// Its place: those of one device are handed out in this order.
    pub place: ShelfPlace,
    /// The KeyPackage.
    pub key_package: KeyPackage,
}

/// A device's last resort for one suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastResort {
    /// The KeyPackage.
    pub key_package: KeyPackage,
    /// Whether it was ever handed out.
    pub used: bool,
}

/// What is known of a KeyPackage by its reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can be handed out: it is in stock, or a last resort.
    InStock,
    /// It was handed out, or may have been; or it was a last resort. It does not come back.
    Gone,
}

/// What a device has in stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// KeyPackages that have not ended, without last resorts.
    pub key_packages: u64,
    /// Last resorts that have not ended.
    pub last_resorts: u64,
    /// Whether one of these was handed out.
    pub last_resort_used: bool,
}

impl Stock {
    /// Whether the device should be asked for more.
    ///
    /// ```
    /// use maypole_core::directory::Stock;
    ///
    /// assert!(Stock { key_packages: 1_000, last_resorts: 1, last_resort_used: true }.is_low());
    /// assert!(!Stock { key_packages: 1_000, last_resorts: 1, last_resort_used: false }.is_low());
    /// assert!(Stock::default().is_low());
    /// ```
    pub fn is_low(&self) -> bool {
        self.key_packages < limits::KEY_PACKAGES_LOW || self.last_resort_used
    }
}

/// A suite, stored as its number.
mod suite_code {
    use maypole_mls::Suite;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
    pub(super) fn serialize<S: Serializer>(suite: &Suite, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(suite.code())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Suite, D::Error> {
        let code = u16::deserialize(deserializer)?;
        Suite::from_code(code).ok_or_else(|| D::Error::custom("a cipher suite that is not known"))
    }
}
