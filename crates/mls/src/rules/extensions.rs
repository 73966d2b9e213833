//! What a list of extensions may hold, by where it stands (RFC 9420 §13.4, §17.3, and draft-ietf-mls-extensions).

use crate::{
    refusal::{Place, Refusal, Rule},
    wire::{
        APP_DATA_DICTIONARY, APPLICATION_ID, Dictionary, EXTERNAL_PUB, EXTERNAL_SENDERS, Extension,
        Extensions, RATCHET_TREE, REQUIRED_CAPABILITIES, REQUIRED_WIRE_FORMATS, SUPPORTED_WIRE_FORMATS,
        read_wire_formats,
    },
};

/// What a list of extensions belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    GroupContext,
    GroupInfo,
    KeyPackage,
    Leaf,
}

impl Host {
    /// Judges that no type stands twice or where it may not, and that data can be read which is the same everywhere.
    pub(crate) fn check(self, list: Extensions<'_>) -> Result<(), Refusal> {
        if let Some(kind) = list.twice() {
            return Err(Rule::ExtensionTwice.at(Place::Type(kind)));
        }
        if let Some(kind) = list.kinds().find(|kind| !self.may_have(*kind)) {
            return Err(Rule::ExtensionPlace.at(Place::Type(kind)));
        }
        list.iter().try_for_each(check_data)
    }

    /// Whether a type may stand here. Where those may stand that are not known is for whoever defines them.
    fn may_have(self, kind: u16) -> bool {
        match kind {
            APPLICATION_ID | SUPPORTED_WIRE_FORMATS => self == Self::Leaf,
            RATCHET_TREE | EXTERNAL_PUB => self == Self::GroupInfo,
            REQUIRED_CAPABILITIES | EXTERNAL_SENDERS | REQUIRED_WIRE_FORMATS => self == Self::GroupContext,
            _ => true,
        }
    }
}

fn check_data(extension: Extension<'_>) -> Result<(), Refusal> {
    let place = Place::Type(extension.kind);
    match extension.kind {
        APP_DATA_DICTIONARY if Dictionary::read(extension.data).is_err() => {
            Err(Rule::AppDataDictionary.at(place))
        }
        SUPPORTED_WIRE_FORMATS | REQUIRED_WIRE_FORMATS if read_wire_formats(extension.data).is_err() => {
            Err(Rule::WireFormats.at(place))
        }
        _ => Ok(()),
    }
}
