//! All that a service has ever told about a room's group, as it went through the proxy: one story, however often it is told.

use std::collections::BTreeMap;

use maypole_core::ids::RoomId;
use maypole_room::receipt::RoomReceipt;
use serde_json::Value;

use crate::proxy::Proxy;

/// What the service sent to devices about a room: the last word of the event type, recipient (`@user:server/DEVICE`), content.
pub(crate) fn told(proxy: &Proxy, room: &RoomId) -> Vec<(String, String, Value)> {
    let mut told = Vec::new();
    for seen in proxy.seen() {
        let Some((_, rest)) = seen.line.split_once("/sendToDevice/") else { continue };
        let kind = rest.split('/').next().unwrap().rsplit('.').next().unwrap().to_owned();
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        for (user, devices) in body["messages"].as_object().unwrap() {
            for (device, content) in devices.as_object().unwrap() {
                if content["room_id"] == room.as_str() {
                    told.push((kind.clone(), format!("{user}/{device}"), content.clone()));
                }
            }
        }
    }
    told
}

/// Checks that nobody was told two stories: of each epoch there is one receipt and one commit, each recipient got the same
/// however often, and the receipts are one chain from the first epoch to the last. Gives the last.
pub(crate) fn one_story(proxy: &Proxy, room: &RoomId) -> u64 {
    let mut receipts: BTreeMap<u64, Value> = BTreeMap::new();
    let mut commits: BTreeMap<u64, Value> = BTreeMap::new();
    let mut contents: BTreeMap<(String, String, u64), Value> = BTreeMap::new();
    for (kind, recipient, content) in told(proxy, room) {
        if content["receipt"].is_null() {
            continue;
        }
        let epoch = content["epoch"].as_u64().unwrap();
        let same = |first: &Value, again: &Value| assert_eq!(first, again, "two stories of epoch {epoch}");
        same(receipts.entry(epoch).or_insert_with(|| content["receipt"].clone()), &content["receipt"]);
        if kind == "commit" {
            same(commits.entry(epoch).or_insert_with(|| content["message"].clone()), &content["message"]);
        }
        let key = (kind, recipient, epoch);
        same(contents.entry(key).or_insert_with(|| content.clone()), &content);
    }
    let receipts: Vec<RoomReceipt> =
        receipts.values().map(|receipt| RoomReceipt::read(receipt).unwrap()).collect();
    assert_eq!(receipts[0].receipt().epoch.get(), 0);
    for pair in receipts.windows(2) {
        pair[1].follows(&pair[0]).unwrap();
    }
    receipts.last().unwrap().receipt().epoch.get()
}
