//! Trees of epochs that have passed.

use maypole_core::batch::Backend;
use maypole_core::ids::{ClientId, Epoch, GroupId};
use maypole_core::ledger::{LedgerError, Past};

use super::road::Road;
use crate::dialects::matrix::inquiries::PastTree;

impl<B: Backend> Road<B> {
    /// The tree of an epoch that has passed, for a device that had a leaf in it. It takes a place as a group at work does.
    pub(super) async fn past_tree(
        &self,
        id: &GroupId,
        epoch: Epoch,
        client: &ClientId,
    ) -> Result<PastTree, LedgerError> {
        let place = self.places.of(self.ledger.tree_weight_bytes(id, epoch).await?);
        place.enter().await;
        match self.ledger.tree_at(id, epoch).await {
            Ok(Past::Kept(past)) if past.has_leaf(client, self.matrix.terms()) => {
                Ok(PastTree::Tree(past.ratchet_tree()))
            }
            Ok(Past::Kept(_)) => Ok(PastTree::Outside),
            Ok(Past::Gone { oldest }) => Ok(PastTree::Gone { oldest }),
            // The group itself goes on.
            Err(LedgerError::Damaged(reason)) => {
                tracing::error!(
                    group = ?id, %epoch, %reason,
                    "the tree of an epoch that has passed cannot be read: with the service stopped, `maypole db mend` makes it \
                     anew with the help of a copy"
                );
                Ok(PastTree::Unreadable)
            }
            Err(error) => Err(error),
        }
    }
}
