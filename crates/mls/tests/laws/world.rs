//! Groups in which nobody knows anything better than the law: forged, followed, with something honest of every kind to begin
//! with.

use std::{collections::HashMap, sync::LazyLock};

use maypole_mls::{
    Group, Policy, Strict, Suite, UnixSeconds,
    reader::Reader,
    wire::{LeafNode, LeafSource},
    writer::Write as _,
};
use maypole_testkit::forge::{
    self, APP_DATA_DICTIONARY, APP_DATA_UPDATE, APP_EPHEMERAL, Capabilities, Draft, Extension, Forge,
    Founding, GroupInfoDraft, KeyPackage, KeyPackageDraft, LeafDraft, Proposal, ProposalMessage, PskId,
    SELF_REMOVE, Sender, Shape as Past, SigningKey, chance::Choices,
};

use super::{
    choices::one_of,
    grammar,
    policies::{KNOWN_COMPONENT, TakesAll},
    shape::{Shape, Signed},
};

/// The time of all laws.
pub(super) const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// How many messages of a story one input has said.
pub(super) const MESSAGES: usize = 12;

/// A forged group, imported.
pub(super) fn begin(forge: &Forge, policy: &dyn Policy) -> Group {
    let info = forge.group_info(&GroupInfoDraft::by(0)).unwrap();
    Group::import(&info, Some(&forge.ratchet_tree()), policy, NOW).unwrap()
}

/// What a material is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    GroupInfo,
    KeyPackage,
    Welcome,
    Tree,
    Snapshot,
    Delta,
    Leaf,
    Proposal,
    Extensions,
}

/// Something honest, which can be edited.
pub(super) struct Material {
    kind: Kind,
    shape: Shape,
    /// Who signs it where it does not say who does.
    signer: Option<SigningKey>,
}

/// A forged group that is followed.
pub(super) struct World {
    pub(super) suite: Suite,
    pub(super) forge: Forge,
    pub(super) group: Group,
    materials: Vec<Material>,
    keys: HashMap<Vec<u8>, SigningKey>,
}

/// The group that an input chooses.
pub(super) fn world(choices: &mut Choices<'_>) -> &'static World {
    static WORLDS: LazyLock<[World; 3]> = LazyLock::new(|| {
        let listing = LeafDraft { capabilities: Some(all_types()), ..LeafDraft::default() };
        let mut listing_all = Founding::of(forge::Suite::One, 6, Past::Bare, 2).at(NOW.0);
        listing_all.extensions = vec![Extension::app_data(&[(KNOWN_COMPONENT, b"before"), (6, b"")])];
        listing_all.leaves = (0..6).map(|leaf| (leaf, listing.clone())).collect();
        [
            World::of(&Founding::of(forge::Suite::One, 8, Past::Warm, 1).at(NOW.0)),
            World::of(&listing_all),
            World::of(&Founding::of(forge::Suite::Two, 5, Past::Warm, 3).at(NOW.0)),
        ]
    });
    one_of(choices, &*WORLDS)
}

impl World {
    fn of(founding: &Founding) -> Self {
        let forge = Forge::new(founding).unwrap();
        let group = begin(&forge, &Strict);
        let keys = forge.members().map(|(index, _)| forge.key_of(index).unwrap().clone());
        let keys = keys.map(|key| (key.public().to_vec(), key)).collect();
        let suite = group.suite();
        let mut world = Self { suite, forge, group, materials: Vec::new(), keys };
        world.fill();
        world
    }

    /// Makes something of every kind.
    fn fill(&mut self) {
        let update = self.forge.update_of(3, &LeafDraft::default()).unwrap();
        let update = self.waits(Sender::Member(3), update);
        let leaving = self.waits(Sender::Member(4), Proposal::SelfRemove);
        let mut package = KeyPackageDraft::of("@ann:a.org/D");
        package.leaf.capabilities = Some(all_types());
        let package = self.forge.key_package(&package).unwrap();
        self.keys.insert(package.leaf.key.public().to_vec(), package.leaf.key.clone());
        self.commits(&update, &leaving, &package);
        self.proposals(&package);
        let deltas: Vec<_> = self
            .materials
            .iter()
            .filter_map(|message| {
                let delta = self.group.validate(&self.unchanged(message), &TakesAll, NOW).ok()?;
                Some(delta.to_bytes())
            })
            .collect();
        assert!(deltas.len() > 8, "honest messages are refused");
        for delta in &deltas {
            self.keep(Kind::Delta, delta, None, grammar::delta);
        }
        for draft in [GroupInfoDraft::by(0), GroupInfoDraft::by(1).with_tree()] {
            let info = self.forge.group_info(&draft).unwrap();
            self.keep(Kind::GroupInfo, &info, None, |shape, reader| grammar::message(shape, reader, 0));
        }
        self.keep(Kind::KeyPackage, &package.bytes, None, grammar::key_package);
        let message = |shape: &mut Shape, reader: &mut Reader<'_>| grammar::message(shape, reader, 0);
        self.keep(Kind::KeyPackage, &package.message(), None, message);
        let welcome = self.welcome(&package);
        self.keep(Kind::Welcome, &welcome, None, message);
        self.keep(Kind::Welcome, &welcome[4..], None, grammar::welcome);
        self.keep(Kind::Tree, &self.forge.ratchet_tree(), None, grammar::tree);
        self.keep(Kind::Snapshot, &self.group.snapshot(), None, grammar::snapshot);
        for leaf in 0..3 {
            let bytes = self.group.member(leaf).unwrap().node.raw.to_vec();
            self.keep(Kind::Leaf, &bytes, None, |shape, reader| grammar::leaf(shape, reader, leaf));
        }
        let extensions = self.group.extensions().raw.to_vec();
        self.keep(Kind::Extensions, &extensions, None, grammar::extensions);
    }

    /// A proposal that waits from now on.
    fn waits(&mut self, sender: Sender, proposal: Proposal) -> ProposalMessage {
        let message = self.forge.propose(sender, proposal).unwrap();
        self.group.apply(self.group.validate(&message.message, &Strict, NOW).unwrap()).unwrap();
        message
    }

    fn commits(&mut self, update: &ProposalMessage, leaving: &ProposalMessage, package: &KeyPackage) {
        let forge = &self.forge;
        let required = Extension::required_capabilities(&[], &[SELF_REMOVE], &[1]);
        let extensions = [forge.extensions(), &[required]].concat();
        let nonce = forge.bytes(self.suite.hash_bytes());
        let psk = Proposal::PreSharedKey(PskId::External { id: b"psk".to_vec(), nonce });
        let newcomer = forge.new_key().unwrap();
        let mut join = forge.draft_external("@new:a.org/D", &[]).unwrap().referring_to(leaving);
        let leaf = &mut join.path.as_mut().unwrap().leaf;
        (leaf.key, leaf.capabilities) = (Some(newcomer.clone()), Some(all_types()));
        let drafts = [
            forge.draft_references(2, &[update, leaving]).with(Proposal::Add(package.clone())),
            forge.draft_add(0, std::slice::from_ref(package)),
            forge.draft_remove(1, &[3, 2]),
            forge.draft_extensions(0, &extensions),
            forge.draft_update(2).with(psk),
            forge.draft_update(1).with(reinit()),
            forge.draft_update(0).with(Proposal::Raw(0xf003, vec![1, 7, 0])),
            forge.draft_update(3).with(grows()).with(said()).with(grows()).without_path(),
            forge.draft_update(3).with(Proposal::AppDataUpdate(KNOWN_COMPONENT, None)),
            forge.draft_resync(2).unwrap(),
        ];
        for draft in drafts {
            self.commit(&draft, None);
        }
        self.keys.insert(newcomer.public().to_vec(), newcomer.clone());
        self.commit(&join, Some(newcomer));
    }

    fn commit(&mut self, draft: &Draft, signer: Option<SigningKey>) {
        let commit = self.forge.commit(draft).unwrap();
        let signer = signer.or_else(|| self.forge.key_of(commit.committer).ok().cloned());
        self.keep(Kind::Message, &commit.message, signer, |shape, reader| {
            grammar::message(shape, reader, commit.committer);
        });
    }

    fn proposals(&mut self, package: &KeyPackage) {
        let forge = &self.forge;
        let nonce = forge.bytes(self.suite.hash_bytes());
        let psk = PskId::Resumption { usage: 1, group_id: b"!old:a.org".to_vec(), epoch: 7, nonce };
        let extensions = Proposal::Extensions(forge.extensions().to_vec());
        let all = [
            (Sender::Member(1), forge.update_of(1, &LeafDraft::default()).unwrap()),
            (Sender::Member(1), Proposal::Add(package.clone())),
            (Sender::Member(2), Proposal::PreSharedKey(psk)),
            (Sender::Member(2), Proposal::Raw(0xf002, vec![2, 5, 6])),
            (Sender::External(0), extensions),
            (Sender::External(0), Proposal::Remove(2)),
            (Sender::External(0), reinit()),
            (Sender::External(0), grows()),
            (Sender::Member(2), said()),
            (Sender::NewMemberProposal, Proposal::Add(package.clone())),
        ];
        for (sender, proposal) in all {
            let message = self.forge.propose(sender, proposal.clone()).unwrap().message;
            let place = if let Sender::Member(leaf) = sender { leaf } else { 0 };
            let signer = Some(package.leaf.key.clone());
            self.keep(Kind::Message, &message, signer, |shape, reader| {
                grammar::message(shape, reader, place)
            });
            if !matches!(proposal, Proposal::Raw(..)) {
                let bytes = proposal.to_bytes();
                self.keep(Kind::Proposal, &bytes, None, |shape, reader| {
                    grammar::proposal(shape, reader, place);
                });
            }
        }
    }

    fn welcome(&self, package: &KeyPackage) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 3];
        bytes.put_u16(self.suite.code());
        bytes.put_vector(|inside| {
            for reference in [&package.reference()[..], b"somebody else"] {
                inside.put_opaque(reference);
                inside.put_opaque(&self.forge.bytes(32));
                inside.put_opaque(&self.forge.bytes(50));
            }
        });
        bytes.put_opaque(&self.forge.bytes(100));
        bytes
    }

    fn keep(
        &mut self,
        kind: Kind,
        bytes: &[u8],
        signer: Option<SigningKey>,
        grammar: impl FnOnce(&mut Shape, &mut Reader<'_>),
    ) {
        self.materials.push(Material { kind, shape: Shape::of(bytes, grammar), signer });
    }

    fn unchanged(&self, material: &Material) -> Vec<u8> {
        material.shape.write(&|_, _| None)
    }

    /// Something honest of a kind.
    pub(super) fn honest(&self, kind: Kind, choices: &mut Choices<'_>) -> Vec<u8> {
        self.unchanged(self.material(kind, choices))
    }

    fn material(&self, kind: Kind, choices: &mut Choices<'_>) -> &Material {
        let all: Vec<_> = self.materials.iter().filter(|material| material.kind == kind).collect();
        all[choices.below(all.len())]
    }

    /// Something of a kind: bytes that the input gives, or something honest that it edits, signed anew or not.
    pub(super) fn of_kind(&self, kind: Kind, choices: &mut Choices<'_>) -> Vec<u8> {
        let how = choices.byte();
        if how & 7 == 7 {
            return choices.rest().to_vec();
        }
        let material = self.material(kind, choices);
        let mut shape = material.shape.clone();
        shape.edit(choices, usize::from(how & 7));
        let sign = |what: Signed, content: &[u8]| self.sign(what, content, material.signer.as_ref());
        let mut bytes = if how & 8 == 0 { shape.write(&sign) } else { shape.write(&|_, _| None) };
        if how & 16 != 0 {
            let end = bytes.len();
            bytes.truncate(choices.below(end + 1));
        }
        if how & 32 != 0 {
            bytes.extend_from_slice(choices.some());
        }
        bytes
    }

    /// Signs what somebody here can sign.
    fn sign(&self, what: Signed, content: &[u8], signer: Option<&SigningKey>) -> Option<Vec<u8>> {
        let known = |key: &[u8]| self.keys.get(key);
        let (key, label, signed) = match what {
            Signed::Framed => {
                let mut reader = Reader::new(content);
                reader.opaque("group").ok()?;
                reader.u64("epoch").ok()?;
                let (sender, index) = (reader.u8("sender").ok()?, reader.u32("index"));
                let (key, context) = match sender {
                    1 => (self.forge.key_of(index.ok()?).ok(), self.group.context()),
                    2 => (self.forge.external_key(index.ok()?).ok(), &[][..]),
                    3 => (signer, &[][..]),
                    _ => (signer, self.group.context()),
                };
                (key.or(signer)?, "FramedContentTBS", [&[0, 1, 0, 1][..], content, context].concat())
            }
            Signed::Leaf(place) => {
                let with_end = [content, &[0]].concat();
                let leaf = LeafNode::from_bytes(&with_end).ok()?;
                let mut signed = content.to_vec();
                if !matches!(leaf.source, LeafSource::KeyPackage { .. }) {
                    signed.put_opaque(self.group.group_id());
                    signed.put_u32(place);
                }
                (known(leaf.signature_key)?, "LeafNodeTBS", signed)
            }
            Signed::KeyPackage => {
                let mut reader = Reader::new(content.get(4..)?);
                reader.opaque("init key").ok()?;
                (known(LeafNode::read(&mut reader).ok()?.signature_key)?, "KeyPackageTBS", content.to_vec())
            }
            Signed::GroupInfo => {
                let signer = u32::from_be_bytes(*content.last_chunk()?);
                (self.forge.key_of(signer).ok()?, "GroupInfoTBS", content.to_vec())
            }
        };
        key.sign(label, &signed).ok()
    }
}

fn reinit() -> Proposal {
    let group_id = b"!next:a.org".to_vec();
    Proposal::ReInit { group_id, version: 1, suite: 1, extensions: Vec::new() }
}

/// Everything that anything here may need.
fn all_types() -> Capabilities {
    Capabilities {
        extensions: vec![APP_DATA_DICTIONARY],
        proposals: vec![APP_DATA_UPDATE, APP_EPHEMERAL, SELF_REMOVE, 0xf001, 0xf002, 0xf003],
        ..Capabilities::default()
    }
}

/// Something is added to what the group keeps for a component.
fn grows() -> Proposal {
    Proposal::AppDataUpdate(KNOWN_COMPONENT, Some(b"and after".to_vec()))
}

/// Something is said to a component.
fn said() -> Proposal {
    Proposal::AppEphemeral(KNOWN_COMPONENT, b"hi".to_vec())
}
