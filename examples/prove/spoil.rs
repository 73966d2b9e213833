//! What was written is damaged on purpose, in each way that is looked for: that must be found.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use maypole::storage::Store;
use maypole_core::batch::{Backend as _, Batch, Op};
use maypole_core::group::{Entry, Head};
use maypole_core::ids::{Epoch, GroupId, Sha256, SyncToken, UserId};
use maypole_core::records::{Answer, Delivery};
use maypole_core::time::Timestamp;

use crate::kind::Kind;
use crate::{What, chain, contents, post};

/// A kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spoil {
    /// An answer that was given is lost.
    Answer,
    /// An answer is another than was given.
    OtherAnswer,
    /// A message that was taken in is lost.
    Message,
    /// A message that is answered waits all the same.
    Waits,
    /// What is owed for a message is lost.
    Owed,
    /// What is owed for a message is owed twice.
    OwedTwice,
    /// An epoch in the middle of a log is lost.
    Epoch,
    /// A group has gone back to the epoch before its last.
    Back,
    /// The last epoch was begun by another commit than that whose sender was told so.
    Fork,
    /// Two epochs were begun by one message.
    TwoEpochs,
    /// Two commits win one epoch.
    TwoWinners,
    /// Whoever is to go on after a kill is dead as well, and has said much before.
    Silence,
}

/// What is damaged: a group, and the answered message that began its last epoch.
#[derive(Debug)]
pub(crate) struct Prey {
    pub(crate) group: GroupId,
    pub(crate) number: u64,
}

impl Prey {
    /// The first among some groups that was moved on by a message whose answer was promised.
    pub(crate) async fn among(
        groups: impl IntoIterator<Item = GroupId>,
        store: &Store,
        acked: &BTreeSet<u64>,
    ) -> Result<Option<Self>> {
        for group in groups {
            let Some(head) = store.head(&group).await?.filter(|head| head.epoch.get() > 0) else { continue };
            let last = store.log(&group, head.epoch, 1).await?.pop().context("a group's last epoch")?;
            let number = chain::number(&last).context("an entry that answers nothing")?;
            if acked.contains(&number) {
                return Ok(Some(Self { group, number }));
            }
        }
        Ok(None)
    }
}

impl Spoil {
    /// Whether it can be asked where this is proved, on this store.
    pub(crate) fn is_of(self, what: What, kind: Kind) -> bool {
        match self {
            Self::TwoWinners => what == What::Races,
            // In a folder there is nobody else.
            Self::Silence => (what, kind) == (What::Kills, Kind::Postgres),
            // Whoever kills there has not made the commits.
            Self::Fork => what != What::Starts,
            _ => true,
        }
    }

    /// Does the damage.
    pub(crate) async fn damage(self, store: &Store, prey: &Prey) -> Result<()> {
        let key = contents::key(prey.number);
        let ops = match self {
            Self::Answer => vec![Op::Forget(key)],
            Self::OtherAnswer => {
                let answer = store.answer(key).await?.context("an answer")?;
                vec![Op::Forget(key), Op::Remember(key, another(answer))]
            }
            Self::Message => {
                let cursor = store.cursor().await?.context("a position")?;
                let next = cursor.as_str().parse::<u64>()? + 1;
                vec![Op::MoveCursor(SyncToken::parse(next.to_string()).context("a position")?)]
            }
            Self::Waits => {
                let user = UserId::parse("@alice:a.org").context("a user")?;
                vec![Op::Receive(post::item(&user, Timestamp::from_millis(1), prey.number, 64))]
            }
            Self::Owed | Self::OwedTwice => {
                let row = store.owed(None, 1).await?.pop().context("something that is owed")?;
                vec![if self == Self::Owed { Op::Settle(row.id) } else { Op::Owe(row.owed) }]
            }
            Self::Epoch | Self::Back | Self::Fork | Self::TwoEpochs => {
                self.of_log(store, &prey.group).await?
            }
            Self::TwoWinners | Self::Silence => Vec::new(),
        };
        store.apply(Batch { name: "spoil", expect: Vec::new(), ops }).await?;
        Ok(())
    }

    /// What damages a group's log.
    async fn of_log(self, store: &Store, group: &GroupId) -> Result<Vec<Op>> {
        let head = store.head(group).await?.context("a group")?;
        let at = |epoch: u64| Epoch::new(epoch).context("an epoch");
        let before = at(head.epoch.get().checked_sub(1).context("a second epoch")?)?;
        let [earlier, last]: [Entry; 2] =
            store.log(group, before, 2).await?.try_into().ok().context("two epochs")?;
        let removed = Op::RemoveEntry(group.clone(), head.epoch);
        Ok(match self {
            Self::Epoch => vec![Op::RemoveEntry(group.clone(), at(head.epoch.get() / 2)?)],
            Self::Back => {
                let receipt = Sha256::of(&earlier.receipt);
                vec![removed, Op::SetHead(Head { epoch: before, receipt, ..head })]
            }
            Self::Fork => {
                let forked = chain::forked(last)?;
                let receipt = Sha256::of(&forked.receipt);
                vec![removed, Op::Append(group.clone(), forked), Op::SetHead(Head { receipt, ..head })]
            }
            _ => vec![removed, Op::Append(group.clone(), Entry { notes: earlier.notes, ..last })],
        })
    }
}

/// The same answer with another last byte.
fn another(answer: Answer) -> Answer {
    let Delivery::ToDevice { kind, mut content, recipients } = answer.reply;
    if let Some(byte) = content.last_mut() {
        *byte ^= 1;
    }
    Answer { reply: Delivery::ToDevice { kind, content, recipients }, ..answer }
}
