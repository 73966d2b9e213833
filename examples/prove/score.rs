//! What is known of everything that was promised, held against what is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, Result, ensure};
use maypole::clock;
use maypole::storage::Store;
use maypole_core::batch::{Backend as _, Batch, Op};
use maypole_core::group::Command;
use maypole_core::ids::{GroupId, Sha256};
use maypole_testkit::recorder::SplitMix64;

use crate::chain::Chain;
use crate::hall::Hall;
use crate::reading::{self, Found};
use crate::spoil::Prey;
use crate::tape::Tape;
use crate::{contents, promises};

/// How many groups there are.
const GROUPS: u64 = 4;
/// How many members each comes to have.
const MEMBERS: u64 = 4;
/// How many commits of each group are made before they are needed.
const AHEAD: usize = 300;
/// How many of the newest messages are looked at again after later kills; what is older is tidied away.
const LOOKED_AT_AGAIN: u64 = 300;

/// A group, of which the members are ahead of what is stored.
struct Ahead {
    hall: Hall,
    /// Which message begins each epoch.
    hashes: Vec<Sha256>,
    /// What comes next, from this epoch on.
    first: u64,
    commands: VecDeque<Command>,
}

/// What was promised so far.
pub(crate) struct Score {
    groups: Vec<Ahead>,
    random: SplitMix64,
    /// Messages below this were looked at for the last time.
    from: u64,
    acked: BTreeSet<u64>,
    /// Every message that moved a group on.
    moved: BTreeSet<u64>,
    chains: BTreeMap<GroupId, Chain>,
    /// How many answers were promised in all.
    pub(crate) promised: u64,
}

impl Score {
    pub(crate) fn new(seed: u64) -> Result<Self> {
        let groups = (0..GROUPS).map(|number| {
            let (hall, registration) = Hall::found(number, seed.wrapping_add(number))?;
            let hashes = vec![registration.get().message_hash()];
            let commands = VecDeque::from([registration.into_inner()]);
            Ok(Ahead { hall, hashes, first: 0, commands })
        });
        Ok(Self {
            groups: groups.collect::<Result<_>>()?,
            random: SplitMix64::new(seed),
            from: 0,
            acked: BTreeSet::new(),
            moved: BTreeSet::new(),
            chains: BTreeMap::new(),
            promised: 0,
        })
    }

    /// What the writers may write next.
    pub(crate) fn tape(&mut self) -> Result<Tape> {
        for group in &mut self.groups {
            group.go_ahead(&mut self.random)?;
        }
        let reel = |group: &Ahead| group.hall.reel(group.first, group.commands.iter().cloned().collect());
        let groups = self.groups.iter().map(reel).collect::<Result<_>>()?;
        Ok(Tape { now: clock::now().as_millis(), groups })
    }

    /// Something was said to be durable.
    pub(crate) fn promise(&mut self, acked: &[u64]) -> Result<()> {
        for number in acked {
            self.promised += 1;
            ensure!(self.acked.insert(*number), "message {number} was acknowledged twice");
        }
        Ok(())
    }

    /// Holds what is there against what was promised, and tidies up.
    pub(crate) async fn check(&mut self, store: &Store) -> Result<()> {
        let found = reading::read(store, self.from, &mut self.chains).await?;
        self.nothing_is_lost(&found)?;
        self.logs_are_right(&found)?;
        for group in &mut self.groups {
            let chain = self.chains.get(&group.hall.id).copied().unwrap_or_default();
            group.is_at(chain.next());
        }
        self.tidy(store, &found).await
    }

    fn nothing_is_lost(&self, found: &Found) -> Result<()> {
        let is_sent = |number| self.group_of(number).is_none() && contents::is_settled(number);
        promises::are_kept(found, self.from, &self.acked, is_sent)
    }

    fn logs_are_right(&mut self, found: &Found) -> Result<()> {
        for (id, epoch, number, hash) in &found.log {
            let place = self.group_of(*number);
            let group = place.and_then(|place| self.groups.get(place)).filter(|group| group.hall.id == *id);
            let group = group.with_context(|| format!("message {number} has moved {id:?}"))?;
            let made = group.hashes.get(usize::try_from(*epoch)?);
            ensure!(made == Some(hash), "epoch {epoch} of {id:?} was begun by another commit");
        }
        let groups = self.groups.len();
        promises::have_moved(found, &mut self.moved, |number| contents::group(number, groups).is_some())
    }

    fn group_of(&self, number: u64) -> Option<usize> {
        contents::group(number, self.groups.len())
    }

    /// What is old leaves the store, as if it were sent and forgotten.
    async fn tidy(&mut self, store: &Store, found: &Found) -> Result<()> {
        let oldest = found.waiting.first().copied().unwrap_or(found.end);
        let until = found.end.saturating_sub(LOOKED_AT_AGAIN).min(oldest).max(self.from);
        let settle = found.owed.range(..until).map(|(_, id)| Op::Settle(*id));
        let forget = (self.from..until).map(|number| Op::Forget(contents::key(number)));
        let ops: Vec<Op> = settle.chain(forget).collect();
        for ops in ops.chunks(500) {
            store.apply(Batch { name: "tidy", expect: Vec::new(), ops: ops.to_vec() }).await?;
        }
        self.acked = self.acked.split_off(&until);
        self.from = until;
        Ok(())
    }

    /// What can be damaged so that it must be found: what these promised.
    pub(crate) async fn prey(&self, store: &Store, acked: &BTreeSet<u64>) -> Result<Option<Prey>> {
        Prey::among(self.groups.iter().map(|group| group.hall.id.clone()), store, acked).await
    }

    /// Follows every log once more from its beginning; how many epochs there are.
    pub(crate) async fn look_back(&mut self, store: &Store) -> Result<usize> {
        self.moved.clear();
        self.chains.clear();
        let found = reading::read(store, self.from, &mut self.chains).await?;
        self.logs_are_right(&found)?;
        Ok(found.log.len())
    }
}

impl Ahead {
    /// Makes commits until there are enough.
    fn go_ahead(&mut self, random: &mut SplitMix64) -> Result<()> {
        while self.commands.len() < AHEAD {
            let members = self.hall.members();
            let made = if members < MEMBERS {
                self.hall.join()?
            } else {
                self.hall.update(u32::try_from(random.below(members))?)?
            };
            self.hall.play(&made)?;
            self.hashes.push(made.hash());
            self.commands.push_back(made.command.into_inner());
        }
        Ok(())
    }

    /// What is stored has come so far.
    fn is_at(&mut self, next: u64) {
        while self.first < next && self.commands.pop_front().is_some() {
            self.first += 1;
        }
    }
}
