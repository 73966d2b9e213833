//! Removes of the service: worked out here, signed by whoever has the key, held against the group before they count.

use std::collections::BTreeMap;

use maypole_mls::service::{UnsignedProposal, propose_remove};
use maypole_mls::{Delta, Suite, UnixSeconds};

use super::agenda::{Agenda, Does, Proposer, Waiting};
use super::terms::{Judge, Terms};
use crate::ids::ClientId;
use crate::time::Timestamp;

/// Something that the service is to sign as an external sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToSign {
    /// The group's suite, which says how it is signed.
    pub suite: Suite,
    /// The public key that the group knows the service by.
    pub key: Vec<u8>,
    /// What is signed, with MLS's label in it already.
    pub contents: Vec<Vec<u8>>,
}

/// Removes to which only the signatures are missing.
#[derive(Debug)]
pub(super) struct Issue {
    /// The group in the state that they are for.
    group: maypole_mls::Group,
    key: Vec<u8>,
    unsigned: Vec<(ClientId, UnsignedProposal)>,
}

impl Issue {
    /// The place of the service among the external senders: it is the only one.
    const PLACE: u32 = 0;

    /// The Removes that an agenda lacks, in the state to which a commit leads if one is given. Nothing where none is
    /// lacking.
    pub(super) fn of(
        agenda: &Agenda,
        group: &maypole_mls::Group,
        commit: Option<&Delta>,
        terms: &dyn Terms,
    ) -> Option<Self> {
        let unproposed = agenda.unproposed();
        if unproposed.is_empty() {
            return None;
        }
        let mut group = group.clone();
        if let Some(delta) = commit {
            group.apply(delta.clone()).ok()?;
        }
        let key = group.extensions().external_senders().ok()?.first()?.signature_key.to_vec();
        let leaves =
            group.members().filter_map(|member| Some((terms.client(member.identity()?)?, member.leaf)));
        let leaves: BTreeMap<ClientId, u32> = leaves.collect();
        let unsigned = unproposed.into_iter().filter_map(|client| {
            let unsigned = propose_remove(&group, Self::PLACE, *leaves.get(&client)?).ok()?;
            Some((client, unsigned))
        });
        Some(Self { unsigned: unsigned.collect(), key, group })
    }

    /// What is to be signed.
    pub(super) fn to_sign(&self) -> ToSign {
        let contents = self.unsigned.iter().map(|(_, unsigned)| unsigned.content().to_vec()).collect();
        ToSign { suite: self.group.suite(), key: self.key.clone(), contents }
    }

    /// The signatures are there: the Removes wait in the agenda from now on. One with a signature that is none is left out,
    /// and is lacking still.
    pub(super) fn signed(
        mut self,
        signatures: &[Vec<u8>],
        agenda: &mut Agenda,
        terms: &dyn Terms,
        now: Timestamp,
    ) -> Vec<Delta> {
        let judge = Judge { terms, begins: false };
        let mut deltas = Vec::new();
        for ((client, unsigned), signature) in self.unsigned.into_iter().zip(signatures) {
            let message = unsigned.signed(signature);
            let delta = self.group.validate(&message, &judge, UnixSeconds(now.as_millis() / 1_000));
            let Some((delta, reference)) = delta.ok().and_then(|delta| {
                let reference = delta.proposed()?.reference().to_vec();
                Some((delta, reference))
            }) else {
                continue;
            };
            if self.group.apply(delta.clone()).is_err() {
                continue;
            }
            agenda.proposals.push(Waiting {
                by: Proposer::Service,
                does: Does::Removes(client),
                reference,
                message,
                delta: delta.to_bytes(),
                proposed_at: now,
            });
            deltas.push(delta);
        }
        deltas
    }
}
