//! `maypole demo`: a private Synapse, the service, and users whose devices make a group; told in words.

mod beginning;
mod cast;
mod growing;
mod next;
mod shown;
mod surviving;

use std::io::Write;

use clap::Args;
use maypole_testkit::service::{House, SERVER_NAME};

use self::cast::Cast;
use super::{Exit, Failure, Surroundings};
use crate::signals::Signals;

/// Arguments of `maypole demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Leave everything running until Ctrl-C, to try things by hand
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut signals = Signals::listen(false)?;
            let story = Story { out: surroundings.out };
            // Whatever it started ends with it, also when it is interrupted.
            tokio::select! {
                told = Box::pin(story.tell(self.keep)) => {
                    told.map_err(|error| Failure::new(Exit::Failed, format_args!("the demo failed: {error:#}")))
                }
                _ = signals.next() => Ok(Exit::Ok),
            }
        })
    }
}

/// Tells what happens. Each act is in a file of its own.
struct Story<'s> {
    out: &'s mut dyn Write,
}

impl Story<'_> {
    async fn tell(mut self, keep: bool) -> anyhow::Result<Exit> {
        self.say("Maypole puts the commits of MLS rooms into one order. This demo runs it beside a Synapse of its own.")?;
        self.step(
            "Starting a private Synapse and the service (the first time, Synapse is installed from PyPI)",
        )?;
        let mut house = House::start(&std::env::current_exe()?).await?;
        self.say(&format!("  Synapse   {}  (server name {SERVER_NAME})", house.synapse.base_url()))?;
        self.say(&format!("  Maypole   {}  as @:{SERVER_NAME}, store: sled", house.service.url()))?;
        self.say("  Events are called m.mls.* here, and spelled org.matrix.msc4244.mls.* until MSC4244 is part of Matrix.")?;
        let mut cast = Cast::enter(&house).await?;
        let room = self.a_room_begins(&mut cast).await?;
        self.bob_is_invited(&mut cast, &room).await?;
        self.they_talk(&mut cast, &room).await?;
        self.both_at_once(&mut cast, &room).await?;
        self.a_device_from_outside(&house, &mut cast, &room).await?;
        self.the_operator_looks(&house, &room)?;
        self.killed_in_the_middle(&mut house, &mut cast, &room).await?;
        self.what_the_room_forbids(&mut cast, &room).await?;
        self.next(&house, &room, keep).await?;
        if keep {
            // The caller ends this when Ctrl-C comes.
            std::future::pending::<()>().await;
        }
        house.stop().await?;
        self.say("\nEverything that the demo started has been stopped.")?;
        Ok(Exit::Ok)
    }

    fn step(&mut self, title: &str) -> anyhow::Result<()> {
        self.say(&format!("\n== {title}"))
    }

    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{line}")?;
        Ok(self.out.flush()?)
    }
}
