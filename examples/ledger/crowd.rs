//! Groups side by side, each with the commits that come next in it: all of them take one at the same time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::signature::Ed25519KeyPair;
use maypole::clock;
use maypole::storage::Store;
use maypole_core::group::Group;
use maypole_core::ids::{Lane, UserId};
use maypole_core::ledger::Ledger;
use maypole_core::records::Owed;
use tokio::task::JoinSet;

use crate::chain::told;
use crate::contents;
use crate::hall::Hall;
use crate::post::Post;
use crate::tape::Reel;
use crate::terms::judge;

/// The size of a message, of its answer, and of what is owed for it.
pub(crate) const MESSAGE_BYTES: usize = 1_000;
pub(crate) const ANSWER_BYTES: usize = 200;

/// A group as it stands, and what comes next in it.
pub(crate) struct Stand {
    pub(crate) reel: Reel,
    group: Option<Group>,
}

/// A key that signs what stands for a receipt.
pub(crate) fn receipt_key() -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::generate().context("a key")
}

/// What is owed by a decision.
pub(crate) fn owed(user: &UserId, number: u64) -> Owed {
    contents::owed(user, number, MESSAGE_BYTES)
}

/// Groups that are not there yet, each with its registration and so many commits.
pub(crate) fn stands(first: u64, count: u64, epochs: u64, seed: u64) -> Result<Vec<Stand>> {
    let one = |number: u64| {
        let (mut hall, registration) = Hall::found(number, seed.wrapping_add(number))?;
        let mut commands = vec![registration.into_inner()];
        for epoch in 0..epochs {
            let made = if epoch == 0 { hall.join()? } else { hall.update(0)? };
            hall.play(&made)?;
            commands.push(made.command.into_inner());
        }
        Ok(Stand { reel: hall.reel(0, commands)?, group: None })
    };
    (first..first + count).map(one).collect()
}

/// Each of the groups takes its next commit, all at once; how long it took. Of each message that is answered durably `durable`
/// is told.
pub(crate) async fn all_at_once(
    ledger: &Arc<Ledger<Store>>,
    post: &mut Post,
    stands: &mut [Stand],
    mut durable: impl FnMut(u64) -> Result<()>,
) -> Result<Duration> {
    let rows = post.receive(ledger, u64::try_from(stands.len())?, MESSAGE_BYTES).await?;
    let receipt_key = Arc::new(receipt_key()?);
    let began = clock::monotonic();
    let mut deciding = JoinSet::new();
    for (place, (stand, (number, row))) in stands.iter_mut().zip(rows).enumerate() {
        let group = stand.group.take();
        let next = group.as_ref().map_or(0, |group| group.epoch().get() + 1);
        let command = stand.reel.command(next).context("a commit")?;
        let (ledger, terms, key) = (Arc::clone(ledger), stand.reel.terms(), Arc::clone(&receipt_key));
        let (user, now) = (post.user.clone(), post.at);
        let owed = Owed { lane: Lane::of_group(&stand.reel.group), ..owed(&user, number) };
        deciding.spawn(async move {
            let decision =
                judge(group.as_ref(), command, &terms, now)?.map_err(|refused| anyhow!("{refused:?}"))?;
            let answer = (contents::key(number), contents::answer(&user, number, ANSWER_BYTES));
            let told = told(&decision, number, answer, vec![owed])?;
            std::hint::black_box(key.sign(&told.receipt));
            let decided = ledger.decide(row, None, *decision, told, now).await?;
            anyhow::Ok((place, number, Group::enter(group, decided)))
        });
    }
    while let Some(done) = deciding.join_next().await {
        let (place, number, group) = done??;
        durable(number)?;
        if let Some(stand) = stands.get_mut(place) {
            stand.group = group;
        }
    }
    Ok(began.elapsed())
}
