//! The device's own keys: made, signed as Matrix asks for it, published; and the KeyPackages beside them, as the
//! homeserver's one-time keys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use maypole_core::ids::{ClientId, DeviceId, UserId};
use maypole_core::limits;
use maypole_mls::Suite;
use maypole_room::bytes::encode;
use maypole_room::identity::published_name;
use reqwest::Method;
use ruma::signatures::{Ed25519KeyPair, sign_json};
use serde_json::{Value, json};

use super::{Http, MatrixError};
use crate::check::canonical;
use crate::device::{Device, Leaf, NewKeyPackage};

/// The algorithm of KeyPackages among one-time keys.
const ONE_TIME_ALGORITHM: &str = "mls";

/// Where published keys are asked for.
const QUERY: &str = "/_matrix/client/v3/keys/query";

/// A new Ed25519 key of a device, as it is stored.
pub(super) fn new_device_key() -> Vec<u8> {
    Ed25519KeyPair::generate().to_vec()
}

/// A new Curve25519 key's public half. Nothing is encrypted to it: the device names no algorithm of Olm's.
pub(super) fn new_identity_key() -> Result<Vec<u8>, MatrixError> {
    let key = PrivateKey::generate(&X25519).map_err(|_| MatrixError::NoKey)?;
    Ok(key.compute_public_key().map_err(|_| MatrixError::NoKey)?.as_ref().to_vec())
}

/// The device's keys as they are published, with its MLS key among them, signed by the device itself.
pub(super) fn device_keys(
    device: &Device,
    document: &[u8],
    identity_key: &[u8],
) -> Result<Value, MatrixError> {
    let ClientId { user, device: device_id } = device.me();
    let pair = Ed25519KeyPair::from_der(document, device_id.as_str().to_owned());
    let pair = pair.map_err(|_| MatrixError::NoKey)?;
    let suite = suite(device)?;
    let keys = BTreeMap::from([
        (format!("ed25519:{device_id}"), encode(&pair.public_key())),
        (format!("curve25519:{device_id}"), encode(identity_key)),
        (published_name(suite, device_id), encode(&device.signature_key())),
    ]);
    let algorithms = [crate::device::ALGORITHM];
    let object = json!({"user_id": user, "device_id": device_id, "algorithms": algorithms, "keys": keys});
    let mut object = canonical(&object).ok_or(MatrixError::NoKey)?;
    sign_json(user.as_str(), &pair, &mut object).map_err(|_| MatrixError::NoKey)?;
    serde_json::to_value(object).map_err(|_| MatrixError::NoKey)
}

/// The device's suite, as the MLS engine knows it.
pub(super) fn suite(device: &Device) -> Result<Suite, MatrixError> {
    let unknown = || MatrixError::Settings(format!("cipher suite {} is not known", device.suite()));
    Suite::from_code(device.suite()).ok_or_else(unknown)
}

impl Http {
    /// Publishes keys and KeyPackages.
    pub(super) async fn publish(
        &self,
        device_keys: &Value,
        key_packages: &[NewKeyPackage],
        last_resort: &[NewKeyPackage],
    ) -> Result<(), MatrixError> {
        let entry = |NewKeyPackage { id, bytes }: &NewKeyPackage| {
            let key = json!({"key": encode(bytes), "signatures": {}});
            (format!("{ONE_TIME_ALGORITHM}:{id}"), key)
        };
        let one_time: serde_json::Map<_, _> = key_packages.iter().map(entry).collect();
        let mut body = json!({"device_keys": device_keys, "one_time_keys": one_time});
        if let (Some(object), false) = (body.as_object_mut(), last_resort.is_empty()) {
            let fallback: serde_json::Map<_, _> = last_resort.iter().map(entry).collect();
            object.insert("fallback_keys".into(), fallback.into());
        }
        self.json(Method::POST, "/_matrix/client/v3/keys/upload", Some(&body)).await.map(drop)
    }

    /// The keys of all devices of a user, by device ID.
    pub async fn query_keys(&self, user: &str) -> Result<BTreeMap<String, Value>, MatrixError> {
        let mut published = self.published(&[user], limits::REQUEST_TIMEOUT).await?;
        Ok(published.devices.remove(user).unwrap_or_default())
    }

    /// What the devices of users publish. Servers that do not answer in half of the time are noted.
    pub(super) async fn published(&self, users: &[&str], bound: Duration) -> Result<Published, MatrixError> {
        let mut published = Published::default();
        for users in users.chunks(limits::KEY_QUERY_USERS) {
            let all: serde_json::Map<_, _> =
                users.iter().map(|user| ((*user).to_owned(), json!([]))).collect();
            let wait = u64::try_from((bound / 2).as_millis()).unwrap_or(u64::MAX);
            let body = json!({"timeout": wait, "device_keys": all});
            let answer = self.json_within(Method::POST, QUERY, Some(&body), bound).await?;
            let object = |key: &str| answer.get(key).and_then(Value::as_object).into_iter().flatten();
            for (user, devices) in object("device_keys") {
                let devices = devices.as_object().into_iter().flatten();
                let devices = devices.map(|(id, keys)| (id.clone(), keys.clone())).collect();
                published.devices.insert(user.clone(), devices);
            }
            published.silent.extend(object("failures").map(|(server, _)| server.clone()));
        }
        Ok(published)
    }

    /// Claims a KeyPackage of each of these devices of a user. Devices that have none are left out.
    pub async fn claim_key_packages(
        &self,
        user: &str,
        devices: &[DeviceId],
        suite: u16,
    ) -> Result<BTreeMap<String, Vec<u8>>, MatrixError> {
        let wanted: serde_json::Map<_, _> =
            devices.iter().map(|device| (device.as_str().to_owned(), ONE_TIME_ALGORITHM.into())).collect();
        let mls = json!({"protocol_version": "m.mls_10", "acceptable_ciphersuites": [suite_name(suite)]});
        let body = json!({"one_time_keys": {user: wanted}, "mls": mls});
        let answer = self.json(Method::POST, "/_matrix/client/v3/keys/claim", Some(&body)).await?;
        let claimed =
            answer.get("one_time_keys").and_then(|users| users.get(user)).and_then(Value::as_object);
        let read = |(device, keys): (&String, &Value)| {
            let key = keys.as_object()?.values().next()?;
            let key = key.get("key").unwrap_or(key).as_str()?;
            Some((device.clone(), maypole_room::bytes::decode(key)?))
        };
        Ok(claimed.into_iter().flatten().filter_map(read).collect())
    }
}

/// The name of a suite in RFC 9420 §17.1, of those that a device may have.
const fn suite_name(suite: u16) -> &'static str {
    match suite {
        2 => "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
        3 => "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
        _ => "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
    }
}

/// What devices publish, as far as their servers answered.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// The keys by user and device ID.
    devices: BTreeMap<String, BTreeMap<String, Value>>,
    /// Servers that did not answer.
    silent: BTreeSet<String>,
}

impl Published {
    /// The keys of a user's devices.
    pub(super) fn devices_of(&self, user: &UserId) -> impl Iterator<Item = (&String, &Value)> {
        self.devices.get(user.as_str()).into_iter().flatten()
    }

    /// Whether a leaf's key is the one that its device publishes.
    pub(super) fn check(&self, leaf: &Leaf, suite: Suite) -> Result<(), MatrixError> {
        let ClientId { user, device } = &leaf.client;
        let devices = self.devices.get(user.as_str());
        let server = user.as_str().split_once(':').map_or("", |(_, server)| server);
        if devices.is_none() && self.silent.contains(server) {
            let (request, error) = (format!("POST {QUERY}"), format!("{server} is silent"));
            return Err(MatrixError::NoAnswer { request, error });
        }
        let keys = devices.and_then(|devices| devices.get(device.as_str()));
        crate::check::published(leaf, suite, keys).map_err(|problem| {
            let device = leaf.client.to_string();
            MatrixError::Unpublished { device, problem }
        })
    }
}
