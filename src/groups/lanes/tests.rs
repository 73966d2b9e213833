//! The order in a lane, its bounds, and what goes on beside it.

use tokio::sync::{Notify, mpsc};

use super::*;

/// Says what it does; a job with a gate waits until it is opened.
struct Recorder(mpsc::UnboundedSender<String>);

impl Turn for Recorder {
    type Job = (&'static str, Option<Arc<Notify>>);
    type Memory = ();

    fn blobs_kib(job: &Self::Job) -> usize {
        match job.0 {
            "small" => 1,
            "large" => limits::BLOBS_MEMORY_PER_LANE_KIB - 1,
            _ => 0,
        }
    }

    async fn take(&self, group: &GroupId, (): &mut (), (name, gate): Self::Job) -> Taken<Self::Job> {
        if let Some(gate) = gate {
            gate.notified().await;
        }
        self.0.send(format!("{group:?} {name}")).unwrap();
        Taken { later: None, moved: false, beside: Change::Nothing }
    }
}

fn group(name: &[u8]) -> GroupId {
    GroupId::parse(name).unwrap()
}

#[tokio::test]
async fn one_at_a_time_in_a_group_and_groups_side_by_side() {
    let (sender, mut done) = mpsc::unbounded_channel();
    let lanes = Lanes::new(Recorder(sender), Hold::of_everything());
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
    let lanes = Lanes::new(Recorder(sender), Hold::of_everything());
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
    let lanes = Lanes::new(Recorder(sender), Hold::of_everything());
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
    let lanes = Lanes::new(Recorder(sender), Hold::of_everything());
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
    let lanes = Lanes::new(Recorder(sender), Hold::of_everything());
    let stop = CancellationToken::new();
    lanes.push(group(b"a"), ("1", Some(Arc::new(Notify::new()))), &stop).unwrap();
    lanes.push(group(b"a"), ("2", None), &stop).unwrap();
    stop.cancel();
    lanes.finish().await;
    assert_eq!(lanes.waiting(&group(b"a")), 0);
}
