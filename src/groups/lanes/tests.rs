//! The order in a lane, its bounds, and what goes on beside it.

use maypole_core::shares::Held;
use tokio::sync::{Notify, mpsc};

use super::*;

/// Says what it does; a job with a gate waits until it is opened.
struct Recorder(mpsc::UnboundedSender<String>);

impl Turn for Recorder {
    type Job = (&'static str, Option<Arc<Notify>>);
    type Memory = ();

    fn sender(_: &Self::Job) -> Option<&UserId> {
        None
    }

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

/// What waits until its group moves, what moves it, and what goes on beside it.
enum Script {
    Says(&'static str),
    Waits(&'static str, Duration),
    /// Of an account, and waits.
    Of(UserId),
    Moves,
    Blocks(Arc<Notify>),
    /// So large, and moves the group when the gate is opened.
    Begins(usize, Arc<Notify>),
    Ends,
}

struct Actor(mpsc::UnboundedSender<String>);

/// Says that it has gone.
struct Gone(mpsc::UnboundedSender<String>);

impl Drop for Gone {
    fn drop(&mut self) {
        drop(self.0.send("gone".to_owned()));
    }
}

impl Turn for Actor {
    type Job = Script;
    /// Whether the group has moved.
    type Memory = bool;

    fn sender(job: &Script) -> Option<&UserId> {
        if let Script::Of(sender) = job { Some(sender) } else { None }
    }

    fn blobs_kib(job: &Script) -> usize {
        if let Script::Begins(kib, _) = job { *kib } else { 0 }
    }

    async fn take(&self, _: &GroupId, moved: &mut bool, job: Script) -> Taken<Script> {
        let say = |what: &str| drop(self.0.send(what.to_owned()));
        let done = Taken { later: None, moved: false, beside: Change::Nothing };
        match job {
            Script::Says(name) => {
                say(name);
                done
            }
            Script::Waits(name, at_most) if !*moved => {
                say(&format!("{name} waits"));
                Taken { later: Some((Script::Waits(name, at_most), at_most)), ..done }
            }
            Script::Waits(name, _) => {
                say(name);
                done
            }
            Script::Of(sender) => Taken { later: Some((Script::Of(sender), LONG)), ..done },
            Script::Moves => {
                *moved = true;
                say("moves");
                Taken { moved: true, ..done }
            }
            Script::Blocks(gate) => {
                say("blocks");
                gate.notified().await;
                done
            }
            Script::Begins(blobs_kib, gate) => {
                say("begins");
                let gone = Gone(self.0.clone());
                let work = Box::pin(async move {
                    gate.notified().await;
                    drop(gone);
                    Script::Moves
                });
                Taken { beside: Change::Begins(Beside { blobs_kib, work }), ..done }
            }
            Script::Ends => Taken { beside: Change::Ends, ..done },
        }
    }
}

const LONG: Duration = Duration::from_secs(600);

struct Stage {
    lanes: Lanes<Actor>,
    hold: Hold,
    said: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
}

impl Stage {
    fn new() -> Self {
        let (sender, said) = mpsc::unbounded_channel();
        let hold = Hold::of_everything();
        let lanes = Lanes::new(Actor(sender), hold.clone());
        Self { lanes, hold, said, stop: CancellationToken::new() }
    }

    fn push(&self, job: Script) -> bool {
        self.lanes.push(group(b"a"), job, &self.stop).is_ok()
    }

    async fn hears(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.said.recv().await.unwrap(), *expected);
        }
    }
}

#[tokio::test]
async fn who_waits_keeps_its_place_and_holds_up_nobody() {
    let mut stage = Stage::new();
    for job in [Script::Waits("1", LONG), Script::Waits("2", LONG), Script::Says("3")] {
        assert!(stage.push(job));
    }
    stage.hears(&["1 waits", "2 waits", "3"]).await;
    assert!(stage.push(Script::Says("4")));
    stage.hears(&["4"]).await;
    assert_eq!(stage.lanes.waiting(&group(b"a")), 2);
    stage.lanes.look_again(&group(b"a"));
    stage.hears(&["1 waits", "2 waits"]).await;
    assert!(stage.push(Script::Waits("5", LONG)) && stage.push(Script::Moves));
    stage.hears(&["5 waits", "moves", "1", "2", "5"]).await;
    stage.lanes.finish().await;
    assert_eq!(stage.lanes.open(), 0);
}

#[tokio::test]
async fn who_waits_looks_again_when_its_time_has_come() {
    let mut stage = Stage::new();
    stage.push(Script::Waits("1", Duration::from_millis(5)));
    stage.push(Script::Waits("2", LONG));
    stage.hears(&["1 waits", "2 waits", "1 waits", "2 waits", "1 waits", "2 waits"]).await;
}

#[tokio::test]
async fn who_waits_takes_room_in_the_lane() {
    let mut stage = Stage::new();
    for _ in 0..limits::LANE_ROWS {
        assert!(stage.push(Script::Waits("1", LONG)));
        stage.hears(&["1 waits"]).await;
    }
    assert!(!stage.push(Script::Says("one too many")));
    assert_eq!(stage.lanes.waiting(&group(b"a")), limits::LANE_ROWS);
}

#[tokio::test]
async fn one_account_leaves_room_for_others_in_the_lane() {
    let mut stage = Stage::new();
    let of = |name: &str| Script::Of(UserId::parse(format!("@{name}:a.org")).unwrap());
    assert!(stage.push(Script::Waits("1", LONG)));
    stage.hears(&["1 waits"]).await;
    for _ in 0..limits::LANE_ROWS_OF_ONE {
        assert!(stage.push(of("mallory")));
    }
    assert!(!stage.push(of("mallory")));
    assert!(stage.push(of("bob")) && stage.push(Script::Says("2")));
    stage.hears(&["2"]).await;
}

#[tokio::test]
async fn what_goes_on_beside_a_lane_goes_on_while_a_job_is_done_and_is_next_then() {
    let mut stage = Stage::new();
    let (inside, outside) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let jobs = [Script::Begins(1, outside.clone()), Script::Waits("1", LONG), Script::Blocks(inside.clone())];
    for job in jobs.into_iter().chain([Script::Says("2")]) {
        assert!(stage.push(job));
    }
    stage.hears(&["begins", "1 waits", "blocks"]).await;
    outside.notify_one();
    stage.hears(&["gone"]).await;
    inside.notify_one();
    stage.hears(&["moves", "1", "2"]).await;
    stage.lanes.finish().await;
    assert_eq!(stage.lanes.open(), 0);
}

#[tokio::test]
async fn a_lane_is_open_and_keeps_the_memory_as_long_as_something_goes_on_beside_it() {
    let mut stage = Stage::new();
    let (half, gate) = (limits::BLOBS_MEMORY_PER_LANE_KIB / 2 + 1, Arc::new(Notify::new()));
    let large = || Script::Begins(half, gate.clone());
    assert!(stage.push(large()));
    stage.hears(&["begins"]).await;
    assert!(!stage.push(large()), "it counts as long as it is outside");
    assert_eq!(stage.lanes.shares(), std::iter::once(Share::of_group(&group(b"a"))).collect());
    assert!(stage.push(Script::Ends));
    stage.hears(&["gone"]).await;
    assert!(stage.push(large()));
    stage.hears(&["begins"]).await;
    gate.notify_one();
    stage.hears(&["gone", "moves"]).await;
    stage.lanes.finish().await;
    assert_eq!(stage.lanes.open(), 0);
}

#[tokio::test]
async fn a_lane_that_only_waits_lets_go_when_its_share_is_to_be_given_up() {
    let mut stage = Stage::new();
    let held = Held { surplus: std::iter::once(Share::of_group(&group(b"a"))).collect(), ..Held::EVERYTHING };
    let gate = Arc::new(Notify::new());
    for job in [Script::Begins(1, Arc::default()), Script::Waits("1", LONG), Script::Blocks(gate.clone())] {
        assert!(stage.push(job));
    }
    stage.hears(&["begins", "1 waits", "blocks"]).await;
    stage.hold.tell(held);
    stage.hears(&["gone"]).await;
    assert!(stage.push(Script::Says("2")));
    assert_eq!(stage.lanes.open(), 1, "what is being done is done first");
    assert_eq!(stage.hold.take_let_go(), Shares::NONE);
    gate.notify_one();
    stage.lanes.finish().await;
    assert_eq!(stage.lanes.open(), 0);
    assert!(stage.said.try_recv().is_err(), "what waits is another's");
    assert_eq!(stage.hold.take_let_go(), held.surplus, "if it ever is ours again");
    assert_eq!(stage.hold.take_let_go(), Shares::NONE);
}
