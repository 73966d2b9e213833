//! Members of MLS groups, on OpenMLS, for the real messages that tests and the demo send.
//!
//! Everything comes out, and goes in, as the bytes of an `MLSMessage` (RFC 9420 §6): what travels. Trees are
//! `optional<Node> ratchet_tree<V>` (§12.4.3.3). A [`Member`] is one device in at most one group.

mod commits;
pub mod history;
mod joining;
mod outsiders;
mod reading;
mod terms;

use anyhow::{Context as _, Result, anyhow, ensure};
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, Credential, CredentialWithKey, ExtensionType, GroupId,
    KeyPackage, MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroup,
    MlsGroupJoinConfig, MlsMessageOut, OpenMlsCrypto as _, OpenMlsProvider as _, ProposalType,
    WireFormatPolicy,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

pub use commits::{Change, Commit};
pub use joining::Heard;
pub use outsiders::{ExternalSender, Outsider};
pub use reading::{Read, read};
pub use terms::Terms;

/// The ciphersuites of which the provider makes messages: 1, 2 and 3 of RFC 9420 §17.1.
pub const SUITES: [u16; 3] = [1, 2, 3];

/// How a member frames its commits and proposals. Everybody reads both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `PublicMessage`, which a delivery service can read.
    Public,
    /// `PrivateMessage`.
    Private,
}

/// One device that is, or may become, a member of one group.
///
/// ```
/// use maypole_testkit::mls::{Heard, Member, Outsider};
///
/// let service = Outsider::new("@:a.org", 1)?;
/// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
/// let mut bob = Member::new("@bob:a.org/LAPTOP", 1)?;
/// alice.create_group(b"!room:a.org", &[service.external_sender()])?;
/// let commit = alice.add(&[bob.key_package()?])?;
/// alice.merge()?;
/// bob.join(&commit.welcome.unwrap(), &commit.ratchet_tree)?;
/// assert_eq!(bob.hear(&alice.say(b"hello")?)?, Heard::Text(b"hello".to_vec()));
/// # anyhow::Ok(())
/// ```
pub struct Member {
    provider: OpenMlsRustCrypto,
    suite: Ciphersuite,
    signer: SignatureKeyPair,
    /// Signature keys of commits and Updates that wait, of which the next epoch may bring one.
    next_signers: Vec<SignatureKeyPair>,
    credential: CredentialWithKey,
    capabilities: Capabilities,
    group: Option<MlsGroup>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let identity = String::from_utf8_lossy(self.credential.credential.serialized_content());
        write!(
            formatter,
            "Member({identity}, epoch {:?})",
            self.group.as_ref().map(|group| group.epoch().as_u64())
        )
    }
}

impl Member {
    /// A device with a new signature key and a basic credential, such as `@alice:a.org/DEVICE`.
    pub fn new(identity: &str, suite: u16) -> Result<Self> {
        let provider = OpenMlsRustCrypto::default();
        let suite = supported(&provider, suite)?;
        let signer = new_signer(suite)?;
        let credential = BasicCredential::new(identity.as_bytes().to_vec()).into();
        let credential = credential_with_key(&credential, &signer);
        let capabilities = capabilities(&[], &[]);
        Ok(Self { provider, suite, signer, next_signers: Vec::new(), credential, capabilities, group: None })
    }

    /// Lists further extension and proposal types in the leaves that this device makes from now on.
    #[must_use]
    pub fn capable_of(mut self, extensions: &[u16], proposals: &[u16]) -> Self {
        self.capabilities = capabilities(extensions, proposals);
        self
    }

    /// Loses its group, but not its keys: it may come back by [`Member::join_by_commit`].
    pub fn forget_group(&mut self) -> Result<()> {
        self.next_signers.clear();
        if let Some(mut group) = self.group.take() {
            group.delete(self.provider.storage())?;
        }
        Ok(())
    }

    /// The public signature key, as the device would publish it.
    pub fn signature_key(&self) -> Vec<u8> {
        self.signer.to_public_vec()
    }

    /// A KeyPackage, whose secrets stay here for the Welcome.
    pub fn key_package(&self) -> Result<Vec<u8>> {
        self.build_key_package(false)
    }

    /// A KeyPackage that is marked as last resort.
    pub fn last_resort_key_package(&self) -> Result<Vec<u8>> {
        self.build_key_package(true)
    }

    fn build_key_package(&self, last_resort: bool) -> Result<Vec<u8>> {
        let mut builder = KeyPackage::builder().leaf_node_capabilities(self.capabilities.clone());
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let bundle = builder.build(self.suite, &self.provider, &self.signer, self.credential.clone())?;
        Ok(MlsMessageOut::from(bundle.into_key_package()).to_bytes()?)
    }

    /// Makes a group with a given ID, at epoch 0, whose `external_senders` are those given.
    pub fn create_group(&mut self, group_id: &[u8], external_senders: &[ExternalSender]) -> Result<()> {
        ensure!(self.group.is_none(), "this member has a group already");
        let terms = Terms { external_senders: external_senders.to_vec(), ..Terms::default() };
        let group = MlsGroup::builder()
            .with_group_id(GroupId::from_slice(group_id))
            .ciphersuite(self.suite)
            .with_capabilities(self.capabilities.clone())
            .with_wire_format_policy(wire_format(Framing::Public))
            .use_ratchet_tree_extension(false)
            .with_group_context_extensions(terms.to_openmls()?)
            .build(&self.provider, &self.signer, self.credential.clone())?;
        self.group = Some(group);
        Ok(())
    }

    /// The current epoch's GroupInfo with `external_pub`; on request with the tree in it.
    pub fn group_info(&self, with_tree: bool) -> Result<Vec<u8>> {
        let group = self.group()?;
        Ok(group.export_group_info(self.provider.crypto(), &self.signer, with_tree)?.to_bytes()?)
    }

    /// The current epoch's ratchet tree.
    pub fn ratchet_tree(&self) -> Result<Vec<u8>> {
        reading::encode(&self.group()?.export_ratchet_tree())
    }

    /// Frames what this member sends from now on.
    pub fn set_framing(&mut self, framing: Framing) -> Result<()> {
        let config = join_config(framing);
        let group = self.group.as_mut().context(NO_GROUP)?;
        Ok(group.set_configuration(self.provider.storage(), &config)?)
    }

    /// The epoch it is in.
    pub fn epoch(&self) -> Result<u64> {
        Ok(self.group()?.epoch().as_u64())
    }

    /// The group's ID.
    pub fn group_id(&self) -> Result<Vec<u8>> {
        Ok(self.group()?.group_id().as_slice().to_vec())
    }

    /// Its own leaf.
    pub fn leaf_index(&self) -> Result<u32> {
        Ok(self.group()?.own_leaf_index().u32())
    }

    /// The leaf of another member, by identity.
    pub fn leaf_of(&self, identity: &str) -> Result<Option<u32>> {
        let mut members = self.group()?.members();
        let found = members.find(|member| member.credential.serialized_content() == identity.as_bytes());
        Ok(found.map(|member| member.index.u32()))
    }

    /// The tree hash of its epoch (RFC 9420 §7.8).
    pub fn tree_hash(&self) -> Result<Vec<u8>> {
        Ok(self.group()?.public_group().group_context().tree_hash().to_vec())
    }

    /// The confirmed transcript hash of its epoch (RFC 9420 §8.2).
    pub fn confirmed_transcript_hash(&self) -> Result<Vec<u8>> {
        Ok(self.group()?.public_group().group_context().confirmed_transcript_hash().to_vec())
    }

    /// What two members of one epoch have in common, and nobody else has.
    pub fn epoch_authenticator(&self) -> Result<Vec<u8>> {
        Ok(self.group()?.epoch_authenticator().as_slice().to_vec())
    }

    /// Whether it still is a member, by what it has processed.
    pub fn is_active(&self) -> bool {
        self.group.as_ref().is_some_and(MlsGroup::is_active)
    }

    fn group(&self) -> Result<&MlsGroup> {
        self.group.as_ref().context(NO_GROUP)
    }
}

const NO_GROUP: &str = "this member has no group";

/// The suite of that number, if the provider can do it.
fn supported(provider: &OpenMlsRustCrypto, suite: u16) -> Result<Ciphersuite> {
    let known = provider.crypto().supported_ciphersuites();
    known
        .into_iter()
        .find(|known| u16::from(*known) == suite)
        .with_context(|| format!("no ciphersuite {suite} here"))
}

/// What every leaf lists: the suites, SelfRemove, the mark of last-resort KeyPackages, and what is given.
fn capabilities(extensions: &[u16], proposals: &[u16]) -> Capabilities {
    let extensions = extensions.iter().copied().map(ExtensionType::from);
    let proposals = proposals.iter().copied().map(ProposalType::from);
    Capabilities::builder()
        .ciphersuites(SUITES.iter().filter_map(|suite| Ciphersuite::try_from(*suite).ok()).collect())
        .extensions([ExtensionType::LastResort].into_iter().chain(extensions).collect())
        .proposals([ProposalType::SelfRemove].into_iter().chain(proposals).collect())
        .build()
}

/// A new signature key of the suite's scheme.
fn new_signer(suite: Ciphersuite) -> Result<SignatureKeyPair> {
    SignatureKeyPair::new(suite.signature_algorithm()).map_err(|error| anyhow!("no signature key: {error:?}"))
}

fn credential_with_key(credential: &Credential, signer: &SignatureKeyPair) -> CredentialWithKey {
    CredentialWithKey { credential: credential.clone(), signature_key: signer.to_public_vec().into() }
}

fn wire_format(framing: Framing) -> WireFormatPolicy {
    match framing {
        Framing::Public => MIXED_PLAINTEXT_WIRE_FORMAT_POLICY,
        Framing::Private => MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY,
    }
}

fn join_config(framing: Framing) -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(wire_format(framing))
        .use_ratchet_tree_extension(false)
        .build()
}
