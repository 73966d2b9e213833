//! Looking through the store, group after group: whether what it has of each fits together.

use maypole_core::batch::Backend;
use maypole_core::group::{Entry, Head, Restoring, Terms};
use maypole_core::ids::{ClientId, Epoch, GroupId, Sha256};
use maypole_core::ledger::{Ledger, LedgerError};
use maypole_core::limits;
use maypole_mls::Suite;
use maypole_room::chain::{Chain, Link};
use maypole_room::description::ServiceKeys;
use maypole_room::identity;

use crate::admin::{Inspection, Problem, group_as_text};
use crate::clock;
use crate::storage::copy::Copied;

/// The terms of any service over Matrix: whose leaf it is.
pub(super) struct AnyTerms;

impl Terms for AnyTerms {
    fn client(&self, identity: &[u8]) -> Option<ClientId> {
        identity::parse(identity)
    }

    fn external_sender(&self, _: Suite) -> Option<(Vec<u8>, Vec<u8>)> {
        None
    }
}

/// Looks at the groups behind a place, as many as there is time for and at least one. Without keys, the signatures of receipts are
/// not looked at.
pub async fn inspect<B: Copied>(
    ledger: &Ledger<B>,
    store: &B,
    keys: Option<&ServiceKeys>,
    after: Option<GroupId>,
) -> Result<Inspection, LedgerError> {
    let until = clock::monotonic() + limits::INSPECTION;
    let depths = ledger.depths().await?;
    let mut found = Inspection {
        groups_stored: depths.groups,
        inbox: depths.inbox,
        owed: depths.owed,
        set_aside: depths.set_aside,
        quarantined: store.quarantined().await?,
        ..Inspection::default()
    };
    let mut last = after;
    loop {
        let page = ledger.groups(last.as_ref(), limits::GROUPS_PAGE).await?;
        if page.is_empty() {
            return Ok(found);
        }
        for group in page {
            let (epochs, what) = look_at(ledger, keys, &group).await?;
            found.groups = found.groups.saturating_add(1);
            found.epochs = found.epochs.saturating_add(epochs);
            if let Some(what) = what {
                found.problems.push(Problem { group: readable(&group), what });
            }
            last = Some(group);
            if clock::monotonic() >= until || found.problems.len() >= limits::PROBLEMS_TOLD {
                found.next = last.as_ref().map(group_as_text);
                return Ok(found);
            }
        }
    }
}

/// A group's ID: as text where it is text, otherwise as base64.
pub(super) fn readable(group: &GroupId) -> String {
    std::str::from_utf8(group.as_bytes()).map_or_else(|_| group_as_text(group), str::to_owned)
}

/// Looks at one group: how many epochs its log has, and what is wrong with it, if anything. A store that cannot be read now is an
/// error.
async fn look_at<B: Backend>(
    ledger: &Ledger<B>,
    keys: Option<&ServiceKeys>,
    group: &GroupId,
) -> Result<(u64, Option<String>), LedgerError> {
    let (mut epochs, mut what) = (0, None);
    for _ in 0..limits::ANSWER_TRIES {
        let before = reach(ledger, group).await;
        (epochs, what) = match examine(ledger, keys, group).await {
            Err(error @ LedgerError::Unavailable(_)) => return Err(error),
            Err(error) => (0, Some(error.to_string())),
            Ok(Ok(epochs)) => (epochs, None),
            Ok(Err(what)) => (0, Some(what)),
        };
        // What moved on or was cut meanwhile cannot fit together.
        if what.is_none() || reach(ledger, group).await == before {
            break;
        }
    }
    Ok((epochs, what))
}

/// Where the log of a group begins, and where the group stands, as far as that can be read.
async fn reach<B: Backend>(ledger: &Ledger<B>, group: &GroupId) -> (Option<Epoch>, Option<Head>) {
    (ledger.log_begins(group).await.ok().flatten(), ledger.head(group).await.ok().flatten())
}

/// How many epochs the log of a group has, if all fits together.
async fn examine<B: Backend>(
    ledger: &Ledger<B>,
    keys: Option<&ServiceKeys>,
    group: &GroupId,
) -> Result<Result<u64, String>, LedgerError> {
    let Some(head) = ledger.head(group).await? else { return Ok(Err("its head is gone".to_owned())) };
    // The tree, from its snapshot and what the log has after it.
    if ledger.group(group, &AnyTerms).await?.is_none() {
        return Ok(Err("its head is gone".to_owned()));
    }
    ledger.frozen(group).await?;
    if let Some(staged) = ledger.staged(group).await?
        && ledger.message(staged.get().row).await?.is_none()
    {
        return Ok(Err("the message of the commit that is staged is not in the inbox".to_owned()));
    }
    follow(ledger, keys, group, &head).await
}

/// Follows the chain of receipts to where the group stands.
async fn follow<B: Backend>(
    ledger: &Ledger<B>,
    keys: Option<&ServiceKeys>,
    group: &GroupId,
    head: &Head,
) -> Result<Result<u64, String>, LedgerError> {
    let Some(begins) = ledger.log_begins(group).await? else {
        return Ok(Err("it has no log".to_owned()));
    };
    let mut chain = Chain::new(keys.cloned());
    let (mut next, mut epochs) = (Some(begins), 0_u64);
    let mut tree = first_tree(ledger, group, begins).await?;
    while let Some(from) = next.filter(|next| *next <= head.epoch) {
        let page = ledger.log(group, from, limits::LOG_PAGE).await?;
        let Some(last) = page.last() else { return Ok(Err(format!("its log ends before epoch {from}"))) };
        next = last.epoch.next();
        for entry in page.iter().filter(|entry| entry.epoch <= head.epoch) {
            if let Err(broken) = chain.take(&link(entry)) {
                return Ok(Err(format!("its log, at epoch {}: {}", entry.epoch, broken.flaw)));
            }
            if tree == Some(entry.epoch) {
                let said = chain.last().map(|last| last.receipt().tree_hash.clone());
                if !is_tree(ledger, group, entry.epoch, said).await? {
                    return Ok(Err(format!(
                        "its tree of epoch {} is not what the receipt says",
                        entry.epoch
                    )));
                }
                tree = match entry.epoch.next() {
                    Some(after) => first_tree(ledger, group, after).await?,
                    None => None,
                };
            }
            epochs = epochs.saturating_add(1);
        }
    }
    Ok(match chain.last() {
        Some(last) if last.receipt().epoch == head.epoch && last.hash() == head.receipt => Ok(epochs),
        Some(_) => Err(format!("its last receipt is not that of epoch {}, in which it stands", head.epoch)),
        None => Err(format!("its log begins after epoch {}, in which it stands", head.epoch)),
    })
}

/// The first epoch of which a group has a tree, from an epoch on.
async fn first_tree<B: Backend>(
    ledger: &Ledger<B>,
    group: &GroupId,
    from: Epoch,
) -> Result<Option<Epoch>, LedgerError> {
    let kept = ledger.snapshots(group, from, 2).await?;
    Ok(kept.into_iter().map(|snapshot| snapshot.epoch).find(|epoch| *epoch >= from))
}

/// Whether the tree of an epoch is the one with this hash.
async fn is_tree<B: Backend>(
    ledger: &Ledger<B>,
    group: &GroupId,
    epoch: Epoch,
    hash: Option<Vec<u8>>,
) -> Result<bool, LedgerError> {
    let snapshot = ledger.snapshot(group, epoch).await?.filter(|snapshot| snapshot.epoch == epoch);
    let tree = snapshot.and_then(|snapshot| Restoring::begin(&snapshot).ok());
    Ok(tree.map(|tree| tree.tree_hash()) == hash)
}

/// An entry of a log as a link of the chain of receipts.
pub(super) fn link(entry: &Entry) -> Link {
    let receipt = serde_json::from_slice(&entry.receipt).unwrap_or_default();
    Link::new(receipt, Some(Sha256::of(&entry.message)))
}
