//! The bytes of messages, as OpenMLS reads them: to the end, or not at all.

use anyhow::{Context as _, Result, bail, ensure};
use openmls::prelude::tls_codec::{Deserialize as _, Serialize};
use openmls::prelude::{
    KeyPackage, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, ProtocolMessage, ProtocolVersion,
    RatchetTreeIn,
};
use openmls_rust_crypto::OpenMlsRustCrypto;

/// What the outside of a message shows to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// A message to a group.
    Group {
        /// Whether it is a `PublicMessage`.
        public: bool,
        /// The group.
        group_id: Vec<u8>,
        /// The epoch it was made in.
        epoch: u64,
        /// "application", "proposal" or "commit".
        content: &'static str,
    },
    /// A Welcome.
    Welcome,
    /// A GroupInfo, and what its context says.
    GroupInfo {
        /// The group.
        group_id: Vec<u8>,
        /// The epoch it describes.
        epoch: u64,
        /// Whether it holds the ratchet tree.
        with_tree: bool,
        /// Whether it holds the key for external commits.
        with_external_pub: bool,
    },
    /// A valid KeyPackage, and the suite it is for.
    KeyPackage {
        /// The ciphersuite.
        suite: u16,
        /// Whether it is marked as last resort.
        last_resort: bool,
    },
}

/// Reads an `MLSMessage`.
pub fn read(bytes: &[u8]) -> Result<Read> {
    let group_message = |public: bool, message: ProtocolMessage| Read::Group {
        public,
        group_id: message.group_id().as_slice().to_vec(),
        epoch: message.epoch().as_u64(),
        content: match message.content_type() {
            openmls::prelude::ContentType::Application => "application",
            openmls::prelude::ContentType::Proposal => "proposal",
            openmls::prelude::ContentType::Commit => "commit",
        },
    };
    Ok(match message(bytes)? {
        MlsMessageBodyIn::PublicMessage(message) => group_message(true, message.into()),
        MlsMessageBodyIn::PrivateMessage(message) => group_message(false, message.into()),
        MlsMessageBodyIn::Welcome(_) => Read::Welcome,
        MlsMessageBodyIn::GroupInfo(info) => Read::GroupInfo {
            group_id: info.group_id().as_slice().to_vec(),
            epoch: info.epoch().as_u64(),
            with_tree: info.extensions().ratchet_tree().is_some(),
            with_external_pub: info.extensions().external_pub().is_some(),
        },
        MlsMessageBodyIn::KeyPackage(_) => {
            let valid = key_package(&OpenMlsRustCrypto::default(), bytes)?;
            Read::KeyPackage { suite: valid.ciphersuite().into(), last_resort: valid.last_resort() }
        }
    })
}

/// One whole message, and nothing after it.
pub(super) fn message(bytes: &[u8]) -> Result<MlsMessageBodyIn> {
    let mut rest = bytes;
    let message = MlsMessageIn::tls_deserialize(&mut rest).context("not an MLSMessage")?;
    ensure!(rest.is_empty(), "{} bytes after an MLSMessage", rest.len());
    Ok(message.extract())
}

/// A KeyPackage in an `MLSMessage`, validated.
pub(super) fn key_package(provider: &OpenMlsRustCrypto, bytes: &[u8]) -> Result<KeyPackage> {
    let MlsMessageBodyIn::KeyPackage(key_package) = message(bytes)? else { bail!("not a KeyPackage") };
    Ok(key_package.validate(provider.crypto(), ProtocolVersion::Mls10)?)
}

/// A ratchet tree.
pub(super) fn tree(bytes: &[u8]) -> Result<RatchetTreeIn> {
    let mut rest = bytes;
    let tree = RatchetTreeIn::tls_deserialize(&mut rest).context("not a ratchet tree")?;
    ensure!(rest.is_empty(), "{} bytes after a ratchet tree", rest.len());
    Ok(tree)
}

/// Any structure in the encoding of TLS.
pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(value.tls_serialize_detached()?)
}
