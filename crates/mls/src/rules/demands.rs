//! What a group asks of each of its leaves: by its suite, its extensions, and the application.

use super::Host;
use crate::{
    policy::{Policy, UnixSeconds},
    reader::Reader,
    refusal::{Place, Refusal, Rule},
    suite::Suite,
    wire::{EXTERNAL_SENDERS, Extensions, RequiredCapabilities, Types},
};

/// The group's side of a leaf's validation.
#[derive(Clone, Copy)]
pub(crate) struct Demands<'a> {
    pub(crate) suite: Suite,
    pub(crate) extensions: Extensions<'a>,
    pub(crate) required: Option<RequiredCapabilities<'a>>,
    pub(crate) wire_formats: Option<Types<'a>>,
    pub(crate) policy: &'a dyn Policy,
    pub(crate) now: UnixSeconds,
}

impl<'a> Demands<'a> {
    /// Those of a group with these extensions, whose data is judged here.
    pub(crate) fn of(
        suite: Suite,
        extensions: Extensions<'a>,
        policy: &'a dyn Policy,
        now: UnixSeconds,
    ) -> Result<Self, Refusal> {
        if extensions.raw.len() > policy.bounds().extensions_bytes {
            return Err(Rule::TooLarge.whole());
        }
        Host::GroupContext.check(extensions)?;
        let unreadable = |broken| Rule::GroupExtensionData.at(Place::Byte(broken));
        let required = extensions.required_capabilities().map_err(unreadable)?;
        extensions.external_senders().map_err(unreadable)?;
        let wire_formats = extensions.required_wire_formats().map_err(unreadable)?;
        Ok(Self { suite, extensions, required, wire_formats, policy, now })
    }

    /// Those of the same group with other extensions, as they are written.
    pub(crate) fn with_extensions(&self, list: &'a [u8]) -> Result<Self, Refusal> {
        let extensions = Extensions::read(&mut Reader::new(list))?;
        Self::of(self.suite, extensions, self.policy, self.now)
    }

    /// Judges by the application's word who would be an external sender of the group.
    pub(crate) fn check_external_senders(&self) -> Result<(), Refusal> {
        let senders = self.extensions.external_senders()?;
        match senders.iter().all(|sender| self.policy.accepts_external_sender(sender)) {
            true => Ok(()),
            false => Err(Rule::CredentialRefused.at(Place::Type(EXTERNAL_SENDERS))),
        }
    }
}
