//! Those who speak to a group from outside: an external sender, such as a delivery service, and who asks to join.

use anyhow::Result;
use openmls::prelude::{
    BasicCredential, Credential, ExternalProposal, GroupEpoch, GroupId, JoinProposal, LeafNodeIndex,
    SenderExtensionIndex,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::{MemoryStorage, OpenMlsRustCrypto};

use super::{Member, Terms, new_signer, reading, supported};

/// An entry of a group's `external_senders`: an identity and a signature key, given or an [`Outsider`]'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalSender {
    /// The basic credential's identity.
    pub identity: String,
    /// The public signature key.
    pub signature_key: Vec<u8>,
}

impl ExternalSender {
    pub(super) fn to_openmls(&self) -> openmls::prelude::ExternalSender {
        let credential: Credential = BasicCredential::new(self.identity.as_bytes().to_vec()).into();
        openmls::prelude::ExternalSender::new(self.signature_key.clone().into(), credential)
    }
}

/// Somebody who holds an external sender's key: a stand-in for a delivery service, or an impostor.
#[derive(Debug)]
pub struct Outsider {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    identity: String,
}

impl Outsider {
    /// One with a new key of the suite's signature scheme.
    pub fn new(identity: &str, suite: u16) -> Result<Self> {
        let provider = OpenMlsRustCrypto::default();
        let signer = new_signer(supported(&provider, suite)?)?;
        Ok(Self { provider, signer, identity: identity.to_owned() })
    }

    /// Its entry in `external_senders`.
    pub fn external_sender(&self) -> ExternalSender {
        ExternalSender { identity: self.identity.clone(), signature_key: self.signer.to_public_vec() }
    }

    /// Proposes to remove a leaf, as the external sender at `place` in the group's list.
    pub fn propose_remove(&self, group_id: &[u8], epoch: u64, place: u32, leaf: u32) -> Result<Vec<u8>> {
        let proposal = ExternalProposal::new_remove::<OpenMlsRustCrypto>(
            LeafNodeIndex::new(leaf),
            GroupId::from_slice(group_id),
            GroupEpoch::from(epoch),
            &self.signer,
            SenderExtensionIndex::new(place),
        )?;
        Ok(proposal.to_bytes()?)
    }

    /// Proposes to add a device, as the external sender at `place` in the group's list.
    pub fn propose_add(
        &self,
        group_id: &[u8],
        epoch: u64,
        place: u32,
        key_package: &[u8],
    ) -> Result<Vec<u8>> {
        let proposal = ExternalProposal::new_add::<OpenMlsRustCrypto>(
            reading::key_package(&self.provider, key_package)?,
            GroupId::from_slice(group_id),
            GroupEpoch::from(epoch),
            &self.signer,
            SenderExtensionIndex::new(place),
        )?;
        Ok(proposal.to_bytes()?)
    }

    /// Proposes what the group's context shall say, as the external sender at `place` in the group's list.
    pub fn propose_terms(&self, group_id: &[u8], epoch: u64, place: u32, terms: &Terms) -> Result<Vec<u8>> {
        let proposal = ExternalProposal::new_group_context_extensions::<OpenMlsRustCrypto>(
            terms.to_openmls()?,
            GroupId::from_slice(group_id),
            GroupEpoch::from(epoch),
            &self.signer,
            SenderExtensionIndex::new(place),
        )?;
        Ok(proposal.to_bytes()?)
    }
}

impl Member {
    /// Proposes itself to a group that it is not in (`new_member_proposal`).
    pub fn ask_to_join(&self, group_id: &[u8], epoch: u64) -> Result<Vec<u8>> {
        let key_package = reading::key_package(&self.provider, &self.key_package()?)?;
        let (group_id, epoch) = (GroupId::from_slice(group_id), GroupEpoch::from(epoch));
        let proposal = JoinProposal::new::<MemoryStorage>(key_package, group_id, epoch, &self.signer)?;
        Ok(proposal.to_bytes()?)
    }
}
