//! The one way to ask the homeserver anything: write the request, wait no longer and read no further than allowed,
//! and sort what comes back.

use std::error::Error as _;
use std::time::Duration;

use maypole_core::limits;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::error::CallError;
use super::{Homeserver, retry_after};
use crate::clock;
use crate::telemetry::labels::CallOutcome;
use crate::telemetry::record;

/// A question to the homeserver.
pub(super) struct Call<'a> {
    name: &'static str,
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    content_type: &'static str,
    extra_wait: Option<Duration>,
    as_user: bool,
}

impl<'a> Call<'a> {
    /// A question without a body. The name stands in errors and logs; the path is given in parts, to be escaped.
    pub(super) fn get(name: &'static str, path: &'a [&'a str]) -> Self {
        Self {
            name,
            method: Method::GET,
            path,
            query: Vec::new(),
            body: None,
            content_type: "application/json",
            extra_wait: None,
            as_user: true,
        }
    }

    /// Something that is to happen.
    pub(super) fn post(name: &'static str, path: &'a [&'a str], body: Vec<u8>) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(name, path) }
    }

    /// Something that is to be so.
    pub(super) fn put(name: &'static str, path: &'a [&'a str], body: Vec<u8>) -> Self {
        Self { method: Method::PUT, body: Some(body), ..Self::get(name, path) }
    }

    /// Says that the body is not JSON but this.
    pub(super) fn of_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    /// How errors and logs name it.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Adds a parameter.
    pub(super) fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    /// Asks as the application service itself, for a user that does not exist yet.
    pub(super) fn without_user(mut self) -> Self {
        self.as_user = false;
        self
    }

    /// A long poll, which the homeserver may hold open for so long.
    pub(super) fn held_for(mut self, wait: Duration) -> Self {
        self.extra_wait = Some(wait);
        self
    }
}

/// What came back, before anybody has judged it.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// What the Matrix specification says an error looks like.
#[derive(Default, Deserialize)]
struct MatrixError {
    errcode: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    retry_after_ms: Option<f64>,
}

impl Homeserver {
    /// Asks, and reads the answer as `T`.
    pub(super) async fn ask_for<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, CallError> {
        let name = call.name;
        let body = self.ask(call).await?;
        serde_json::from_slice(&body).map_err(|error| not_as_promised(name, &error))
    }

    /// Asks for something to happen. It has happened if a JSON object says so, as every answer of the specification
    /// does; whatever else says "200" (a proxy's welcome page) is not the homeserver.
    pub(super) async fn ask_to_do(&self, call: Call<'_>) -> Result<(), CallError> {
        self.ask_for::<serde_json::Map<String, serde_json::Value>>(call).await.map(drop)
    }

    /// Asks, and gives back the bytes of a successful answer.
    pub(super) async fn ask(&self, call: Call<'_>) -> Result<Vec<u8>, CallError> {
        let name = call.name;
        let done = match self.exchange(call).await {
            Ok(answer) => self.judge(name, answer),
            Err(error) => Err(error),
        };
        count(name, &done);
        done
    }

    /// Asks, and gives back the bytes of a successful answer; nothing if they are more than `limit`, as soon as that
    /// shows.
    pub(super) async fn ask_within(
        &self,
        call: Call<'_>,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, CallError> {
        let name = call.name;
        let done = match self.open(call).await {
            Ok(response) if response.status().is_success() => body_within(name, response, limit).await,
            Ok(response) => match self.read(name, response).await {
                Ok(answer) => self.judge(name, answer).map(Some),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        count(name, &done);
        done
    }

    /// Asks, and gives back whatever answer comes.
    pub(super) async fn exchange(&self, call: Call<'_>) -> Result<Answer, CallError> {
        let name = call.name;
        let response = self.open(call).await?;
        self.read(name, response).await
    }

    /// Asks, and gives back the head of whatever answer comes.
    async fn open(&self, call: Call<'_>) -> Result<Response, CallError> {
        let name = call.name;
        let inner = &*self.0;
        let allowed =
            call.extra_wait.map_or(inner.bounds.request, |wait| wait.saturating_add(inner.bounds.sync_grace));
        let mut request = inner
            .client
            .request(call.method.clone(), self.url(&call)?)
            .header(AUTHORIZATION, inner.authorization.clone())
            .timeout(allowed);
        if let Some(body) = call.body {
            request = request.header(CONTENT_TYPE, call.content_type).body(body);
        }
        request.send().await.map_err(|error| failed(name, error))
    }

    /// Sorts an answer by whose fault it is.
    pub(super) fn judge(&self, call: &'static str, answer: Answer) -> Result<Vec<u8>, CallError> {
        let Answer { status, retry_after, body } = answer;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let broken = |why: String| CallError::Broken { call, why };
        if (300..400).contains(&status) {
            return Err(broken(format!("it redirects, with status {status}; give its final address")));
        }
        let said = serde_json::from_slice::<MatrixError>(&body).ok();
        let hint =
            retry_after.or_else(|| said.as_ref().and_then(|said| retry_after::of_body(said.retry_after_ms)));
        let limited = said.as_ref().is_some_and(|said| said.errcode == "M_LIMIT_EXCEEDED");
        if status == 429 || limited || (status == 503 && hint.is_some()) {
            return Err(CallError::Busy { call, retry_after: hint });
        }
        let Some(said) = said.filter(|_| (400..500).contains(&status)) else {
            return Err(broken(format!("status {status}, and no Matrix error that a client could act on")));
        };
        let errcode = self.quote(&said.errcode);
        let error = self.quote(said.error.as_deref().unwrap_or("no reason given"));
        Err(match errcode.as_str() {
            "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN" | "M_EXCLUSIVE" => {
                CallError::NotUs { call, errcode, error }
            }
            _ => CallError::Refused { call, status, errcode, error },
        })
    }

    /// The homeserver's own words, fit for an error: short, on one line, and without our token.
    pub(super) fn quote(&self, text: &str) -> String {
        let text = text.replace(&self.0.token.0, "…");
        let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let mut quoted = String::new();
        for c in line {
            if quoted.len() + c.len_utf8() > limits::ERROR_TEXT_BYTES {
                quoted.push('…');
                break;
            }
            quoted.push(c);
        }
        quoted
    }

    /// The address of a question. Every part of the path is escaped. What URLs resolve away or leave out is refused,
    /// so that no identifier from outside can turn one question into another.
    fn url(&self, call: &Call<'_>) -> Result<Url, CallError> {
        let mut url = self.0.base.clone();
        let lost = |part: &&&str| matches!(**part, "." | "..") || part.chars().any(char::is_control);
        if let Some(part) = call.path.iter().find(lost) {
            let why = format!("`{}` cannot stand in a path", self.quote(part));
            return Err(CallError::Unaskable { call: call.name, why });
        }
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("_matrix").extend(call.path);
        }
        let as_user = call.as_user.then(|| ("user_id", self.0.user_id.as_str()));
        let query = as_user.into_iter().chain(call.query.iter().map(|(key, value)| (*key, value.as_str())));
        url.query_pairs_mut().extend_pairs(query);
        if url.query() == Some("") {
            url.set_query(None);
        }
        Ok(url)
    }

    /// Reads an answer as far as it is allowed to go.
    async fn read(&self, call: &'static str, mut response: Response) -> Result<Answer, CallError> {
        let status = response.status().as_u16();
        let retry_after = retry_after::of_head(response.headers(), clock::now());
        if !response.status().is_success() {
            let mut body = Vec::new();
            // The status says enough; what its body adds is welcome, and no more.
            while let Ok(Some(chunk)) = response.chunk().await {
                let room = limits::RESPONSE_ERROR_BYTES.saturating_sub(body.len());
                body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                if body.len() >= limits::RESPONSE_ERROR_BYTES {
                    break;
                }
            }
            return Ok(Answer { status, retry_after, body });
        }
        let body = body_within(call, response, self.0.bounds.response_bytes).await?;
        let body = body.ok_or_else(|| CallError::Broken {
            call,
            why: "its answer is longer than any answer should be".to_owned(),
        })?;
        Ok(Answer { status, retry_after, body })
    }
}

/// Reads the body of a successful answer; nothing if it is longer than `limit`, as soon as that shows.
async fn body_within(
    call: &'static str,
    mut response: Response,
    limit: usize,
) -> Result<Option<Vec<u8>>, CallError> {
    if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let why = "it answers compressed, though nobody asked for that".to_owned();
        return Err(CallError::Broken { call, why });
    }
    let announced =
        response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|announced: usize| announced > limit) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(call, error))? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Counts a call by how it ended.
fn count<T>(call: &'static str, done: &Result<T, CallError>) {
    record::homeserver_call(call, done.as_ref().err().map_or(CallOutcome::Ok, CallError::outcome));
}

/// An answer that is not what the specification promises. Says where, and nothing of the answer itself.
pub(super) fn not_as_promised(call: &'static str, error: &serde_json::Error) -> CallError {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "JSON of another shape",
        _ => "something that is not JSON",
    };
    let why = format!("{kind}, at line {} column {}", error.line(), error.column());
    CallError::Broken { call, why }
}

/// A call that brought no whole answer.
fn failed(call: &'static str, error: reqwest::Error) -> CallError {
    let error = error.without_url();
    if error.is_builder() {
        return CallError::Unaskable { call, why: error.to_string() };
    }
    let mut why = String::from(if error.is_timeout() { "timed out" } else { "the connection failed" });
    let mut source = error.source();
    while let Some(cause) = source {
        let not_http = cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        if not_http {
            return CallError::Broken { call, why: "it does not speak HTTP".to_owned() };
        }
        if cause.source().is_none() {
            why = format!("{why}: {cause}");
        }
        source = cause.source();
    }
    CallError::Unreachable { call, why }
}
