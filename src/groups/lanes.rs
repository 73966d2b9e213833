//! Lanes: what waits for its turn in each group, in the order of arrival. A lane exists while something is in it, or goes on
//! beside it.
//!
//! A job whose turn it is not stays in its place, and those behind it have a look: nobody holds up whom it need not. One thing
//! may go on beside a lane, outside; it ends with a job that is next. A lane that only waits does so in no place at work.
//!
//! When its share is to be another process's, a lane that waits lets go of everything, and one at work of what goes on beside
//! it, and ends after that job: what waits is in the inbox.

use std::collections::{HashMap, VecDeque};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use maypole_core::ids::{GroupId, UserId};
use maypole_core::limits;
use maypole_core::shares::{Share, Shares};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::hold::Hold;

#[cfg(test)]
mod tests;

/// What is done with each thing in a lane, one after the other.
pub trait Turn: Send + Sync + 'static {
    /// What waits.
    type Job: Send + 'static;
    /// What is known of a group from one job to the next, as long as its lane is open.
    type Memory: Default + Send;

    /// How many kibibytes of fetched bytes it keeps in memory until it is done.
    fn blobs_kib(job: &Self::Job) -> usize;

    /// Of which account it is, if it counts as one of those that an account has in a lane.
    fn sender(job: &Self::Job) -> Option<&UserId>;

    /// Does it, or says that it has to wait. When this returns, the next one has its turn.
    fn take(
        &self,
        group: &GroupId,
        memory: &mut Self::Memory,
        job: Self::Job,
    ) -> impl Future<Output = Taken<Self::Job>> + Send;
}

/// What became of a job.
pub struct Taken<J> {
    /// It has to wait, and for how long at most until it has another look; nothing if it is done.
    pub later: Option<(J, Duration)>,
    /// Whether those that wait may have their turn by this.
    pub moved: bool,
    /// What goes on beside the lane from now on.
    pub beside: Change<J>,
}

/// What changes beside a lane.
pub enum Change<J> {
    /// Nothing.
    Nothing,
    /// This begins, in the place of what went on before.
    Begins(Beside<J>),
    /// Nothing goes on there any more.
    Ends,
}

/// What goes on beside a lane.
pub struct Beside<J> {
    /// How many kibibytes of fetched bytes it keeps in memory, and then the job that it ends with.
    pub blobs_kib: usize,
    /// It ends with what is next in the lane.
    pub work: Pin<Box<dyn Future<Output = J> + Send>>,
}

/// The lanes of all groups.
pub struct Lanes<T: Turn> {
    shared: Arc<Shared<T>>,
    tasks: TaskTracker,
}

struct Shared<T: Turn> {
    turn: T,
    hold: Hold,
    lanes: Mutex<HashMap<GroupId, Lane<T::Job>>>,
}

/// What is in one lane.
struct Lane<J> {
    waiting: VecDeque<J>,
    /// So many of the first had a look since the group moved, and it was not their turn.
    looked: usize,
    /// What all of it keeps in memory, what is being done and what goes on beside it included.
    blobs_kib: usize,
    /// Told when something has come.
    news: Arc<Notify>,
}

impl<J> Lane<J> {
    /// Whether there is room for one more of an account.
    fn takes<T: Turn<Job = J>>(&self, job: &J, blobs_kib: usize) -> bool {
        let together = self.blobs_kib.saturating_add(blobs_kib);
        let fits = blobs_kib == 0 || self.blobs_kib == 0 || together <= limits::BLOBS_MEMORY_PER_LANE_KIB;
        let is_of = |sender| self.waiting.iter().filter(|other| T::sender(other) == Some(sender)).count();
        let rows_of_one = T::sender(job).map_or(0, is_of);
        fits && self.waiting.len() < limits::LANE_ROWS && rows_of_one < limits::LANE_ROWS_OF_ONE
    }

    /// A job is done, or ended.
    fn forget(&mut self, blobs_kib: usize) {
        self.blobs_kib = self.blobs_kib.saturating_sub(blobs_kib);
    }

    /// A job goes back to its place.
    fn put_back(&mut self, place: usize, job: J) {
        self.waiting.insert(place.min(self.waiting.len()), job);
        if self.looked == place {
            self.looked = self.looked.saturating_add(1);
        }
    }
}

impl<T: Turn> Lanes<T> {
    /// Lanes in which `turn` does what waits, of a process that holds this.
    pub fn new(turn: T, hold: Hold) -> Self {
        let shared = Shared { turn, hold, lanes: Mutex::default() };
        Self { shared: Arc::new(shared), tasks: TaskTracker::new() }
    }

    /// Who does it.
    pub fn turn(&self) -> &T {
        &self.shared.turn
    }

    /// Puts something at the end of a lane; gives it back if the lane is full. On `stop`, what is being done is left where
    /// it is.
    pub fn push(&self, group: GroupId, job: T::Job, stop: &CancellationToken) -> Result<(), T::Job> {
        let blobs_kib = T::blobs_kib(&job);
        let mut lanes = self.shared.lanes();
        if let Some(lane) = lanes.get_mut(&group) {
            if !lane.takes::<T>(&job, blobs_kib) {
                return Err(job);
            }
            lane.blobs_kib = lane.blobs_kib.saturating_add(blobs_kib);
            lane.waiting.push_back(job);
            lane.news.notify_one();
            return Ok(());
        }
        let news = Arc::new(Notify::new());
        let lane = Lane { waiting: VecDeque::from([job]), looked: 0, blobs_kib, news: news.clone() };
        lanes.insert(group.clone(), lane);
        drop(lanes);
        let open = Open {
            shared: self.shared.clone(),
            group,
            news,
            back: None,
            beside: None,
            look_at: None,
            is_left: false,
            is_done: false,
        };
        let stop = stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(open.drain()).await });
        Ok(())
    }

    /// Lets all that waits in a group's lane have another look: something has changed that nobody told the lane.
    pub fn look_again(&self, group: &GroupId) {
        if let Some(lane) = self.shared.lanes().get_mut(group) {
            lane.looked = 0;
            lane.news.notify_one();
        }
    }

    /// How many things are in a group's lane, what is being done not counted.
    pub fn waiting(&self, group: &GroupId) -> usize {
        self.shared.lanes().get(group).map_or(0, |lane| lane.waiting.len())
    }

    /// How many lanes are open.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.shared.lanes().len()
    }

    /// The shares of groups whose lanes are open.
    pub fn shares(&self) -> Shares {
        self.shared.lanes().keys().map(Share::of_group).collect()
    }

    /// Waits until all lanes are empty or stopped.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<T: Turn> Shared<T> {
    fn lanes(&self) -> MutexGuard<'_, HashMap<GroupId, Lane<T::Job>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane whose jobs are being done.
struct Open<T: Turn> {
    shared: Arc<Shared<T>>,
    group: GroupId,
    news: Arc<Notify>,
    /// What went on beside it has ended with this.
    back: Option<T::Job>,
    beside: Option<Beside<T::Job>>,
    /// When those that wait have another look.
    look_at: Option<Instant>,
    /// Whether its share is to be another process's, and something had to be let go for that.
    is_left: bool,
    is_done: bool,
}

/// What a lane does next.
enum Next<J> {
    /// This job, which came from this place.
    Job(usize, J),
    /// Nothing, until something happens.
    Rest,
    /// It is empty, and gone.
    Over,
}

impl<T: Turn> Open<T> {
    /// Does what is in the lane until nothing is; then the lane is gone, in the same moment.
    async fn drain(mut self) {
        let mut memory = T::Memory::default();
        loop {
            match self.next() {
                Next::Job(place, job) => {
                    let blobs_kib = T::blobs_kib(&job);
                    let taken = self.take(&mut memory, job).await;
                    self.note(place, blobs_kib, taken);
                }
                Next::Rest => self.rest().await,
                Next::Over => return,
            }
            if self.is_left {
                tracing::info!(group = ?self.group, "a lane is left to another process");
                return;
            }
        }
    }

    fn next(&mut self) -> Next<T::Job> {
        if let Some(job) = self.back.take() {
            return Next::Job(0, job);
        }
        let is_time = self.look_at.take_if(|at| *at <= clock::monotonic()).is_some();
        let mut lanes = self.shared.lanes();
        if let Some(lane) = lanes.get_mut(&self.group) {
            if is_time {
                lane.looked = 0;
            }
            let place = lane.looked;
            if let Some(job) = lane.waiting.remove(place) {
                return Next::Job(place, job);
            }
            if !lane.waiting.is_empty() || self.beside.is_some() {
                return Next::Rest;
            }
            lanes.remove(&self.group);
        }
        self.is_done = true;
        Next::Over
    }

    /// Does a job, while what goes on beside it goes on.
    async fn take(&mut self, memory: &mut T::Memory, job: T::Job) -> Taken<T::Job> {
        let mut taking = pin!(self.shared.turn.take(&self.group, memory, job));
        let mut leaving = pin!(self.shared.hold.leaves(Share::of_group(&self.group)));
        loop {
            tokio::select! {
                taken = &mut taking => return taken,
                job = ended(&mut self.beside) => self.back = Some(job),
                () = &mut leaving, if self.beside.is_some() => {
                    // Whoever has the share may decide otherwise by now.
                    self.beside = None;
                    self.is_left = true;
                }
            }
        }
    }

    fn note(&mut self, place: usize, blobs_kib: usize, taken: Taken<T::Job>) {
        let mut gone = None;
        {
            let mut lanes = self.shared.lanes();
            let Some(lane) = lanes.get_mut(&self.group) else { return };
            match taken.later {
                Some((job, wait)) => {
                    lane.put_back(place, job);
                    let at = clock::monotonic().checked_add(wait);
                    self.look_at = self.look_at.into_iter().chain(at).min();
                }
                None => lane.forget(blobs_kib),
            }
            if !matches!(taken.beside, Change::Nothing) {
                gone = Some((self.beside.take(), self.back.take()));
            }
            if let Some((beside, back)) = &gone {
                beside.iter().for_each(|beside| lane.forget(beside.blobs_kib));
                back.iter().for_each(|job| lane.forget(T::blobs_kib(job)));
            }
            if let Change::Begins(beside) = taken.beside {
                lane.blobs_kib = lane.blobs_kib.saturating_add(beside.blobs_kib);
                self.beside = Some(beside);
            }
            if taken.moved {
                lane.looked = 0;
                self.look_at = None;
            }
        }
        drop(gone);
    }

    /// Waits until something happens.
    async fn rest(&mut self) {
        tokio::select! {
            job = ended(&mut self.beside) => self.back = Some(job),
            () = self.news.notified() => {}
            () = clock::until(self.look_at) => {}
            () = self.shared.hold.leaves(Share::of_group(&self.group)) => self.is_left = true,
        }
    }
}

/// Waits for the end of what goes on beside a lane.
async fn ended<J>(beside: &mut Option<Beside<J>>) -> J {
    match beside {
        Some(going) => {
            let job = going.work.as_mut().await;
            *beside = None;
            job
        }
        None => std::future::pending().await,
    }
}

impl<T: Turn> Drop for Open<T> {
    /// A lane that was stopped or left, or whose job panicked, goes with what waits in it: whoever comes next opens it anew.
    fn drop(&mut self) {
        if !self.is_done {
            let lane = self.shared.lanes().remove(&self.group);
            drop((lane, self.beside.take(), self.back.take()));
            self.shared.hold.let_go(Share::of_group(&self.group));
        }
    }
}
