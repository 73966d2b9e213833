//! Who is killed may have said a last word to a database, which still does it: that is awaited before anything is looked at.

use std::time::Duration;

use anyhow::Result;
use maypole_testkit::wait::eventually;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::sync::Mutex;

/// How long a database may take to notice that somebody is gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until nobody is at work in a database any more.
pub(crate) async fn quiet(address: &str) -> Result<()> {
    let session = Mutex::new(PgConnection::connect(address).await?);
    eventually(PATIENCE, "the sessions of the killed to end", async || {
        let others = sqlx::query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'maypole'");
        let left: i64 = others.fetch_one(&mut *session.lock().await).await?.try_get(0)?;
        Ok((left == 0).then_some(()))
    })
    .await
}
