//! Writes through the ledger as the service does, and says what is durable.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use maypole::clock;
use maypole::storage::{Health, Store};
use maypole_core::batch::Expect;
use maypole_core::group::Group;
use maypole_core::ids::{Lane, UserId};
use maypole_core::ledger::{Answered, Ledger, LedgerError};
use maypole_core::records::{InboxRow, Incoming};
use maypole_core::time::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::chain::told;
use crate::post::Post;
use crate::saying::say;
use crate::tape::{Reel, Tape};
use crate::terms::judge;
use crate::{contents, place};

/// When everything happens, but for what is in the tape.
const TIME: Timestamp = Timestamp::from_millis(1);
/// How many messages are answered before the inbox is looked at again.
const AT_ONCE: usize = 10_000;

/// What is written, and where.
#[derive(Debug)]
pub(crate) struct Work {
    /// A folder, or the address of a database.
    pub(crate) place: String,
    pub(crate) messages: u64,
    pub(crate) tasks: usize,
    /// The size of every message; all sizes if it is not said.
    pub(crate) bytes: Option<usize>,
    /// Commits with which some of the messages are answered.
    pub(crate) tape: Option<PathBuf>,
}

impl Work {
    /// `PLACE [MESSAGES [TASKS [BYTES [TAPE]]]]`; 0 bytes are all sizes.
    pub(crate) fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let place = arguments.next().context("no place")?;
        let mut number = |otherwise: usize| arguments.next().map_or(Ok(otherwise), |text| text.parse());
        let messages = u64::try_from(number(100)?)?;
        let (tasks, bytes) = (number(4)?, number(0)?);
        let tape = arguments.next().map(PathBuf::from);
        Ok(Self { place, messages, tasks, bytes: (bytes > 0).then_some(bytes), tape })
    }
}

/// A group, held while something is decided in it.
struct Place {
    reel: Reel,
    group: tokio::sync::Mutex<Option<Group>>,
}

struct Writer {
    ledger: Ledger<Store>,
    user: UserId,
    bytes: Option<usize>,
    now: Timestamp,
    groups: Vec<Place>,
    /// A tape is at its end: nothing more is taken in.
    ended: AtomicBool,
}

/// Writes what is to be written; a store that is away is awaited. Says how long the answers took.
pub(crate) async fn run(work: &Work) -> Result<Duration> {
    let tape = work.tape.as_deref().map(Tape::read).transpose()?.unwrap_or_default();
    let now = tape.now();
    let groups = tape.groups.into_iter().map(|reel| Place { reel, group: Default::default() }).collect();
    let store = place::open(&work.place).await?;
    let user = UserId::parse("@alice:a.org").context("a user")?;
    let ledger = Ledger::new(store.clone());
    let writer =
        Arc::new(Writer { ledger, user, bytes: work.bytes, now, groups, ended: AtomicBool::new(false) });
    let stop = CancellationToken::new();
    let looking = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.keep_looking(stop).await }
    });
    let (mut end, mut spent) = (None, Duration::ZERO);
    loop {
        match writer.go_on(work, &mut end, &mut spent).await {
            Ok(()) => break,
            Err(error) => match error.downcast_ref::<LedgerError>() {
                Some(LedgerError::Unavailable(_)) => {
                    let mut health = store.health();
                    health.wait_for(|health| *health == Health::Ready).await?;
                }
                // Another writer was first.
                Some(LedgerError::Conflict(_)) => {}
                _ => return Err(error),
            },
        }
    }
    stop.cancel();
    looking.await?;
    store.close().await;
    Ok(spent)
}

impl Writer {
    /// Answers what waits, and takes in what is lacking.
    async fn go_on(self: &Arc<Self>, work: &Work, end: &mut Option<u64>, spent: &mut Duration) -> Result<()> {
        self.ledger.bind(&self.user).await?;
        let mut post = Post::open(&self.ledger, TIME).await?;
        let end = *end.get_or_insert(post.next() + work.messages);
        *spent += self.answer_all(work.tasks).await?;
        while post.next() < end && !self.ended.load(Ordering::SeqCst) {
            let some = (end - post.next()).min(u64::try_from(work.tasks * 16)?).min(500);
            for number in post.take_in(&self.ledger, some, |number| self.size(number)).await? {
                say("got", number)?;
            }
            *spent += self.answer_all(work.tasks).await?;
        }
        Ok(())
    }

    fn size(&self, number: u64) -> usize {
        self.bytes.unwrap_or_else(|| contents::size(number))
    }

    /// Answers whatever is in the inbox, from several tasks at once. All of them end before the first failure is told.
    async fn answer_all(self: &Arc<Self>, tasks: usize) -> Result<Duration> {
        let rows = Arc::new(Mutex::new(self.ledger.inbox(None, AT_ONCE).await?));
        let start = clock::monotonic();
        let mut answering = JoinSet::new();
        for _ in 0..tasks {
            let (writer, rows) = (Arc::clone(self), Arc::clone(&rows));
            answering.spawn(async move {
                while let Some(row) = take(&rows) {
                    writer.answer(row).await?;
                }
                Ok(())
            });
        }
        let ended = answering.join_all().await;
        ended.into_iter().collect::<Result<Vec<()>>>()?;
        Ok(clock::monotonic().duration_since(start))
    }

    async fn answer(&self, row: InboxRow) -> Result<()> {
        let Incoming::ToDevice { content, .. } = &row.item.message else { bail!("not a message of ours") };
        let number = contents::number(content).context("a message without a number")?;
        match contents::group(number, self.groups.len()).and_then(|group| self.groups.get(group)) {
            None => self.refuse(&row, number).await,
            Some(place) => self.decide(&row, number, place).await,
        }
    }

    /// An answer that changes nothing.
    async fn refuse(&self, row: &InboxRow, number: u64) -> Result<()> {
        let size = self.size(number);
        let remember = Some((contents::key(number), contents::answer(&self.user, number, size)));
        let owed = vec![contents::owed(&self.user, number, size)];
        let durable = match self.ledger.answer(Answered { row: row.seq, remember, owed }, TIME).await {
            Err(LedgerError::Conflict(expect)) if is_answered(&expect) => return Ok(()),
            answered => answered?,
        };
        say("ack", number)?;
        // As if some had been sent: their rows go, and with them bulk files.
        if self.bytes.is_none() && contents::is_settled(number) {
            for row in &durable {
                self.ledger.settle(row).await?;
            }
        }
        Ok(())
    }

    /// An answer that changes a group: the next commit of the tape.
    async fn decide(&self, row: &InboxRow, number: u64, place: &Place) -> Result<()> {
        let (id, terms) = (&place.reel.group, place.reel.terms());
        let mut held = place.group.lock().await;
        loop {
            let group = match held.take() {
                Some(group) => Some(group),
                None => self.ledger.group(id, &terms).await?,
            };
            let next = group.as_ref().map_or(0, |group| group.epoch().get() + 1);
            let Some(command) = place.reel.command(next) else {
                // The message waits until there is more tape.
                self.ended.store(true, Ordering::SeqCst);
                *held = group;
                return Ok(());
            };
            let decision = judge(group.as_ref(), command, &terms, self.now)?;
            let Ok(decision) = decision else { bail!("epoch {next} of {id:?}: {decision:?}") };
            let size = self.size(number);
            let answer = (contents::key(number), contents::answer(&self.user, number, size));
            let owed = contents::owed(&self.user, number, size);
            let owed = maypole_core::records::Owed { lane: Lane::of_group(id), ..owed };
            let told = told(&decision, number, answer, vec![owed])?;
            match self.ledger.decide(row.seq, None, *decision, told, TIME).await {
                Ok(decided) => {
                    *held = Group::enter(group, decided);
                    return Ok(say("ack", number)?);
                }
                Err(LedgerError::Conflict(expect)) if is_answered(&expect) => return Ok(()),
                // Another writer has moved the group.
                Err(LedgerError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether another writer has answered the message.
fn is_answered(expect: &Expect) -> bool {
    matches!(expect, Expect::InInbox(_) | Expect::NoAnswer(..))
}

fn take(rows: &Mutex<Vec<InboxRow>>) -> Option<InboxRow> {
    rows.lock().unwrap_or_else(PoisonError::into_inner).pop()
}
