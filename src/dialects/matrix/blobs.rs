//! Bytes by way of the media repository, both ways (docs/protocol.md, Blobs).
//!
//! What a client names is fetched from its own server alone, a bounded number at a time and of bounded size in all, and
//! held against its size and hash before anybody looks into it. What is given out is the service's own upload: never a
//! client's, whose server could withhold it from some.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use maypole_core::ids::{Sha256, UserId};
use maypole_core::limits;
use maypole_core::rejection::Rejection;
use maypole_room::bytes::{Blob, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock;
use crate::homeserver::{CallError, Homeserver, Mxc, patiently};

/// A share of the memory for blobs. It is kept for as long as the bytes are needed.
pub struct Memory {
    kib: u32,
    _shares: Option<([OwnedSemaphorePermit; 2], Arc<Account>)>,
}

impl Memory {
    /// How many kibibytes it is.
    pub fn kib(&self) -> usize {
        usize::try_from(self.kib).unwrap_or(usize::MAX)
    }
}

/// Fetches and uploads.
pub struct Blobs {
    homeserver: Homeserver,
    /// Kibibytes of fetched bytes that may be in memory.
    memory: Arc<Semaphore>,
    /// What each account may still have of everything.
    accounts: Mutex<HashMap<UserId, Weak<Account>>>,
    /// Where bytes were put lately, and when.
    placed: Mutex<HashMap<Sha256, (Mxc, Instant)>>,
}

/// What one account may still have.
struct Account {
    /// Kibibytes of fetched bytes in memory.
    memory: Arc<Semaphore>,
    /// Fetches that it may begin.
    fetches: Semaphore,
}

impl Blobs {
    /// Blobs in the media repository of this homeserver.
    pub fn new(homeserver: Homeserver) -> Self {
        let memory = Arc::new(Semaphore::new(limits::BLOBS_MEMORY_KIB));
        Self { homeserver, memory, accounts: Mutex::default(), placed: Mutex::default() }
    }

    /// Memory for all blobs of one message of a sender, so many bytes together. It is given at once or not at all: whoever held
    /// a part while waiting for the rest would be in the way of all others. So nobody but the sender waits for what the
    /// sender has too much of.
    pub async fn reserve(&self, sender: &UserId, bytes: u64) -> Result<Memory, Rejection> {
        if bytes == 0 {
            return Ok(Memory { kib: 0, _shares: None });
        }
        let later = Rejection::Blob { field: "message", problem: "cannot be fetched now" };
        let kib = u32::try_from(bytes.div_ceil(1_024)).map_err(|_| later.clone())?;
        let account = self.account(sender);
        let (own, all) = (account.memory.clone(), self.memory.clone());
        let shares = async {
            let own = own.acquire_many_owned(kib).await?;
            all.acquire_many_owned(kib).await.map(|share| [own, share])
        };
        match tokio::time::timeout(limits::BLOB_WAIT, shares).await {
            Ok(Ok(shares)) => Ok(Memory { kib, _shares: Some((shares, account)) }),
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
        let account = self.account(sender);
        let Ok(_turn) = account.fetches.acquire().await else { return Err(refuse("cannot be fetched now")) };
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

    /// What one account may still have; forgotten when nobody holds or waits for any of it.
    fn account(&self, sender: &UserId) -> Arc<Account> {
        let mut accounts = lock(&self.accounts);
        if let Some(account) = accounts.get(sender).and_then(Weak::upgrade) {
            return account;
        }
        accounts.retain(|_, account| account.strong_count() > 0);
        let account = Arc::new(Account {
            memory: Arc::new(Semaphore::new(limits::BLOBS_MEMORY_PER_USER_KIB)),
            fetches: Semaphore::new(limits::BLOB_FETCHES_PER_USER),
        });
        accounts.insert(sender.clone(), Arc::downgrade(&account));
        account
    }

    /// Bytes as they are given out: inline up to a size, else as an upload of the service's own.
    pub async fn place(&self, bytes: Vec<u8>, inline_bytes: usize) -> Result<Bytes, CallError> {
        self.place_at(bytes, inline_bytes, clock::monotonic()).await
    }

    /// The same at a time. What was uploaded long ago is uploaded again: the repository may have thrown it away.
    async fn place_at(&self, bytes: Vec<u8>, inline_bytes: usize, now: Instant) -> Result<Bytes, CallError> {
        if bytes.len() <= inline_bytes {
            return Ok(Bytes::Inline(bytes));
        }
        let sha256 = Sha256::of(&bytes);
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let is_late = |at: Instant| now.saturating_duration_since(at) >= limits::BLOBS_REMEMBERED_FOR;
        let known = lock(&self.placed).get(&sha256).cloned();
        let mxc = match known.filter(|(_, at)| !is_late(*at)) {
            Some((mxc, _)) => mxc,
            None => {
                let what = "bytes that are to be given out cannot be uploaded";
                let mxc = patiently(what, || self.homeserver.upload(bytes.clone())).await?;
                let mut placed = lock(&self.placed);
                if placed.len() >= limits::BLOBS_REMEMBERED {
                    placed.clear();
                }
                placed.insert(sha256, (mxc.clone(), now));
                mxc
            }
        };
        Ok(Bytes::Blob(Blob { mxc: mxc.to_string(), sha256, size_bytes }))
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::homeserver::tests::adapter;
    use crate::homeserver::tests::faulty::{Faulty, Reply};

    #[tokio::test]
    async fn an_address_is_given_out_again_for_some_time() {
        let uploads = AtomicUsize::new(0);
        let homeserver = Faulty::deciding(move |_| {
            let number = uploads.fetch_add(1, Ordering::SeqCst);
            Reply::json(200, &format!("{{\"content_uri\": \"mxc://a.org/{number}\"}}"))
        })
        .await;
        let (blobs, begin) = (Blobs::new(adapter(&homeserver.url())), clock::monotonic());
        let place = async |byte: u8, after: Duration| {
            let placed = blobs.place_at(vec![byte; 100], 99, begin + after).await.unwrap();
            let Bytes::Blob(Blob { mxc, sha256, size_bytes }) = placed else { panic!("{placed:?}") };
            assert_eq!((sha256, size_bytes), (Sha256::of(&[byte; 100]), 100));
            mxc
        };
        let (hour, second) = (limits::BLOBS_REMEMBERED_FOR, Duration::from_secs(1));
        for (byte, after, mxc) in [
            (1, Duration::ZERO, "mxc://a.org/0"),
            (2, Duration::ZERO, "mxc://a.org/1"),
            (1, hour - second, "mxc://a.org/0"),
            (1, hour, "mxc://a.org/2"),
            (1, hour + second, "mxc://a.org/2"),
            (2, hour + second, "mxc://a.org/3"),
        ] {
            assert_eq!(place(byte, after).await, mxc, "{byte} after {after:?}");
        }
    }
}
