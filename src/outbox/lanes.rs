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
use maypole_core::shares::{Share, Shares};
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio::time::MissedTickBehavior;
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
    /// What was held at the last look.
    shares: Shares,
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
            shares: Shares::NONE,
            in_hand: BTreeSet::new(),
            more_in_store: true,
        }
    }

    /// Works until told to stop; what is under way then stays owed, and is done after the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut under_way = UnderWay::default();
        let mut backoff = Backoff::default();
        let mut looks = tokio::time::interval(limits::SHARED_LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            self.leave_to_others();
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
                _ = looks.tick() => self.more_in_store |= self.hold.held().others,
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
            let busy = self.hold.busy(Share::of_lane(&lane));
            under_way.start(lane, row.get().id, async move {
                deliver(&ledger, &post, &row, &stop).await;
                drop(busy);
            });
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

    /// What this process does not hold any more is left to others; where it holds more than before there may be more.
    fn leave_to_others(&mut self) {
        let shares = self.hold.held().shares;
        let (had, is_more) = (self.shares, !shares.without(self.shares).is_empty());
        self.shares = shares;
        self.more_in_store |= is_more;
        if had.without(shares).is_empty() {
            return;
        }
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
