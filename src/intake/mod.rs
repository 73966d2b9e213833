//! Takes in what the homeserver has for the service, and stores it durably before anybody looks into it.
//!
//! `/sync` is the intake: the homeserver keeps a to-device message until the next request acknowledges it, and that
//! request is made only after the message is stored. Push transactions lose to-device messages while the service is away
//! (measured), so those in them are not read; they bring room events, and word that the homeserver is there.

mod in_hand;
mod sync;
mod transactions;

pub use in_hand::{Held, InHand};
pub use sync::SyncIntake;
pub use transactions::Transactions;
