//! To-device messages, both ways.
//!
//! What `/sync` brings is kept until somebody asks for it, in order, so that a test may wait for one message
//! without losing the others. A homeserver that is away or restarting meanwhile is asked again until the bound.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::User;
use crate::bounds::SYNC_POLL;
use crate::requests::{Refused, path_part};
use crate::wait::eventually;

/// What a device has received and nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Received {
    since: Option<String>,
    waiting: VecDeque<Value>,
}

impl User {
    /// Sends to-device messages: `{"@user:server": {"DEVICE": {…content…}}}`. The same `txn_id` again sends
    /// nothing.
    pub async fn send_to_device(&self, kind: &str, txn_id: &str, messages: &Value) -> Result<Value> {
        let path = format!("/_matrix/client/v3/sendToDevice/{}/{}", path_part(kind), path_part(txn_id));
        self.request(Method::PUT, &path, Some(&json!({"messages": messages}))).await
    }

    /// One `/sync`, with everything in it. It waits at most `timeout` for something to happen, and acknowledges what
    /// came before `since`: whoever calls it takes messages away from [`User::next_to_device`].
    pub async fn sync(&self, since: Option<&str>, timeout: Duration) -> Result<Value> {
        self.sync_filtered(since, timeout, None).await
    }

    /// The next message that matches, of those received already or to come, within `bound`. It is taken; those
    /// that do not match stay for other calls, in their order.
    pub async fn next_to_device(&self, bound: Duration, matching: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = format!("a to-device message for {} {:?}", self.user_id(), self.device_id());
        eventually(bound, &what, || async {
            let mut received = self.received.lock().await;
            if let Some(place) = received.waiting.iter().position(&matching) {
                return Ok(received.waiting.remove(place));
            }
            self.receive(&mut received).await?;
            Ok(None)
        })
        .await
    }

    /// Everything received and not taken, after one look at what is there now.
    pub async fn all_to_device(&self) -> Result<Vec<Value>> {
        let mut received = self.received.lock().await;
        loop {
            let had = received.waiting.len();
            let answer =
                self.sync_filtered(received.since.as_deref(), Duration::ZERO, Some(&narrow())).await?;
            take_in(&mut received, &answer)?;
            if received.waiting.len() == had {
                return Ok(received.waiting.drain(..).collect());
            }
        }
    }

    /// One long poll. A homeserver that does not answer, or has an internal error, brought nothing.
    async fn receive(&self, received: &mut Received) -> Result<()> {
        match self.sync_filtered(received.since.as_deref(), SYNC_POLL, Some(&narrow())).await {
            Ok(answer) => take_in(received, &answer),
            Err(error) if passes(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn sync_filtered(
        &self,
        since: Option<&str>,
        timeout: Duration,
        filter: Option<&Value>,
    ) -> Result<Value> {
        let mut path = format!("/_matrix/client/v3/sync?timeout={}", timeout.as_millis());
        if let Some(since) = since {
            path.push_str(&format!("&since={}", path_part(since)));
        }
        if let Some(filter) = filter {
            path.push_str(&format!("&filter={}", path_part(&filter.to_string())));
        }
        self.request(Method::GET, &path, None).await
    }
}

/// A filter that leaves to-device messages alone in the answer.
fn narrow() -> Value {
    json!({"presence": {"types": []}, "account_data": {"types": []}, "room": {"rooms": []}})
}

/// Keeps what came, and where to go on.
fn take_in(received: &mut Received, answer: &Value) -> Result<()> {
    let next = answer.get("next_batch").and_then(Value::as_str).context("a /sync without next_batch")?;
    received.since = Some(next.to_owned());
    let events = answer.pointer("/to_device/events").and_then(Value::as_array);
    received.waiting.extend(events.into_iter().flatten().cloned());
    Ok(())
}

/// Whether it is worth asking again: no answer at all, or a failure of the homeserver's own.
fn passes(error: &anyhow::Error) -> bool {
    let refused = error.chain().find_map(|cause| cause.downcast_ref::<Refused>());
    refused.map_or_else(
        || error.chain().any(|cause| cause.is::<reqwest::Error>()),
        |refused| refused.status.is_server_error(),
    )
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn messages_wait_in_order_and_the_position_moves() {
        let mut received = Received::default();
        assert!(take_in(&mut received, &json!({})).is_err());
        take_in(&mut received, &json!({"next_batch": "a", "to_device": {"events": [1, 2]}})).unwrap();
        take_in(&mut received, &json!({"next_batch": "b", "to_device": {"events": [3]}})).unwrap();
        take_in(&mut received, &json!({"next_batch": "c"})).unwrap();
        assert_eq!(received.since.as_deref(), Some("c"));
        assert_eq!(received.waiting, [json!(1), json!(2), json!(3)]);
    }

    #[test]
    fn only_the_homeserver_s_own_failures_pass() {
        let refused = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            anyhow::Error::new(Refused { status, errcode: String::new(), error: String::new() })
                .context("GET /sync")
        };
        assert!(passes(&refused(502)));
        assert!(!passes(&refused(401)));
        assert!(!passes(&anyhow::anyhow!("something else")));
    }
}
