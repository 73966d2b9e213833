//! Orders of the service itself: what it has noticed outside that a group must act upon.

use super::Group;
use super::agenda::{Cause, FreezeCause};
use super::amendment::Draft;
use super::terms::Terms;
use crate::ids::ClientId;
use crate::rejection::Rejection;
use crate::time::Timestamp;

/// What the service orders in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Leaves must go. Those that are not in the group are passed over.
    Announce {
        /// Whose.
        clients: Vec<ClientId>,
        /// Why.
        cause: Cause,
    },
    /// A cause is gone, for the leaves that it was one for.
    Withdraw {
        /// Whose.
        clients: Vec<ClientId>,
        /// What is gone.
        cause: Cause,
    },
    /// Devices of joined users should be added by somebody. Those that are in the group are passed over.
    Want {
        /// Which.
        clients: Vec<ClientId>,
    },
    /// They need not be added any more.
    Unwant {
        /// Which.
        clients: Vec<ClientId>,
    },
    /// Nothing is ordered any more.
    Freeze {
        /// Why.
        cause: FreezeCause,
        /// In a sentence for those who ask.
        reason: String,
    },
    /// A cause to be frozen is gone.
    Unfreeze {
        /// Which.
        cause: FreezeCause,
    },
    /// The next generation may begin although somebody could go on with this one, or may not any more.
    Reset {
        /// Whether it may.
        open: bool,
    },
    /// Nothing is new: what has fallen due since is done. The duty goes on to another device where nobody did it, and Removes
    /// are made that could not be signed before.
    Tend,
}

/// Judges an order, and says what changes by it; nothing where nothing does. An order that cannot be is refused, and the
/// group stays as it is.
///
/// ```no_run
/// # use maypole_core::{group::{Amendment, Group, Order, Terms, ToSign, heed}, rejection::Rejection, time::Timestamp};
/// # fn sign(to_sign: &ToSign) -> Vec<Vec<u8>> { Vec::new() }
/// # fn tend(group: &Group, terms: &dyn Terms, now: Timestamp) -> Result<Option<Amendment>, Rejection> {
/// let Some(draft) = heed(group, &Order::Tend, terms, now)? else { return Ok(None) };
/// let signatures = draft.to_sign().map(|to_sign| sign(&to_sign)).unwrap_or_default();
/// Ok(draft.signed(&signatures, terms, now))
/// # }
/// ```
pub fn heed(
    group: &Group,
    order: &Order,
    terms: &dyn Terms,
    now: Timestamp,
) -> Result<Option<Draft>, Rejection> {
    let mut agenda = group.agenda.clone();
    let mut left_over = Vec::new();
    match order {
        Order::Announce { cause, .. } | Order::Withdraw { cause, .. } if *cause == Cause::SelfRemove => {
            return Err(Rejection::forbidden("only a device itself asks for its own removal"));
        }
        Order::Freeze { cause: FreezeCause::Succeeded, .. }
        | Order::Unfreeze { cause: FreezeCause::Succeeded } => {
            return Err(Rejection::forbidden("a generation ends when the next one begins, and for good"));
        }
        Order::Announce { clients, cause } => {
            left_over = agenda.announce(&group.among(clients, true, terms), *cause, now);
        }
        Order::Withdraw { clients, cause } => agenda.withdraw(clients, *cause),
        Order::Want { clients } => agenda.want(&group.among(clients, false, terms)),
        Order::Unwant { clients } => agenda.wanted.retain(|client| !clients.contains(client)),
        Order::Freeze { cause, reason } => agenda.freeze(*cause, reason, now),
        Order::Unfreeze { cause } => agenda.unfreeze(*cause),
        Order::Reset { open } => agenda.reset_open = *open,
        Order::Tend => {}
    }
    let draft = Draft::of(group, agenda, Vec::new(), terms, now);
    Ok(draft.map(|draft| draft.leaving_over(left_over)))
}
