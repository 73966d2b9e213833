//! The structures of RFC 9420 that a delivery service reads, borrowed from the bytes that they came in.
//!
//! Reading keeps the spans over which signatures and hashes are taken, so that nothing is ever written again to be
//! verified. It refuses what has the wrong shape; whether a thing of the right shape is allowed is for [`crate::Group`].

mod app_data;
mod capabilities;
mod commit;
mod credential;
mod extensions;
mod group_info;
mod key_package;
mod leaf_node;
mod proposal;
mod public_message;

pub use app_data::{
    APP_DATA_DICTIONARY, AppDataUpdate, AppEphemeral, Dictionary, REQUIRED_WIRE_FORMATS,
    SUPPORTED_WIRE_FORMATS,
};
pub(crate) use app_data::{
    APP_DATA_UPDATE, APP_EPHEMERAL, is_default_wire_format, read_wire_formats, write_dictionary,
};
pub use capabilities::{Capabilities, RequiredCapabilities, Types};
pub(crate) use capabilities::{is_default_extension, is_default_proposal};
pub use commit::{Ciphertexts, Commit, Listed, PathNode, UpdatePath};
pub use credential::{BASIC, Credential, X509};
pub use extensions::{
    APPLICATION_ID, EXTERNAL_PUB, EXTERNAL_SENDERS, Extension, Extensions, ExternalSender, LAST_RESORT,
    RATCHET_TREE, REQUIRED_CAPABILITIES,
};
pub use group_info::{GroupContext, GroupInfo};
pub use key_package::KeyPackage;
pub use leaf_node::{LeafNode, LeafSource};
pub(crate) use proposal::{ADD, GROUP_CONTEXT_EXTENSIONS, SELF_REMOVE, UPDATE};
pub use proposal::{Body, PreSharedKey, Proposal, ReInit, Unreadable};
pub use public_message::{Content, PublicMessage};
