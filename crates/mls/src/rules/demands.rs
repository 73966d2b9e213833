//! What a group asks of each of its leaves: by its suite, its extensions, and the application.

use crate::{
    policy::{Policy, UnixSeconds},
    refusal::{Place, Refusal, Rule},
    suite::Suite,
    wire::{EXTERNAL_SENDERS, Extensions, REQUIRED_CAPABILITIES, RequiredCapabilities},
};

/// What of RFC 9420's extensions a group may have (§17.3).
const GROUP_EXTENSIONS: &[u16] = &[REQUIRED_CAPABILITIES, EXTERNAL_SENDERS];

/// The group's side of a leaf's validation.
#[derive(Clone, Copy)]
pub(crate) struct Demands<'a> {
    pub(crate) suite: Suite,
    pub(crate) extensions: Extensions<'a>,
    pub(crate) required: Option<RequiredCapabilities<'a>>,
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
        if let Some(kind) = extensions.twice() {
            return Err(Rule::ExtensionTwice.at(Place::Type(kind)));
        }
        if let Some(kind) = extensions.misplaced(GROUP_EXTENSIONS) {
            return Err(Rule::ExtensionPlace.at(Place::Type(kind)));
        }
        let unreadable = |broken| Rule::GroupExtensionData.at(Place::Byte(broken));
        let required = extensions.required_capabilities().map_err(unreadable)?;
        extensions.external_senders().map_err(unreadable)?;
        Ok(Self { suite, extensions, required, policy, now })
    }
}
