//! Whether an upload may be: all of it is judged before any is stored.
//!
//! What the bytes say is judged by [`judge`], with the engine's check of KeyPackages; whether the device publishes the keys is
//! for the dialect to find out, and only what it [`Upload::vouched`] for reaches the ledger. What the stock has to say to it is
//! judged there, in the write.

use std::collections::{BTreeMap, BTreeSet};

use maypole_mls::wire::{LAST_RESORT, LeafSource};
use maypole_mls::{Bounds, Lifetimes, Policy, Suite, UnixSeconds, check_key_package, wire};

use super::records::KeyPackage;
use crate::group::{LeafKey, Terms};
use crate::ids::{ClientId, KeyPackageRef};
use crate::limits;
use crate::rejection::{Part, Rejection};
use crate::time::Timestamp;

/// A KeyPackage as a device offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The bytes, bare or as an `MLSMessage`.
    pub bytes: Vec<u8>,
    /// Whether the device says that it is a last resort. The KeyPackage's own extension says so as well.
    pub last_resort: bool,
    /// What the dialect notes of it.
    pub notes: Vec<u8>,
}

/// Why an upload is refused. Nothing of it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// For the sake of which of the offered ones; none where it is all of them together.
    pub nth: Option<usize>,
    /// The refusal.
    pub rejection: Rejection,
}

/// An upload that is sound, as far as its bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    client: ClientId,
    key_packages: Vec<(usize, KeyPackage)>,
    keys: Vec<LeafKey>,
}

/// An upload that may be, as far as anybody but the stock can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched(Upload);

/// Where the rules of uploads stand.
const SECTION: &str = "protocol: KeyPackages";

/// Judges an upload of an authenticated device.
pub fn judge(
    by: &ClientId,
    offered: Vec<Offered>,
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Upload, Refused> {
    let whole = |rejection| Refused { nth: None, rejection };
    if offered.len() > limits::KEY_PACKAGES_AT_ONCE {
        return Err(whole(Rejection::too_many("KeyPackages in one upload", limits::KEY_PACKAGES_AT_ONCE)));
    }
    let mut seen = BTreeMap::new();
    let mut last_resorts = BTreeSet::new();
    let mut upload = Upload { client: by.clone(), key_packages: Vec::new(), keys: Vec::new() };
    for (nth, offered) in offered.into_iter().enumerate() {
        let refused = |rejection| Refused { nth: Some(nth), rejection };
        let (key_package, key) = one(by, offered, terms, now).map_err(refused)?;
        if let Some(last_resort) = seen.insert(key_package.reference.clone(), key_package.last_resort) {
            if last_resort != key_package.last_resort {
                let problem = "it is offered both as a last resort and to be used once";
                return Err(refused(broken("KeyPackageTwice", problem)));
            }
            continue;
        }
        if key_package.last_resort && !last_resorts.insert(key_package.suite.code()) {
            let problem = "it is the second last resort for its suite in one upload";
            return Err(refused(broken("KeyPackageLastResort", problem)));
        }
        upload.note_key(nth, &key_package, key);
        upload.key_packages.push((nth, key_package));
    }
    Ok(upload)
}

/// Judges one KeyPackage; says also which signature key is in it.
fn one(
    by: &ClientId,
    offered: Offered,
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<(KeyPackage, Vec<u8>), Rejection> {
    let bounds = [
        (Part::KeyPackage.noun(), offered.bytes.len(), limits::KEY_PACKAGE_BYTES),
        ("what is said beside the KeyPackage", offered.notes.len(), limits::KEY_PACKAGE_NOTES_BYTES),
    ];
    for (what, bytes, bound) in bounds {
        if bytes > bound {
            let limit_bytes = u64::try_from(bound).unwrap_or(u64::MAX);
            return Err(Rejection::TooLarge { what, limit_bytes });
        }
    }
    let seconds = UnixSeconds(now.as_millis() / 1_000);
    let reference = check_key_package(&offered.bytes, &Directory, seconds)
        .map_err(|refusal| Rejection::of_mls(Part::KeyPackage, refusal, None))?;
    let malformed = |broken| Rejection::malformed(Part::KeyPackage, broken);
    let read = wire::KeyPackage::from_bytes(&offered.bytes).map_err(malformed)?;
    let client = read.leaf.credential.identity().and_then(|identity| terms.client(identity));
    if client.as_ref() != Some(by) {
        let leaf = client.map_or_else(|| "nobody".to_owned(), |client| client.to_string());
        return Err(Rejection::SenderMismatch { sender: by.to_string(), leaf });
    }
    // The engine has looked at these; only the types do not know.
    let unread = || broken("KeyPackage", "it is not what the check of it said");
    let (Some(suite), LeafSource::KeyPackage { not_before, not_after }) =
        (Suite::from_code(read.suite), read.leaf.source)
    else {
        return Err(unread());
    };
    let key_package = KeyPackage {
        client: by.clone(),
        reference: KeyPackageRef::parse(reference.as_ref()).ok_or_else(unread)?,
        suite,
        begins: Timestamp::from_millis(not_before.saturating_mul(1_000)),
        ends: Timestamp::from_millis(not_after.saturating_mul(1_000).saturating_add(999)),
        last_resort: offered.last_resort || read.extensions.find(LAST_RESORT).is_some(),
        uploaded_at: now,
        notes: offered.notes,
        bytes: read.raw.to_vec(),
    };
    Ok((key_package, read.leaf.signature_key.to_vec()))
}

pub(crate) fn broken(name: &'static str, problem: &str) -> Rejection {
    Rejection::terms(Part::KeyPackage, name, SECTION, problem)
}

impl Upload {
    fn note_key(&mut self, nth: usize, key_package: &KeyPackage, key: Vec<u8>) {
        let known = |known: &LeafKey| known.suite == key_package.suite && known.key == key;
        if !self.keys.iter().any(known) {
            let leaf = u32::try_from(nth).unwrap_or(u32::MAX);
            let (client, suite) = (key_package.client.clone(), key_package.suite);
            self.keys.push(LeafKey { leaf: Some(leaf), client, suite, key });
        }
    }

    /// The signature keys that the device must publish, each once.
    pub fn keys(&self) -> &[LeafKey] {
        &self.keys
    }

    /// The device publishes all of [`Self::keys`], or does not.
    pub fn vouched(self, published: Result<(), Rejection>) -> Result<Vouched, Refused> {
        match published {
            Ok(()) => Ok(Vouched(self)),
            Err(rejection) => {
                let nth = match &rejection {
                    Rejection::Identity { leaf, .. } => leaf.and_then(|leaf| usize::try_from(leaf).ok()),
                    _ => None,
                };
                Err(Refused { nth, rejection })
            }
        }
    }
}

impl Vouched {
    /// Whose upload it is.
    pub fn client(&self) -> &ClientId {
        &self.0.client
    }

    /// The KeyPackages, each once, with their places in the upload.
    pub(crate) fn key_packages(&self) -> &[(usize, KeyPackage)] {
        &self.0.key_packages
    }
}

/// The directory's terms as the engine asks for them. Whose a credential is, is looked at besides.
struct Directory;

impl Policy for Directory {
    fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            longest_s: limits::KEY_PACKAGE_LIFETIME.as_secs(),
            leeway_s: limits::KEY_PACKAGE_LEEWAY.as_secs(),
            ..Lifetimes::default()
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds { proposal_bytes: limits::KEY_PACKAGE_BYTES, ..Bounds::default() }
    }
}
