//! Receipts: each signed by the service that the group names, of this very epoch, and the next in the room's chain
//! (docs/protocol.md §5).

use maypole_room::commit_event::CommitEvent;
use maypole_room::receipt::RoomReceipt;
use openmls::prelude::{GroupContext, MlsGroup};

use super::state::Room;
use crate::mls;

/// A receipt of this very commit, signed by the service that the group names.
pub(super) fn verify(group: &MlsGroup, event: &CommitEvent) -> Result<RoomReceipt, String> {
    let keys = mls::service_keys(group.extensions())?;
    let (user, id, key) = (keys.user.as_str(), keys.receipt_key_id.as_str(), &keys.receipt_key);
    let receipt = RoomReceipt::verify(&event.receipt, user, id, key).map_err(|error| error.to_string())?;
    event.is_vouched_for_by(&receipt).map_err(|error| error.to_string())?;
    Ok(receipt)
}

/// Whether a receipt is the next one in a room's chain.
pub(super) fn continues(room: &Room, receipt: &RoomReceipt) -> Result<(), String> {
    let last = room.receipt.as_deref().ok_or("there is no receipt before it")?;
    let last = serde_json::from_str(last).map_err(|_| "the receipt before it is lost")?;
    let last = RoomReceipt::read(&last).map_err(|error| error.to_string())?;
    receipt.follows(&last).map_err(|error| error.to_string())
}

/// Whether an epoch is the one that a receipt vouches for.
pub(super) fn vouches(receipt: &RoomReceipt, context: &GroupContext) -> Result<(), String> {
    vouches_for_tree(receipt, context)?;
    if receipt.receipt().confirmed_transcript_hash != context.confirmed_transcript_hash() {
        return Err("the receipt's transcript hash is not that of the commit".into());
    }
    Ok(())
}

/// Whether an epoch has the tree that a receipt vouches for.
pub(super) fn vouches_for_tree(receipt: &RoomReceipt, context: &GroupContext) -> Result<(), String> {
    if receipt.receipt().tree_hash != context.tree_hash() {
        return Err("the receipt's tree hash is not that of the commit".into());
    }
    Ok(())
}
