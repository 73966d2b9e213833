//! How the homeserver proves itself: `Authorization: Bearer <hs_token>`, in exactly one header.
//!
//! Tokens are compared as hashes, in constant time, so that neither their length nor a common beginning shows in how long
//! a refusal takes; the token itself is not kept. A token in the query never counts: homeservers that are asked to be
//! old-fashioned send it there *as well*, and then it must be the same one (Application Service API, "Authorization").

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, header};
use maypole_core::auth::Authenticated;
use maypole_core::ids::Sha256;

use super::Front;
use super::errors::HttpError;
use super::ports::HomeserverCaller;

/// The homeserver's token, as its hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HomeserverToken(Sha256);

/// An empty token would let everybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the homeserver's token is empty")]
pub struct EmptyToken;

impl HomeserverToken {
    /// Keeps the hash of the `hs_token` of the registration.
    pub fn new(token: &str) -> Result<Self, EmptyToken> {
        if token.is_empty() { Err(EmptyToken) } else { Ok(Self(Sha256::of(token.as_bytes()))) }
    }

    fn matches(&self, given: &[u8]) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), Sha256::of(given).as_bytes()).is_ok()
    }
}

impl fmt::Debug for HomeserverToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HomeserverToken(…)")
    }
}

/// Decides whether a request comes from the homeserver.
fn judge(expected: &HomeserverToken, headers: &HeaderMap, query: Option<&str>) -> Result<(), HttpError> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let value = given.next().ok_or(HttpError::NoToken)?;
    if given.next().is_some() {
        return Err(HttpError::TokenTwice);
    }
    let token = bearer(value.as_bytes()).ok_or(HttpError::NoToken)?;
    let mut right = expected.matches(token);
    for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if key == "access_token" {
            right &= expected.matches(value.as_bytes());
        }
    }
    if right { Ok(()) } else { Err(HttpError::WrongToken) }
}

/// The token of a `Bearer` header. The scheme's case does not matter (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

/// Lets nobody but the homeserver through. Wraps every route whose row says so.
pub(super) async fn homeserver_only<I, D>(
    State(front): State<Arc<Front<I, D>>>,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    judge(&front.settings.homeserver_token, request.headers(), request.uri().query())?;
    request.extensions_mut().insert(Proof(Authenticated::by(front.token, HomeserverCaller)));
    Ok(next.run(request).await)
}

#[derive(Clone)]
struct Proof(Authenticated<HomeserverCaller>);

/// A handler that takes this cannot run for anybody but the homeserver, wherever it is mounted.
pub(super) struct FromHomeserver(pub(super) Authenticated<HomeserverCaller>);

impl<S: Send + Sync> FromRequestParts<S> for FromHomeserver {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        parts.extensions.remove::<Proof>().map(|proof| Self(proof.0)).ok_or(HttpError::Unauthenticated)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TOKEN: &str = "correct-horse-battery-staple-0123456789";

    fn judged(headers: &[&[u8]], query: Option<&str>) -> Result<(), HttpError> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(header::AUTHORIZATION, HeaderValue::from_bytes(header).unwrap());
        }
        judge(&HomeserverToken::new(TOKEN).unwrap(), &map, query)
    }

    #[test]
    fn what_is_no_bearer_token_is_no_token() {
        let other_places: [&[u8]; 7] =
            [b"", b"Bearer", b"Bearer ", b"Basic YTpi", TOKEN.as_bytes(), b"Bearer:x", b"\xff\xfe"];
        assert_eq!(judged(&[], None), Err(HttpError::NoToken));
        assert_eq!(judged(&[], Some(&format!("access_token={TOKEN}"))), Err(HttpError::NoToken));
        for header in other_places {
            assert_eq!(judged(&[header], None), Err(HttpError::NoToken), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn every_other_token_is_wrong() {
        let upper = TOKEN.to_uppercase();
        let (longer, spaced) = (format!("{TOKEN}x"), format!(" {TOKEN}"));
        for token in ["x", &TOKEN[..TOKEN.len() - 1], &longer, &spaced, &upper] {
            let header = format!("Bearer {token}");
            assert_eq!(judged(&[header.as_bytes()], None), Err(HttpError::WrongToken), "{token}");
        }
        assert_eq!(judged(&[b"Bearer \xff\xfe"], None), Err(HttpError::WrongToken));
    }

    #[test]
    fn two_headers_are_refused_even_if_both_are_right() {
        let header = format!("Bearer {TOKEN}");
        assert_eq!(judged(&[header.as_bytes(), header.as_bytes()], None), Err(HttpError::TokenTwice));
        assert_eq!(judged(&[header.as_bytes(), b""], None), Err(HttpError::TokenTwice));
    }

    #[test]
    fn a_token_in_the_query_must_be_the_same() {
        let header = format!("Bearer {TOKEN}");
        let with = |query: &str| judged(&[header.as_bytes()], Some(query));
        assert_eq!(with("access_token=x"), Err(HttpError::WrongToken));
        assert_eq!(with("access_token="), Err(HttpError::WrongToken));
        assert_eq!(with(&format!("access_token={TOKEN}&access_token=x")), Err(HttpError::WrongToken));
        assert_eq!(with(&format!("access_token={TOKEN}")), Ok(()));
        assert_eq!(
            judged(&[b"Bearer x"], Some(&format!("access_token={TOKEN}"))),
            Err(HttpError::WrongToken)
        );
    }

    #[test]
    fn the_right_token_is_right_whatever_the_schemes_case() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(judged(&[format!("{scheme} {TOKEN}").as_bytes()], None), Ok(()));
        }
    }

    #[test]
    fn debug_shows_no_token_and_an_empty_one_is_refused() {
        let shown = format!("{:?}", HomeserverToken::new(TOKEN).unwrap());
        let hash = format!("{:?}", Sha256::of(TOKEN.as_bytes()));
        assert!(!shown.contains(TOKEN) && !shown.contains(&hash), "{shown}");
        assert_eq!(HomeserverToken::new(""), Err(EmptyToken));
    }
}
