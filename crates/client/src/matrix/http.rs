//! Requests to a homeserver: JSON both ways, or bytes; bounded in time and size.

use std::time::Duration;

use maypole_core::limits;
use maypole_room::bytes::encode;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::MatrixError;

/// A homeserver, asked with one token or none.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    base_url: String,
    token: Option<String>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Http {
    /// Requests to `http://…` or `https://…`, without a token.
    pub fn new(base_url: &str) -> Result<Self, MatrixError> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits::CONNECT_TIMEOUT)
            .build()
            .map_err(|error| MatrixError::Settings(format!("no HTTP client: {error}")))?;
        Ok(Self { client, base_url: base_url.trim_end_matches('/').to_owned(), token: None })
    }

    /// The same with a token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// Where it is.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Sends JSON, or nothing, and reads JSON. `path` begins with a slash and has its parts percent-encoded.
    pub async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, MatrixError> {
        self.json_within(method, path, body, limits::REQUEST_TIMEOUT).await
    }

    /// The same with another bound on the time.
    pub(super) async fn json_within(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        bound: Duration,
    ) -> Result<Value, MatrixError> {
        let request = name(&method, path);
        let mut builder = self.client.request(method, format!("{}{path}", self.base_url));
        if let Some(body) = body {
            builder = builder.header("Content-Type", "application/json").body(body.to_string());
        }
        let bytes = self.send(&request, builder, bound, limits::RESPONSE_BYTES).await?;
        let problem = "is not JSON";
        serde_json::from_slice(&bytes).map_err(|_| MatrixError::Answer { request, problem })
    }

    /// Sends bytes and reads JSON.
    pub(super) async fn upload(&self, path: &str, bytes: Vec<u8>) -> Result<Value, MatrixError> {
        let request = name(&Method::POST, path);
        let builder = self.client.post(format!("{}{path}", self.base_url));
        let builder = builder.header("Content-Type", "application/octet-stream").body(bytes);
        let bytes = self.send(&request, builder, limits::REQUEST_TIMEOUT, limits::RESPONSE_BYTES).await?;
        let problem = "is not JSON";
        serde_json::from_slice(&bytes).map_err(|_| MatrixError::Answer { request, problem })
    }

    /// Reads bytes, at most so many.
    pub(super) async fn download(
        &self,
        path: &str,
        limit_bytes: usize,
        bound: Duration,
    ) -> Result<Vec<u8>, MatrixError> {
        let builder = self.client.get(format!("{}{path}", self.base_url));
        self.send(&name(&Method::GET, path), builder, bound, limit_bytes).await
    }

    async fn send(
        &self,
        request: &str,
        builder: RequestBuilder,
        bound: Duration,
        limit_bytes: usize,
    ) -> Result<Vec<u8>, MatrixError> {
        let builder = match &self.token {
            Some(token) => builder.bearer_auth(token),
            None => builder,
        };
        let failed = |error: reqwest::Error| {
            // The address has IDs in it; the path is named already.
            MatrixError::NoAnswer { request: request.to_owned(), error: error.without_url().to_string() }
        };
        let mut response = builder.timeout(bound).send().await.map_err(failed)?;
        let status = response.status();
        let limit_bytes = if status.is_success() { limit_bytes } else { limits::RESPONSE_ERROR_BYTES };
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > limit_bytes {
                if !status.is_success() {
                    break;
                }
                return Err(MatrixError::TooLarge { request: request.to_owned(), limit_bytes });
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() { Ok(bytes) } else { Err(refused(request, status, &bytes)) }
    }
}

fn refused(request: &str, status: StatusCode, bytes: &[u8]) -> MatrixError {
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |key: &str| {
        let text = body.get(key).and_then(Value::as_str).unwrap_or_default();
        text.chars().take(limits::ERROR_TEXT_BYTES).collect()
    };
    MatrixError::Refused {
        request: request.to_owned(),
        status: status.as_u16(),
        errcode: text("errcode"),
        error: text("error"),
        retry_after_ms: body.get("retry_after_ms").and_then(Value::as_u64),
    }
}

/// A request without its query, for errors.
fn name(method: &Method, path: &str) -> String {
    format!("{method} {}", path.split('?').next().unwrap_or_default())
}

/// A part of a path, or a value of a query: everything but letters, digits, `-`, `.`, `_` and `~` percent-encoded.
pub(super) fn part(text: &str) -> String {
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

/// A name for a request that nobody has used.
pub(super) fn new_txn_id() -> Result<String, MatrixError> {
    use aws_lc_rs::rand::SecureRandom as _;
    let mut bytes = [0; 12];
    aws_lc_rs::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| MatrixError::NoKey)?;
    Ok(encode(&bytes).replace('/', "_").replace('+', "-"))
}

/// A text in an answer.
pub(super) fn text_of<'a>(
    answer: &'a Value,
    pointer: &str,
    request: &str,
    problem: &'static str,
) -> Result<&'a str, MatrixError> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.ok_or_else(|| MatrixError::Answer { request: request.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_part_stays_one_part() {
        assert_eq!(part("!a/b:c?d#e%f é"), "%21a%2Fb%3Ac%3Fd%23e%25f%20%C3%A9");
        assert_eq!(part("m.room.member-1_~"), "m.room.member-1_~");
    }

    #[test]
    fn an_error_says_which_request_and_no_secret() {
        let body = json!({"errcode": "M_LIMIT_EXCEEDED", "error": "slow", "retry_after_ms": 7}).to_string();
        let error = refused("GET /sync", StatusCode::TOO_MANY_REQUESTS, body.as_bytes());
        assert_eq!(error.to_string(), "GET /sync was refused with 429 M_LIMIT_EXCEEDED: slow");
        assert!(matches!(error, MatrixError::Refused { retry_after_ms: Some(7), .. }));
        assert!(
            matches!(refused("GET /", StatusCode::BAD_GATEWAY, b"<html>"), MatrixError::Refused { errcode, .. } if errcode.is_empty())
        );
        assert_eq!(name(&Method::GET, "/sync?since=secret"), "GET /sync");
        let http = Http::new("http://localhost/").unwrap().with_token("secret");
        assert_eq!(format!("{http:?}"), r#"Http { base_url: "http://localhost", .. }"#);
    }
}
