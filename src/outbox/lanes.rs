//! Lanes: one row of a lane is under way at a time, lanes side by side.
//!
//! Rows are read from the ledger in the order of their names, a bounded number ahead.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use maypole_core::batch::Backend;
use maypole_core::ids::{Lane, OwedId};
use maypole_core::ledger::{Durable, Ledger, LedgerError};
use maypole_core::limits;
use maypole_core::records::OwedRow;
use maypole_core::shares::Share;
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::send::{Post, Sent};
use crate::clock;
use crate::hold::Hold;
use crate::homeserver::{Backoff, Homeserver};

/// Does what is owed.
pub struct Outbox<B> {
    ledger: Arc<Ledger<B>>,
    post: Arc<Post>,
    wake: Arc<Notify>,
    lanes: HashMap<Lane, VecDeque<Durable<OwedRow>>>,
    /// Lanes with rows, none of which is under way.
    idle: VecDeque<Lane>,
    hold: Hold,
    /// Rows that were read and have not ended. One whose delivery broke off stays among them: it is owed until the next start.
    in_hand: BTreeSet<OwedId>,
    more_in_store: bool,
}

/// Deliveries under way, and whose lane each is.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    lanes: HashMap<Id, (Lane, OwedId)>,
}

impl UnderWay {
    fn start(&mut self, lane: Lane, row: OwedId, delivery: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(delivery).id();
        self.lanes.insert(id, (lane, row));
    }

    /// The lane of the next delivery that ends, and its row if that ended too; `None` if none is under way.
    async fn next(&mut self) -> Option<(Lane, Option<OwedId>)> {
        match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => self.lanes.remove(&id).map(|(lane, row)| (lane, Some(row))),
            Err(error) => {
                tracing::error!(%error, "a delivery broke off; its row stays owed until the next start");
                self.lanes.remove(&error.id()).map(|(lane, _)| (lane, None))
            }
        }
    }
}

impl<B: Backend> Outbox<B> {
    /// An outbox that is woken through `wake` when something new is owed.
    pub fn new(ledger: Arc<Ledger<B>>, homeserver: Homeserver, hold: Hold, wake: Arc<Notify>) -> Self {
        Self {
            ledger,
            post: Arc::new(Post::new(homeserver)),
            wake,
            lanes: HashMap::new(),
            idle: VecDeque::new(),
            hold,
            in_hand: BTreeSet::new(),
            more_in_store: true,
        }
    }

    /// Works until told to stop; what is under way then stays owed, and is done after the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut under_way = UnderWay::default();
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            if self.may_read() {
                if let Err(error) = self.read().await {
                    tracing::error!(%error, "what is owed cannot be read; trying again");
                    tokio::select! { () = stop.cancelled() => {}, () = clock::back_off(&mut backoff, None) => {} }
                    continue;
                }
                backoff.reset();
            }
            self.start(&mut under_way, &stop);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => self.more_in_store = true,
                () = self.hold.changes() => self.look_again(),
                Some((lane, row)) = under_way.next() => self.finished(&lane, row),
            }
        }
        while under_way.next().await.is_some() {}
    }

    /// Whether there is something to read and room for a good many rows of it.
    fn may_read(&self) -> bool {
        self.more_in_store && self.in_hand.len() <= limits::OUTBOX_PAGE / 2
    }

    /// Reads what is owed, a bounded number of rows ahead.
    async fn read(&mut self) -> Result<(), LedgerError> {
        let room = limits::OUTBOX_PAGE.saturating_sub(self.in_hand.len());
        let rows = self.ledger.undelivered(self.hold.shares(), self.in_hand.clone(), room).await?;
        self.more_in_store = rows.len() >= room;
        for row in rows {
            self.in_hand.insert(row.get().id);
            let lane = row.get().owed.lane.clone();
            let queue = self.lanes.entry(lane.clone()).or_insert_with(|| {
                self.idle.push_back(lane);
                VecDeque::new()
            });
            queue.push_back(row);
        }
        Ok(())
    }

    /// Starts every lane that has a row and none under way. How many requests go out at once is the post's to say.
    fn start(&mut self, under_way: &mut UnderWay, stop: &CancellationToken) {
        while let Some(lane) = self.idle.pop_front() {
            let Some(row) = self.lanes.get_mut(&lane).and_then(VecDeque::pop_front) else { continue };
            let (ledger, post, stop) = (self.ledger.clone(), self.post.clone(), stop.clone());
            under_way.start(lane, row.get().id, async move { deliver(&ledger, &post, &row, &stop).await });
        }
    }

    fn finished(&mut self, lane: &Lane, row: Option<OwedId>) {
        if let Some(row) = row {
            self.in_hand.remove(&row);
        }
        if self.lanes.get(lane).is_some_and(|queue| !queue.is_empty()) {
            self.idle.push_back(lane.clone());
        } else {
            self.lanes.remove(lane);
        }
    }

    /// What another process holds by now is left to it; what it left may be for this one.
    fn look_again(&mut self) {
        let shares = self.hold.held().shares;
        for (lane, queue) in &mut self.lanes {
            if !shares.contains(Share::of_lane(lane)) {
                for row in queue.drain(..) {
                    self.in_hand.remove(&row.get().id);
                }
            }
        }
        let lanes = &mut self.lanes;
        self.idle.retain(|lane| {
            let is_ours = shares.contains(Share::of_lane(lane));
            if !is_ours {
                lanes.remove(lane);
            }
            is_ours
        });
        self.more_in_store = true;
    }
}

/// Carries out one row and notes how it ended.
async fn deliver<B: Backend>(
    ledger: &Ledger<B>,
    post: &Post,
    row: &Durable<OwedRow>,
    stop: &CancellationToken,
) {
    let sent = post.send(row.get(), stop).await;
    let mut backoff = Backoff::default();
    loop {
        let noted = match &sent {
            Sent::Taken => ledger.settle(row).await,
            Sent::Refused(reason) => ledger.set_aside_owed(row, reason.clone(), clock::now()).await,
            Sent::Stopped => return,
        };
        match noted {
            // Whoever was first has noted it.
            Ok(()) | Err(LedgerError::Conflict(_)) => return,
            Err(error) => {
                tracing::error!(%error, "a delivery cannot be noted; trying again");
                tokio::select! { () = stop.cancelled() => return, () = clock::back_off(&mut backoff, None) => {} }
            }
        }
    }
}
