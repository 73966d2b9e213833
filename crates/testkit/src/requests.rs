//! HTTP as the testkit's users speak it: JSON both ways, answers read up to a bound, no proxy, no redirect.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::bounds::{ANSWER_BYTES, USER_REQUEST};

/// What a homeserver answered, whichever status it has.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body; null when it is empty or not JSON.
    pub body: Value,
}

impl Answer {
    /// The body of an answer that succeeded; any other one becomes [`Refused`].
    pub fn accepted(self) -> Result<Value, Refused> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let text = |key: &str| self.body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Err(Refused { status: self.status, errcode: text("errcode"), error: text("error") })
    }
}

/// A homeserver's refusal; tests find it in an `anyhow::Error` with `downcast_ref`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: StatusCode,
    /// Matrix's error code; empty when the body has none.
    pub errcode: String,
    /// What it says about it.
    pub error: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "refused with {} {}: {}", self.status.as_u16(), self.errcode, self.error)
    }
}

impl std::error::Error for Refused {}

/// A client for requests to loopback.
pub(crate) fn client() -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(USER_REQUEST)
        .build()
        .context("no HTTP client")
}

/// Sends one request and reads its answer to the end, or to the bound.
pub(crate) async fn send(
    client: &reqwest::Client,
    method: Method,
    url: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<Answer> {
    let mut request = client.request(method, url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.header("Content-Type", "application/json").body(serde_json::to_vec(body)?);
    }
    let response = request.send().await?;
    let status = response.status();
    let bytes = read(response).await?;
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        ensure!(bytes.len() + chunk.len() <= ANSWER_BYTES, "an answer of more than {ANSWER_BYTES} bytes");
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The body of a response as text, read to the end or to the bound.
pub async fn text_of(response: reqwest::Response) -> Result<String> {
    String::from_utf8(read(response).await?).context("a body that is not text")
}

/// A part of a path, or a query value, with everything but letters, digits, `-`, `.`, `_` and `~` percent-encoded.
pub fn path_part(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_part_stays_one_part() {
        assert_eq!(path_part("!a/b:c?d#e%f é"), "%21a%2Fb%3Ac%3Fd%23e%25f%20%C3%A9");
        assert_eq!(path_part("m.room.member-1_~"), "m.room.member-1_~");
        assert_eq!(path_part(""), "");
    }

    #[test]
    fn a_refusal_is_an_error_with_its_code() {
        let body = json!({"errcode": "M_FORBIDDEN", "error": "no"});
        let refused = Answer { status: StatusCode::FORBIDDEN, body }.accepted().unwrap_err();
        assert_eq!(refused.errcode, "M_FORBIDDEN");
        assert_eq!(refused.to_string(), "refused with 403 M_FORBIDDEN: no");
    }

    #[test]
    fn an_error_without_json_is_one_too() {
        let refused = Answer { status: StatusCode::BAD_GATEWAY, body: Value::Null }.accepted().unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.errcode.as_str()), (502, ""));
    }
}
