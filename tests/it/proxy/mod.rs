//! A proxy on loopback between the service and its homeserver: passes everything on until it is told to misbehave, or to
//! hold requests back at a gate.
//!
//! Every connection carries one request. What the proxy has seen is noted before the other side can know of it, so that
//! the time between two notes is never shorter than the pause that lay between the requests.

mod gate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maypole_testkit::service::{House, SERVER_NAME, Service};
use maypole_testkit::synapse::Synapse;
use maypole_testkit::wait::Stopwatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use self::gate::Gate;
use self::gate::{Gateway, Verdict};
use crate::answers::binary;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// These bytes are the answer; the homeserver never hears of the request.
    Answer(Vec<u8>),
    /// The connection is closed.
    Close,
    /// Nothing is answered, and nothing closed, as long as this goes on.
    Silence,
    /// The homeserver does what it is asked, and its answer breaks off in the middle.
    BreakOff,
    /// The homeserver's own answer, byte by byte.
    Drip,
}

/// Which requests are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    /// What the service sends to devices.
    Sends,
    /// What it does in rooms.
    Rooms,
    /// The changes of memberships that it sends.
    Members,
}

/// A request that came by.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Since the proxy began.
    pub(crate) at: Duration,
    /// Its first line.
    pub(crate) line: String,
    pub(crate) body: Vec<u8>,
    /// Whether it met a fault.
    pub(crate) faulted: bool,
}

type Plan = Option<(Scope, Fault)>;

/// A house in which the service reaches its homeserver only through a proxy.
pub(crate) async fn house() -> (House, Proxy) {
    let mut service = Service::prepare(binary()).unwrap();
    let builder = Synapse::builder().server_name(SERVER_NAME).registration_file(service.registration());
    let synapse = builder.start().await.unwrap();
    let proxy = Proxy::before(([127, 0, 0, 1], synapse.port()).into()).await;
    service.configure(&proxy.url(), "").unwrap();
    service.start().unwrap();
    service.ready().await.unwrap();
    (House { synapse, service }, proxy)
}

#[derive(Clone)]
struct Shared {
    homeserver: SocketAddr,
    plan: watch::Receiver<Plan>,
    gateway: Gateway,
    seen: Arc<Mutex<Vec<Seen>>>,
    since: Stopwatch,
}

/// Runs until it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    plan: watch::Sender<Plan>,
    gateway: Gateway,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(homeserver: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = watch::Sender::new(None);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (gateway, since) = (Gateway::default(), Stopwatch::start());
        let plans = plan.subscribe();
        let shared = Shared { homeserver, plan: plans, gateway: gateway.clone(), seen: seen.clone(), since };
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                connections.spawn(shared.clone().serve(stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, plan, gateway, seen, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Misbehaves from now on; what is under way and meant is cut off. Forgets what it has seen.
    pub(crate) fn misbehave(&self, scope: Scope, fault: Fault) {
        self.plan.send_replace(Some((scope, fault)));
        self.seen.lock().unwrap().clear();
    }

    /// Passes everything on again; connections that were kept waiting end.
    pub(crate) fn behave(&self) {
        self.plan.send_replace(None);
    }

    /// Holds back every request from now on whose first line matches. One gate at a time.
    pub(crate) fn gate(&self, matching: impl Fn(&str) -> bool + Send + 'static) -> Gate {
        self.gateway.build(matching)
    }

    /// What came by since it was last told to misbehave.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// When the requests that met a fault came, each of them apart by its method and path.
    pub(crate) fn faulted(&self) -> BTreeMap<String, Vec<Duration>> {
        let mut faulted: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for seen in self.seen().into_iter().filter(|seen| seen.faulted) {
            let asked = seen.line.split('?').next().unwrap_or_default().to_owned();
            faulted.entry(asked).or_default().push(seen.at);
        }
        faulted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The fault that a request meets.
fn hit(plan: &Plan, line: &str) -> Option<Fault> {
    let (scope, fault) = plan.as_ref()?;
    let meant = match scope {
        Scope::All => true,
        Scope::Sends => line.contains("/sendToDevice/"),
        Scope::Rooms => line.contains("/rooms/"),
        Scope::Members => sends_a_member_event(line),
    };
    meant.then(|| fault.clone())
}

/// A request by which the service changes a membership.
pub(crate) fn sends_a_member_event(line: &str) -> bool {
    line.starts_with("PUT ") && line.contains("/state/m.room.member/")
}

impl Shared {
    fn note(&self, line: &str, body: &[u8], faulted: bool) {
        let seen = Seen { at: self.since.elapsed(), line: line.to_owned(), body: body.to_vec(), faulted };
        self.seen.lock().unwrap().push(seen);
    }

    async fn serve(mut self, mut stream: TcpStream) {
        let Some((head, body)) = read_request(&mut stream).await else { return };
        let line = head.lines().next().unwrap_or_default().to_owned();
        let fault = hit(&self.plan.borrow_and_update(), &line);
        self.note(&line, &body, fault.is_some());
        if let Some(decided) = self.gateway.hold(&line) {
            let Ok(verdict) = decided.await else { return };
            return self.release(verdict, &head, &body, stream).await;
        }
        let mut later = self.plan.clone();
        match fault {
            Some(Fault::Answer(bytes)) => {
                // Whether the other side reads it to the end is its own affair.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Some(Fault::Close) => {}
            Some(Fault::Silence) => {
                let _ = later.wait_for(|plan| hit(plan, &line).is_none()).await;
            }
            Some(Fault::BreakOff) => {
                let answer = read_whole(self.ask(&head, &body).await).await;
                let _ = stream.write_all(&answer[..answer.len() / 2]).await;
            }
            Some(Fault::Drip) => drip(self.ask(&head, &body).await, stream).await,
            None => tokio::select! {
                () = pass(self.ask(&head, &body).await, stream) => {}
                _ = later.wait_for(|plan| hit(plan, &line).is_some()) => {}
            },
        }
    }

    /// A request that was held back, and what has become of it.
    async fn release(&self, verdict: Verdict, head: &str, body: &[u8], mut stream: TcpStream) {
        let homeserver = self.ask(head, body).await;
        let Verdict { answer, done } = verdict;
        // Whether the test still waits for it is its own affair.
        if answer {
            let _ = done.send(());
            return pass(homeserver, stream).await;
        }
        read_whole(homeserver).await;
        let _ = done.send(());
        // The service waits for an answer as long as it lives.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }

    /// Asks the homeserver.
    async fn ask(&self, head: &str, body: &[u8]) -> Option<TcpStream> {
        let (line, rest) = head.split_once("\r\n")?;
        let mut homeserver = TcpStream::connect(self.homeserver).await.ok()?;
        let head = format!("{line}\r\nConnection: close\r\n{rest}\r\n\r\n");
        homeserver.write_all(&[head.as_bytes(), body].concat()).await.ok()?;
        Some(homeserver)
    }
}

async fn pass(homeserver: Option<TcpStream>, mut stream: TcpStream) {
    let Some(mut homeserver) = homeserver else { return };
    // A side that hangs up ends it.
    let _ = tokio::io::copy(&mut homeserver, &mut stream).await;
    let _ = stream.shutdown().await;
}

async fn drip(homeserver: Option<TcpStream>, mut stream: TcpStream) {
    // A byte a millisecond: that is the fault itself.
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    for byte in read_whole(homeserver).await {
        pace.tick().await;
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

async fn read_whole(homeserver: Option<TcpStream>) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Some(mut homeserver) = homeserver {
        let _ = homeserver.read_to_end(&mut answer).await;
    }
    answer
}

/// Reads a head, without the empty line at its end, and as much body as it announces.
async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            let body = &bytes[end + 4..];
            if body.len() >= length.unwrap_or(0) {
                return Some((head, body.to_vec()));
            }
        }
        let mut chunk = vec![0; 16_384];
        let read = stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
    }
}
