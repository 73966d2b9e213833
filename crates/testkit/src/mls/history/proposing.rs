//! The proposals of an epoch, heard by all before somebody commits.

use anyhow::{Context as _, Result, ensure};

use super::super::{Heard, Outsider, Terms};
use super::cast::{Cast, GROUP, MEMBERS_MAX, OWN_EXTENSION, Player};

/// What was proposed in an epoch.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The messages, in the order in which all heard them.
    pub(super) messages: Vec<Vec<u8>>,
    /// The SelfRemoves among them.
    pub(super) self_removes: Vec<Vec<u8>>,
    /// Places of members whom a Remove or SelfRemove is about. Each has at most one.
    pub(super) leaving: Vec<usize>,
    /// Places of those whom an Add is about.
    pub(super) coming: Vec<usize>,
    /// What the context shall say.
    pub(super) terms: Option<Terms>,
}

/// What may be proposed.
#[derive(Debug, Clone, Copy)]
enum Proposal {
    Add,
    Remove,
    Update,
    SelfRemove,
    Terms,
}

/// Who may speak.
#[derive(Debug, Clone, Copy)]
enum Voice {
    Member,
    Outsider,
    Newcomer,
}

impl Cast {
    /// Lets a few proposals be made and heard.
    pub(super) fn propose(&mut self, round: &mut Round) -> Result<()> {
        for _ in 0..1 + self.numbers.below(4) {
            use Proposal::{Add, Remove, SelfRemove, Terms, Update};
            let proposal = match self.growing {
                true => self.one_of(&[Add, Add, Add, Remove, Update, Update, SelfRemove, Terms]),
                false => self.one_of(&[Add, Remove, Remove, Update, Update, SelfRemove, SelfRemove, Terms]),
            };
            match proposal.context("there are proposals")? {
                Add => self.propose_add(round)?,
                Remove => self.propose_remove(round)?,
                Update => self.propose_update(round)?,
                SelfRemove => self.propose_self_remove(round)?,
                Terms => self.propose_terms(round)?,
            }
        }
        Ok(())
    }

    fn propose_add(&mut self, round: &mut Round) -> Result<()> {
        if self.shape.leaves.len() + round.coming.len() >= MEMBERS_MAX {
            return Ok(());
        }
        let newcomer = self.newcomer(&round.coming)?;
        let (speaker, epoch) = (self.speaker()?, self.someone_alive()?.epoch()?);
        let voice = self.one_of(&[Voice::Member, Voice::Outsider, Voice::Newcomer]);
        let (message, maker) = match (voice.context("there are voices")?, self.listed_outsider()) {
            (Voice::Newcomer, _) => (self.player(newcomer)?.member.ask_to_join(GROUP, epoch)?, None),
            (Voice::Outsider, Some((outsider, place))) => {
                let key_package = self.key_package_of(newcomer)?;
                (self.outsider(outsider)?.propose_add(GROUP, epoch, place, &key_package)?, None)
            }
            (Voice::Member | Voice::Outsider, _) => {
                let key_package = self.key_package_of(newcomer)?;
                (self.player(speaker)?.member.propose_add(&key_package)?, Some(speaker))
            }
        };
        round.coming.push(newcomer);
        self.spread(round, message, maker)
    }

    fn propose_remove(&mut self, round: &mut Round) -> Result<()> {
        let Some(target) = self.who_may_leave(round, |player| player.leaf.is_some()) else { return Ok(()) };
        let leaf = self.player(target)?.leaf.context("a member has a leaf")?;
        let (speaker, epoch) = (self.speaker()?, self.someone_alive()?.epoch()?);
        let (message, maker) = match (self.numbers.coin(), self.listed_outsider()) {
            (true, Some((outsider, place))) => {
                (self.outsider(outsider)?.propose_remove(GROUP, epoch, place, leaf)?, None)
            }
            _ => (self.player(speaker)?.member.propose_remove(leaf)?, Some(speaker)),
        };
        round.leaving.push(target);
        self.spread(round, message, maker)
    }

    fn propose_update(&mut self, round: &mut Round) -> Result<()> {
        let speaker = self.speaker()?;
        if round.leaving.contains(&speaker) {
            return Ok(());
        }
        let new_key = self.once_in(3);
        let member = &mut self.player(speaker)?.member;
        let message =
            if new_key { member.propose_update_with_new_key()? } else { member.propose_update()? };
        self.spread(round, message, Some(speaker))
    }

    fn propose_self_remove(&mut self, round: &mut Round) -> Result<()> {
        let Some(speaker) = self.who_may_leave(round, Player::is_alive) else { return Ok(()) };
        let message = self.player(speaker)?.member.propose_self_remove()?;
        round.leaving.push(speaker);
        round.self_removes.push(message.clone());
        self.spread(round, message, Some(speaker))
    }

    fn propose_terms(&mut self, round: &mut Round) -> Result<()> {
        if round.terms.is_some() {
            return Ok(());
        }
        let terms = self.new_terms();
        let (speaker, epoch) = (self.speaker()?, self.someone_alive()?.epoch()?);
        let (message, maker) = match (self.numbers.coin(), self.listed_outsider()) {
            (true, Some((outsider, place))) => {
                (self.outsider(outsider)?.propose_terms(GROUP, epoch, place, &terms)?, None)
            }
            _ => (self.player(speaker)?.member.propose_terms(&terms)?, Some(speaker)),
        };
        round.terms = Some(terms);
        self.spread(round, message, maker)
    }

    /// Other terms than those that hold: other senders in another order, requirements, an extension of one's own. The
    /// latter only with the requirement to know it: without, RFC 9420 §12.1.7 is content where every leaf lists it, and
    /// OpenMLS is not.
    pub(super) fn new_terms(&mut self) -> Terms {
        let mut external_senders: Vec<_> = self.outsiders.iter().map(Outsider::external_sender).collect();
        external_senders.retain(|_| self.numbers.below(4) != 0);
        if self.numbers.coin() {
            external_senders.reverse();
        }
        let required = self.numbers.coin().then(|| (vec![OWN_EXTENSION], vec![0x000A]));
        let data = self.numbers.next_number().to_be_bytes().to_vec();
        let own = (required.is_some() && self.numbers.coin()).then_some((OWN_EXTENSION, data));
        Terms { external_senders, required, own }
    }

    /// Somebody of whom `holds`, who does not leave already, and without whom somebody alive still stays.
    fn who_may_leave(&mut self, round: &Round, holds: impl Fn(&Player) -> bool) -> Option<usize> {
        let stay = |place: &usize| !round.leaving.contains(place);
        let staying: Vec<_> = self.places(Player::is_alive).into_iter().filter(stay).collect();
        let may = |place: &usize| stay(place) && (staying.len() > 1 || !staying.contains(place));
        let choices: Vec<_> = self.places(holds).into_iter().filter(may).collect();
        self.one_of(&choices)
    }

    /// Somebody alive.
    fn speaker(&mut self) -> Result<usize> {
        let alive = self.places(Player::is_alive);
        self.one_of(&alive).context("nobody is alive")
    }

    /// Lets all who are alive hear a proposal, but for the member who made it and knows it.
    fn spread(&mut self, round: &mut Round, message: Vec<u8>, maker: Option<usize>) -> Result<()> {
        for place in self.places(Player::is_alive) {
            if Some(place) != maker {
                let heard = self.player(place)?.member.hear(&message)?;
                ensure!(heard == Heard::Proposal, "a proposal is not heard as one");
            }
        }
        round.messages.push(message);
        Ok(())
    }
}
