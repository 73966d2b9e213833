//! What a dialect lays down for all its groups: who can be a member, and as whom the service itself stands in a group.

use maypole_mls::wire::Credential;
use maypole_mls::{Bounds, Lifetimes, Policy, Suite};

use crate::ids::ClientId;
use crate::limits;

/// A dialect's terms.
pub trait Terms: Send + Sync {
    /// The device that a leaf's identity names; nothing if it names none.
    fn client(&self, identity: &[u8]) -> Option<ClientId>;

    /// The service as an external sender of groups with this suite: identity and public key. Nothing where there is no
    /// key for it; such groups cannot be registered.
    fn external_sender(&self, suite: Suite) -> Option<(Vec<u8>, Vec<u8>)>;
}

/// A dialect's terms as the engine asks for them.
pub(super) struct Judge<'t> {
    pub(super) terms: &'t dyn Terms,
    /// A group that begins has no old leaves.
    pub(super) begins: bool,
}

impl Policy for Judge<'_> {
    fn accepts(&self, credential: &Credential<'_>, _: &[u8]) -> bool {
        credential.identity().is_some_and(|identity| self.terms.client(identity).is_some())
    }

    fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            refuse_expired_at_import: self.begins,
            refuse_long_at_import: self.begins,
            ..Lifetimes::default()
        }
    }

    fn bounds(&self) -> Bounds {
        // Of each sender's and of all, far less is taken by the agenda; only the service comes near this.
        let bounds = Bounds {
            message_bytes: limits::COMMIT_BYTES,
            pending_of_sender: limits::SERVICE_PROPOSALS,
            ..Bounds::default()
        };
        // A tree of many is refused before its signatures are looked at.
        if self.begins {
            Bounds { members: 1, tree_bytes: limits::GROUP_INFO_BYTES, ..bounds }
        } else {
            bounds
        }
    }
}
