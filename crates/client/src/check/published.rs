//! Leaves are bound to devices (docs/protocol.md §2): a homeserver or delivery service that swaps a KeyPackage is seen.

use std::collections::BTreeMap;

use maypole_mls::Suite;
use maypole_room::bytes::decode;
use maypole_room::identity::published_name;
use ruma::serde::Base64;
use ruma::signatures::{PublicKeyMap, verify_json};
use serde_json::{Value, json};

use super::canonical;
use crate::device::Leaf;

/// Why a leaf's key is not its device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpublished {
    /// The user has no such device.
    #[error("the user has no such device")]
    NoDevice,
    /// What is published is another device's.
    #[error("the published keys are another device's")]
    OtherDevice,
    /// The device's own signature is missing or false.
    #[error("the published keys are not signed by the device")]
    Unsigned,
    /// The device publishes no MLS key of this scheme.
    #[error("the device publishes no MLS key of this scheme")]
    NoKey,
    /// The device publishes another MLS key.
    #[error("the device publishes another MLS key")]
    OtherKey,
}

/// Whether the key that a leaf signs with is the one that its device publishes. `device_keys` is what `/keys/query` gives
/// for the device. Whether the device is its user's, by cross-signing, is another question.
///
/// ```
/// use maypole_client::check::{Unpublished, published};
/// use maypole_client::device::Leaf;
/// use maypole_core::ids::{ClientId, DeviceId, UserId};
/// use maypole_mls::Suite;
///
/// let client = ClientId { user: UserId::parse("@bob:b.org").unwrap(), device: DeviceId::parse("LAPTOP").unwrap() };
/// let leaf = Leaf { client, signature_key: vec![1; 32] };
/// assert_eq!(published(&leaf, Suite::X25519Aes128, None), Err(Unpublished::NoDevice));
/// ```
pub fn published(leaf: &Leaf, suite: Suite, device_keys: Option<&Value>) -> Result<(), Unpublished> {
    let device_keys = device_keys.ok_or(Unpublished::NoDevice)?;
    let (user, device) = (leaf.client.user.as_str(), leaf.client.device.as_str());
    let says = |field: &str| device_keys.get(field).and_then(Value::as_str);
    if says("user_id") != Some(user) || says("device_id") != Some(device) {
        return Err(Unpublished::OtherDevice);
    }
    let key = |name: &str| device_keys.get("keys").and_then(|keys| keys.get(name)).and_then(Value::as_str);
    signed_by_device(device_keys, user, device, key).ok_or(Unpublished::Unsigned)?;
    let published = key(&published_name(suite, &leaf.client.device)).ok_or(Unpublished::NoKey)?;
    if decode(published).as_deref() == Some(leaf.signature_key.as_slice()) {
        Ok(())
    } else {
        Err(Unpublished::OtherKey)
    }
}

/// The device's signature over its own keys; those of others are left out of it.
fn signed_by_device<'a>(
    device_keys: &Value,
    user: &str,
    device: &str,
    key: impl Fn(&str) -> Option<&'a str>,
) -> Option<()> {
    let name = format!("ed25519:{device}");
    let public_key = Base64::parse(key(&name)?).ok()?;
    let signature = device_keys.get("signatures")?.get(user)?.get(&name)?;
    let mut signed = device_keys.clone();
    signed.as_object_mut()?.insert("signatures".into(), json!({user: {name.as_str(): signature}}));
    let keys: PublicKeyMap = BTreeMap::from([(user.to_owned(), BTreeMap::from([(name, public_key)]))]);
    verify_json(&keys, &canonical(&signed)?).ok()
}

#[cfg(test)]
mod tests {
    use maypole_core::ids::{ClientId, DeviceId, UserId};
    use maypole_room::bytes::encode;
    use ruma::signatures::{Ed25519KeyPair, sign_json};

    use super::*;

    fn signed(keys: Value) -> Value {
        let document = Ed25519KeyPair::generate();
        let pair = Ed25519KeyPair::from_der(&document, "LAPTOP".into()).unwrap();
        let mut keys = keys;
        keys["ed25519:LAPTOP"] = encode(&pair.public_key()).into();
        let object = json!({"user_id": "@bob:b.org", "device_id": "LAPTOP", "algorithms": [], "keys": keys});
        let mut object = canonical(&object).unwrap();
        sign_json("@bob:b.org", &pair, &mut object).unwrap();
        serde_json::to_value(object).unwrap()
    }

    fn leaf() -> Leaf {
        let user = UserId::parse("@bob:b.org").unwrap();
        let client = ClientId { user, device: DeviceId::parse("LAPTOP").unwrap() };
        Leaf { client, signature_key: vec![7; 32] }
    }

    #[test]
    fn a_key_that_its_device_does_not_vouch_for_is_refused() {
        let check = |keys: &Value| published(&leaf(), Suite::X25519Aes128, Some(keys));
        let own = encode(&[7; 32]);
        let good = signed(json!({"mls_ed25519:LAPTOP": own}));
        assert_eq!(check(&good), Ok(()));
        let mut other = good.clone();
        other["device_id"] = "PHONE".into();
        assert_eq!(check(&other), Err(Unpublished::OtherDevice));
        let mut of_alice = good.clone();
        of_alice["user_id"] = "@alice:a.org".into();
        assert_eq!(check(&of_alice), Err(Unpublished::OtherDevice));
        let mut swapped = good.clone();
        swapped["keys"]["mls_ed25519:LAPTOP"] = encode(&[8; 32]).into();
        assert_eq!(check(&swapped), Err(Unpublished::Unsigned));
        let mut unsigned = good.clone();
        unsigned["signatures"] = json!({});
        assert_eq!(check(&unsigned), Err(Unpublished::Unsigned));
        assert_eq!(
            check(&json!({"user_id": "@bob:b.org", "device_id": "LAPTOP"})),
            Err(Unpublished::Unsigned)
        );
        assert_eq!(check(&signed(json!({}))), Err(Unpublished::NoKey));
        assert_eq!(check(&signed(json!({"mls_p256:LAPTOP": own}))), Err(Unpublished::NoKey));
        assert_eq!(
            check(&signed(json!({"mls_ed25519:LAPTOP": encode(&[8; 32])}))),
            Err(Unpublished::OtherKey)
        );
    }

    #[test]
    fn signatures_of_others_do_not_matter() {
        let mut keys = signed(json!({"mls_ed25519:LAPTOP": encode(&[7; 32])}));
        keys["signatures"]["@bob:b.org"]["ed25519:CROSS"] = "AAAA".into();
        keys["unsigned"] = json!({"device_display_name": "Bob's laptop"});
        assert_eq!(published(&leaf(), Suite::X25519Aes128, Some(&keys)), Ok(()));
    }
}
