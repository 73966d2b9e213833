//! A wire between the store and its database that can be cut at any message.
//!
//! It knows no more of the protocol than where a message ends. Whoever is cut off learns it only when the database has ended
//! that session, and with it whatever was under way: what is there then stays.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The request for encryption, which comes before a session begins.
const ASKS_FOR_TLS: [u8; 4] = 80_877_103_u32.to_be_bytes();
/// Messages upon which the database answers: `Query` and `Sync`.
const ASKS: [u8; 2] = [b'Q', b'S'];

/// Where a wire is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before a message of the store.
    BeforeMessage,
    /// After a message upon which the database answers, and before that answer.
    BeforeAnswer,
}

/// A cut to come: after how many messages of its kind, and which kind.
type Plan = Arc<Mutex<Option<(u64, Cut)>>>;

/// Runs until it is dropped.
pub(super) struct Wire {
    address: SocketAddr,
    plan: Plan,
    task: JoinHandle<()>,
}

impl Wire {
    /// A wire to a database.
    pub(super) async fn to(database: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Plan::default();
        let task = tokio::spawn({
            let plan = Arc::clone(&plan);
            async move {
                let mut sessions = JoinSet::new();
                loop {
                    let (store, _) = listener.accept().await.unwrap();
                    sessions.spawn(carry(store, database, Arc::clone(&plan)));
                    while sessions.try_join_next().is_some() {}
                }
            }
        });
        Self { address, plan, task }
    }

    /// Where the store finds it.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts one session, after so many more messages.
    pub(super) fn cut_after(&self, messages: u64, cut: Cut) {
        *self.plan.lock().unwrap() = Some((messages, cut));
    }

    /// Cuts nothing any more; whether it has cut.
    pub(super) fn mend(&self) -> bool {
        self.plan.lock().unwrap().take().is_none()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries a session to its end, or to its cut.
async fn carry(store: TcpStream, database: SocketAddr, plan: Plan) {
    let Ok(database) = TcpStream::connect(database).await else { return };
    store.set_nodelay(true).unwrap();
    database.set_nodelay(true).unwrap();
    let (from_store, mut to_store) = store.into_split();
    let (mut from_database, mut to_database) = database.into_split();
    let mut from_store = BufReader::new(from_store);
    let asks = async {
        let mut has_begun = false;
        while let Some(message) = read(&mut from_store, &mut has_begun).await {
            let cut = meets(&plan, message[0]);
            if cut != Some(Cut::BeforeMessage) && to_database.write_all(&message).await.is_err() {
                return;
            }
            if cut.is_some() {
                return;
            }
        }
    };
    tokio::select! {
        () = asks => {}
        _ = tokio::io::copy(&mut from_database, &mut to_store) => return,
    }
    // The database hears that nobody is there any more, and has done what it does about it when it hangs up.
    let _ = to_database.shutdown().await;
    let _ = from_database.read_to_end(&mut Vec::new()).await;
}

/// Whether the wire is cut at a message, of which this is the first byte.
fn meets(plan: &Plan, kind: u8) -> Option<Cut> {
    let mut plan = plan.lock().unwrap();
    let (left, cut) = plan.as_mut()?;
    if *cut == Cut::BeforeAnswer && !ASKS.contains(&kind) {
        return None;
    }
    if let Some(fewer) = left.checked_sub(1) {
        *left = fewer;
        return None;
    }
    plan.take().map(|(_, cut)| cut)
}

/// The next message: a length, which counts itself, and as much as it says. Once a session has begun, a byte before that says
/// what it is.
async fn read(from: &mut (impl AsyncRead + Unpin), has_begun: &mut bool) -> Option<Vec<u8>> {
    let head = if *has_begun { 5 } else { 4 };
    let mut message = vec![0; head];
    from.read_exact(&mut message).await.ok()?;
    let length: [u8; 4] = message[head - 4..].try_into().unwrap();
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
    message.resize(head - 4 + length, 0);
    from.read_exact(&mut message[head..]).await.ok()?;
    *has_begun = *has_begun || message[4..] != ASKS_FOR_TLS;
    Some(message)
}
