//! Four codecs under one question: are these bytes one `MLSMessage`, to the last byte?

use maypole_mls::{
    envelope::{Envelope, EnvelopeError},
    reader::{Broken, Reader},
    service::Welcome,
    wire::{Body, GroupInfo, KeyPackage, PublicMessage, Unreadable},
    writer::Write as _,
};
use mls_spec::{Parsable as _, Serializable as _, messages::MlsMessage};
use openmls::prelude::{
    MlsMessageIn,
    tls_codec::{Deserialize as _, Serialize as _},
};

/// Why another codec does not take bytes, in its own words.
pub(crate) type Verdict = Result<(), String>;

/// Reads bytes as this crate reads what it is given.
pub(crate) fn reads(bytes: &[u8]) -> Result<(), Unreadable> {
    reads_declaring(bytes, &|_| None)
}

/// The same where types of proposals are declared.
pub(crate) fn reads_declaring(
    bytes: &[u8],
    declared: &dyn Fn(u16) -> Option<Body>,
) -> Result<(), Unreadable> {
    let no_envelope = |error| match error {
        EnvelopeError::Broken(broken) => Unreadable::Broken(broken),
        _ => Unreadable::Broken(Broken { offset: 0, problem: "no version, or no format, that there is" }),
    };
    let envelope = Envelope::read(bytes).map_err(no_envelope)?;
    let mut inside = Reader::new(bytes.get(4..).unwrap_or_default());
    match envelope {
        Envelope::Public(_) => PublicMessage::read(&mut inside, declared).map(drop),
        Envelope::Private(_) => Ok(()),
        Envelope::Welcome(_) => Ok(Welcome::read(bytes).map(drop)?),
        Envelope::GroupInfo(_) => Ok(GroupInfo::from_bytes(bytes).map(drop)?),
        Envelope::KeyPackage(_) => {
            KeyPackage::read(&mut inside)?;
            Ok(inside.end()?)
        }
    }
}

fn same(written: &[u8], bytes: &[u8]) -> Verdict {
    if written == bytes {
        Ok(())
    } else if bytes.starts_with(written) {
        Err("left over".to_owned())
    } else {
        Err("written as other bytes".to_owned())
    }
}

pub(crate) fn mls_spec(bytes: &[u8]) -> Verdict {
    let read = MlsMessage::from_tls_bytes(bytes).map_err(|error| error.to_string())?;
    same(&read.to_tls_bytes().map_err(|error| error.to_string())?, bytes)
}

pub(crate) fn openmls(bytes: &[u8]) -> Verdict {
    let mut rest = bytes;
    let read = MlsMessageIn::tls_deserialize(&mut rest).map_err(|error| error.to_string())?;
    same(&read.tls_serialize_detached().map_err(|error| error.to_string())?, bytes)
}

pub(crate) fn mls_rs(bytes: &[u8]) -> Verdict {
    let read = ::mls_rs::MlsMessage::from_bytes(bytes).map_err(|error| error.to_string())?;
    same(&read.to_bytes().map_err(|error| error.to_string())?, bytes)
}

/// One extension as it stands in a list.
fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.put_opaque(data);
    bytes
}

pub(crate) fn mls_spec_extension(kind: u16, data: &[u8]) -> bool {
    let read = ::mls_spec::group::extensions::Extension::try_new(kind, data.into());
    read.is_ok_and(|read| read.to_tls_bytes().is_ok_and(|written| written == extension(kind, data)))
}

pub(crate) fn openmls_extension(kind: u16, data: &[u8]) -> bool {
    let bytes = extension(kind, data);
    let read = ::openmls::prelude::Extension::tls_deserialize_exact(&bytes);
    read.is_ok_and(|read| read.tls_serialize_detached().is_ok_and(|written| written == bytes))
}
