//! Credentials (RFC 9420 §5.3).

use crate::reader::{Broken, Reader};

/// The type of a basic credential.
pub const BASIC: u16 = 1;
/// The type of a chain of X.509 certificates.
pub const X509: u16 = 2;

/// Who somebody says to be. Types beyond RFC 9420's own are read as one `opaque<V>`, as other libraries do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credential<'a> {
    /// Its type.
    pub kind: u16,
    /// What the one vector in it holds: a basic credential's identity.
    pub body: &'a [u8],
    /// The whole credential as it was written.
    pub raw: &'a [u8],
}

impl<'a> Credential<'a> {
    /// Reads one.
    ///
    /// ```
    /// use maypole_mls::{reader::Reader, wire::Credential};
    ///
    /// let credential = Credential::read(&mut Reader::new(b"\x00\x01\x05alice")).unwrap();
    /// assert_eq!(credential.identity(), Some(&b"alice"[..]));
    /// ```
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Broken> {
        let start = reader.clone();
        let kind = reader.u16("a credential's type is cut short")?;
        let mut inside = reader.vector("a credential is cut short")?;
        let body = inside.rest();
        while kind == X509 && !inside.rest().is_empty() {
            inside.opaque("a certificate is cut short")?;
        }
        Ok(Self { kind, body, raw: reader.since(&start) })
    }

    /// The identity of a basic credential.
    pub fn identity(&self) -> Option<&'a [u8]> {
        (self.kind == BASIC).then_some(self.body)
    }
}
