//! What a client can do (RFC 9420 §7.2), and what a group asks for (§11.1).

use crate::reader::{Broken, Reader};

/// A vector of `uint16` code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types<'a>(&'a [u8]);

impl<'a> Types<'a> {
    /// No types.
    pub(crate) const NONE: Self = Self(&[]);

    /// Reads one.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let uneven = reader.broken("a list of types ends in the middle of one");
        let inside = reader.opaque("a list of types is cut short")?;
        if inside.len().is_multiple_of(2) { Ok(Self(inside)) } else { Err(uneven) }
    }

    /// The types in order.
    pub fn iter(self) -> impl Iterator<Item = u16> + 'a {
        self.0.as_chunks::<2>().0.iter().map(|code| u16::from_be_bytes(*code))
    }

    /// Whether a type is listed.
    ///
    /// ```
    /// use maypole_mls::{reader::Reader, wire::Types};
    ///
    /// let types = Types::read(&mut Reader::new(&[4, 0, 1, 0, 10])).unwrap();
    /// assert!(types.contains(10) && !types.contains(256));
    /// ```
    pub fn contains(self, kind: u16) -> bool {
        self.iter().any(|listed| listed == kind)
    }

    /// Whether all of some types are listed. Long lists are sorted first, so that two of them cost no more than their
    /// lengths.
    pub(crate) fn contains_all(self, wanted: impl Iterator<Item = u16>) -> bool {
        const LOOKED_FOR_ONE_BY_ONE: usize = 8;
        let mut sorted = None;
        wanted.enumerate().all(|(nth, kind)| {
            if nth < LOOKED_FOR_ONE_BY_ONE {
                return self.contains(kind);
            }
            sorted.get_or_insert_with(|| self.distinct()).binary_search(&kind).is_ok()
        })
    }

    /// Each type once, in ascending order.
    pub(crate) fn distinct(self) -> Vec<u16> {
        let mut types: Vec<u16> = self.iter().collect();
        types.sort_unstable();
        types.dedup();
        types
    }
}

/// A leaf's `Capabilities`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities<'a> {
    /// Protocol versions.
    pub versions: Types<'a>,
    /// Cipher suites.
    pub suites: Types<'a>,
    /// Extensions beyond the default ones.
    pub extensions: Types<'a>,
    /// Proposals beyond the default ones.
    pub proposals: Types<'a>,
    /// Credentials.
    pub credentials: Types<'a>,
}

impl<'a> Capabilities<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        Ok(Self {
            versions: Types::read(reader)?,
            suites: Types::read(reader)?,
            extensions: Types::read(reader)?,
            proposals: Types::read(reader)?,
            credentials: Types::read(reader)?,
        })
    }

    /// Whether all of some extensions' types are default ones (§7.2) or listed.
    pub fn has_extensions(&self, kinds: impl Iterator<Item = u16>) -> bool {
        self.extensions.contains_all(kinds.filter(|kind| !is_default_extension(*kind)))
    }

    /// Whether all of some proposals' types are default ones (§7.2) or listed.
    pub fn has_proposals(&self, kinds: impl Iterator<Item = u16>) -> bool {
        self.proposals.contains_all(kinds.filter(|kind| !is_default_proposal(*kind)))
    }

    /// Whether all of some credentials' types are listed.
    pub fn has_credentials(&self, kinds: impl Iterator<Item = u16>) -> bool {
        self.credentials.contains_all(kinds)
    }
}

/// Extension types that every client knows and nobody lists (§7.2).
pub(crate) fn is_default_extension(kind: u16) -> bool {
    (1..=5).contains(&kind)
}

/// Proposal types that every client knows and nobody lists (§7.2).
pub(crate) fn is_default_proposal(kind: u16) -> bool {
    (1..=7).contains(&kind)
}

/// The `required_capabilities` extension (§11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredCapabilities<'a> {
    /// Extensions that every member must have.
    pub extensions: Types<'a>,
    /// Proposals that every member must have.
    pub proposals: Types<'a>,
    /// Credentials that every member must have.
    pub credentials: Types<'a>,
}

impl<'a> RequiredCapabilities<'a> {
    /// Reads what is all there is.
    ///
    /// ```
    /// use maypole_mls::wire::RequiredCapabilities;
    ///
    /// let required = RequiredCapabilities::from_bytes(&[0, 2, 0, 10, 2, 0, 1]).unwrap();
    /// assert!(required.proposals.contains(10) && required.credentials.contains(1));
    /// ```
    pub fn from_bytes(data: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(data);
        let extensions = Types::read(&mut reader)?;
        let proposals = Types::read(&mut reader)?;
        let credentials = Types::read(&mut reader)?;
        reader.end()?;
        Ok(Self { extensions, proposals, credentials })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_searched_like_short_ones() {
        let write = |types: &[u16]| types.iter().flat_map(|kind| kind.to_be_bytes()).collect::<Vec<_>>();
        let all: Vec<u16> = (100..1000).rev().collect();
        let (all_bytes, some) = (write(&all), [999, 100, 500, 101, 102, 103, 104, 105, 106, 107, 108]);
        let types = Types(&all_bytes);
        assert!(types.contains_all(some.into_iter()));
        assert!(types.contains_all(all.iter().copied()));
        assert!(!types.contains_all(some.into_iter().chain([1000])));
        assert!(!types.contains_all([1000].into_iter().chain(some)));
        assert!(types.contains_all(std::iter::empty()));
    }
}
