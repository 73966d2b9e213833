//! Messages to devices: the bytes that were stored go out, each time the same.

use std::collections::BTreeMap;

use maypole_core::ids::{TxnId, UserId};
use maypole_core::records::Recipient;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Homeserver;
use super::call::Call;
use super::error::CallError;

const NAME: &str = "PUT /sendToDevice";

/// What a homeserver takes for all devices of a user.
const ALL_DEVICES: &str = "*";

#[derive(Serialize)]
struct Body<'a> {
    messages: BTreeMap<&'a UserId, BTreeMap<&'a str, &'a RawValue>>,
}

impl Homeserver {
    /// Sends one message to each recipient. The same `txn_id` again is taken by the homeserver as the same request.
    pub async fn send_to_device(
        &self,
        kind: &str,
        txn_id: &TxnId,
        messages: &BTreeMap<Recipient, Vec<u8>>,
    ) -> Result<(), CallError> {
        let body = body(messages)?;
        self.ask_to_do(Call::put(NAME, &["client", "v3", "sendToDevice", kind, txn_id.as_str()], body)).await
    }
}

/// The request's body: the contents byte for byte, in the order of their recipients.
fn body(messages: &BTreeMap<Recipient, Vec<u8>>) -> Result<Vec<u8>, CallError> {
    let unaskable = |why: &str| CallError::Unaskable { call: NAME, why: why.to_owned() };
    let mut body = Body { messages: BTreeMap::new() };
    for (recipient, content) in messages {
        let content: &RawValue =
            serde_json::from_slice(content).map_err(|_| unaskable("a message's content is not JSON"))?;
        let device = recipient.device.as_ref().map_or(ALL_DEVICES, |device| device.as_str());
        body.messages.entry(&recipient.user).or_default().insert(device, content);
    }
    serde_json::to_vec(&body).map_err(|_| unaskable("the messages cannot be written as JSON"))
}

#[cfg(test)]
mod tests {
    use maypole_core::ids::DeviceId;

    use super::*;

    fn to(user: &str, device: Option<&str>) -> Recipient {
        let device = device.map(|device| DeviceId::parse(device).unwrap());
        Recipient { user: UserId::parse(user).unwrap(), device }
    }

    #[test]
    fn contents_that_are_not_json_are_refused() {
        for content in ["", "{", "{}{}", "{\"a\":}", "\u{feff}{}"] {
            let messages = BTreeMap::from([(to("@alice:a.org", None), content.as_bytes().to_vec())]);
            assert!(matches!(body(&messages), Err(CallError::Unaskable { .. })), "{content}");
        }
    }

    #[test]
    fn contents_keep_their_bytes_and_the_order_is_fixed() {
        let messages = [
            (to("@bob:b.org", Some("Z\"")), br#"{"b" : 1.50,"a":1e3}"#.to_vec()),
            (to("@bob:b.org", None), b"{}".to_vec()),
            (to("@alice:a.org", Some("A")), r#"{"é":"\u00e9"}"#.as_bytes().to_vec()),
        ];
        let expected = r#"{"messages":{"@alice:a.org":{"A":{"é":"\u00e9"}},"@bob:b.org":{"*":{},"Z\"":{"b" : 1.50,"a":1e3}}}}"#;
        let forwards: BTreeMap<_, _> = messages.clone().into();
        let backwards: BTreeMap<_, _> = messages.into_iter().rev().collect();
        for messages in [forwards, backwards] {
            assert_eq!(String::from_utf8(body(&messages).unwrap()).unwrap(), expected);
        }
    }
}
