//! Whether the service is ready, as named conditions that the rooms of the house set.
//!
//! A condition that nobody has set yet does not hold.

use std::sync::Arc;

use tokio::sync::watch;

pub use super::labels::Condition;
use super::record;

/// One condition, and why it does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which one.
    pub condition: Condition,
    /// Nothing, or a sentence that says what is wrong.
    pub holds: Result<(), String>,
}

/// The conditions. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<Vec<Standing>>>);

impl Default for Readiness {
    fn default() -> Self {
        let standing = |condition: &Condition| Standing {
            condition: *condition,
            holds: Err("It has not started yet.".to_owned()),
        };
        Condition::ALL.iter().for_each(|condition| record::ready(*condition, false));
        Self(Arc::new(watch::Sender::new(Condition::ALL.iter().map(standing).collect())))
    }
}

impl Readiness {
    /// Says that a condition holds, or why it does not.
    pub fn set(&self, condition: Condition, holds: Result<(), String>) {
        record::ready(condition, holds.is_ok());
        let changed = self.0.send_if_modified(|standings| {
            let standing = standings.iter_mut().find(|standing| standing.condition == condition);
            standing.is_some_and(|standing| {
                let changes = standing.holds != holds;
                standing.holds.clone_from(&holds);
                changes
            })
        });
        match holds {
            Ok(()) if changed => tracing::info!(condition = condition.label(), "ready"),
            Err(reason) if changed => tracing::warn!(condition = condition.label(), reason, "not ready"),
            _ => {}
        }
    }

    /// How each condition stands.
    pub fn standings(&self) -> Vec<Standing> {
        self.0.borrow().clone()
    }

    /// Whether all conditions hold.
    pub fn is_ready(&self) -> bool {
        self.0.borrow().iter().all(|standing| standing.holds.is_ok())
    }

    /// Waits until all conditions hold.
    pub async fn ready(&self) {
        let mut standings = self.0.subscribe();
        let all = |standings: &Vec<Standing>| standings.iter().all(|standing| standing.holds.is_ok());
        // The sender lives as long as `self`, so this cannot fail.
        let _ = standings.wait_for(all).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ready_before_every_condition_was_set() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready());
        for condition in Condition::ALL {
            assert!(!readiness.is_ready());
            readiness.set(*condition, Ok(()));
        }
        assert!(readiness.is_ready());
    }

    #[test]
    fn one_condition_that_fails_says_why() {
        let readiness = Readiness::default();
        Condition::ALL.iter().for_each(|condition| readiness.set(*condition, Ok(())));
        readiness.clone().set(Condition::Homeserver, Err("It does not answer.".to_owned()));
        assert!(!readiness.is_ready());
        let broken: Vec<Standing> =
            readiness.standings().into_iter().filter(|standing| standing.holds.is_err()).collect();
        let holds = Err("It does not answer.".to_owned());
        assert_eq!(broken, [Standing { condition: Condition::Homeserver, holds }]);
    }

    #[tokio::test]
    async fn readiness_can_be_awaited() {
        let readiness = Readiness::default();
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        Condition::ALL.iter().for_each(|condition| readiness.set(*condition, Ok(())));
        waiting.await.unwrap();
    }
}
