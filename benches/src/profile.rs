//! This house's engine alone, over and over, so that a profiler sees nothing else.

use anyhow::{Context as _, Result};
use maypole_mls::{Group, Strict, UnixSeconds};

use crate::{options::Options, scene::Scene};

/// Follows one chain so many times.
pub(crate) fn run(options: &Options) -> Result<()> {
    let size = options.sizes.first().context("no size")?;
    let kind = options.kinds.first().context("no kind")?;
    let scene = Scene::make(*kind, *size, options.bare, options.seed)?;
    let now = UnixSeconds(scene.start.now);
    let base = Group::import(&scene.start.group_info, Some(&scene.start.tree), &Strict, now)?;
    for _ in 0..options.rounds {
        follow(&mut base.clone(), &scene, now)?;
    }
    println!("{} × {} commits ({}) in {size}", options.rounds, scene.steps.len(), kind.name());
    Ok(())
}

/// Kept apart, so that it has a name in the profile.
#[inline(never)]
fn follow(group: &mut Group, scene: &Scene, now: UnixSeconds) -> Result<()> {
    for step in &scene.steps {
        let delta = group.validate(&step.message, &Strict, now)?;
        group.apply(delta)?;
    }
    Ok(())
}
