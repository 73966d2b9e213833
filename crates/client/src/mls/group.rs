//! What this device's groups and leaves look like (docs/protocol.md §2, §3), and what there is to see in a group.

use std::collections::{BTreeMap, BTreeSet};

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, Credential, CredentialWithKey, Extension, ExtensionType,
    Extensions, ExternalSender, GroupContext, GroupId, KeyPackage, LeafNode, LeafNodeIndex, Member, MlsGroup,
    MlsGroupJoinConfig, MlsMessageBodyOut, MlsMessageOut, OpenMlsProvider as _,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, Proposal, ProposalType, Sender, SenderRatchetConfiguration,
    StagedCommit,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

use maypole_core::ids::ClientId;
use maypole_core::limits;
use maypole_mls::reader::Reader;
use maypole_room::description::ServiceKeys;
use maypole_room::identity;

use super::reading::encode;

/// The suites that OpenMLS's cryptography has, by number.
const SUITES: [u16; 3] = [1, 2, 3];

/// The suite of that number.
pub(crate) fn suite_of(code: u16) -> Option<Ciphersuite> {
    SUITES.contains(&code).then(|| Ciphersuite::try_from(code).ok()).flatten()
}

/// A new signature key of a suite's scheme.
pub(crate) fn new_signer(code: u16) -> Option<SignatureKeyPair> {
    SignatureKeyPair::new(suite_of(code)?.signature_algorithm()).ok()
}

/// The credential of a device.
pub(crate) fn credential(client: &ClientId, signer: &SignatureKeyPair) -> CredentialWithKey {
    let credential: Credential = BasicCredential::new(identity::write(client)).into();
    CredentialWithKey { credential, signature_key: signer.to_public_vec().into() }
}

/// What every leaf lists: the suites, SelfRemove, and the mark of last resorts, which OpenMLS does not list by itself.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities::builder()
        .ciphersuites(SUITES.iter().filter_map(|code| suite_of(*code)).collect())
        .extensions(vec![ExtensionType::LastResort])
        .proposals(vec![ProposalType::SelfRemove])
        .build()
}

/// How a group is kept: public handshakes, trees apart from messages, a few epochs back.
pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(false)
        .max_past_epochs(limits::CLIENT_PAST_EPOCHS)
        .sender_ratchet_configuration(ratchets())
        .build()
}

/// Room events come in an order that servers agree on only in the end.
fn ratchets() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(limits::CLIENT_MESSAGES_OUT_OF_ORDER, limits::CLIENT_MESSAGES_AHEAD)
}

/// A new group whose one external sender is the service.
pub(crate) fn create(
    provider: &OpenMlsRustCrypto,
    signer: &SignatureKeyPair,
    credential: CredentialWithKey,
    suite: u16,
    group_id: &[u8],
    (service_identity, service_key): (&str, Vec<u8>),
) -> Result<MlsGroup, String> {
    let suite = suite_of(suite).ok_or("the suite is not known")?;
    let service: Credential = BasicCredential::new(service_identity.as_bytes().to_vec()).into();
    let senders = vec![ExternalSender::new(service_key.into(), service)];
    let extensions = Extensions::from_vec(vec![Extension::ExternalSenders(senders)]);
    MlsGroup::builder()
        .with_group_id(GroupId::from_slice(group_id))
        .ciphersuite(suite)
        .with_capabilities(capabilities())
        .with_wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(false)
        .max_past_epochs(limits::CLIENT_PAST_EPOCHS)
        .sender_ratchet_configuration(ratchets())
        .with_group_context_extensions(extensions.map_err(|error| error.to_string())?)
        .build(provider, signer, credential)
        .map_err(|error| error.to_string())
}

/// A KeyPackage, whose secrets stay in the store for the Welcome. The bytes are bare.
pub(crate) fn create_key_package(
    provider: &OpenMlsRustCrypto,
    signer: &SignatureKeyPair,
    credential: CredentialWithKey,
    suite: u16,
    last_resort: bool,
) -> Result<Vec<u8>, String> {
    let suite = suite_of(suite).ok_or("the suite is not known")?;
    let mut builder = KeyPackage::builder().leaf_node_capabilities(capabilities());
    if last_resort {
        builder = builder.mark_as_last_resort();
    }
    let bundle = builder.build(suite, provider, signer, credential).map_err(|error| error.to_string())?;
    encode(bundle.key_package())
}

/// The service that a group names, or why the group names none.
pub(crate) fn service_keys(extensions: &Extensions<GroupContext>) -> Result<ServiceKeys, &'static str> {
    let senders = extensions.external_senders().map(Vec::as_slice).unwrap_or_default();
    let [sender] = senders else { return Err("the group has not exactly one external sender") };
    let bytes = encode(sender).map_err(|_| "the external sender cannot be written")?;
    let mut reader = Reader::new(&bytes);
    let unreadable = "the external sender is not one of a delivery service";
    reader.opaque("the key is cut short").map_err(|_| unreadable)?;
    let credential = maypole_mls::wire::Credential::read(&mut reader).map_err(|_| unreadable)?;
    let identity = std::str::from_utf8(credential.identity().unwrap_or_default()).ok();
    identity.and_then(ServiceKeys::parse).ok_or(unreadable)
}

/// The key for external commits of a group's epoch.
pub(crate) fn external_pub(
    provider: &OpenMlsRustCrypto,
    signer: &SignatureKeyPair,
    group: &MlsGroup,
) -> Option<Vec<u8>> {
    let info = group.export_group_info(provider.crypto(), signer, false).ok()?;
    let MlsMessageBodyOut::GroupInfo(info) = MlsMessageOut::body(&info) else { return None };
    info.extensions().external_pub().map(|extension| extension.external_pub().as_slice().to_vec())
}

/// The device that a credential names.
fn client_of(credential: &Credential) -> Option<ClientId> {
    identity::parse(BasicCredential::try_from(credential.clone()).ok()?.identity())
}

/// Everybody in a group, by leaf; leaves that name no device are left out.
pub(crate) fn member_names(group: &MlsGroup) -> BTreeMap<u32, ClientId> {
    group.members().filter_map(|member| Some((member.index.u32(), client_of(&member.credential)?))).collect()
}

/// The leaf of a device.
pub(crate) fn leaf_of(group: &MlsGroup, client: &ClientId) -> Option<LeafNodeIndex> {
    let name = identity::write(client);
    let mut members = group.members();
    let is = |member: &Member| client_of(&member.credential).is_some_and(|is| identity::write(&is) == name);
    members.find(is).map(|member| member.index)
}

/// A leaf's device and its signature key.
pub(crate) type Named = (ClientId, Vec<u8>);

/// Who comes and who goes by a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sorting {
    /// Who made it.
    pub(crate) by: ClientId,
    /// Leaves that come.
    pub(crate) added: Vec<Named>,
    /// Leaves that stay, with another signature key.
    pub(crate) rekeyed: Vec<Named>,
    /// Whose leaves go.
    pub(crate) removed: Vec<ClientId>,
}

/// Sorts what a commit does to the members, or says which rule about identities it breaks: nobody's changes, every leaf
/// names a device, and no two the same (docs/protocol.md §2).
pub(crate) fn sort(
    group: &MlsGroup,
    sender: &Sender,
    staged: &StagedCommit,
) -> Result<Sorting, &'static str> {
    let before = member_names(group);
    let mut added = Vec::new();
    for add in staged.add_proposals() {
        added.push(named(add.add_proposal().key_package().leaf_node())?);
    }
    let mut replaced: Vec<(LeafNodeIndex, Named)> = Vec::new();
    for update in staged.update_proposals() {
        let Sender::Member(leaf) = update.sender() else { return Err("an Update is not a member's") };
        replaced.push((*leaf, named(update.update_proposal().leaf_node())?));
    }
    let path = staged.update_path_leaf_node().map(named).transpose()?;
    let by = match (sender, path) {
        (Sender::Member(leaf), path) => {
            replaced.extend(path.map(|path| (*leaf, path)));
            before.get(&leaf.u32()).cloned().ok_or("the committer's leaf names no device of a Matrix user")?
        }
        (Sender::NewMemberCommit, Some(path)) => {
            added.push(path.clone());
            path.0
        }
        _ => return Err("a commit is not a member's, nor of somebody who joins"),
    };
    if replaced.iter().any(|(leaf, (client, _))| before.get(&leaf.u32()) != Some(client)) {
        return Err("a leaf changes its identity");
    }
    let has_new_key = |(leaf, (_, key)): &(LeafNodeIndex, Named)| {
        group.member_at(*leaf).is_none_or(|member| member.signature_key != *key)
    };
    let rekeyed = replaced.into_iter().filter(has_new_key).map(|(_, named)| named).collect();
    let gone = leaves_that_go(staged);
    let staying = before.iter().filter(|(leaf, _)| !gone.contains(leaf)).map(|(_, client)| client);
    let mut seen: BTreeSet<&ClientId> = staying.collect();
    if !added.iter().all(|(client, _)| seen.insert(client)) {
        return Err("two leaves name the same device");
    }
    let removed = gone.iter().filter_map(|leaf| before.get(leaf).cloned()).collect();
    Ok(Sorting { by, added, rekeyed, removed })
}

fn named(leaf: &LeafNode) -> Result<Named, &'static str> {
    let client = client_of(leaf.credential()).ok_or("a leaf names no device of a Matrix user")?;
    Ok((client, leaf.signature_key().as_slice().to_vec()))
}

fn leaves_that_go(staged: &StagedCommit) -> BTreeSet<u32> {
    let removes = staged.remove_proposals().map(|remove| remove.remove_proposal().removed().u32());
    let by_themselves =
        staged.queued_proposals().filter_map(|queued| match (queued.proposal(), queued.sender()) {
            (Proposal::SelfRemove, Sender::Member(leaf)) => Some(leaf.u32()),
            _ => None,
        });
    removes.chain(by_themselves).collect()
}
