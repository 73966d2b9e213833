//! What the command line asks for.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{followers::Which, scene::Kind};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Commits, one after the other.
    Following,
    /// Groups out of a GroupInfo and a tree.
    Import,
    /// What a group takes in memory and in a store, and how long it is until it is back.
    Memory,
    /// All that the document shows, in one run.
    All,
    /// The second process of memory: a snapshot comes in, and what it weighs goes out.
    Weigh,
    /// One follower over and over, for a profiler.
    Profile,
    /// Tables out of files of figures.
    Report,
    /// Pictures out of files of figures.
    Plot,
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
    /// Where figures go.
    pub(crate) figures: Option<PathBuf>,
    /// Files of figures to read.
    pub(crate) files: Vec<PathBuf>,
    /// The document that the tables go into, or the folder of the pictures.
    pub(crate) into: Option<PathBuf>,
    /// The command line as it was given.
    pub(crate) words: Vec<String>,
}

pub(crate) const USAGE: &str = "\
usage: maypole-benches following|import|memory|all|profile [options]
       maypole-benches report FILE… [--into DOCUMENT]   tables out of figures
       maypole-benches plot FILE… --into FOLDER         pictures out of figures
  --figures FILE                writes every figure there as well
  --sizes 8,64,512,4096,32768   members of the groups
  --kinds update,remove,add     kinds of commits; also external and resync, from outside; and grow: the Add that doubles the tree
  --with ours,openmls,openmls-json,mls-rs,mls-rs-awslc
  --rounds 200                  how often each chain of commits is followed, at most
  --budget-s 3                  seconds for each follower and chain
  --bare                        trees in which nobody has committed yet
  --seed 1                      where all keys and bytes follow from
all measures what docs/performance.md shows, and takes kinds, trees and followers from there";

impl Options {
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let words: Vec<String> = arguments.into_iter().collect();
        let mut arguments = words.iter().cloned();
        let topic = match arguments.next().as_deref() {
            Some("following") => Topic::Following,
            Some("import") => Topic::Import,
            Some("memory") => Topic::Memory,
            Some("all") => Topic::All,
            Some("weigh") => Topic::Weigh,
            Some("profile") => Topic::Profile,
            Some("report") => Topic::Report,
            Some("plot") => Topic::Plot,
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
            figures: None,
            files: Vec::new(),
            into: None,
            words: words.clone(),
        };
        while let Some(name) = arguments.next() {
            if name == "--bare" {
                options.bare = true;
                continue;
            }
            if matches!(topic, Topic::Report | Topic::Plot) && !name.starts_with("--") {
                options.files.push(name.into());
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
            "--figures" => self.figures = Some(value.into()),
            "--into" => self.into = Some(value.into()),
            _ => bail!("there is no such option\n{USAGE}"),
        }
        Ok(())
    }

    /// How the trees are, in a word.
    pub(crate) fn tree(&self) -> &'static str {
        if self.bare { "bare" } else { "warm" }
    }
}
