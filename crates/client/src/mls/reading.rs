//! Bytes as OpenMLS reads them: to the end, or not at all; bare or in an `MLSMessage`, as docs/protocol.md allows.

use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::tls_codec::{Deserialize, Serialize};
use openmls::prelude::{
    KeyPackage, KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, OpenMlsCrypto, ProtocolMessage,
    ProtocolVersion, RatchetTreeIn, Welcome,
};

/// One structure, and nothing after it.
fn whole<T: Deserialize>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let value = T::tls_deserialize(&mut rest).ok()?;
    rest.is_empty().then_some(value)
}

/// What is in an `MLSMessage`.
fn body(bytes: &[u8]) -> Option<MlsMessageBodyIn> {
    whole::<MlsMessageIn>(bytes).map(MlsMessageIn::extract)
}

/// A message to a group, and whether it is a `PublicMessage`.
pub(crate) fn message(bytes: &[u8]) -> Option<(ProtocolMessage, bool)> {
    match body(bytes)? {
        MlsMessageBodyIn::PublicMessage(message) => Some((message.into(), true)),
        MlsMessageBodyIn::PrivateMessage(message) => Some((message.into(), false)),
        _ => None,
    }
}

/// A Welcome.
pub(crate) fn welcome(bytes: &[u8]) -> Option<Welcome> {
    match body(bytes) {
        Some(MlsMessageBodyIn::Welcome(welcome)) => Some(welcome),
        _ => whole(bytes),
    }
}

/// A GroupInfo.
pub(crate) fn group_info(bytes: &[u8]) -> Option<VerifiableGroupInfo> {
    match body(bytes) {
        Some(MlsMessageBodyIn::GroupInfo(info)) => Some(info),
        _ => whole(bytes),
    }
}

/// A KeyPackage that is valid now, or what is wrong with it.
pub(crate) fn key_package(crypto: &impl OpenMlsCrypto, bytes: &[u8]) -> Result<KeyPackage, String> {
    let key_package = match body(bytes) {
        Some(MlsMessageBodyIn::KeyPackage(key_package)) => Some(key_package),
        _ => whole::<KeyPackageIn>(bytes),
    };
    let key_package = key_package.ok_or("it is not one")?;
    key_package.validate(crypto, ProtocolVersion::Mls10).map_err(|error| error.to_string())
}

/// A ratchet tree.
pub(crate) fn tree(bytes: &[u8]) -> Option<RatchetTreeIn> {
    whole(bytes)
}

/// Any structure in the encoding of TLS.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, String> {
    value.tls_serialize_detached().map_err(|error| error.to_string())
}
