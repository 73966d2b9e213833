//! Many groups, each with a commit at the same time, epoch after epoch: how many are decided and durable in a second.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use maypole::clock;
use maypole::storage::Store;
use maypole_core::auth::{AuthToken, Authenticated};
use maypole_core::batch::{Backend as _, Batch, Expect, Op};
use maypole_core::group::{Command, Group};
use maypole_core::ids::{GroupId, InboxSeq, Lane, SyncToken, UserId};
use maypole_core::ledger::Ledger;
use maypole_core::records::{InboxItem, Incoming, Owed};
use maypole_core::time::Timestamp;
use tokio::task::JoinSet;

use crate::chain::told;
use crate::floor::{key, signatures};
use crate::hall::Hall;
use crate::terms::{Here, judge};
use crate::{Arguments, Kind, contents, place};

/// Messages that come in.
pub(crate) struct Post {
    pub(crate) user: UserId,
    pub(crate) now: Timestamp,
    cursor: Option<SyncToken>,
    next: u64,
}

impl Post {
    pub(crate) fn new() -> Result<Self> {
        let user = UserId::parse("@alice:a.org").context("a user")?;
        Ok(Self { user, now: clock::now(), cursor: None, next: 0 })
    }

    /// Some messages come in; their rows.
    #[expect(clippy::disallowed_methods, reason = "a bench authenticates for itself")]
    pub(crate) async fn receive(&mut self, ledger: &Ledger<Store>, count: u64) -> Result<Vec<InboxSeq>> {
        let first = self.next;
        let items = (first..first + count).map(|number| {
            let caller = Authenticated::by(AuthToken::make(), self.user.clone());
            let content = contents::content(number, 0, 1_000);
            InboxItem::new(caller, self.now, Incoming::ToDevice { kind: "m.mls.message".to_owned(), content })
        });
        let to = SyncToken::parse((first + count).to_string()).context("a position")?;
        ledger.receive(self.cursor.as_ref(), &to, items.collect(), Vec::new()).await?;
        self.cursor = Some(to);
        self.next = first + count;
        Ok((first..first + count).map(InboxSeq::new).collect())
    }
}

/// What is owed by a decision.
pub(crate) fn owed(post: &Post, number: u64) -> Owed {
    contents::owed(&post.user, number, 1_000)
}

/// A group and the commits that await it.
pub(crate) struct Reel {
    pub(crate) id: GroupId,
    terms: Here,
    /// The last one first.
    commands: Vec<Authenticated<Command>>,
}

/// Groups, each with its registration and so many commits.
pub(crate) fn reels(first: u64, count: u64, epochs: u64, seed: u64) -> Result<Vec<Reel>> {
    let one = |number: u64| {
        let (mut hall, registration) = Hall::found(number, seed.wrapping_add(number))?;
        let mut commands = vec![registration];
        for epoch in 0..epochs {
            let made = if epoch == 0 { hall.join()? } else { hall.update(0)? };
            hall.play(&made)?;
            commands.push(made.command);
        }
        commands.reverse();
        Ok(Reel { id: hall.id.clone(), terms: hall.terms()?, commands })
    };
    (first..first + count).map(one).collect()
}

/// Each of the groups takes its next commit, all at once; how long it took.
pub(crate) async fn all_at_once(
    ledger: &Arc<Ledger<Store>>,
    post: &mut Post,
    reels: &mut [Reel],
    groups: &mut [Option<Group>],
) -> Result<Duration> {
    let first = post.next;
    let rows = post.receive(ledger, u64::try_from(reels.len())?).await?;
    let receipt_key = Arc::new(key()?);
    let began = clock::monotonic();
    let mut deciding = JoinSet::new();
    for (place, (reel, row)) in reels.iter_mut().zip(rows).enumerate() {
        let command = reel.commands.pop().context("a commit")?;
        let group = groups.get_mut(place).and_then(Option::take);
        let (ledger, terms, key) = (Arc::clone(ledger), reel.terms.clone(), Arc::clone(&receipt_key));
        let (user, now, number) = (post.user.clone(), post.now, first + u64::try_from(place)?);
        let owed = Owed { lane: Lane::of_group(&reel.id), ..owed(post, number) };
        deciding.spawn(async move {
            let decision =
                judge(group.as_ref(), command, &terms, now)?.map_err(|refused| anyhow!("{refused:?}"))?;
            let answer = (contents::key(number), contents::answer(&user, number, 200));
            let told = told(&decision, number, answer, vec![owed])?;
            std::hint::black_box(key.sign(&told.receipt));
            let decided = ledger.decide(row, None, *decision, told, now).await?;
            anyhow::Ok((place, Group::enter(group, decided)))
        });
    }
    while let Some(done) = deciding.join_next().await {
        let (place, group) = done??;
        if let Some(there) = groups.get_mut(place) {
            *there = group;
        }
    }
    Ok(began.elapsed())
}

pub(crate) async fn run(arguments: &Arguments, kind: Kind, at: &str) -> Result<()> {
    let mut reels = reels(0, arguments.groups, arguments.epochs, arguments.seed)?;
    let store = place::open(at).await?;
    let ledger = Arc::new(Ledger::new(store.clone()));
    let mut post = Post::new()?;
    let mut groups: Vec<Option<Group>> = reels.iter().map(|_| None).collect();
    // Registrations are not counted.
    all_at_once(&ledger, &mut post, &mut reels, &mut groups).await?;
    let mut took = Duration::ZERO;
    for _ in 0..arguments.epochs {
        took += all_at_once(&ledger, &mut post, &mut reels, &mut groups).await?;
    }
    let commits = arguments.groups.saturating_mul(arguments.epochs) as f64;
    let rate = commits / took.as_secs_f64();
    let grouped = grouped(&store, arguments.groups, &reels).await?;
    store.close().await;
    let floor = signatures()?;
    let crypto = available_parallelism()?.get() as f64 / floor.as_secs_f64();
    println!(
        "{}, {} groups at once: {rate:.0} commits a second decided and durable; {crypto:.0} by their signatures alone on all \
         cores, {grouped:.0} writes of 4 KB by the store alone; {:.0} % of the smaller, at least 60 is the goal: {}",
        kind.name(),
        arguments.groups,
        100.0 * rate / crypto.min(grouped),
        if rate >= 0.6 * crypto.min(grouped) { "met" } else { "missed" },
    );
    Ok(())
}

/// How many compare-and-swaps of 4 KB the store makes in a second, when so many wait at once.
async fn grouped(store: &Store, at_once: u64, reels: &[Reel]) -> Result<f64> {
    const ROUNDS: u32 = 3;
    let mut batches = Vec::new();
    for reel in reels {
        let head = store.head(&reel.id).await?.context("a group")?;
        let expect = vec![Expect::GroupAt(reel.id.clone(), Some(head.epoch))];
        let head = maypole_core::group::Head { notes: vec![7; 3_700], ..head };
        batches.push(Batch { name: "swap", expect, ops: vec![Op::SetHead(head)] });
    }
    let began = clock::monotonic();
    for _ in 0..ROUNDS {
        let mut writing = JoinSet::new();
        for batch in batches.iter().cloned() {
            let store = store.clone();
            writing.spawn(async move { store.apply(batch).await });
        }
        while let Some(done) = writing.join_next().await {
            done??;
        }
    }
    Ok(at_once as f64 * f64::from(ROUNDS) / began.elapsed().as_secs_f64())
}
