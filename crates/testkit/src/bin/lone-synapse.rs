//! Starts a Synapse, prints its process id and folder, and waits. For the test that kills this program.
//!
//! `lone-synapse running|paused`

use anyhow::{Context as _, Result, bail};
use maypole_testkit::synapse::Synapse;

#[tokio::main]
async fn main() -> Result<()> {
    let synapse = Synapse::start().await?;
    match std::env::args().nth(1).as_deref() {
        Some("running") => {}
        Some("paused") => synapse.pause().await?,
        _ => bail!("say `running` or `paused`"),
    }
    println!("{}\n{}", synapse.pid().context("it runs")?, synapse.folder().display());
    // Nobody answers this; it ends when whoever started this program is gone, or ends it.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}
