//! An application's data in a group, by component (draft-ietf-mls-extensions, "Application Data").

use super::Types;
use crate::{
    reader::{Broken, Reader},
    writer::Write,
};

/// `app_data_dictionary`, anywhere.
pub const APP_DATA_DICTIONARY: u16 = 6;
/// `supported_wire_formats`, in a leaf.
pub const SUPPORTED_WIRE_FORMATS: u16 = 7;
/// `required_wire_formats`, in a GroupContext.
pub const REQUIRED_WIRE_FORMATS: u16 = 8;

/// The type of an AppDataUpdate.
pub(crate) const APP_DATA_UPDATE: u16 = 8;
/// The type of an AppEphemeral.
pub(crate) const APP_EPHEMERAL: u16 = 9;

/// Changes a component's data in the GroupContext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppDataUpdate<'a> {
    /// The component.
    pub component: u16,
    /// What the application makes the new data of; nothing where the data is removed.
    pub update: Option<&'a [u8]>,
}

/// Says something to a component with a commit, and leaves nothing behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppEphemeral<'a> {
    /// The component.
    pub component: u16,
    /// What is said.
    pub data: &'a [u8],
}

/// An `AppDataDictionary`: each component's data, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dictionary<'a>(&'a [u8]);

impl<'a> AppDataUpdate<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let component = reader.u16("an AppDataUpdate's component is cut short")?;
        let unknown = reader.broken("an AppDataUpdate neither updates nor removes");
        let update = match reader.u8("an AppDataUpdate's operation is missing")? {
            1 => Some(reader.opaque("an AppDataUpdate is cut short")?),
            2 => None,
            _ => return Err(unknown),
        };
        Ok(Self { component, update })
    }
}

impl<'a> AppEphemeral<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let component = reader.u16("an AppEphemeral's component is cut short")?;
        Ok(Self { component, data: reader.opaque("an AppEphemeral is cut short")? })
    }
}

impl<'a> Dictionary<'a> {
    /// Reads the data of an `app_data_dictionary`, and refuses components twice or out of order.
    ///
    /// ```
    /// use maypole_mls::wire::Dictionary;
    ///
    /// let dictionary = Dictionary::read(&[8, 0, 1, 1, 0xaa, 0, 7, 1, 0xbb]).unwrap();
    /// assert_eq!(dictionary.find(7), Some(&[0xbb][..]));
    /// assert!(Dictionary::read(&[6, 0, 7, 0, 0, 7, 0]).is_err());
    /// ```
    pub fn read(data: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(data);
        let mut items = reader.vector("the dictionary is cut short")?;
        reader.end()?;
        let inside = items.rest();
        let mut last = None;
        while !items.rest().is_empty() {
            let unordered = items.broken("a component stands twice or out of order");
            let component = items.u16("a component is cut short")?;
            if last.replace(component).is_some_and(|last| last >= component) {
                return Err(unordered);
            }
            items.opaque("a component's data is cut short")?;
        }
        Ok(Self(inside))
    }

    /// The components and their data, in order.
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut items = Reader::new(self.0);
        std::iter::from_fn(move || {
            let component = items.u16("component").ok()?;
            Some((component, items.opaque("data").ok()?))
        })
    }

    /// The data of a component.
    pub fn find(self, component: u16) -> Option<&'a [u8]> {
        self.iter().find(|(one, _)| *one == component).map(|(_, data)| data)
    }
}

/// Writes a dictionary of components in ascending order.
pub(crate) fn write_dictionary<'a>(components: impl Iterator<Item = (u16, &'a [u8])>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_vector(|inside| {
        for (component, data) in components {
            inside.put_u16(component);
            inside.put_opaque(data);
        }
    });
    bytes
}

/// Reads the data of a `supported_wire_formats` or `required_wire_formats`.
pub(crate) fn read_wire_formats(data: &[u8]) -> Result<Types<'_>, Broken> {
    let mut reader = Reader::new(data);
    let formats = Types::read(&mut reader)?;
    reader.end()?;
    Ok(formats)
}

/// Wire formats that every client knows and nobody lists (RFC 9420 §17.2).
pub(crate) fn is_default_wire_format(format: u16) -> bool {
    (1..=5).contains(&format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for components in [vec![], vec![(0, &b""[..]), (1, &[7; 300]), (u16::MAX, b"x")]] {
            let bytes = write_dictionary(components.iter().copied());
            let read = Dictionary::read(&bytes).unwrap();
            assert_eq!(read.iter().collect::<Vec<_>>(), components);
        }
    }

    #[test]
    fn what_is_no_dictionary_is_refused() {
        for (data, offset) in [
            (&[][..], 0),
            (&[1, 0], 1),
            (&[0, 0], 1),
            (&[6, 0, 2, 0, 0, 1, 0], 4),
            (&[6, 0, 2, 0, 0, 2, 0], 4),
            (&[3, 0, 2, 1], 4),
        ] {
            assert_eq!(Dictionary::read(data).unwrap_err().offset, offset, "{data:?}");
        }
    }

    #[test]
    fn operations_that_nobody_knows_are_refused() {
        let read = |bytes: &'static [u8]| AppDataUpdate::read(&mut Reader::new(bytes));
        assert_eq!(read(&[0, 5, 1, 1, 9]), Ok(AppDataUpdate { component: 5, update: Some(&[9]) }));
        assert_eq!(read(&[0, 5, 2]), Ok(AppDataUpdate { component: 5, update: None }));
        for operation in [0, 3, 255] {
            let bytes = [0, 5, operation, 0];
            assert_eq!(AppDataUpdate::read(&mut Reader::new(&bytes)).unwrap_err().offset, 2);
        }
    }
}
