//! The cast of a history: the devices that are or were members, those who speak from outside, and the choices that
//! follow from the seed.

use anyhow::{Context as _, Result, ensure};

use super::super::{ExternalSender, Member, Outsider, Terms};
use super::shape::Shape;
use crate::recorder::SplitMix64;

pub(super) const GROUP: &[u8] = b"!room:a.org";
/// No more members than this.
pub(super) const MEMBERS_MAX: usize = 24;
/// So many follow everything. Each costs a decryption per commit.
pub(super) const ALIVE_MAX: usize = 4;
/// Types that nobody knows but the application that made them up (RFC 9420 §17, private use).
pub(super) const OWN_EXTENSION: u16 = 0xF0A1;
/// Types that mean nothing, and must be borne (RFC 9420 §13.5).
const GREASE: [u16; 3] = [0x1A1A, 0x4A4A, 0xDADA];

/// One device.
pub(super) struct Player {
    pub(super) name: String,
    pub(super) member: Member,
    /// Its leaf, if it has one; also while it is asleep.
    pub(super) leaf: Option<u32>,
}

impl Player {
    /// Whether it follows the group.
    pub(super) fn is_alive(&self) -> bool {
        self.leaf.is_some() && self.member.is_active()
    }
}

pub(super) struct Cast {
    suite: u16,
    pub(super) numbers: SplitMix64,
    pub(super) players: Vec<Player>,
    /// Holders of external senders' keys, whether the group lists them at present or not.
    pub(super) outsiders: Vec<Outsider>,
    pub(super) terms: Terms,
    pub(super) shape: Shape,
    pub(super) growing: bool,
}

impl Cast {
    /// A founder, alone in a new group that lists the first outsider.
    pub(super) fn new(suite: u16, mut numbers: SplitMix64) -> Result<Self> {
        let service = Outsider::new("@:a.org", suite)?;
        let terms = Terms { external_senders: vec![service.external_sender()], ..Terms::default() };
        let outsiders = vec![service, Outsider::new("@:b.org", suite)?];
        let mut founder = device(suite, 0, &mut numbers)?;
        founder.member.create_group(GROUP, &terms.external_senders)?;
        founder.leaf = Some(0);
        let shape = Shape::seen_by(&founder.member)?;
        Ok(Self { suite, numbers, players: vec![founder], outsiders, terms, shape, growing: true })
    }

    /// Some member that follows the group.
    pub(super) fn someone_alive(&self) -> Result<&Member> {
        let alive = self.players.iter().find(|player| player.is_alive());
        Ok(&alive.context("a group without a member that follows it")?.member)
    }

    pub(super) fn player(&mut self, place: usize) -> Result<&mut Player> {
        self.players.get_mut(place).context("no such player")
    }

    pub(super) fn outsider(&self, number: usize) -> Result<&Outsider> {
        self.outsiders.get(number).context("no such outsider")
    }

    /// A device outside the group, as likely a new one as one that was a member before; its place among the players.
    /// Those in `busy` are passed over.
    pub(super) fn newcomer(&mut self, busy: &[usize]) -> Result<usize> {
        let out = self.places(|player| player.leaf.is_none());
        let out: Vec<_> = out.into_iter().filter(|place| !busy.contains(place)).collect();
        if let (Some(place), true) = (self.one_of(&out), self.numbers.coin()) {
            return Ok(place);
        }
        self.players.push(device(self.suite, self.players.len(), &mut self.numbers)?);
        Ok(self.players.len() - 1)
    }

    /// A KeyPackage of a player, now and then one of last resort.
    pub(super) fn key_package_of(&mut self, place: usize) -> Result<Vec<u8>> {
        let last_resort = self.once_in(8);
        let member = &self.player(place)?.member;
        if last_resort { member.last_resort_key_package() } else { member.key_package() }
    }

    /// The places of the players of whom something holds.
    pub(super) fn places(&self, holds: impl Fn(&Player) -> bool) -> Vec<usize> {
        (0..).zip(&self.players).filter(|(_, player)| holds(player)).map(|(place, _)| place).collect()
    }

    /// One of several, if there is one.
    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let chosen = self.numbers.below(choices.len() as u64);
        choices.get(usize::try_from(chosen).ok()?).copied()
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.numbers.below(times) == 0
    }

    /// Lets members fall asleep until few enough follow the group.
    pub(super) fn put_to_sleep(&mut self) -> Result<()> {
        loop {
            let alive = self.places(Player::is_alive);
            if alive.len() <= ALIVE_MAX && !(alive.len() > 2 && self.once_in(8)) {
                return Ok(());
            }
            let tired = self.one_of(&alive).context("nobody is alive")?;
            self.player(tired)?.member.forget_group()?;
        }
    }

    /// Where the group lists an outsider: its number and its place.
    pub(super) fn listed_outsider(&mut self) -> Option<(usize, u32)> {
        let listed = |sender: &ExternalSender| {
            self.outsiders.iter().position(|outsider| outsider.external_sender() == *sender)
        };
        let listed: Vec<_> = (0u32..)
            .zip(&self.terms.external_senders)
            .filter_map(|(place, sender)| Some((listed(sender)?, place)))
            .collect();
        self.one_of(&listed)
    }

    /// Sees the tree anew, which all who are alive must see alike.
    pub(super) fn look_around(&mut self) -> Result<()> {
        let mut seen = Vec::new();
        for player in self.players.iter().filter(|player| player.is_alive()) {
            let member = &player.member;
            seen.push((member.epoch()?, member.epoch_authenticator()?, member.tree_hash()?));
        }
        seen.dedup();
        ensure!(seen.len() == 1, "those who are alive see {} states", seen.len());
        self.shape = Shape::seen_by(self.someone_alive()?)?;
        for player in &mut self.players {
            player.leaf = self.shape.leaf_of(&player.name);
            if player.leaf.is_none() {
                player.member.forget_group()?;
            }
        }
        Ok(())
    }
}

/// A new device of one of three users, with types of grease in its capabilities.
fn device(suite: u16, number: usize, numbers: &mut SplitMix64) -> Result<Player> {
    let user = ["alice", "bob", "mallory"].into_iter().cycle().nth(number).unwrap_or_default();
    let name = format!("@{user}:a.org/D{number}");
    let mut grease = || GREASE.into_iter().filter(|_| numbers.coin()).collect::<Vec<_>>();
    let (mut extensions, proposals) = (grease(), grease());
    extensions.push(OWN_EXTENSION);
    let member = Member::new(&name, suite)?.capable_of(&extensions, &proposals);
    Ok(Player { name, member, leaf: None })
}
