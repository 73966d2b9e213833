//! The policies by which laws have things judged.

use maypole_mls::{
    Component, Declared, Policy, Strict,
    wire::{Body, Credential},
};
use maypole_testkit::forge::chance::Choices;

/// Types of proposals that [`TakesAll`] declares: without content, of one vector, of two.
pub(super) const DECLARED: [(u16, Body); 3] =
    [(0xf001, Body::Empty), (0xf002, Body::Opaque), (0xf003, Body::Opaques(2))];

/// How the content of a declared type is written.
pub(super) fn declared(kind: u16) -> Option<Body> {
    DECLARED.iter().find(|(declared, _)| *declared == kind).map(|(_, body)| *body)
}

/// The component that [`TakesAll`] knows.
pub(super) const KNOWN_COMPONENT: u16 = 5;

/// Appends whatever comes, and hears whatever is said.
struct Appends;

impl Component for Appends {
    fn update(&self, before: Option<&[u8]>, updates: &[&[u8]]) -> Option<Vec<u8>> {
        Some([before.unwrap_or_default(), &updates.concat()].concat())
    }

    fn takes(&self, _: &[u8]) -> bool {
        true
    }
}

/// Takes what can be taken.
pub(super) struct TakesAll;

impl Policy for TakesAll {
    fn may_replace(&self, _: &Credential<'_>, _: &Credential<'_>) -> bool {
        true
    }

    fn may_share_identity(&self) -> bool {
        true
    }

    fn takes_pre_shared_keys(&self) -> bool {
        true
    }

    fn takes_reinit(&self) -> bool {
        true
    }

    fn component(&self, component: u16) -> Option<&dyn Component> {
        (component == KNOWN_COMPONENT).then_some(&Appends)
    }

    fn declared(&self, proposal_type: u16) -> Option<Declared> {
        let body = declared(proposal_type)?;
        Some(Declared { body, needs_path: false, external: true, in_external_commit: true })
    }
}

/// The policy that an input chooses.
pub(super) fn policy(choices: &mut Choices<'_>) -> &'static dyn Policy {
    if choices.rarely(2) { &TakesAll } else { &Strict }
}
