//! Commits by members.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Kind, Meaning, REINIT, Said, Story};
use crate::forge::{Draft, Listed, Proposal, Sender};

impl Story<'_> {
    /// A member commits.
    pub(super) fn say_commit(&mut self) -> Result<Said> {
        let leaf = self.committer();
        let (mut draft, does) = self.honest_commit(leaf)?;
        self.dress(&mut draft.framing);
        let mut lies = Vec::new();
        for _ in 0..self.lies() {
            lies.push(match self.choices.below(8) {
                0 | 1 => {
                    draft.place = Some(leaf);
                    let key = self.forge.key_of(leaf)?.clone();
                    self.lie_in_framing(&mut draft.framing, &key)?
                }
                2..=4 => self.lie_in_path(draft.path.get_or_insert_default(), Some(leaf))?,
                _ => self.lie_in_list(&mut draft, leaf)?,
            });
        }
        self.name_whoever_goes(&draft, &mut lies);
        let commit = self.forge.commit(&draft)?;
        let message = commit.message.clone();
        Ok(Said {
            kind: Kind::Commit,
            does,
            lies,
            message,
            tree: None,
            meaning: Meaning::Commit(Box::new(commit)),
        })
    }

    /// A path may have the key of a leaf that the same commit removes or replaces, which is no lie.
    fn name_whoever_goes(&self, draft: &Draft, lies: &mut [&'static str]) {
        let keys: Vec<_> = draft.path.iter().flat_map(|path| path.keys.values()).collect();
        let has_key =
            |leaf: u32| self.forge.leaf(leaf).is_ok_and(|leaf| keys.contains(&&leaf.encryption_key));
        let goes = draft.proposals.iter().any(|listed| match listed {
            Listed::Value(Proposal::Remove(leaf))
            | Listed::Reference(_, Some((_, Proposal::Remove(leaf)))) => has_key(*leaf),
            Listed::Reference(
                _,
                Some((Sender::Member(leaf), Proposal::Update(_) | Proposal::SelfRemove)),
            ) => has_key(*leaf),
            _ => false,
        });
        if goes {
            let another = lies.iter_mut().filter(|lie| **lie == "path: the key of another leaf");
            another.for_each(|lie| *lie = "path: the key of a leaf that goes");
        }
    }

    /// A member; now and then one who has proposed something.
    fn committer(&mut self) -> u32 {
        let member = self.member();
        let proposer = match self.pending.last().map(|pending| pending.sender) {
            Some(Sender::Member(leaf)) => leaf,
            _ => member,
        };
        let leaving = self.pending.iter().find(|pending| matches!(pending.proposal, Proposal::SelfRemove));
        match (self.choices.below(8), leaving.map(|pending| pending.sender)) {
            (7, Some(Sender::Member(leaf))) => leaf,
            (6, _) => proposer,
            _ => member,
        }
    }

    /// Something that a member may commit, and what it does.
    fn honest_commit(&mut self, leaf: u32) -> Result<(Draft, Vec<&'static str>)> {
        let mut draft = self.forge.draft_update(leaf);
        if self.able != crate::forge::Capabilities::default() && self.choices.rarely(4) {
            draft = draft.with_leaf(self.honest_leaf());
        }
        let mut does = Vec::new();
        let mut touched = BTreeSet::from([leaf]);
        let mut extensions = false;
        let theme = self.choices.below(13);
        if matches!(theme, 5..=8 | 12) {
            for place in self.compatible(&mut touched, &mut extensions) {
                let Some(pending) = self.pending.get(place) else { continue };
                does.push(by_reference(&pending.proposal));
                draft = draft.referring_to(pending);
            }
        }
        for _ in 0..=self.choices.below(2) {
            let (proposal, word) = match theme {
                1 | 2 => self.coming(&mut touched)?,
                3 | 4 => self.going(&mut touched)?,
                9 if !extensions => {
                    extensions = true;
                    (Proposal::Extensions(self.honest_extensions()), "GroupContextExtensions")
                }
                10 if self.choices.rarely(8) && draft.proposals.is_empty() => {
                    draft = draft.with(self.honest_reinit());
                    does.push(REINIT);
                    break;
                }
                10 => (self.honest_psk(), "PreSharedKey"),
                11 => self.honest_unknown(),
                12 => match self.choices.below(2) {
                    0 => self.coming(&mut touched)?,
                    _ => self.going(&mut touched)?,
                },
                _ => break,
            };
            draft = draft.with(proposal);
            does.push(word);
        }
        let bare = ["Add", "PreSharedKey", REINIT, "a referred Add", "a referred PreSharedKey"];
        if !does.is_empty() && does.iter().all(|word| bare.contains(word)) && self.choices.rarely(2) {
            draft = draft.without_path();
        } else {
            does.push("path");
        }
        Ok((draft, does))
    }
}

/// What a proposal is called where a commit refers to it.
fn by_reference(proposal: &Proposal) -> &'static str {
    match proposal {
        Proposal::Add(_) => "a referred Add",
        Proposal::Update(_) => "a referred Update",
        Proposal::Remove(_) => "a referred Remove",
        Proposal::PreSharedKey(_) => "a referred PreSharedKey",
        Proposal::ReInit { .. } => "a referred ReInit",
        Proposal::ExternalInit(_) => "a referred ExternalInit",
        Proposal::Extensions(_) => "a referred GroupContextExtensions",
        Proposal::AppDataUpdate(..) => "a referred AppDataUpdate",
        Proposal::AppEphemeral(..) => "a referred AppEphemeral",
        Proposal::SelfRemove => "a referred SelfRemove",
        Proposal::Raw(..) => "a referred unknown proposal",
    }
}
