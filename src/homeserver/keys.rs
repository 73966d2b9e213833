//! The keys that users' devices publish (`/keys/query`).
//!
//! The homeserver passes on what other servers say about their users, so each user and each device is read on its own.
//! A device counts only if its entry is of the user and the device under whose names it stands and bears the device's
//! own signature. A user for whom there is no whole answer has failed, which is something else than having no devices.

use std::collections::{BTreeMap, BTreeSet};

use maypole_core::ids::{DeviceId, UserId};
use maypole_core::limits;
use ruma::serde::Base64;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, SigningKeyAlgorithm};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Homeserver;
use super::call::{Call, not_as_promised};
use super::error::CallError;
use super::json::Members;

/// What the devices of some users publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedKeys {
    /// By user and device, the published keys by their names, such as `ed25519:PHONE`.
    pub users: BTreeMap<UserId, BTreeMap<DeviceId, BTreeMap<String, String>>>,
    /// Users for whom no server answered, or not in a way that can be read. They may have any devices.
    pub failed: Vec<UserId>,
}

const NAME: &str = "POST /keys/query";

/// An empty list asks for all devices of a user.
const ALL_DEVICES: [&str; 0] = [];

#[derive(Serialize)]
struct Question<'a> {
    /// Milliseconds.
    timeout: u64,
    device_keys: BTreeMap<&'a UserId, [&'static str; 0]>,
}

impl Homeserver {
    /// The keys that all devices of these users publish. Each user is either in `users` or in `failed`.
    pub async fn query_keys(&self, users: &BTreeSet<UserId>) -> Result<PublishedKeys, CallError> {
        let users: Vec<&UserId> = users.iter().collect();
        let mut keys = PublishedKeys::default();
        for some in users.chunks(limits::KEY_QUERY_USERS) {
            let question = Question {
                timeout: limits::KEY_QUERY_WAIT_MS,
                device_keys: some.iter().map(|user| (*user, ALL_DEVICES)).collect(),
            };
            let body = serde_json::to_vec(&question).map_err(|_| CallError::Unaskable {
                call: NAME,
                why: "the users cannot be written as JSON".to_owned(),
            })?;
            let answer = self.ask(Call::post(NAME, &["client", "v3", "keys", "query"], body)).await?;
            read(&answer, some, &mut keys).await?;
        }
        Ok(keys)
    }
}

/// Adds an answer's keys of the users who were asked for.
async fn read(answer: &[u8], asked: &[&UserId], keys: &mut PublishedKeys) -> Result<(), CallError> {
    let answer: Members<'_> =
        serde_json::from_slice(answer).map_err(|error| not_as_promised(NAME, &error))?;
    let section = |name: &str| answer.last(name).map(|raw| Members::of(raw).ok_or_else(|| odd(name)));
    let entries: BTreeMap<String, &RawValue> =
        section("device_keys").ok_or_else(|| odd("device_keys"))??.into_vec().into_iter().collect();
    let failures = section("failures").transpose()?.map(Members::into_vec).unwrap_or_default();
    let failures: BTreeSet<String> = failures.into_iter().map(|(server, _)| server).collect();
    for user in asked {
        let answered = !server(user).is_some_and(|server| failures.contains(server));
        let entry = entries.get(user.as_str()).filter(|_| answered);
        match entry.and_then(|entry| devices(entry, user)) {
            Some(devices) => {
                keys.users.insert((*user).clone(), devices);
            }
            None => keys.failed.push((*user).clone()),
        }
        // Checking many signatures takes its time; others have their turn in between.
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn odd(section: &str) -> CallError {
    CallError::Broken { call: NAME, why: format!("no object `{section}`") }
}

/// The name of a user's server.
fn server(user: &UserId) -> Option<&str> {
    user.as_str().split_once(':').map(|(_, server)| server)
}

/// The devices of a user's entry, without those that cannot be believed. Nothing if the entry is not a list of devices.
fn devices(entry: &RawValue, user: &UserId) -> Option<BTreeMap<DeviceId, BTreeMap<String, String>>> {
    let entries = Members::of(entry).filter(|entries| !entries.repeat())?.into_vec();
    if entries.len() > limits::DEVICES_PER_USER {
        return None;
    }
    let device = |(id, raw): (String, &RawValue)| {
        let id = DeviceId::parse(id)?;
        let keys = device(raw, user, &id)?;
        Some((id, keys))
    };
    Some(entries.into_iter().filter_map(device).collect())
}

/// The keys of a device, if its entry is its own and signed by itself.
fn device(raw: &RawValue, user: &UserId, device: &DeviceId) -> Option<BTreeMap<String, String>> {
    let members = Members::of(raw).filter(|members| !members.repeat())?;
    let own = members.read::<String>("user_id")? == user.as_str()
        && members.read::<String>("device_id")? == device.as_str();
    let keys = Members::of(members.last("keys")?).filter(|keys| own && !keys.repeat())?;
    let name = format!("ed25519:{device}");
    signed(raw, user, &name, &keys.read::<String>(&name)?)?;
    let text = |(name, raw): (String, &RawValue)| Some((name, serde_json::from_str(raw.get()).ok()?));
    Some(keys.into_vec().into_iter().filter_map(text).collect())
}

/// Whether an object is signed in this user's name by this key, which has this name.
fn signed(raw: &RawValue, user: &UserId, name: &str, key: &str) -> Option<()> {
    let object: CanonicalJsonObject = serde_json::from_str(raw.get()).ok()?;
    let inner = |value: &CanonicalJsonValue, name: &str| value.as_object()?.get(name).cloned();
    let signature = inner(&inner(object.get("signatures")?, user.as_str())?, name)?;
    let signature: Base64 = Base64::parse(signature.as_str()?).ok()?;
    let key: Base64 = Base64::parse(key).ok()?;
    let text = ruma::signatures::to_canonical_json_string_for_signing(&object).ok()?;
    let algorithm = SigningKeyAlgorithm::Ed25519;
    ruma::signatures::verify_canonical_json_bytes(
        &algorithm,
        key.as_bytes(),
        signature.as_bytes(),
        text.as_bytes(),
    )
    .ok()
}
