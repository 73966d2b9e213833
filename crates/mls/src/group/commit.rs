//! A commit's verdict (RFC 9420 §12.4.2), and its effect.

use std::collections::HashSet;

use super::{
    Delta, Group, Joined, Left, Replaced,
    changes::{PathChange, TreeChanges},
    confirmed_transcript_hash,
    delta::{Committed, Outcome},
    list::{Added, ProposalList},
    path::{Committer, Fresh},
};
use crate::{
    envelope::Sender,
    refusal::{Place, Refusal, Rule},
    rules::{Demands, leaf_content},
    tree::{Draft, Kind, Moves},
    wire::{
        Commit, Content, PublicMessage, SELF_REMOVE, Types, UpdatePath, is_default_extension,
        is_default_proposal, is_default_wire_format,
    },
    writer::VECTOR_BYTES,
};

impl Group {
    pub(super) fn validate_commit<'m>(
        &'m self,
        mut message: PublicMessage<'m>,
        demands: &Demands<'m>,
    ) -> Result<Delta, Refusal> {
        let taken = Content::Commit(Commit { proposals: Vec::new(), path: None });
        let Content::Commit(commit) = std::mem::replace(&mut message.content, taken) else {
            return Err(Rule::NotHandshake.whole());
        };
        let joins = match message.sender {
            Sender::Member(_) => false,
            Sender::NewMemberCommit => true,
            Sender::External(_) | Sender::NewMemberProposal => return Err(Rule::SenderKind.whole()),
        };
        // A member is known before its commit is read any further, so that strangers cannot make work of long lists.
        if let Sender::Member(leaf) = message.sender {
            let member = self.tree.leaf(leaf).ok_or(Rule::SenderBlank.at(Place::Leaf(leaf)))?;
            self.verify_framing(&message, member.signature_key)?;
        }
        let epoch = self.epoch.checked_add(1).ok_or(Rule::LastEpoch.whole())?;
        let entries = self.resolve(commit.proposals, message.sender, demands.policy)?;
        let extensions = self.changed_extensions(&entries.0, demands.policy)?;
        let demands = extensions.as_deref().map_or(Ok(*demands), |list| demands.with_extensions(list))?;
        let list = self.judge_list(entries, message.sender, &demands)?;
        if commit.path.is_none() && (list.needs_path || joins) {
            return Err(Rule::PathMissing.whole());
        }
        self.check_omitted(&list, message.sender, &demands)?;

        let mut changes = list.tree_changes();
        let mut draft = self.tree.draft();
        changes.start(&mut draft);
        let mut fresh = Fresh::default();
        self.check_new_leaves(&draft, &list, &mut fresh, &demands)?;
        let coming = list.adds.len() + usize::from(joins);
        if draft.staying() + coming > demands.policy.bounds().members as usize {
            return Err(Rule::TooManyMembers.whole());
        }
        let added: Vec<u32> = changes.adds.iter().map(|node| draft.add(node.clone())).collect();
        let committer = match message.sender {
            Sender::Member(leaf) => Committer { leaf, replaces: Some(leaf), joins },
            // Of the leaves that go by an external commit, the one that its Remove names is the joiner's own.
            _ => Committer { leaf: draft.claim(), replaces: list.removed, joins },
        };
        if let Some(path) = commit.path.as_deref() {
            self.judge_path(&mut draft, path, &committer, &added, &mut fresh, &demands)?;
            changes.path = Some(PathChange {
                committer: (!joins).then_some(committer.leaf),
                leaf: path.leaf.raw.into(),
                keys: path.nodes.iter().map(|node| node.encryption_key.into()).collect(),
            });
        }
        let asked = extensions.is_some().then_some(&demands);
        self.check_capabilities(&list, commit.path.as_deref(), &committer, asked)?;
        self.verify_commit(&message, &list, commit.path.as_deref(), &committer, &demands)?;

        let who = self.who(&list, &changes, &added, &committer);
        let outcome = Outcome {
            extensions: extensions.as_deref().map(Box::from),
            epoch,
            confirmed: confirmed_transcript_hash(
                self.suite,
                self.interim_transcript_hash.as_ref(),
                message.confirmed,
            ),
            confirmation_tag: message.confirmation_tag.into(),
            successor: list.reinit.map(|reinit| reinit.raw.into()),
            consumed: list.consumed,
        };
        let settled = draft.settled();
        if settled.bytes(&self.tree) > demands.policy.bounds().tree_bytes.min(VECTOR_BYTES / 2) {
            return Err(Rule::TooManyMembers.whole());
        }
        Ok(Delta::of_commit(self, changes, settled, outcome, who))
    }

    /// Judges that what must be committed is: by reference, or by removing the same leaf otherwise. Nobody must commit
    /// what would change the committer's own leaf, because nobody can (§12.2); and who joins by the commit can only commit
    /// SelfRemoves.
    fn check_omitted(
        &self,
        list: &ProposalList<'_>,
        committer: Sender,
        demands: &Demands<'_>,
    ) -> Result<(), Refusal> {
        let removed: HashSet<u32> = list.removes.iter().copied().collect();
        for (index, pending) in (0..).zip(&self.pending) {
            let possible = committer != Sender::NewMemberCommit || pending.proposal_type() == SELF_REMOVE;
            if list.consumed.contains(&index) || !possible || !demands.policy.must_commit(pending) {
                continue;
            }
            let leaf = pending.leaf(demands.policy)?;
            if !leaf.is_some_and(|leaf| Sender::Member(leaf) == committer || removed.contains(&leaf)) {
                return Err(Rule::MustCommit.whole());
            }
        }
        Ok(())
    }

    /// Judges that no new leaf has what another has, once all that go are gone. Who renews its leaf was in the group with the
    /// old one, and nobody is added as that one either: only a Remove makes room (§12.2).
    fn check_new_leaves<'m>(
        &'m self,
        draft: &Draft<'_>,
        list: &ProposalList<'m>,
        fresh: &mut Fresh<'m>,
        demands: &Demands<'_>,
    ) -> Result<(), Refusal> {
        let mut renewed = Fresh::default();
        for (index, leaf, place) in &list.updates {
            fresh.check_leaf(draft, leaf, Some(*index), *place, demands)?;
            self.tree.leaf(*index).into_iter().for_each(|old| renewed.note_client(&old));
        }
        for added in &list.adds {
            renewed.check_client(&added.key_package.leaf, added.place, demands)?;
            fresh.check_leaf(draft, &added.key_package.leaf, None, added.place, demands)?;
        }
        Ok(())
    }

    /// Judges what members can do against what the group would ask of all of them (§7.3, §12.1.7, §13.4).
    fn check_capabilities(
        &self,
        list: &ProposalList<'_>,
        path: Option<&UpdatePath<'_>>,
        committer: &Committer,
        asked: Option<&Demands<'_>>,
    ) -> Result<(), Refusal> {
        let mut moves = Moves::default();
        list.removes.iter().filter_map(|leaf| self.tree.leaf(*leaf)).for_each(|leaf| moves.goes(&leaf));
        list.adds.iter().for_each(|added| moves.comes(&added.key_package.leaf));
        let updated = list.updates.iter().map(|(leaf, new, _)| (*leaf, **new));
        for (leaf, new) in updated.chain(path.map(|path| (committer.leaf, path.leaf))) {
            match self.tree.leaf(leaf).filter(|_| !committer.joins || leaf != committer.leaf) {
                Some(old) => moves.replaces(&old, &new),
                None => moves.comes(&new),
            }
        }
        if let Some(kind) = self.tree.census().unsupported_credential(&moves) {
            return Err(Rule::CredentialUnsupported.at(Place::Type(kind)));
        }
        asked.map_or(Ok(()), |asked| self.check_demands(asked, &moves))
    }

    /// Judges what the group would ask of its members, when some have gone and others come (§12.1.7, §13.4).
    fn check_demands(&self, asked: &Demands<'_>, moves: &Moves) -> Result<(), Refusal> {
        let census = self.tree.census();
        let lacking = |what, kind: &u16| !census.all_list(what, *kind, moves);
        let mut kinds = asked.extensions.kinds().filter(|kind| !is_default_extension(*kind));
        if let Some(kind) = kinds.find(|kind| lacking(Kind::Extension, kind)) {
            return Err(Rule::GroupExtension.at(Place::Type(kind)));
        }
        let mut formats = asked.wire_formats.into_iter().flat_map(Types::iter);
        if let Some(format) =
            formats.find(|format| !is_default_wire_format(*format) && lacking(Kind::WireFormat, format))
        {
            return Err(Rule::RequiredWireFormats.at(Place::Type(format)));
        }
        let Some(required) = asked.required else { return Ok(()) };
        let mut types = required.extensions.iter().filter(|kind| !is_default_extension(*kind));
        let lacks_extension = types.find(|kind| lacking(Kind::Extension, kind));
        let mut types = required.proposals.iter().filter(|kind| !is_default_proposal(*kind));
        let lacks_proposal = types.find(|kind| lacking(Kind::Proposal, kind));
        let lacks_credential = required.credentials.iter().find(|kind| lacking(Kind::Credential, kind));
        match lacks_extension.or(lacks_proposal).or(lacks_credential) {
            Some(kind) => Err(Rule::RequiredCapabilities.at(Place::Type(kind))),
            None => Ok(()),
        }
    }

    /// Verifies all signatures but a member's own over its commit; nothing that costs less is left to be judged then.
    fn verify_commit(
        &self,
        message: &PublicMessage<'_>,
        list: &ProposalList<'_>,
        path: Option<&UpdatePath<'_>>,
        committer: &Committer,
        demands: &Demands<'_>,
    ) -> Result<(), Refusal> {
        if let Some(path) = path {
            if committer.joins {
                self.verify_framing(message, path.leaf.signature_key)?;
            }
            let content = leaf_content(&path.leaf, self.group_id(), committer.leaf);
            if !self.suite.verifies(path.leaf.signature_key, &content, path.leaf.signature) {
                return Err(Rule::LeafSignature.at(Place::PathLeaf));
            }
        }
        for Added { key_package, place, .. } in list.adds.iter().filter(|added| !added.verified) {
            demands.verify_key_package(key_package, *place)?;
        }
        Ok(())
    }

    /// Who comes, goes and changes.
    fn who(
        &self,
        list: &ProposalList<'_>,
        changes: &TreeChanges,
        added: &[u32],
        committer: &Committer,
    ) -> Committed {
        let before =
            |leaf: u32| self.tree.leaf(leaf).map(|node| Box::<[u8]>::from(node.raw)).unwrap_or_default();
        let by_add = list.adds.iter().zip(added).map(|(entry, leaf)| Joined {
            leaf: *leaf,
            node: entry.key_package.leaf.raw.into(),
            key_package: Some(entry.key_package.reference(self.suite)),
        });
        let replaced =
            |(leaf, after): (u32, &[u8])| Replaced { leaf, before: before(leaf), after: after.into() };
        let path = changes.path.as_ref().map(|path| (committer.leaf, path.leaf.as_ref()));
        let joiner = path.filter(|_| committer.joins);
        let renewed = path.filter(|_| !committer.joins);
        let updated = changes.updates.iter().map(|(leaf, after)| (*leaf, after.as_ref()));
        Committed {
            committer: committer.leaf,
            external: committer.joins,
            joined: by_add
                .chain(joiner.map(|(leaf, node)| Joined { leaf, node: node.into(), key_package: None }))
                .collect(),
            left: changes.removes.iter().map(|leaf| Left { leaf: *leaf, node: before(*leaf) }).collect(),
            replaced: updated.chain(renewed).map(replaced).collect(),
            ..Committed::default()
        }
    }
}

impl ProposalList<'_> {
    fn tree_changes(&self) -> TreeChanges {
        TreeChanges {
            updates: self.updates.iter().map(|(leaf, node, _)| (*leaf, node.raw.into())).collect(),
            removes: self.removes.clone(),
            adds: self.adds.iter().map(|added| added.key_package.leaf.raw.into()).collect(),
            path: None,
        }
    }
}
