//! The policy that compares best: whatever RFC 9420 leaves to the application, and the libraries take, is taken.

use maypole_mls::{
    Declared, Lifetimes, Policy,
    wire::{Body, Credential},
};
use maypole_testkit::forge::chance::UNKNOWN;

pub(crate) struct Lenient;

impl Policy for Lenient {
    fn may_replace(&self, _: &Credential<'_>, _: &Credential<'_>) -> bool {
        true
    }

    fn may_share_identity(&self) -> bool {
        true
    }

    /// Without a longest lifetime, because neither library has one; without leeway; and at import as when they come,
    /// because OpenMLS insists.
    fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            longest_s: u64::MAX,
            leeway_s: 0,
            refuse_expired_at_import: true,
            refuse_long_at_import: false,
        }
    }

    fn takes_pre_shared_keys(&self) -> bool {
        true
    }

    fn takes_reinit(&self) -> bool {
        true
    }

    fn declared(&self, kind: u16) -> Option<Declared> {
        let body = Body::Opaque;
        (kind == UNKNOWN).then_some(Declared {
            body,
            needs_path: false,
            external: false,
            in_external_commit: true,
        })
    }
}
