//! The one place where tests wait: for a condition, at most a bound, and never for a time that was guessed.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bounds::LOOK_EVERY;

/// Looks at a condition until it gives something, every few milliseconds and for at most `bound`.
///
/// `Ok(None)` means "not yet"; an error means "never" and ends the waiting at once. Each look, too, ends with the
/// bound. `what` completes the sentence "waited … for …".
///
/// The condition is a closure that returns a future (`|| async { … }`) and no `async ||`: only so can the waiting be
/// spawned as a task.
pub async fn eventually<T, Look>(
    bound: Duration,
    what: &str,
    mut condition: impl FnMut() -> Look,
) -> Result<T>
where
    Look: Future<Output = Result<Option<T>>>,
{
    let looking = async {
        loop {
            if let Some(found) = condition().await? {
                return Ok(found);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(bound, looking).await {
        Ok(found) => found,
        Err(_) => bail!("waited {bound:?} for {what}"),
    }
}

/// The seconds since 1970, for what must be told the time.
#[expect(clippy::disallowed_methods, reason = "the one place of the testkit that reads the clock")]
pub fn unix_seconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// How long something takes, for what is measured and reported.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[expect(clippy::disallowed_methods, reason = "the one place of the testkit that reads the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// What has passed since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_never_holds_ends_with_the_bound() {
        let error = eventually::<(), _>(Duration::from_millis(30), "the moon", || async { Ok(None) })
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "waited 30ms for the moon");
    }

    #[tokio::test]
    async fn a_look_that_hangs_ends_with_the_bound() {
        let error =
            eventually::<(), _>(Duration::from_millis(30), "a look", std::future::pending).await.unwrap_err();
        assert!(error.to_string().contains("a look"), "{error}");
    }

    #[tokio::test]
    async fn an_error_ends_it_at_once() {
        let mut looks = 0;
        let error = eventually::<(), _>(Duration::from_mins(1), "nothing", || {
            looks += 1;
            async { bail!("broken") }
        })
        .await
        .unwrap_err();
        assert_eq!((error.to_string().as_str(), looks), ("broken", 1));
    }

    #[tokio::test]
    async fn what_is_found_comes_back() {
        let mut looks = 0;
        let found = eventually(Duration::from_mins(1), "the third look", || {
            looks += 1;
            let look = looks;
            async move { Ok((look == 3).then_some(look)) }
        });
        assert_eq!(found.await.unwrap(), 3);
    }
}
