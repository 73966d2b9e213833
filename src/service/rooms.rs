//! The rooms of the house, opened and connected.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::{Arc, OnceLock};

use maypole_core::auth::AuthToken;
use maypole_core::ids::{ProcessId, UserId};
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;
use maypole_room::names::Prefix;
use ruma::OwnedUserId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attach::attach;
use super::error::ServiceError;
use super::mark::{self, Mark};
use super::retention;
use crate::admin::{self, AdminLimits};
use crate::clock;
use crate::config::{self, Config, EventPrefix};
use crate::dialects::matrix::Matrix;
use crate::dialects::matrix::describe::SelfDescription;
use crate::dialects::matrix::invites::Invites;
use crate::dialects::matrix::terms::MatrixTerms;
use crate::entropy;
use crate::groups::{Lanes, Operator, Road, Worker};
use crate::hold::Hold;
use crate::homeserver::{AccessToken, Bounds, Homeserver, ServiceDevice, Settings};
use crate::http::auth::HomeserverToken;
use crate::http::bounds::HttpLimits;
use crate::http::listener::Listener;
use crate::http::{HttpSettings, operations, routes};
use crate::intake::{SyncIntake, Transactions};
use crate::keys::Keys;
use crate::outbox::Outbox;
use crate::storage::{Health, Store};
use crate::telemetry::exposition::Exposition;
use crate::telemetry::labels::{Condition, Door};
use crate::telemetry::readiness::Readiness;
use crate::telemetry::record;

/// Everything that is open while the service runs.
pub(super) struct Rooms {
    store: Store,
    ledger: Arc<Ledger<Store>>,
    /// How far the inbox had come at the start.
    since: u64,
    homeserver: Homeserver,
    token: AuthToken,
    user: UserId,
    matrix_user: OwnedUserId,
    readiness: Readiness,
    exposition: Exposition,
    description: SelfDescription,
    keys: Arc<Keys>,
    device: Arc<OnceLock<ServiceDevice>>,
    homeserver_token: HomeserverToken,
    doors: Vec<(Door, Listener)>,
    admin: Option<admin::Listener>,
    hold: Hold,
    wakes: Wakes,
    stops: Stops,
}

/// Who wakes whom.
#[derive(Clone, Default)]
struct Wakes {
    inbox: Arc<Notify>,
    outbox: Arc<Notify>,
    homeserver_is_there: Arc<Notify>,
}

/// What orders commits, and in whose words.
struct Groups {
    matrix: Arc<Matrix>,
    lanes: Arc<Lanes<Road<Store>>>,
}

/// What ends first, next, and last.
#[derive(Clone, Default)]
pub(super) struct Stops {
    /// Intake and listeners; cancelled by the order to stop.
    pub(super) intake: CancellationToken,
    worker: CancellationToken,
    outbox: CancellationToken,
}

impl Rooms {
    /// Opens everything, listeners last.
    pub(super) async fn open(
        config: &Config,
        token: AuthToken,
        exposition: Exposition,
    ) -> Result<Self, ServiceError> {
        let matrix_user = config.homeserver.user_id.clone();
        let user = UserId::parse(matrix_user.as_str()).ok_or(LedgerError::Unavailable("no user".into()))?;
        let homeserver = Homeserver::new(settings(config)?, token)?;
        let homeserver_token = HomeserverToken::new(config.appservice.hs_token.expose())?;
        let (store, ledger, keys) = take_store(config, &user).await?;
        // What comes in from here on came after the start, whatever the store is.
        let since = ledger.progress().await?.inbox;
        let admin = admin::Listener::open(&config.admin.socket).await?;
        let device = Arc::new(OnceLock::new());
        let prefix = prefix(config.protocol.event_prefix);
        let description = SelfDescription::new(&user, prefix, &keys, device.clone());
        let mut doors = vec![(Door::Matrix, Listener::bind(Door::Matrix, &config.listener.address)?)];
        if let Some(address) = config.operations.address {
            doors.push((Door::Operations, Listener::bind(Door::Operations, &[address])?));
        }
        Ok(Self {
            store,
            ledger,
            since,
            homeserver,
            token,
            user,
            matrix_user,
            readiness: Readiness::default(),
            exposition,
            description,
            keys: Arc::new(keys),
            device,
            homeserver_token,
            doors,
            admin: Some(admin),
            hold: Hold::new(ProcessId::from_bytes(entropy::random()?)),
            wakes: Wakes::default(),
            stops: Stops::default(),
        })
    }

    /// What stops the service.
    pub(super) fn stops(&self) -> Stops {
        self.stops.clone()
    }

    /// Works until told to stop, or until the homeserver turns out not to accept the service.
    pub(super) async fn work(mut self) -> Result<(), ServiceError> {
        let beside = TaskTracker::new();
        let stop = self.stops.intake.clone();
        for (door, listener) in std::mem::take(&mut self.doors) {
            beside.spawn(listener.serve(self.router(door), HttpLimits::default(), stop.clone()));
        }
        beside.spawn(watch_store(self.store.clone(), self.readiness.clone(), stop.clone()));
        let (store, until) = (self.store.clone(), stop.clone());
        beside.spawn(async move { store.keep_looking(until).await });
        beside.spawn(self.exposition.clone().keep(stop.clone()));
        beside.spawn(forget(self.ledger.clone(), stop.clone()));
        beside.spawn(retention::trim(self.ledger.clone(), stop.clone()));
        beside.spawn(observe(self.ledger.clone(), stop.clone()));
        let groups = self.groups();
        if let Some(admin) = self.admin.take() {
            let operator = Operator::new(self.ledger.clone(), self.store.clone(), groups.lanes.clone());
            beside.spawn(admin.serve(operator, AdminLimits::default(), stop.clone()));
        }
        let probe = match stop.run_until_cancelled(attach(&self.homeserver, &self.readiness)).await {
            None => None,
            Some(attached) => Some(attached?),
        };
        let checked =
            stop.run_until_cancelled(Box::pin(mark::check(&self.ledger, &self.homeserver, self.since))).await;
        let mut worked = Ok(());
        if let (Some(probe), Some(checked)) = (probe, checked) {
            let mark = checked?;
            // It is set here alone, and once.
            let _ = self.device.set(probe.device.clone());
            worked = Box::pin(self.pass_on(probe.device, groups, mark)).await;
        }
        beside.close();
        beside.wait().await;
        self.store.close().await;
        worked
    }

    /// Takes in, answers and sends; each ends only after what feeds it has ended.
    async fn pass_on(&self, device: ServiceDevice, groups: Groups, mark: Mark) -> Result<(), ServiceError> {
        let (ledger, homeserver, wakes) = (&self.ledger, &self.homeserver, &self.wakes);
        let intake = SyncIntake::new(
            ledger.clone(),
            homeserver.clone(),
            device,
            self.readiness.clone(),
            wakes.inbox.clone(),
            wakes.homeserver_is_there.clone(),
        );
        let invites = Invites::new(ledger.clone(), homeserver.clone(), self.matrix_user.clone());
        let (inbox, owed) = (wakes.inbox.clone(), wakes.outbox.clone());
        let hold = &self.hold;
        let lanes = groups.lanes.clone();
        let worker =
            Worker::new(ledger.clone(), groups.matrix, invites, groups.lanes, hold.clone(), inbox, owed);
        let outbox = Outbox::new(ledger.clone(), homeserver.clone(), hold.clone(), wakes.outbox.clone());
        let (ended, noted) = (CancellationToken::new(), CancellationToken::new());
        let stops = &self.stops;
        let marks = mark::keep(ledger.clone(), homeserver.clone(), hold.clone(), mark, ended.clone());
        let (.., marked) = tokio::join!(
            async {
                intake.run(hold.clone(), stops.intake.clone()).await;
                stops.worker.cancel();
            },
            async {
                Box::pin(worker.run(stops.worker.clone())).await;
                stops.outbox.cancel();
            },
            async {
                outbox.run(stops.outbox.clone()).await;
                ended.cancel();
            },
            hold.keep(ledger, || lanes.shares(), noted.clone()),
            async {
                let marked = marks.await;
                // If it ended by itself, nothing may be decided any more.
                stops.intake.cancel();
                noted.cancel();
                marked
            },
        );
        hold.retire(ledger).await;
        marked
    }

    /// What orders commits.
    fn groups(&self) -> Groups {
        let description = self.description.description().clone();
        let matrix = Matrix::new(self.homeserver.clone(), self.matrix_user.clone(), &self.keys, description);
        let matrix = Arc::new(matrix);
        let road = Road::new(self.ledger.clone(), matrix.clone(), self.wakes.outbox.clone());
        Groups { matrix, lanes: Arc::new(Lanes::new(road, self.hold.clone())) }
    }

    fn router(&self, door: Door) -> axum::Router {
        match door {
            Door::Operations => operations::router(self.readiness.clone(), self.exposition.clone()),
            Door::Matrix => {
                let transactions = Transactions::new(
                    self.ledger.clone(),
                    self.token,
                    self.user.clone(),
                    self.wakes.inbox.clone(),
                    self.wakes.homeserver_is_there.clone(),
                );
                let settings = HttpSettings {
                    homeserver_token: self.homeserver_token,
                    our_user: self.user.clone(),
                    limits: HttpLimits::default(),
                };
                routes::router(settings, self.token, transactions, self.description.clone())
            }
        }
    }
}

/// Opens the store, then the keys, then takes the store into possession. A store that has an owner has groups that rest
/// on its keys: then none are made.
async fn take_store(
    config: &Config,
    user: &UserId,
) -> Result<(Store, Arc<Ledger<Store>>, Keys), ServiceError> {
    let keys_folder = config.keys.path.clone();
    let store = open_store(&config.store).await?;
    let ledger = Arc::new(Ledger::new(store.clone()));
    let mut owner = ledger.owner().await?;
    if owner.is_none() && !ledger.is_untouched().await? {
        // Unless another process has just begun with it.
        owner = Some(ledger.owner().await?.ok_or(ServiceError::HalfImported)?);
    }
    if let Some(owner) = owner.clone().filter(|owner| owner != user) {
        return Err(ServiceError::OtherOwner { owner, user: user.clone() });
    }
    // Of several processes that begin a database at once, one makes the keys; the others are told that they lack them.
    let mut is_owned = owner.is_some();
    if config.store.postgres.is_some() && !is_owned {
        match ledger.bind(user).await {
            Ok(_) => {}
            Err(LedgerError::Conflict(_)) => is_owned = true,
            Err(error) => return Err(error.into()),
        }
    }
    let keys = blocking(move || Keys::open_or_create(&keys_folder, is_owned)).await??;
    ledger.bind(user).await?;
    // A group knows its service by these keys: with others none of the store's groups could go on.
    let ours = MatrixTerms::new(user, &keys).known_by();
    if ledger.bind_keys(ours).await? != ours {
        return Err(ServiceError::OtherKeys { folder: config.keys.path.clone() });
    }
    Ok((store, ledger, keys))
}

/// Opens the store that is configured, making it if it is not there.
pub(crate) async fn open_store(config: &config::Store) -> Result<Store, ServiceError> {
    let Some(address) = &config.postgres else {
        return Ok(Store::open_folder(config.path.join("sled")).await?);
    };
    // The folder has the operator's socket all the same, and the keys if they are nowhere else.
    let folder = config.path.clone();
    let made = blocking(move || DirBuilder::new().recursive(true).mode(0o700).create(folder)).await?;
    made.map_err(|source| ServiceError::Folder { folder: config.path.clone(), source })?;
    Ok(Store::open_postgres(address.expose()).await?)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ServiceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ServiceError::Ledger(LedgerError::Unavailable(error.to_string())))
}

fn settings(config: &Config) -> Result<Settings, ServiceError> {
    let as_token = AccessToken::parse(config.appservice.as_token.expose())
        .ok_or(ServiceError::Setting { key: "as_token", reason: "cannot stand in an HTTP header" })?;
    Ok(Settings {
        url: config.homeserver.url.to_string(),
        as_token,
        user_id: config.homeserver.user_id.to_string(),
        appservice_id: config.appservice.id.clone(),
        bounds: Bounds::default(),
    })
}

fn prefix(prefix: EventPrefix) -> Prefix {
    match prefix {
        EventPrefix::Stable => Prefix::Stable,
        EventPrefix::Unstable => Prefix::Unstable,
    }
}

/// Says whether the store can be used, whenever that changes.
async fn watch_store(store: Store, readiness: Readiness, stop: CancellationToken) {
    let mut health = store.health();
    loop {
        let stands = match &*health.borrow_and_update() {
            Health::Ready => Ok(()),
            Health::Unavailable(reason) => Err(reason.clone()),
            Health::Closed => Err("it was closed".to_owned()),
        };
        readiness.set(Condition::Store, stands);
        match stop.run_until_cancelled(health.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// Forgets answers that nobody may ask for any more, and KeyPackages that nobody could use.
async fn forget(ledger: Arc<Ledger<Store>>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(limits::FORGET_EVERY)).await.is_some() {
        let (answers, key_packages) = (limits::ANSWERS_FORGOTTEN_AT_ONCE, limits::KEY_PACKAGES_SWEPT_AT_ONCE);
        pages("answers", answers, &stop, || ledger.forget(clock::now())).await;
        pages("KeyPackages", key_packages, &stop, || ledger.forget_key_packages(clock::now())).await;
    }
}

/// Does something page after page, until one is not full.
async fn pages<F: Future<Output = Result<usize, LedgerError>>>(
    what: &'static str,
    full: usize,
    stop: &CancellationToken,
    page: impl Fn() -> F,
) {
    while !stop.is_cancelled() {
        match page().await {
            Ok(count) if count == full => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, what, "what is over cannot be forgotten; trying again later");
                return;
            }
        }
    }
}

/// Shows how much waits.
async fn observe(ledger: Arc<Ledger<Store>>, stop: CancellationToken) {
    loop {
        if let Ok(depths) = ledger.depths().await {
            record::depths(depths);
        }
        if stop.run_until_cancelled(tokio::time::sleep(limits::METRICS_UPKEEP)).await.is_none() {
            return;
        }
    }
}
