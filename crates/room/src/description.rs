//! What a delivery service says of itself on
//! `GET /_matrix/client/unstable/org.matrix.msc4244/delivery_service`: all that a client must know before it makes a
//! group.

use std::collections::BTreeMap;
use std::fmt;

use maypole_core::ids::UserId;
use serde::{Deserialize, Serialize};

use crate::bytes::{decode, encode};

/// The answer's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The account that `m.mls.*` messages go to.
    pub user_id: String,
    /// The device that they go to; the empty ID where the homeserver allows it. `*` always works.
    pub device_id: String,
    /// How the event types are spelled here: `m.mls.` or `org.matrix.msc4244.mls.`.
    pub event_prefix: String,
    /// What goes into a group's `external_senders`.
    pub external_sender: ExternalSender,
    /// What receipts are signed with.
    pub receipt_key: ReceiptKey,
    /// The cipher suites of groups that can be registered here, by number.
    pub ciphersuites: Vec<u16>,
    /// The room versions that are served.
    pub room_versions: Vec<String>,
    /// Bounds.
    pub limits: Limits,
}

/// The service as an external sender (RFC 9420 §12.1.8.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalSender {
    /// Its credential.
    pub credential: Credential,
    /// Its public keys by signature scheme, base64.
    pub signature_keys: BTreeMap<String, String>,
}

/// A basic credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Always `basic`.
    pub credential_type: String,
    /// The identity as text; its UTF-8 bytes stand in the credential.
    pub identity: String,
}

/// The key that signs receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptKey {
    /// Its ID, as in Matrix signatures.
    pub key_id: String,
    /// The public key, base64.
    pub public_key: String,
}

/// Bounds that a client should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a to-device content.
    pub to_device_content_bytes: usize,
    /// Bytes of a group ID.
    pub group_id_bytes: usize,
    /// Bytes of a transaction ID.
    pub txn_id_bytes: usize,
    /// Messages that one account may send at once.
    pub burst_messages: u64,
    /// Messages that one account may send per second in the long run.
    pub messages_per_second: u64,
}

/// The identity in the service's credential: its account, then the key that receipts are signed with, which binds the
/// receipts to the group. The key is all that follows the second `/`.
///
/// ```
/// use maypole_room::description::external_sender_identity;
///
/// assert_eq!(external_sender_identity("@:a.org", "ed25519:1", "a/b+"), "@:a.org/ed25519:1/a/b+");
/// ```
pub fn external_sender_identity(user_id: &str, receipt_key_id: &str, receipt_key: &str) -> String {
    format!("{user_id}/{receipt_key_id}/{receipt_key}")
}

/// The service as a group names it in its one external sender: by what its receipts are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceKeys {
    /// Its account.
    pub user: UserId,
    /// The ID of the key that signs receipts.
    pub receipt_key_id: String,
    /// That key.
    pub receipt_key: Vec<u8>,
}

impl ServiceKeys {
    /// Reads an identity that [`external_sender_identity`] wrote.
    ///
    /// ```
    /// use maypole_room::description::ServiceKeys;
    ///
    /// let keys = ServiceKeys::parse("@:a.org/ed25519:1/a/b+").unwrap();
    /// assert_eq!((keys.user.as_str(), keys.receipt_key_id.as_str()), ("@:a.org", "ed25519:1"));
    /// assert_eq!(keys.to_string(), "@:a.org/ed25519:1/a/b+");
    /// assert_eq!(ServiceKeys::parse("@:a.org/PHONE"), None);
    /// ```
    pub fn parse(identity: &str) -> Option<Self> {
        let mut parts = identity.splitn(3, '/');
        let user = parts.next().filter(|user| ruma::UserId::parse(*user).is_ok()).and_then(UserId::parse)?;
        let receipt_key_id = parts.next().filter(|id| id.starts_with("ed25519:"))?.to_owned();
        Some(Self { user, receipt_key_id, receipt_key: decode(parts.next()?)? })
    }
}

impl fmt::Display for ServiceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = encode(&self.receipt_key);
        f.write_str(&external_sender_identity(self.user.as_str(), &self.receipt_key_id, &key))
    }
}
