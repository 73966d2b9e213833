//! `protocol`: how it is spelled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::Reading;

/// How the protocol is spelled. Both spellings are understood always; an answer takes that of its question.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProtocolSection {
    /// Which names the service advertises for its events: `stable` (`m.mls.*`), or `unstable`
    /// (`org.matrix.msc4244.mls.*`) as long as MSC4244 is not part of Matrix.
    #[serde(default = "default_prefix")]
    event_prefix: EventPrefix,
}

fn default_prefix() -> EventPrefix {
    EventPrefix::Unstable
}

// One line per variant would turn the schema's plain list of options into alternatives.
#[expect(missing_docs, reason = "the section says what they are")]
/// Which names are advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventPrefix {
    Stable,
    Unstable,
}

/// How the protocol is spelled.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// Which names are advertised.
    pub event_prefix: EventPrefix,
}

/// Reads the section.
pub(super) fn read(reading: &mut Reading) -> Option<Protocol> {
    let section: ProtocolSection = reading.section("protocol")?;
    Some(Protocol { event_prefix: section.event_prefix })
}
