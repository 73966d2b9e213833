//! Bytes by way of the media repository, both ways (docs/protocol.md, Blobs).
//!
//! What a client names is fetched from its own server alone, a bounded number at a time and of bounded size in all, and
//! held against its size and hash before anybody looks into it. What is given out is the service's own upload: never a
//! client's, whose server could withhold it from some.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use maypole_core::ids::{Sha256, UserId};
use maypole_core::limits;
use maypole_core::rejection::Rejection;
use maypole_room::bytes::{Blob, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::homeserver::{CallError, Homeserver, Mxc, patiently};

/// A share of the memory for blobs. It is kept for as long as the bytes are needed.
pub struct Memory {
    _share: Option<OwnedSemaphorePermit>,
}

/// Fetches and uploads.
pub struct Blobs {
    homeserver: Homeserver,
    /// Kibibytes of fetched bytes that may be in memory.
    memory: Arc<Semaphore>,
    /// How many fetches each account may still begin.
    fetches: Mutex<HashMap<UserId, Weak<Semaphore>>>,
    /// Where bytes were put lately.
    placed: Mutex<HashMap<Sha256, Mxc>>,
}

impl Blobs {
    /// Blobs in the media repository of this homeserver.
    pub fn new(homeserver: Homeserver) -> Self {
        let memory = Arc::new(Semaphore::new(limits::BLOBS_MEMORY_KIB));
        Self { homeserver, memory, fetches: Mutex::default(), placed: Mutex::default() }
    }

    /// Memory for all blobs of one message, so many bytes together. It is given at once or not at all: whoever held a part
    /// while waiting for the rest would be in the way of all others.
    pub async fn reserve(&self, bytes: u64) -> Result<Memory, Rejection> {
        if bytes == 0 {
            return Ok(Memory { _share: None });
        }
        let later = Rejection::Blob { field: "message", problem: "cannot be fetched now" };
        let kib = u32::try_from(bytes.div_ceil(1_024)).map_err(|_| later.clone())?;
        let share = Arc::clone(&self.memory).acquire_many_owned(kib);
        match tokio::time::timeout(limits::BLOB_WAIT, share).await {
            Ok(Ok(share)) => Ok(Memory { _share: Some(share) }),
            _ => Err(later),
        }
    }

    /// The bytes of a field of a sender's message, wherever they are. Memory for them has been reserved.
    pub async fn fetch(
        &self,
        sender: &UserId,
        field: &'static str,
        bytes: Bytes,
    ) -> Result<Vec<u8>, Rejection> {
        let blob = match bytes {
            Bytes::Inline(bytes) => return Ok(bytes),
            Bytes::Blob(blob) => blob,
        };
        let refuse = |problem| Rejection::Blob { field, problem };
        let mxc = Mxc::parse(&blob.mxc).ok_or(refuse("has an address that is none"))?;
        let server = sender.as_str().split_once(':').map(|(_, server)| server);
        if server != Some(mxc.server()) {
            return Err(refuse("must be on the sender's own server"));
        }
        let turn = self.turn(sender).acquire_owned().await;
        let Ok(_turn) = turn else { return Err(refuse("cannot be fetched now")) };
        let bytes = self.homeserver.download(&mxc, blob.size_bytes).await.map_err(|error| {
            tracing::info!(%error, "a blob was not fetched");
            refuse(if error.is_transient() {
                "cannot be fetched now"
            } else {
                "is not there, or has another size"
            })
        })?;
        if Sha256::of(&bytes) == blob.sha256 { Ok(bytes) } else { Err(refuse("has another hash")) }
    }

    /// The places of one account; forgotten when nobody holds or waits for one.
    fn turn(&self, sender: &UserId) -> Arc<Semaphore> {
        let mut fetches = lock(&self.fetches);
        if let Some(turn) = fetches.get(sender).and_then(Weak::upgrade) {
            return turn;
        }
        fetches.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Semaphore::new(limits::BLOB_FETCHES_PER_USER));
        fetches.insert(sender.clone(), Arc::downgrade(&turn));
        turn
    }

    /// Bytes as they are given out: inline up to a size, else as an upload of the service's own.
    pub async fn place(&self, bytes: Vec<u8>, inline_bytes: usize) -> Result<Bytes, CallError> {
        if bytes.len() <= inline_bytes {
            return Ok(Bytes::Inline(bytes));
        }
        let sha256 = Sha256::of(&bytes);
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let known = lock(&self.placed).get(&sha256).cloned();
        let mxc = match known {
            Some(mxc) => mxc,
            None => {
                let what = "bytes that are to be given out cannot be uploaded";
                let mxc = patiently(what, || self.homeserver.upload(bytes.clone())).await?;
                let mut placed = lock(&self.placed);
                if placed.len() >= limits::BLOBS_REMEMBERED {
                    placed.clear();
                }
                placed.insert(sha256, mxc.clone());
                mxc
            }
        };
        Ok(Bytes::Blob(Blob { mxc: mxc.to_string(), sha256, size_bytes }))
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
