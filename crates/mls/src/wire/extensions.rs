//! Lists of extensions (RFC 9420 §13.4), and those that a delivery service looks into.

use super::{Credential, REQUIRED_WIRE_FORMATS, RequiredCapabilities, Types, read_wire_formats};
use crate::reader::{Broken, Reader};

/// `application_id`, in a leaf.
pub const APPLICATION_ID: u16 = 1;
/// `ratchet_tree`, in a GroupInfo.
pub const RATCHET_TREE: u16 = 2;
/// `required_capabilities`, in a GroupContext.
pub const REQUIRED_CAPABILITIES: u16 = 3;
/// `external_pub`, in a GroupInfo.
pub const EXTERNAL_PUB: u16 = 4;
/// `external_senders`, in a GroupContext.
pub const EXTERNAL_SENDERS: u16 = 5;

/// `last_resort`, in a KeyPackage that may be used more than once.
pub const LAST_RESORT: u16 = 10;

/// One extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its type.
    pub kind: u16,
    /// Its data.
    pub data: &'a [u8],
}

/// A list of extensions whose structure was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extensions<'a> {
    inside: &'a [u8],
    /// The whole list with its length, as it was written.
    pub raw: &'a [u8],
}

/// An entry of `external_senders` (§12.1.8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalSender<'a> {
    /// The key that its proposals verify with.
    pub signature_key: &'a [u8],
    /// Who it is.
    pub credential: Credential<'a>,
}

impl<'a> Extensions<'a> {
    /// No extensions.
    pub const NONE: Self = Self { inside: &[], raw: &[0] };

    /// Reads a list.
    ///
    /// ```
    /// use maypole_mls::{reader::Reader, wire::Extensions};
    ///
    /// let list = Extensions::read(&mut Reader::new(&[4, 0, 9, 1, 0xaa])).unwrap();
    /// assert_eq!(list.find(9), Some(&[0xaa][..]));
    /// ```
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let start = reader.clone();
        let mut items = reader.vector("the extensions are cut short")?;
        let inside = items.rest();
        while !items.rest().is_empty() {
            items.u16("an extension's type is cut short")?;
            items.opaque("an extension is cut short")?;
        }
        Ok(Self { inside, raw: reader.since(&start) })
    }

    /// The extensions in order.
    pub fn iter(self) -> impl Iterator<Item = Extension<'a>> {
        let mut items = Reader::new(self.inside);
        std::iter::from_fn(move || {
            let kind = items.u16("type").ok()?;
            Some(Extension { kind, data: items.opaque("data").ok()? })
        })
    }

    /// Their types in order.
    pub fn kinds(self) -> impl Iterator<Item = u16> {
        self.iter().map(|extension| extension.kind)
    }

    /// The data of the first extension of a type.
    pub fn find(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|extension| extension.kind == kind).map(|extension| extension.data)
    }

    /// A type that stands in the list twice (§13.4 forbids it).
    pub fn twice(self) -> Option<u16> {
        let mut kinds: Vec<u16> = self.kinds().collect();
        kinds.sort_unstable();
        kinds.iter().zip(kinds.iter().skip(1)).find(|(left, right)| left == right).map(|(kind, _)| *kind)
    }

    /// The `required_capabilities` in it.
    pub fn required_capabilities(self) -> Result<Option<RequiredCapabilities<'a>>, Broken> {
        self.find(REQUIRED_CAPABILITIES).map(RequiredCapabilities::from_bytes).transpose()
    }

    /// The `required_wire_formats` in it.
    pub(crate) fn required_wire_formats(self) -> Result<Option<Types<'a>>, Broken> {
        self.find(REQUIRED_WIRE_FORMATS).map(read_wire_formats).transpose()
    }

    /// The `external_senders` in it; none where there is no such extension.
    pub fn external_senders(self) -> Result<Vec<ExternalSender<'a>>, Broken> {
        let Some(data) = self.find(EXTERNAL_SENDERS) else { return Ok(Vec::new()) };
        let mut reader = Reader::new(data);
        let mut inside = reader.vector("the external senders are cut short")?;
        reader.end()?;
        let mut senders = Vec::new();
        while !inside.rest().is_empty() {
            let signature_key = inside.opaque("an external sender's key is cut short")?;
            senders.push(ExternalSender { signature_key, credential: Credential::read(&mut inside)? });
        }
        Ok(senders)
    }
}
