//! This house's engine.

use anyhow::Result;
use maypole_mls::{Group, Strict, UnixSeconds};
use maypole_testkit::wait::Stopwatch;

use super::{Base, Follower, Taken};
use crate::scene::Start;

/// A copy is restored, not cloned: so its arrays have the room to grow that those of a service's groups have.
struct Stored {
    snapshot: Vec<u8>,
    now: UnixSeconds,
}

struct Ours {
    group: Group,
    now: UnixSeconds,
}

pub(super) fn import(start: &Start) -> Result<Group> {
    Ok(Group::import(&start.group_info, Some(&start.tree), &Strict, UnixSeconds(start.now))?)
}

pub(super) fn base(start: &Start) -> Result<Box<dyn Base>> {
    Ok(Box::new(Stored { snapshot: import(start)?.snapshot(), now: UnixSeconds(start.now) }))
}

impl Base for Stored {
    fn copy(&self) -> Result<Box<dyn Follower>> {
        Ok(Box::new(Ours { group: Group::restore(&self.snapshot)?, now: self.now }))
    }
}

impl Follower for Ours {
    fn hear(&mut self, message: &[u8]) -> Result<Taken> {
        let Self { group, now } = self;
        let watch = Stopwatch::start();
        let delta = group.validate(message, &Strict, *now)?;
        let verdict = watch.elapsed();
        group.apply(delta)?;
        Ok(Taken { verdict, effect: watch.elapsed().saturating_sub(verdict) })
    }

    fn hashes(&self) -> (Vec<u8>, Vec<u8>) {
        (self.group.tree_hash().to_vec(), self.group.confirmed_transcript_hash().to_vec())
    }
}
