//! Lanes: what waits for its turn in each group, in the order of arrival. A lane exists while something is in it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maypole_core::ids::GroupId;
use maypole_core::limits;
use maypole_core::shares::{Share, Shares};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What is done with each thing in a lane, one after the other.
pub trait Turn: Send + Sync + 'static {
    /// What waits.
    type Job: Send + 'static;

    /// How many kibibytes of fetched bytes it keeps in memory until it is done.
    fn blobs_kib(job: &Self::Job) -> usize;

    /// Does it. When this returns, the next one has its turn.
    fn take(&self, group: &GroupId, job: Self::Job) -> impl Future<Output = ()> + Send;
}

/// The lanes of all groups.
pub struct Lanes<T: Turn> {
    shared: Arc<Shared<T>>,
    tasks: TaskTracker,
}

struct Shared<T: Turn> {
    turn: T,
    lanes: Mutex<HashMap<GroupId, Lane<T::Job>>>,
}

/// What is in one lane.
struct Lane<J> {
    waiting: VecDeque<J>,
    /// What all of it keeps in memory, and what is being done.
    blobs_kib: usize,
}

impl<J> Lane<J> {
    /// Whether there is room for one more.
    fn takes(&self, blobs_kib: usize) -> bool {
        let together = self.blobs_kib.saturating_add(blobs_kib);
        let fits = blobs_kib == 0 || self.blobs_kib == 0 || together <= limits::BLOBS_MEMORY_PER_LANE_KIB;
        fits && self.waiting.len() < limits::LANE_ROWS
    }
}

impl<T: Turn> Lanes<T> {
    /// Lanes in which `turn` does what waits.
    pub fn new(turn: T) -> Self {
        let shared = Shared { turn, lanes: Mutex::default() };
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
            if !lane.takes(blobs_kib) {
                return Err(job);
            }
            lane.blobs_kib = lane.blobs_kib.saturating_add(blobs_kib);
            lane.waiting.push_back(job);
            return Ok(());
        }
        lanes.insert(group.clone(), Lane { waiting: VecDeque::from([job]), blobs_kib });
        drop(lanes);
        let open = Open { shared: self.shared.clone(), group, is_done: false };
        let stop = stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(open.drain()).await });
        Ok(())
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
    is_done: bool,
}

impl<T: Turn> Open<T> {
    /// Does what is in the lane until nothing is; then the lane is gone, in the same moment.
    async fn drain(mut self) {
        while let Some(job) = self.next() {
            let blobs_kib = T::blobs_kib(&job);
            self.shared.turn.take(&self.group, job).await;
            if let Some(lane) = self.shared.lanes().get_mut(&self.group) {
                lane.blobs_kib = lane.blobs_kib.saturating_sub(blobs_kib);
            }
        }
    }

    fn next(&mut self) -> Option<T::Job> {
        let mut lanes = self.shared.lanes();
        let job = lanes.get_mut(&self.group).and_then(|lane| lane.waiting.pop_front());
        if job.is_none() {
            lanes.remove(&self.group);
            self.is_done = true;
        }
        job
    }
}

impl<T: Turn> Drop for Open<T> {
    /// A lane that was stopped, or whose job panicked, goes with what waits in it: whoever comes next opens it anew.
    fn drop(&mut self) {
        if !self.is_done {
            self.shared.lanes().remove(&self.group);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Notify, mpsc};

    use super::*;

    /// Says what it does; a job with a gate waits until it is opened.
    struct Recorder(mpsc::UnboundedSender<String>);

    impl Turn for Recorder {
        type Job = (&'static str, Option<Arc<Notify>>);

        fn blobs_kib(job: &Self::Job) -> usize {
            match job.0 {
                "small" => 1,
                "large" => limits::BLOBS_MEMORY_PER_LANE_KIB - 1,
                _ => 0,
            }
        }

        async fn take(&self, group: &GroupId, (name, gate): Self::Job) {
            if let Some(gate) = gate {
                gate.notified().await;
            }
            self.0.send(format!("{group:?} {name}")).unwrap();
        }
    }

    fn group(name: &[u8]) -> GroupId {
        GroupId::parse(name).unwrap()
    }

    #[tokio::test]
    async fn one_at_a_time_in_a_group_and_groups_side_by_side() {
        let (sender, mut done) = mpsc::unbounded_channel();
        let lanes = Lanes::new(Recorder(sender));
        let stop = CancellationToken::new();
        let gate = Arc::new(Notify::new());
        lanes.push(group(b"a"), ("1", Some(gate.clone())), &stop).unwrap();
        lanes.push(group(b"a"), ("2", None), &stop).unwrap();
        lanes.push(group(b"a"), ("3", None), &stop).unwrap();
        lanes.push(group(b"b"), ("1", None), &stop).unwrap();
        assert_eq!(done.recv().await.unwrap(), "GroupId(b) 1", "another group does not wait");
        assert_eq!(lanes.waiting(&group(b"a")), 2);
        gate.notify_one();
        for name in ["1", "2", "3"] {
            assert_eq!(done.recv().await.unwrap(), format!("GroupId(a) {name}"));
        }
        lanes.finish().await;
        lanes.push(group(b"a"), ("4", None), &stop).unwrap();
        assert_eq!(done.recv().await.unwrap(), "GroupId(a) 4", "a lane comes back");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_comes_as_a_lane_empties_has_a_turn() {
        let (sender, mut done) = mpsc::unbounded_channel();
        let lanes = Lanes::new(Recorder(sender));
        let stop = CancellationToken::new();
        // No more than fit into the lane ever wait.
        let rounds = 2 * limits::LANE_ROWS;
        for _ in 0..7 {
            for round in 0..rounds {
                lanes.push(group(b"a"), ("1", None), &stop).unwrap();
                if round % 3 > 0 {
                    // Now the lane is as good as empty.
                    done.recv().await.unwrap();
                }
            }
            for _ in (0..rounds).step_by(3) {
                done.recv().await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_full_lane_takes_no_more_and_a_panic_closes_it() {
        let (sender, mut done) = mpsc::unbounded_channel();
        let lanes = Lanes::new(Recorder(sender));
        let stop = CancellationToken::new();
        let gate = Arc::new(Notify::new());
        lanes.push(group(b"a"), ("1", Some(gate.clone())), &stop).unwrap();
        while lanes.waiting(&group(b"a")) > 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..limits::LANE_ROWS {
            lanes.push(group(b"a"), ("more", None), &stop).unwrap();
        }
        assert!(lanes.push(group(b"a"), ("too many", None), &stop).is_err());
        lanes.push(group(b"b"), ("1", None), &stop).unwrap();
        assert_eq!(done.recv().await.unwrap(), "GroupId(b) 1");
        // The recorder panics when nobody listens; the lane must not stay closed for that.
        drop(done);
        gate.notify_one();
        while lanes.waiting(&group(b"a")) > 0 {
            tokio::task::yield_now().await;
        }
        lanes.push(group(b"a"), ("1", Some(gate)), &stop).unwrap();
    }

    #[tokio::test]
    async fn fetched_bytes_fill_a_lane_until_they_are_done_with() {
        let (sender, mut done) = mpsc::unbounded_channel();
        let lanes = Lanes::new(Recorder(sender));
        let stop = CancellationToken::new();
        let gate = Arc::new(Notify::new());
        let name = group(b"a");
        lanes.push(name.clone(), ("large", Some(gate.clone())), &stop).unwrap();
        lanes.push(name.clone(), ("small", Some(gate.clone())), &stop).unwrap();
        for _ in 0..2 {
            // What is being done counts, too.
            assert!(lanes.push(name.clone(), ("small", None), &stop).is_err());
            while lanes.waiting(&name) > 1 {
                tokio::task::yield_now().await;
            }
        }
        lanes.push(name.clone(), ("bytes of its own", None), &stop).unwrap();
        lanes.push(group(b"b"), ("large", None), &stop).unwrap();
        assert_eq!(done.recv().await.unwrap(), "GroupId(b) large", "another lane has its own room");
        gate.notify_one();
        assert_eq!(done.recv().await.unwrap(), "GroupId(a) large");
        while lanes.push(name.clone(), ("small", None), &stop).is_err() {
            tokio::task::yield_now().await;
        }
        assert!(lanes.push(name.clone(), ("large", None), &stop).is_err());
        gate.notify_one();
        for job in ["small", "bytes of its own", "small"] {
            assert_eq!(done.recv().await.unwrap(), format!("GroupId(a) {job}"));
        }
    }

    #[tokio::test]
    async fn a_stop_leaves_what_hangs() {
        let (sender, _done) = mpsc::unbounded_channel();
        let lanes = Lanes::new(Recorder(sender));
        let stop = CancellationToken::new();
        lanes.push(group(b"a"), ("1", Some(Arc::new(Notify::new()))), &stop).unwrap();
        lanes.push(group(b"a"), ("2", None), &stop).unwrap();
        stop.cancel();
        lanes.finish().await;
        assert_eq!(lanes.waiting(&group(b"a")), 0);
    }
}
