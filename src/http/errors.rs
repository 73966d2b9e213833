//! Every refusal of the listeners, in Matrix' one shape: `{"errcode", "error"}`.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::ports::PushRefused;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// No token in the one place where it counts.
    #[error("This route is for the homeserver: it needs the header `Authorization: Bearer <hs_token>`.")]
    NoToken,
    /// A token, and not the right one.
    #[error("The homeserver's token is wrong.")]
    WrongToken,
    /// More than one header.
    #[error("There must be exactly one Authorization header.")]
    TokenTwice,
    /// A path that the service does not have.
    #[error("The service has no such path.")]
    UnknownPath,
    /// A method that the path does not have.
    #[error("The path does not have this method.")]
    WrongMethod,
    /// A part of the path that cannot be what it should be.
    #[error("The path is wrong: {0}.")]
    BadPath(&'static str),
    /// Something that does not exist.
    #[error("{0}")]
    NotFound(&'static str),
    /// A compressed body.
    #[error("The body must come as it is, without Content-Encoding.")]
    Encoded,
    /// A body over the limit.
    #[error("The body is larger than {0} bytes.")]
    TooLarge(usize),
    /// A body that did not come in time.
    #[error("The body did not arrive in time.")]
    TooSlow,
    /// A body that broke off.
    #[error("The body broke off.")]
    BrokenOff,
    /// A body that is not what it should be.
    #[error("{0}")]
    BadJson(String),
    /// The service cannot do it now.
    #[error("The service cannot do this at the moment; try again.")]
    Unavailable,
    /// A route of the homeserver's that nothing authenticated: a mistake of ours.
    #[error("The service made a mistake.")]
    Unauthenticated,
}

impl HttpError {
    /// Its HTTP status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::WrongToken | Self::TokenTwice => StatusCode::FORBIDDEN,
            Self::UnknownPath | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadPath(_) | Self::BrokenOff | Self::BadJson(_) => StatusCode::BAD_REQUEST,
            Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unauthenticated => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether a body may be left that nobody will read: then the connection ends, and says so.
    const fn leaves_a_body(&self) -> bool {
        matches!(
            self,
            Self::NoToken
                | Self::WrongToken
                | Self::TokenTwice
                | Self::Encoded
                | Self::TooLarge(_)
                | Self::TooSlow
                | Self::BrokenOff
        )
    }

    /// Its Matrix error code.
    pub const fn errcode(&self) -> &'static str {
        match self {
            Self::NoToken => "M_UNAUTHORIZED",
            Self::WrongToken | Self::TokenTwice => "M_FORBIDDEN",
            Self::UnknownPath | Self::WrongMethod => "M_UNRECOGNIZED",
            Self::BadPath(_) => "M_INVALID_PARAM",
            Self::NotFound(_) => "M_NOT_FOUND",
            Self::Encoded => "M_NOT_JSON",
            Self::TooLarge(_) => "M_TOO_LARGE",
            Self::BadJson(_) => "M_BAD_JSON",
            Self::TooSlow | Self::BrokenOff | Self::Unavailable | Self::Unauthenticated => "M_UNKNOWN",
        }
    }
}

impl From<PushRefused> for HttpError {
    fn from(refused: PushRefused) -> Self {
        match refused {
            PushRefused::BadJson(reason) => Self::BadJson(reason),
            PushRefused::Unavailable => Self::Unavailable,
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let body = json!({ "errcode": self.errcode(), "error": self.to_string() });
        let mut response = (self.status(), json_response(&body)).into_response();
        if self.leaves_a_body() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self == Self::NoToken {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A value as the body of an answer.
pub(super) fn json_response(value: &serde_json::Value) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], value.to_string())
        .into_response()
}
