//! The extensions that a group has after a commit: replaced by a GroupContextExtensions (RFC 9420 §12.1.7), or with the
//! application's data changed by AppDataUpdates (draft-ietf-mls-extensions, "Updating Application Data").

use std::{borrow::Cow, collections::BTreeMap};

use super::{Group, list::Entry};
use crate::{
    policy::Policy,
    refusal::{Place, Refusal, Rule},
    wire::{
        APP_DATA_DICTIONARY, APP_DATA_UPDATE, AppDataUpdate, Dictionary, Extensions,
        GROUP_CONTEXT_EXTENSIONS, Proposal, write_dictionary,
    },
    writer::Write as _,
};

/// What a list of proposals does to one component.
struct Change<'m> {
    /// In the list's order; none where the data is removed.
    updates: Vec<&'m [u8]>,
    /// Where the first of them stands.
    place: Place,
}

impl Group {
    /// The list of extensions that the group has after a commit, where that changes it.
    pub(super) fn changed_extensions<'m>(
        &self,
        entries: &[Entry<'m>],
        policy: &dyn Policy,
    ) -> Result<Option<Cow<'m, [u8]>>, Refusal> {
        let mut replaced = None;
        for entry in entries {
            if let Proposal::GroupContextExtensions(list) = entry.proposal
                && replaced.replace((list, entry.place)).is_some()
            {
                return Err(Rule::ExtensionsTwice.at(entry.place));
            }
        }
        let changes = changes_by_component(entries)?;
        if let Some((list, place)) = replaced
            && (self.replaces_app_data(list)? || !changes.is_empty() && self.changes_app_data(list))
        {
            return Err(Rule::AppDataReplaced.at(place));
        }
        let replaced = replaced.map(|(list, _)| list);
        if changes.is_empty() {
            return Ok(replaced.map(|list| Cow::Borrowed(list.raw)));
        }
        let base = replaced.unwrap_or(self.extensions());
        let dictionary = updated_dictionary(dictionary_of(base)?, &changes, policy)?;
        Ok(Some(Cow::Owned(with_dictionary(base, &dictionary))))
    }

    /// Judges by itself that a component's data can be removed: a commit cannot put it there first.
    pub(super) fn check_app_data(&self, update: &AppDataUpdate<'_>) -> Result<(), Refusal> {
        let before =
            dictionary_of(self.extensions())?.and_then(|dictionary| dictionary.find(update.component));
        match update.update {
            None if before.is_none() => Err(Rule::AppDataAbsent.whole()),
            _ => Ok(()),
        }
    }

    /// Judges a change of application data beside those that wait: a commit updates a component's data or removes it, and
    /// has no extensions then that change the data otherwise.
    pub(super) fn check_app_data_beside_waiting(
        &self,
        new: &Proposal<'_>,
        policy: &dyn Policy,
    ) -> Result<(), Refusal> {
        let changes = |kind: u16| [APP_DATA_UPDATE, GROUP_CONTEXT_EXTENSIONS].contains(&kind);
        for pending in self.pending.iter().filter(|pending| changes(pending.proposal_type())) {
            let rule = match (new, &pending.proposal(policy)?) {
                (Proposal::AppDataUpdate(new), Proposal::AppDataUpdate(waits))
                    if new.component == waits.component
                        && (new.update.is_none() || waits.update.is_none()) =>
                {
                    Rule::AppDataTogether
                }
                (Proposal::AppDataUpdate(_), Proposal::GroupContextExtensions(list))
                | (Proposal::GroupContextExtensions(list), Proposal::AppDataUpdate(_))
                    if self.changes_app_data(*list) =>
                {
                    Rule::AppDataReplaced
                }
                _ => continue,
            };
            return Err(rule.whole());
        }
        Ok(())
    }

    /// Whether new extensions change the application's data in a group that requires AppDataUpdates for that.
    pub(super) fn replaces_app_data(&self, list: Extensions<'_>) -> Result<bool, Refusal> {
        let required = self.extensions().required_capabilities()?;
        let required = required.is_some_and(|required| required.proposals.contains(APP_DATA_UPDATE));
        Ok(required && self.changes_app_data(list))
    }

    fn changes_app_data(&self, list: Extensions<'_>) -> bool {
        list.find(APP_DATA_DICTIONARY) != self.extensions().find(APP_DATA_DICTIONARY)
    }
}

fn changes_by_component<'m>(entries: &[Entry<'m>]) -> Result<BTreeMap<u16, Change<'m>>, Refusal> {
    let mut changes: BTreeMap<u16, Change<'m>> = BTreeMap::new();
    for entry in entries {
        let Proposal::AppDataUpdate(change) = entry.proposal else { continue };
        match changes.get_mut(&change.component) {
            None => {
                let updates = change.update.into_iter().collect();
                changes.insert(change.component, Change { updates, place: entry.place });
            }
            Some(earlier) => match change.update {
                Some(update) if !earlier.updates.is_empty() => earlier.updates.push(update),
                _ => return Err(Rule::AppDataTogether.at(entry.place)),
            },
        }
    }
    Ok(changes)
}

fn dictionary_of(extensions: Extensions<'_>) -> Result<Option<Dictionary<'_>>, Refusal> {
    let data = extensions.find(APP_DATA_DICTIONARY);
    let unreadable = |_| Rule::AppDataDictionary.at(Place::Type(APP_DATA_DICTIONARY));
    data.map(Dictionary::read).transpose().map_err(unreadable)
}

/// The dictionary with all changes, as the application makes them.
fn updated_dictionary(
    before: Option<Dictionary<'_>>,
    changes: &BTreeMap<u16, Change<'_>>,
    policy: &dyn Policy,
) -> Result<Vec<u8>, Refusal> {
    let mut after: BTreeMap<u16, Cow<'_, [u8]>> =
        before.into_iter().flat_map(Dictionary::iter).map(|(one, data)| (one, Cow::Borrowed(data))).collect();
    for (component, Change { updates, place }) in changes {
        let known = policy.component(*component).ok_or(Rule::ComponentUnknown.at(*place))?;
        if updates.is_empty() {
            after.remove(component).ok_or(Rule::AppDataAbsent.at(*place))?;
            continue;
        }
        let data = known.update(after.get(component).map(AsRef::as_ref), updates);
        after.insert(*component, Cow::Owned(data.ok_or(Rule::AppDataRefused.at(*place))?));
    }
    Ok(write_dictionary(after.iter().map(|(component, data)| (*component, data.as_ref()))))
}

/// A list of extensions with this dictionary: where one stands, or else at the end.
fn with_dictionary(list: Extensions<'_>, dictionary: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(list.raw.len() + dictionary.len() + 16);
    bytes.put_vector(|inside| {
        for extension in list.iter() {
            inside.put_u16(extension.kind);
            inside.put_opaque(if extension.kind == APP_DATA_DICTIONARY {
                dictionary
            } else {
                extension.data
            });
        }
        if list.find(APP_DATA_DICTIONARY).is_none() {
            inside.put_u16(APP_DATA_DICTIONARY);
            inside.put_opaque(dictionary);
        }
    });
    bytes
}
