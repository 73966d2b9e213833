//! What a group's context says in its extensions (RFC 9420 §11.1, §12.1.7): who may speak from outside, what each
//! member must support, and things that only the application understands.

use anyhow::Result;
use openmls::prelude::{
    CredentialType, Extension, ExtensionType, Extensions, GroupContext, ProposalType,
    RequiredCapabilitiesExtension, UnknownExtension,
};

use super::ExternalSender;

/// The extensions of a GroupContext.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Who may propose from outside, in the order that proposals refer to.
    pub external_senders: Vec<ExternalSender>,
    /// Extension and proposal types that every member must support, besides basic credentials.
    pub required: Option<(Vec<u16>, Vec<u16>)>,
    /// An extension of the application's own: its type and its data.
    pub own: Option<(u16, Vec<u8>)>,
}

impl Terms {
    pub(super) fn to_openmls(&self) -> Result<Extensions<GroupContext>> {
        let senders = self.external_senders.iter().map(ExternalSender::to_openmls).collect();
        let mut extensions = vec![Extension::ExternalSenders(senders)];
        if let Some((extension_types, proposal_types)) = &self.required {
            let extension_types: Vec<_> = extension_types.iter().copied().map(ExtensionType::from).collect();
            let proposal_types: Vec<_> = proposal_types.iter().copied().map(ProposalType::from).collect();
            extensions.push(Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(
                &extension_types,
                &proposal_types,
                &[CredentialType::Basic],
            )));
        }
        if let Some((extension_type, data)) = &self.own {
            extensions.push(Extension::Unknown(*extension_type, UnknownExtension(data.clone())));
        }
        Ok(Extensions::from_vec(extensions)?)
    }
}
