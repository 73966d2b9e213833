//! Trees of epochs that have passed.

use maypole_core::batch::Backend;
use maypole_core::ids::{ClientId, Epoch, GroupId};
use maypole_core::ledger::{LedgerError, Past};

use super::road::Road;
use crate::dialects::matrix::inquiries::PastTree;

impl<B: Backend> Road<B> {
    /// The tree of an epoch that has passed, for a device that came into the group with it: who was there before, followed the
    /// commit and needs none. It takes a place as a group at work does.
    pub(super) async fn past_tree(
        &self,
        id: &GroupId,
        epoch: Epoch,
        client: &ClientId,
    ) -> Result<PastTree, LedgerError> {
        match self.read_past_tree(id, epoch, client).await {
            // The group itself goes on.
            Err(LedgerError::Damaged(reason)) => {
                tracing::error!(
                    group = ?id, %epoch, %reason,
                    "the tree of an epoch that has passed cannot be read: with the service stopped, `maypole db mend` makes it \
                     anew with the help of a copy"
                );
                Ok(PastTree::Unreadable)
            }
            read => read,
        }
    }

    async fn read_past_tree(
        &self,
        id: &GroupId,
        epoch: Epoch,
        client: &ClientId,
    ) -> Result<PastTree, LedgerError> {
        let entry = self.ledger.log(id, epoch, 1).await?.into_iter().find(|entry| entry.epoch == epoch);
        if entry.is_some_and(|entry| !entry.joined.contains(client)) {
            return Ok(PastTree::NotItsFirst);
        }
        let place = self.places.of(self.ledger.tree_weight_bytes(id, epoch).await?);
        place.enter().await;
        match self.ledger.tree_at(id, epoch).await? {
            Past::Kept(past) if past.has_leaf(client, self.matrix.terms()) => {
                Ok(PastTree::Tree(past.ratchet_tree()))
            }
            Past::Kept(_) => Ok(PastTree::NotItsFirst),
            Past::Gone { oldest } => Ok(PastTree::Gone { oldest }),
        }
    }
}
