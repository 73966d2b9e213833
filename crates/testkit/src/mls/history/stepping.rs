//! One step: perhaps some proposals, then a commit by a member, by a newcomer or by a member that comes back.

use anyhow::{Context as _, Result, ensure};

use super::super::{Change, Commit, Heard};
use super::cast::{ALIVE_MAX, Cast, MEMBERS_MAX, Player};
use super::proposing::Round;
use super::{Epoch, Kind, Step};

/// A commit that all have heard of.
struct Done {
    commit: Commit,
    kinds: Vec<Kind>,
    /// Places of those whom it may have added, for whom its Welcome is.
    welcomed: Vec<usize>,
}

impl Cast {
    /// Takes the group one epoch further.
    pub(super) fn step(&mut self) -> Result<Step> {
        self.change_mood();
        self.put_to_sleep()?;
        let mut round = Round::default();
        if self.numbers.coin() {
            self.propose(&mut round)?;
        }
        let before = self.shape.clone();
        let Done { commit, mut kinds, welcomed } = match self.numbers.below(8) {
            0 if before.leaves.len() < MEMBERS_MAX => self.external_join(&round)?,
            1 => match self.who_comes_back(&round) {
                Some(place) => self.external_commit(&round, place)?,
                None => self.commit_of_member(&mut round)?,
            },
            _ => self.commit_of_member(&mut round)?,
        };
        self.welcome(&commit, &welcomed)?;
        self.look_around()?;
        kinds.extend(Kind::of_tree(&before, &self.shape));
        // OpenMLS puts what concerns single leaves into a commit in a random order.
        kinds.sort_unstable();
        let Commit { message, group_info, ratchet_tree, .. } = commit;
        let seen = Epoch::seen_by(self.someone_alive()?)?;
        ensure!(seen.ratchet_tree == ratchet_tree, "the committer's tree is not what others see");
        let self_remove = !round.self_removes.is_empty();
        let epoch = Epoch { group_info, ..seen };
        Ok(Step { proposals: round.messages, commit: message, self_remove, epoch, kinds })
    }

    /// Turns from growing to shrinking and back, at the latest where it cannot go on.
    fn change_mood(&mut self) {
        let members = self.shape.leaves.len();
        self.growing = match members {
            0..=2 => true,
            MEMBERS_MAX.. => false,
            _ if self.once_in(6) => !self.growing,
            _ => self.growing,
        };
    }

    fn commit_of_member(&mut self, round: &mut Round) -> Result<Done> {
        let committers = self.places(Player::is_alive);
        let stay = |place: &usize| !round.leaving.contains(place);
        let committers: Vec<_> = committers.into_iter().filter(stay).collect();
        let committer = self.one_of(&committers).context("nobody may commit")?;
        let add = self.add_by_value(round)?;
        let remove = self.remove_by_value(round, committer)?;
        let terms = (round.terms.is_none() && self.once_in(8)).then(|| self.new_terms());
        let aad = self.numbers.next_number().to_be_bytes();
        let (path, new_key) = (self.once_in(3), self.once_in(6));
        let change = Change {
            add: &add,
            remove: &remove,
            aad: &aad,
            path,
            new_key,
            terms: terms.as_ref(),
            alone: false,
        };

        let commit = self.player(committer)?.member.commit(&change)?;
        let member = &self.players.get(committer).context("the committer is here")?.member;
        let staged = member.group()?.pending_commit().context("a commit waits")?;
        let kinds = Kind::of_commit(staged, &self.shape, round.messages.len());
        if let Some(terms) = terms.or(round.terms.take()) {
            self.terms = terms;
        }
        for place in self.places(Player::is_alive) {
            let own_echo = place != committer || self.numbers.coin();
            let member = &mut self.player(place)?.member;
            if own_echo {
                ensure!(member.hear(&commit.message)? == Heard::Commit, "a commit is not heard as one");
            } else {
                member.merge()?;
            }
        }
        Ok(Done { commit, kinds, welcomed: std::mem::take(&mut round.coming) })
    }

    /// KeyPackages of some who are added by value. More at once where the group is small.
    fn add_by_value(&mut self, round: &mut Round) -> Result<Vec<Vec<u8>>> {
        let members = self.shape.leaves.len() + round.coming.len();
        let wanted = match (self.growing, members) {
            (true, 0..=3) => self.numbers.below(12),
            (true, _) => self.numbers.below(4),
            (false, _) => u64::from(self.once_in(4)),
        };
        let wanted = usize::try_from(wanted)?.min(MEMBERS_MAX.saturating_sub(members));
        let mut key_packages = Vec::new();
        for _ in 0..wanted {
            let newcomer = self.newcomer(&round.coming)?;
            key_packages.push(self.key_package_of(newcomer)?);
            round.coming.push(newcomer);
        }
        Ok(key_packages)
    }

    /// Leaves that are removed by value: any, or those on the right, whose end lets the tree shrink.
    fn remove_by_value(&mut self, round: &Round, committer: usize) -> Result<Vec<u32>> {
        let wanted = match self.growing {
            true => u64::from(self.once_in(6)),
            false => self.numbers.below(5),
        };
        let from_the_right = self.numbers.coin();
        let places = self.places(|player| player.leaf.is_some()).into_iter();
        let places = places.filter(|place| *place != committer && !round.leaving.contains(place));
        let leaves = places.map(|place| Ok(self.players.get(place).and_then(|player| player.leaf)));
        let mut leaves: Vec<u32> = leaves.collect::<Result<Option<_>>>()?.context("a member has a leaf")?;
        leaves.sort_unstable();
        let mut removed = Vec::new();
        for _ in 0..wanted {
            let chosen = if from_the_right { leaves.last().copied() } else { self.one_of(&leaves) };
            leaves.retain(|leaf| Some(*leaf) != chosen);
            removed.extend(chosen);
        }
        Ok(removed)
    }

    fn external_join(&mut self, round: &Round) -> Result<Done> {
        let newcomer = self.newcomer(&round.coming)?;
        self.external_commit(round, newcomer)
    }

    /// A member that does not leave, where another follows the group as well.
    fn who_comes_back(&mut self, round: &Round) -> Option<usize> {
        let alive = self.places(Player::is_alive);
        let members = self.places(|player| player.leaf.is_some()).into_iter();
        let choices: Vec<_> = members
            .filter(|place| !round.leaving.contains(place) && alive.iter().any(|other| other != place))
            .collect();
        self.one_of(&choices)
    }

    /// An external commit, which carries all SelfRemoves or none, and no other proposal that was heard.
    fn external_commit(&mut self, round: &Round, place: usize) -> Result<Done> {
        let with_tree = self.numbers.coin();
        let witness = self.someone_alive()?;
        let (info, tree) = (witness.group_info(with_tree)?, witness.ratchet_tree()?);
        let tree = (!with_tree).then_some(tree.as_slice());
        let aad = self.numbers.next_number().to_be_bytes();
        let carried = if self.numbers.coin() { round.self_removes.as_slice() } else { &[] };
        let member = &mut self.player(place)?.member;
        member.forget_group()?;
        let commit = member.join_by_commit_of(&info, tree, &aad, carried)?;
        let (mut kinds, before) = (Vec::new(), self.shape.clone());
        for other in self.places(Player::is_alive) {
            if other != place {
                let heard = self.player(other)?.member.hear_and_look(&commit.message, |staged| {
                    kinds = Kind::of_commit(staged, &before, round.messages.len());
                })?;
                ensure!(heard == Heard::Commit, "a commit is not heard as one");
            }
        }
        Ok(Done { commit, kinds, welcomed: Vec::new() })
    }

    /// Lets some of those who were added join, and the others sleep.
    fn welcome(&mut self, commit: &Commit, welcomed: &[usize]) -> Result<()> {
        let Some(welcome) = &commit.welcome else { return Ok(()) };
        let mut alive = self.places(Player::is_alive).len();
        for place in welcomed {
            if alive < ALIVE_MAX && !self.once_in(4) {
                self.player(*place)?.member.join(welcome, &commit.ratchet_tree)?;
                alive += 1;
            }
        }
        Ok(())
    }
}
