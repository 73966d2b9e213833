//! What a table of routes is, how a router is made of it, and how it is written down in `docs/routes.md`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use super::errors::HttpError;
use super::{cors, observe};
use crate::telemetry::labels::Method;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// The homeserver alone, by its token.
    Homeserver,
    /// Anybody who reaches the listener.
    Nobody,
}

/// The methods that routes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `GET`, and `HEAD` with it.
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `OPTIONS`
    Options,
}

impl Verb {
    /// The method's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Options => "OPTIONS",
        }
    }

    pub(super) const fn filter(self) -> axum::routing::MethodFilter {
        match self {
            Self::Get => axum::routing::MethodFilter::GET,
            Self::Post => axum::routing::MethodFilter::POST,
            Self::Put => axum::routing::MethodFilter::PUT,
            Self::Options => axum::routing::MethodFilter::OPTIONS,
        }
    }
}

/// One route. `H` names what answers it.
#[derive(Clone, Copy, Debug)]
pub struct Route<H> {
    /// The method.
    pub method: Verb,
    /// The path, with `{…}` for its variable parts. Also the metric's label.
    pub path: &'static str,
    /// Who may use it.
    pub auth: Auth,
    /// Whether browsers on other origins may.
    pub cors: bool,
    /// What it is for.
    pub what: &'static str,
    /// What answers it.
    pub(super) serves: H,
}

/// Makes a router of a table. `mount` makes a row's endpoint, with its authentication in front.
pub(super) fn router<H, S>(table: &[Route<H>], mount: impl Fn(&Route<H>) -> MethodRouter<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let mut paths: BTreeMap<&'static str, (bool, MethodRouter<S>)> = BTreeMap::new();
    for route in table {
        let (cors, methods) = paths.remove(route.path).unwrap_or_default();
        paths.insert(route.path, (cors || route.cors, methods.merge(mount(route))));
    }
    let mut router = Router::new();
    for (path, (cors, methods)) in paths {
        let methods = methods.fallback(async || HttpError::WrongMethod);
        let noted = from_fn(move |request, next| observe::answer(path, cors, request, next));
        router = router.route(path, methods.layer::<_, Infallible>(noted));
    }
    router.fallback(no_route)
}

/// Answers for every path that no table has. Browsers are told so in a way that they pass on.
async fn no_route(request: Request) -> Response {
    let method = Method::of(request.method());
    let for_clients = request.uri().path().starts_with(cors::CLIENT_PATHS);
    let mut response = if for_clients && method == Method::Options {
        cors::preflight()
    } else {
        HttpError::UnknownPath.into_response()
    };
    if for_clients {
        cors::allow_any_origin(response.headers_mut());
    }
    observe::note(observe::NO_ROUTE, method, &response);
    response
}

/// A table as a page shows it.
pub(super) fn reference<H>(page: &mut String, table: &[Route<H>]) {
    page.push_str("| method | path | who may | browsers (CORS) | what for |\n|---|---|---|---|---|\n");
    for Route { method, path, auth, cors, what, .. } in table {
        let auth = match auth {
            Auth::Homeserver => "the homeserver, by `Authorization: Bearer <hs_token>`",
            Auth::Nobody => "anybody who reaches the listener",
        };
        let cors = if *cors { "yes" } else { "no" };
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| {} | `{path}` | {auth} | {cors} | {what} |", method.name());
    }
}
