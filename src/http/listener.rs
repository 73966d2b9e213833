//! Accepts connections, as many as may be open at once, and lets them finish when the service stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use maypole_core::limits;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bounds::HttpLimits;
use super::connection::{Terms, converse};
use crate::telemetry::labels::Door;

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The configuration names no address.
    #[error("the {} listener has no address to listen on", .0.label())]
    NoAddress(Door),
    /// The system refused.
    #[error("the {} listener cannot listen on {address}: {}", .door.label(), explained(.source))]
    Refused {
        /// Which listener.
        door: Door,
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

fn explained(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there already".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "the system does not permit it (ports below 1024 need a privilege)".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Sockets that listen, before anybody is answered.
#[derive(Debug)]
pub struct Listener {
    door: Door,
    sockets: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Listener {
    /// Opens a socket for every address, or for none. Must be called within the runtime.
    pub fn bind(door: Door, addresses: &[SocketAddr]) -> Result<Self, BindError> {
        if addresses.is_empty() {
            return Err(BindError::NoAddress(door));
        }
        let (mut sockets, mut bound) = (Vec::new(), Vec::new());
        for &address in addresses {
            let refused = |source| BindError::Refused { door, address, source };
            let socket = open(address).map_err(refused)?;
            bound.push(socket.local_addr().map_err(refused)?);
            sockets.push(socket);
        }
        for address in &bound {
            tracing::info!(listener = door.label(), %address, "listening");
        }
        Ok(Self { door, sockets, addresses: bound })
    }

    /// The addresses, with the ports that the system chose where 0 was asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers requests until `shutdown`. Then nothing more is accepted, and what is in flight may finish within the drain.
    pub async fn serve(self, router: Router, limits: HttpLimits, shutdown: CancellationToken) {
        let terms = Terms { door: self.door, router, limits, stop: shutdown, cut: CancellationToken::new() };
        // Dropping this future ends its connections too.
        let _ends_with_this = terms.cut.clone().drop_guard();
        let conversations = TaskTracker::new();
        accept_until_stopped(&self.sockets, &terms, &conversations).await;
        drop(self.sockets);
        conversations.close();
        if tokio::time::timeout(limits.drain, conversations.wait()).await.is_err() {
            tracing::warn!(
                listener = self.door.label(),
                open = conversations.len(),
                "the drain took too long"
            );
            terms.cut.cancel();
            conversations.wait().await;
        }
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the connections of the run before it to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::HTTP_BACKLOG)
}

/// Where connections come from.
trait Doorstep: Sync {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>>;
}

impl Doorstep for TcpListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        TcpListener::poll_accept(self, cx).map_ok(|(stream, _)| stream)
    }
}

/// One loop for all sockets: a place is taken before a connection is accepted, and no socket keeps a place from another.
async fn accept_until_stopped(sockets: &[impl Doorstep], terms: &Terms, conversations: &TaskTracker) {
    let places = Arc::new(Semaphore::new(terms.limits.connections));
    let mut turn = 0_usize;
    let mut refusing = false;
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            turn = turn.wrapping_add(1);
            let stream = std::future::poll_fn(|cx| accept_any(sockets, turn, cx)).await?;
            Ok((place, stream))
        };
        match terms.stop.run_until_cancelled(next).await {
            None => return,
            Some(Ok((place, stream))) => {
                refusing = false;
                let conversation = converse(stream, terms.clone());
                conversations.spawn(async move {
                    conversation.await;
                    drop(place);
                });
            }
            Some(Err(error)) => {
                let Some(pause) = pause_after(&error, &terms.limits) else { continue };
                if !std::mem::replace(&mut refusing, true) {
                    tracing::warn!(listener = terms.door.label(), %error, "nothing can be accepted for now");
                }
                terms.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            }
        }
    }
}

fn accept_any(sockets: &[impl Doorstep], turn: usize, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
    let first = turn.checked_rem(sockets.len()).unwrap_or(0);
    let (later, sooner) = sockets.split_at_checked(first).unwrap_or((sockets, &[]));
    for socket in sooner.iter().chain(later) {
        if let Poll::Ready(accepted) = socket.poll_accept(cx) {
            return Poll::Ready(accepted);
        }
    }
    Poll::Pending
}

/// A client that went away before it was accepted is its own affair. Anything else (no file descriptors, no memory) comes
/// back at once, and asking again without a pause would only burn time.
fn pause_after(error: &io::Error, limits: &HttpLimits) -> Option<Duration> {
    let clients_own = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    (!clients_own).then_some(limits.accept_pause)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A socket that fails a few times, as a system does that has run out of file descriptors.
    struct Failing {
        errors: Mutex<Vec<io::Error>>,
        socket: TcpListener,
        asked: Mutex<usize>,
    }

    impl Doorstep for Failing {
        fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
            *self.asked.lock().unwrap() += 1;
            match self.errors.lock().unwrap().pop() {
                Some(error) => Poll::Ready(Err(error)),
                None => Doorstep::poll_accept(&self.socket, cx),
            }
        }
    }

    async fn served_after(errors: Vec<io::Error>, limits: HttpLimits) -> Duration {
        let asked = errors.len();
        let socket = open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        let doorstep = [Failing { errors: Mutex::new(errors), socket, asked: Mutex::new(0) }];
        let router = Router::new().route("/", get(async || "served"));
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let terms = Terms { door: Door::Matrix, router, limits, stop: stop.clone(), cut };
        let conversations = TaskTracker::new();
        let began = crate::clock::monotonic();
        let client = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a.org\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("served"), "{answer}");
            stop.cancel();
            began.elapsed()
        };
        let (took, ()) = tokio::join!(client, accept_until_stopped(&doorstep, &terms, &conversations));
        // Once for each error, once for the connection, and a few times for nothing: no spinning.
        assert!(*doorstep[0].asked.lock().unwrap() <= asked + 10);
        took
    }

    #[tokio::test]
    async fn out_of_file_descriptors_it_pauses_and_recovers() {
        const EMFILE: i32 = 24;
        let limits = HttpLimits { accept_pause: Duration::from_millis(40), ..HttpLimits::default() };
        let errors = (0..5).map(|_| io::Error::from_raw_os_error(EMFILE)).collect();
        let took = served_after(errors, limits).await;
        assert!(took >= limits.accept_pause * 5, "{took:?}");
    }

    #[tokio::test]
    async fn a_client_that_went_away_before_is_no_reason_to_pause() {
        let limits = HttpLimits { accept_pause: Duration::from_secs(3_600), ..HttpLimits::default() };
        let errors = (0..5).map(|_| io::ErrorKind::ConnectionAborted.into()).collect();
        served_after(errors, limits).await;
    }
}
