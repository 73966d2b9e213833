//! What the command line asks for.

use anyhow::{Context as _, Result, bail, ensure};

use crate::{followers::Which, scene::Kind};

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Commits, one after the other.
    Following,
    /// Groups out of a GroupInfo and a tree.
    Import,
    /// What a group takes in memory and in a store, and how long it is until it is back.
    Memory,
    /// The second process of that: a snapshot comes in, and what it weighs goes out.
    Weigh,
    /// One follower over and over, for a profiler.
    Profile,
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) topic: Topic,
    pub(crate) sizes: Vec<u32>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) with: Vec<Which>,
    /// How often everybody follows each chain of commits, at most.
    pub(crate) rounds: usize,
    /// How long each follower may take for each chain, in seconds.
    pub(crate) budget_s: f64,
    /// Trees in which nobody has committed yet.
    pub(crate) bare: bool,
    pub(crate) seed: u64,
}

pub(crate) const USAGE: &str = "\
usage: maypole-benches following|import|memory|profile [options]
  --sizes 8,64,512,4096,32768   members of the groups
  --kinds update,remove,add     kinds of commits; also grow: the Add that doubles the tree
  --with ours,openmls,openmls-json,mls-rs,mls-rs-awslc
  --rounds 200                  how often each chain of commits is followed, at most
  --budget-s 3                  seconds for each follower and chain
  --bare                        trees in which nobody has committed yet
  --seed 1                      where all keys and bytes follow from";

impl Options {
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut arguments = arguments.into_iter();
        let topic = match arguments.next().as_deref() {
            Some("following") => Topic::Following,
            Some("import") => Topic::Import,
            Some("memory") => Topic::Memory,
            Some("weigh") => Topic::Weigh,
            Some("profile") => Topic::Profile,
            _ => bail!("{USAGE}"),
        };
        let mut options = Self {
            topic,
            sizes: vec![8, 64, 512, 4_096, 32_768],
            kinds: vec![Kind::Update, Kind::Remove, Kind::Add],
            with: vec![Which::Ours, Which::OpenMls, Which::MlsRs, Which::MlsRsAwsLc],
            rounds: 200,
            budget_s: 3.0,
            bare: false,
            seed: 1,
        };
        while let Some(name) = arguments.next() {
            if name == "--bare" {
                options.bare = true;
                continue;
            }
            let value = arguments.next().with_context(|| format!("{name} wants a value\n{USAGE}"))?;
            options.set(&name, &value).with_context(|| format!("{name} {value}"))?;
        }
        ensure!(options.sizes.iter().all(|size| *size >= 8), "a group of less than 8 says nothing");
        ensure!(options.rounds > 0, "no rounds, no numbers");
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let list = || value.split(',').map(str::trim);
        match name {
            "--sizes" => self.sizes = list().map(str::parse).collect::<Result<_, _>>()?,
            "--kinds" => self.kinds = list().map(Kind::named).collect::<Result<_>>()?,
            "--with" => self.with = list().map(Which::named).collect::<Result<_>>()?,
            "--rounds" => self.rounds = value.parse()?,
            "--budget-s" => self.budget_s = value.parse()?,
            "--seed" => self.seed = value.parse()?,
            _ => bail!("there is no such option\n{USAGE}"),
        }
        Ok(())
    }
}
