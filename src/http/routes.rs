//! The routes of the Matrix door: what the homeserver calls (Application Service API) and what clients ask.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, on};
use maypole_core::auth::AuthToken;
use tokio::sync::Semaphore;

use super::ports::{Describe, PushIntake};
use super::table::{Auth, Route, Verb};
use super::{Front, HttpSettings, app_service, auth, cors, delivery_service, operations, table};

/// What answers a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// Takes in a push transaction.
    Transaction,
    /// Answers a ping.
    Ping,
    /// Says whether an account is ours.
    User,
    /// Says that no room alias is ours.
    RoomAlias,
    /// Says what this delivery service is.
    DeliveryService,
    /// Answers a browser's question whether it may ask.
    Preflight,
}

const DELIVERY_SERVICE: &str = "/_matrix/client/unstable/org.matrix.msc4244/delivery_service";

/// Every route of the Matrix door.
pub const ROUTES: &[Route<Serves>] = &[
    Route {
        method: Verb::Put,
        path: "/_matrix/app/v1/transactions/{txnId}",
        auth: Auth::Homeserver,
        cors: false,
        what: "The homeserver pushes events; they are durable when it is answered.",
        serves: Serves::Transaction,
    },
    Route {
        method: Verb::Post,
        path: "/_matrix/app/v1/ping",
        auth: Auth::Homeserver,
        cors: false,
        what: "The homeserver tries whether it reaches the service.",
        serves: Serves::Ping,
    },
    Route {
        method: Verb::Get,
        path: "/_matrix/app/v1/users/{userId}",
        auth: Auth::Homeserver,
        cors: false,
        what: "The homeserver asks whether an account is the service's.",
        serves: Serves::User,
    },
    Route {
        method: Verb::Get,
        path: "/_matrix/app/v1/rooms/{roomAlias}",
        auth: Auth::Homeserver,
        cors: false,
        what: "The homeserver asks for a room by its alias; the service has none.",
        serves: Serves::RoomAlias,
    },
    Route {
        method: Verb::Get,
        path: DELIVERY_SERVICE,
        auth: Auth::Nobody,
        cors: true,
        what: "Clients ask what this delivery service is: its account, keys, ciphersuites and limits.",
        serves: Serves::DeliveryService,
    },
    Route {
        method: Verb::Options,
        path: DELIVERY_SERVICE,
        auth: Auth::Nobody,
        cors: true,
        what: "Browsers ask whether they may ask.",
        serves: Serves::Preflight,
    },
];

/// Makes the router of the Matrix door. `token` is the right to declare callers authenticated.
pub fn router<I: PushIntake, D: Describe>(
    settings: HttpSettings,
    token: AuthToken,
    intake: I,
    describe: D,
) -> Router {
    let bodies = Semaphore::new(settings.limits.bodies);
    let front = Arc::new(Front { settings, token, intake, describe, bodies });
    table::router(ROUTES, |route| mount(route, &front)).with_state(front)
}

type Shared<I, D> = Arc<Front<I, D>>;

fn mount<I: PushIntake, D: Describe>(
    route: &Route<Serves>,
    front: &Shared<I, D>,
) -> MethodRouter<Shared<I, D>> {
    let method = route.method.filter();
    let endpoint = match route.serves {
        Serves::Transaction => on(method, app_service::transaction::<I, D>),
        Serves::Ping => on(method, app_service::ping),
        Serves::User => on(method, app_service::user::<I, D>),
        Serves::RoomAlias => on(method, app_service::room_alias),
        Serves::DeliveryService => on(method, delivery_service::describe::<I, D>),
        Serves::Preflight => on(method, async || cors::preflight()),
    };
    match route.auth {
        Auth::Homeserver => {
            endpoint.route_layer(from_fn_with_state(front.clone(), auth::homeserver_only::<I, D>))
        }
        Auth::Nobody => endpoint,
    }
}

/// `docs/routes.md`, as the tables make it.
pub fn reference() -> String {
    let mut page = String::from(
        "# Routes\n\n\
         Made from the tables in `src/http/routes.rs` and `src/http/operations.rs`. Every refusal is `{\"errcode\", \"error\"}`.\n\
         A path that is not here is 404 `M_UNRECOGNIZED`, another method 405 `M_UNRECOGNIZED`.\n\n\
         ## The Matrix listener\n\n",
    );
    table::reference(&mut page, ROUTES);
    page.push_str(
        "\nBehind a reverse proxy, pass on `/_matrix/client/unstable/org.matrix.msc4244/` alone; the homeserver reaches\n\
         `/_matrix/app/` directly.\n\n## The operations listener\n\nFor the operator's own network: it asks nobody who he is.\n\n",
    );
    table::reference(&mut page, operations::ROUTES);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_routes_md_is_current() {
        maypole_testkit::generated::assert_current(
            env!("CARGO_MANIFEST_DIR"),
            "docs/routes.md",
            &reference(),
        );
    }

    #[test]
    fn client_routes_and_no_others_have_cors_and_each_has_its_preflight() {
        for route in ROUTES {
            assert_eq!(route.cors, route.path.starts_with(cors::CLIENT_PATHS), "{}", route.path);
            let preflight = |other: &Route<Serves>| other.path == route.path && other.method == Verb::Options;
            assert_eq!(route.cors, ROUTES.iter().any(preflight), "{}", route.path);
        }
    }

    #[test]
    fn what_only_the_homeserver_calls_is_only_for_the_homeserver() {
        for route in ROUTES {
            let expected =
                if route.path.starts_with("/_matrix/app/") { Auth::Homeserver } else { Auth::Nobody };
            assert_eq!(route.auth, expected, "{}", route.path);
        }
    }
}
