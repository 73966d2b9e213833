//! The two doors on free ports, with an intake that notes what reaches it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use maypole::http::HttpSettings;
use maypole::http::auth::HomeserverToken;
use maypole::http::bounds::HttpLimits;
use maypole::http::listener::Listener;
use maypole::http::ports::{Describe, HomeserverCaller, PushIntake, PushRefused};
use maypole::http::{operations, routes};
use maypole::telemetry::exposition::Exposition;
use maypole::telemetry::labels::Door;
use maypole::telemetry::readiness::Readiness;
use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::ids::{PushTxnId, UserId};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const TOKEN: &str = "hs-0123456789-0123456789-0123456789";
pub const OUR_USER: &str = "@_mls_ds:a.org";

/// The header with which the homeserver proves itself.
pub fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}")
}

/// Quick bounds. `slow` is for what must not happen by accident on a busy machine.
pub fn limits() -> HttpLimits {
    let slow = Duration::from_secs(15);
    HttpLimits {
        connections: 64,
        head_timeout: slow,
        head_bytes: 8 * 1024,
        body_timeout: slow,
        body_bytes: 64 * 1024,
        bodies: 4,
        stall: slow,
        linger: Duration::from_millis(500),
        accept_pause: Duration::from_millis(10),
        drain: slow,
    }
}

/// What the intake is told to do, and what it noted.
#[derive(Clone)]
pub struct Intake {
    pub seen: Arc<Mutex<Vec<(String, Bytes)>>>,
    pub answer: Result<(), PushRefused>,
    /// A transaction waits until it gets a permit here.
    pub gate: Arc<Semaphore>,
    /// Transactions that are being taken in at this moment.
    pub inside: watch::Sender<usize>,
}

impl Intake {
    pub fn open() -> Self {
        Self {
            seen: Arc::default(),
            answer: Ok(()),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            inside: watch::Sender::new(0),
        }
    }

    pub fn answering(answer: Result<(), PushRefused>) -> Self {
        Self { answer, ..Self::open() }
    }

    pub fn closed() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), ..Self::open() }
    }

    pub fn transactions(&self) -> Vec<(String, Bytes)> {
        self.seen.lock().unwrap().clone()
    }

    pub async fn until_inside(&self, count: usize) {
        let mut inside = self.inside.subscribe();
        let reached = inside.wait_for(|now| *now == count);
        tokio::time::timeout(super::client::PATIENCE, reached)
            .await
            .expect("the count is never reached")
            .unwrap();
    }
}

struct Inside(watch::Sender<usize>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl PushIntake for Intake {
    async fn transaction(
        &self,
        caller: Authenticated<HomeserverCaller>,
        id: PushTxnId,
        body: Bytes,
    ) -> Result<(), PushRefused> {
        assert_eq!(caller.get(), &HomeserverCaller);
        self.inside.send_modify(|count| *count += 1);
        let _inside = Inside(self.inside.clone());
        self.gate.acquire().await.unwrap().forget();
        self.seen.lock().unwrap().push((id.as_str().to_owned(), body));
        self.answer.clone()
    }
}

struct Described;

impl Describe for Described {
    fn delivery_service(&self) -> Value {
        json!({ "user_id": OUR_USER })
    }
}

/// Both doors, open.
pub struct Stage {
    pub matrix: SocketAddr,
    pub operations: SocketAddr,
    pub intake: Intake,
    pub readiness: Readiness,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.serving.abort();
    }
}

/// The one exposition of this process: metrics are global.
pub async fn exposition() -> Exposition {
    static EXPOSITION: OnceCell<Exposition> = OnceCell::const_new();
    EXPOSITION.get_or_init(async || Exposition::install().unwrap()).await.clone()
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[expect(clippy::disallowed_methods, reason = "the test plays the part of main")]
pub fn matrix_router(limits: HttpLimits, intake: impl PushIntake) -> axum::Router {
    let settings = HttpSettings {
        homeserver_token: HomeserverToken::new(TOKEN).unwrap(),
        our_user: UserId::parse(OUR_USER).unwrap(),
        limits,
    };
    routes::router(settings, AuthToken::make(), intake, Described)
}

pub async fn stage(limits: HttpLimits, intake: Intake) -> Stage {
    let matrix = Listener::bind(Door::Matrix, &[loopback()]).unwrap();
    let operations = Listener::bind(Door::Operations, &[loopback()]).unwrap();
    let (matrix_address, operations_address) = (matrix.addresses()[0], operations.addresses()[0]);
    let (readiness, shutdown) = (Readiness::default(), CancellationToken::new());
    let operators = operations::router(readiness.clone(), exposition().await);
    let serving = matrix.serve(matrix_router(limits, intake.clone()), limits, shutdown.clone());
    let watching = operations.serve(operators, limits, shutdown.clone());
    let serving = tokio::spawn(async move {
        tokio::join!(serving, watching);
    });
    Stage { matrix: matrix_address, operations: operations_address, intake, readiness, shutdown, serving }
}
