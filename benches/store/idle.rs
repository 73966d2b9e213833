//! Many groups that are known while nothing happens, after `kill -9` of who wrote them: how long until the store is open, and what
//! the process weighs.

use std::path::Path;

use anyhow::Result;

use crate::Arguments;
use crate::founding::{ANSWERS, Opened};
use crate::kind::Kind;
use crate::life::Life;

/// Goals: at most 5 s, at most 300 MB.
pub(crate) async fn run(arguments: &Arguments, kind: Kind, at: &str, folder: &Path) -> Result<()> {
    let (known, seed) = (arguments.known.to_string(), arguments.seed.to_string());
    let founding = ["--founds", at, "--known", &known, "--seed", &seed];
    let mut founder = Life::begin(&founding, &folder.join("founder"))?;
    founder.has_written_all().await?;
    founder.answers(ANSWERS).await?;
    founder.kill().await?;
    let opened = Opened::elsewhere(&["--opens", at]).await?;
    println!("{}, {known} groups known, after a kill: {opened}", kind.name());
    Ok(())
}
