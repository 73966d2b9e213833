//! External commits: by somebody new, or by a member who comes back.

use anyhow::Result;

use super::{Kind, Meaning, Said, Story};
use crate::forge::{Credential, Proposal, SELF_REMOVE, Sender};

impl Story<'_> {
    /// Somebody comes in from outside.
    pub(super) fn say_join(&mut self) -> Result<Said> {
        let resyncs = self.choices.rarely(3);
        let old = self.member();
        let name = self.name();
        let (mut draft, key) = match resyncs {
            true => (self.forge.draft_resync(old)?, self.forge.key_of(old)?.clone()),
            false => (self.forge.draft_external(&name, &[])?, self.forge.new_key()?),
        };
        let mut does = vec![if resyncs { "a resync" } else { "a join" }];
        let leaf = &mut draft.path.get_or_insert_default().leaf;
        leaf.key = Some(key.clone());
        leaf.capabilities = self.honest_leaf().capabilities;
        if resyncs && self.choices.rarely(4) {
            leaf.key = Some(self.forge.new_key()?);
            does.push("with a new signature key");
        }
        if self.choices.rarely(6) {
            draft = draft.with(self.honest_psk());
            does.push("PreSharedKey");
        }
        if self.all_list(SELF_REMOVE) && self.choices.rarely(3) {
            let leaving =
                self.pending.iter().filter(|pending| matches!(pending.proposal, Proposal::SelfRemove));
            let leaving = leaving.filter(|pending| pending.sender != crate::forge::Sender::Member(old));
            let mut senders = std::collections::BTreeSet::new();
            for pending in leaving {
                if senders.insert(format!("{:?}", pending.sender)) {
                    draft = draft.referring_to(pending);
                    does.push("a referred SelfRemove");
                }
            }
        }
        self.dress(&mut draft.framing);
        let mut lies = Vec::new();
        for _ in 0..self.lies() {
            let own = resyncs.then_some(old);
            lies.push(match self.choices.below(9) {
                0 | 1 => self.lie_in_framing(&mut draft.framing, &key)?,
                2..=4 => self.lie_in_path(draft.path.get_or_insert_default(), own)?,
                5 => {
                    let (credential, _) = self.other_credential(own)?;
                    let known = matches!(credential, Credential::Basic(_));
                    draft.path.get_or_insert_default().leaf.credential = Some(credential);
                    if known { "joins under another name" } else { "joins with a credential of another type" }
                }
                6 if resyncs => {
                    let kept = self.forge.leaf(old)?.encryption_key.clone();
                    draft.path.get_or_insert_default().leaf.encryption_key = Some(kept);
                    "comes back with the HPKE key that it had"
                }
                _ => self.lie_in_joining(&mut draft)?,
            });
        }
        if let Sender::Member(leaf) = draft.framing.sender {
            draft.place.get_or_insert(leaf);
        }
        let commit = self.forge.commit(&draft)?;
        let message = commit.message.clone();
        let meaning = Meaning::Commit(Box::new(commit));
        Ok(Said { kind: Kind::ExternalCommit, does, lies, message, tree: None, meaning })
    }
}
