//! An application's data in the group's extensions (draft-ietf-mls-extensions), for an application that appends.

use std::collections::BTreeMap;

use super::leaf::Extension;
use super::wire::Wire;

/// The type of the extension.
pub const APP_DATA_DICTIONARY: u16 = 6;

impl Extension {
    /// `app_data_dictionary`, with components as they are given.
    pub fn app_data(components: &[(u16, &[u8])]) -> Self {
        let write = |wire: Wire, (component, data): &(u16, &[u8])| wire.u16(*component).vector(data);
        Self::new(APP_DATA_DICTIONARY, Wire::new().list(components, write).done())
    }

    /// `supported_wire_formats`.
    pub fn supported_wire_formats(formats: &[u16]) -> Self {
        Self::new(7, Wire::new().numbers(formats).done())
    }

    /// `required_wire_formats`.
    pub fn required_wire_formats(formats: &[u16]) -> Self {
        Self::new(8, Wire::new().numbers(formats).done())
    }
}

/// Appends to a component's data, or takes it away.
pub(super) fn change(extensions: &mut Vec<Extension>, component: u16, update: Option<&[u8]>) {
    let place = extensions.iter().position(|extension| extension.kind == APP_DATA_DICTIONARY);
    let mut components = place.and_then(|place| extensions.get(place)).map(read).unwrap_or_default();
    match update {
        Some(update) => components.entry(component).or_default().extend_from_slice(update),
        None => drop(components.remove(&component)),
    }
    debug_assert!(components.values().all(|data| data.len() < 64), "longer data cannot be read again here");
    let list: Vec<(u16, &[u8])> = components.iter().map(|(one, data)| (*one, data.as_slice())).collect();
    let dictionary = Extension::app_data(&list);
    match place.and_then(|place| extensions.get_mut(place)) {
        Some(old) => *old = dictionary,
        None => extensions.push(dictionary),
    }
}

/// Reads a dictionary that [`Extension::app_data`] wrote, whose components and whole have less than 64 bytes each.
fn read(dictionary: &Extension) -> BTreeMap<u16, Vec<u8>> {
    let mut components = BTreeMap::new();
    let mut rest = dictionary.data.get(1..).unwrap_or_default();
    while let [high, low, length, tail @ ..] = rest {
        let (data, after) = tail.split_at(usize::from(*length).min(tail.len()));
        components.insert(u16::from_be_bytes([*high, *low]), data.to_vec());
        rest = after;
    }
    components
}
