//! How a transaction is tried: under its name, again and again where others were in its way, and measured whatever becomes of it.

use maypole_core::limits;

use super::failure::Failure;
use super::in_time;
use crate::clock;
use crate::telemetry::record;

/// Tries a transaction until it is not undone because of another, a bounded number of times.
pub(super) async fn tried<T, F>(name: &'static str, attempt: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let asked_at = clock::monotonic();
    let outcome = try_again(name, attempt).await;
    record::write_took(name, asked_at.elapsed());
    outcome
}

async fn try_again<T, F>(name: &'static str, attempt: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut pause = limits::POSTGRES_TRY_FIRST;
    for _ in 1..limits::POSTGRES_TRIES {
        // Apart, so that what is tried twice over does not lie twice in whoever asks.
        match in_time(Box::pin(attempt())).await {
            Err(Failure::Beaten(error)) => {
                record::write_retried(name);
                tracing::debug!(transaction = name, %error, "trying again");
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(limits::POSTGRES_TRY_LAST);
            }
            done => return done,
        }
    }
    in_time(Box::pin(attempt())).await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    /// An attempt that is beaten so often.
    async fn beaten(times: usize) -> (usize, Duration, Result<usize, Failure>) {
        let (tries, began) = (Cell::new(0), clock::monotonic());
        let outcome = tried("test", || {
            tries.set(tries.get() + 1);
            let number = tries.get();
            async move { if number > times { Ok(number) } else { Err(Failure::Beaten(sqlx::Error::PoolClosed)) } }
        });
        let outcome = outcome.await;
        (tries.get(), began.elapsed(), outcome)
    }

    #[tokio::test]
    async fn who_is_beaten_waits_longer_each_time_and_gives_up_in_the_end() {
        let (tries, took, outcome) = beaten(limits::POSTGRES_TRIES).await;
        assert!(matches!(outcome, Err(Failure::Beaten(_))), "{outcome:?}");
        assert_eq!(tries, limits::POSTGRES_TRIES);
        assert!(took > limits::POSTGRES_TRY_LAST, "{took:?}");
        let (tries, took, outcome) = beaten(4).await;
        assert!(matches!(outcome, Ok(5)) && tries == 5, "{outcome:?}");
        assert!(took >= limits::POSTGRES_TRY_FIRST * (1 + 2 + 4 + 8), "{took:?}");
    }

    #[tokio::test]
    async fn what_failed_otherwise_is_not_tried_again() {
        let tries = Cell::new(0);
        let outcome: Result<(), Failure> = tried("test", || {
            tries.set(tries.get() + 1);
            async { Err(Failure::Away(sqlx::Error::PoolClosed)) }
        })
        .await;
        assert!(matches!(outcome, Err(Failure::Away(_))) && tries.get() == 1);
    }
}
