//! What the members can do, counted, so that no commit asks each of them.

use std::collections::BTreeMap;

use crate::wire::{Capabilities, LeafNode};

/// What of a leaf's capabilities a type is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Extension,
    Proposal,
    Credential,
    WireFormat,
}

/// How many leaves list each type, and use each type of credential.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    extensions: BTreeMap<u16, u32>,
    proposals: BTreeMap<u16, u32>,
    credentials: BTreeMap<u16, u32>,
    credentials_in_use: BTreeMap<u16, u32>,
    wire_formats: BTreeMap<u16, u32>,
    leaves: u32,
}

impl Census {
    /// Counts a leaf out and another in. Where both can do the same there is nothing to count.
    pub(crate) fn replace(&mut self, old: Option<&LeafNode<'_>>, new: Option<&LeafNode<'_>>) {
        if old.zip(new).is_some_and(|(old, new)| can_the_same(old, new)) {
            return;
        }
        old.into_iter().for_each(|leaf| self.remove(leaf));
        new.into_iter().for_each(|leaf| self.add(leaf));
    }

    /// Counts a leaf in.
    fn add(&mut self, leaf: &LeafNode<'_>) {
        let up = |counts: &mut BTreeMap<u16, u32>, kind| *counts.entry(kind).or_default() += 1;
        self.each(leaf, up);
        self.leaves += 1;
    }

    /// Counts a leaf out that was counted in.
    fn remove(&mut self, leaf: &LeafNode<'_>) {
        let down = |counts: &mut BTreeMap<u16, u32>, kind| match counts.get_mut(&kind) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&kind)),
        };
        self.each(leaf, down);
        self.leaves = self.leaves.saturating_sub(1);
    }

    fn each(&mut self, leaf: &LeafNode<'_>, count: impl Fn(&mut BTreeMap<u16, u32>, u16)) {
        let Capabilities { extensions, proposals, credentials, .. } = leaf.capabilities;
        let lists = [
            (extensions, &mut self.extensions),
            (proposals, &mut self.proposals),
            (credentials, &mut self.credentials),
            (leaf.wire_formats(), &mut self.wire_formats),
        ];
        for (listed, counts) in lists {
            for kind in listed.distinct() {
                count(counts, kind);
            }
        }
        count(&mut self.credentials_in_use, leaf.credential.kind);
    }

    /// How many leaves list a type.
    fn listing(&self, what: Kind, kind: u16) -> u32 {
        let counts = match what {
            Kind::Extension => &self.extensions,
            Kind::Proposal => &self.proposals,
            Kind::Credential => &self.credentials,
            Kind::WireFormat => &self.wire_formats,
        };
        counts.get(&kind).copied().unwrap_or(0)
    }

    /// Whether every leaf lists a type, when some have gone and others come.
    pub(crate) fn all_list(&self, what: Kind, kind: u16, moves: &Moves) -> bool {
        let listing = self.listing(what, kind) + moves.come.listing(what, kind);
        listing.saturating_sub(moves.gone.listing(what, kind)) >= self.after(moves)
    }

    /// A type of credential that is in use and that not every leaf lists, when some have gone and others come (§7.3).
    pub(crate) fn unsupported_credential(&self, moves: &Moves) -> Option<u16> {
        let using = |census: &Self, kind| census.credentials_in_use.get(&kind).copied().unwrap_or(0);
        let in_use = self.credentials_in_use.keys().chain(moves.come.credentials_in_use.keys()).copied();
        in_use.into_iter().find(|kind| {
            let used = using(self, *kind) + using(&moves.come, *kind) > using(&moves.gone, *kind);
            used && !self.all_list(Kind::Credential, *kind, moves)
        })
    }

    fn after(&self, moves: &Moves) -> u32 {
        (self.leaves + moves.come.leaves).saturating_sub(moves.gone.leaves)
    }
}

/// Leaves that go and leaves that come, counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moves {
    gone: Census,
    come: Census,
}

impl Moves {
    /// Counts a leaf that goes.
    pub(crate) fn goes(&mut self, leaf: &LeafNode<'_>) {
        self.gone.add(leaf);
    }

    /// Counts a leaf that comes.
    pub(crate) fn comes(&mut self, leaf: &LeafNode<'_>) {
        self.come.add(leaf);
    }

    /// Counts a leaf that takes another's place; where both can do the same there is nothing to count.
    pub(crate) fn replaces(&mut self, old: &LeafNode<'_>, new: &LeafNode<'_>) {
        if !can_the_same(old, new) {
            self.goes(old);
            self.comes(new);
        }
    }
}

fn can_the_same(old: &LeafNode<'_>, new: &LeafNode<'_>) -> bool {
    old.capabilities == new.capabilities
        && old.credential.kind == new.credential.kind
        && old.wire_formats() == new.wire_formats()
}
