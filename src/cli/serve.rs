//! `maypole serve`: run the service until it is told to stop.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure, Surroundings};
use crate::config::Config;
use crate::service;
use crate::signals::Signals;

/// Arguments of `maypole serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file [default: $MAYPOLE_CONFIG, or maypole.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stop, as on SIGTERM, when standard input closes: for a program that starts this one as its child
    #[arg(long)]
    stop_with_stdin: bool,
}

impl Serve {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let token = surroundings.token;
        let config = Config::load(self.config.as_deref(), std::mem::take(&mut surroundings.env).into_iter())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(async {
            let signals = Signals::listen(self.stop_with_stdin)?;
            Box::pin(service::run(config, token, signals)).await?;
            Ok(Exit::Ok)
        });
        // After a hard stop nothing is waited for.
        runtime.shutdown_background();
        ended
    }
}
