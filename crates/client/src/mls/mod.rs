//! OpenMLS, as a device of MSC4244 uses it: what its groups and leaves look like, and how bytes are read.

mod commit;
mod group;
mod reading;
mod store;

pub(crate) use commit::{Made, Making, going, make, make_external};
pub(crate) use group::{
    Sorting, capabilities, create, create_key_package, credential, external_pub, join_config, leaf_of,
    member_names, new_signer, service_keys, sort,
};
pub(crate) use reading::{encode, group_info, key_package, message, tree, welcome};
pub(crate) use store::{copy, from_entries, to_entries};
