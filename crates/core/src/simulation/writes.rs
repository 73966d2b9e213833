//! Writes: what each kind of them may do, and what one does, sorted.

use std::collections::BTreeSet;

use crate::batch::Op;
use crate::group::{Agenda, Entry, Head};
use crate::ids::{ClientId, GroupId, InboxSeq, OwedId};
use crate::memory::Written;
use crate::records::{Answer, AnswerKey, Delivery, Owed};

/// Whether a write of this name may do this. A refusal does nothing to a group, whatever it is that is refused.
fn belongs(name: &str, op: &Op) -> bool {
    let answers = matches!(op, Op::Leave(_) | Op::Remember(..) | Op::Owe(_));
    match name {
        "receive" => matches!(op, Op::Receive(_) | Op::MoveCursor(_)),
        "answer" | "answer_as_of" => answers,
        "answer_staged" => answers || matches!(op, Op::Unstage(_)),
        "stage" => matches!(op, Op::Stage(_)),
        "decide" | "overtake" => {
            let enters =
                matches!(op, Op::SetHead(_) | Op::Append(..) | Op::SetAgenda(_) | Op::PutSnapshot(..));
            answers || enters || matches!(op, Op::Unstage(_))
        }
        "amend" => answers || matches!(op, Op::SetAgenda(_)),
        "settle" => matches!(op, Op::Settle(_)),
        "forget" => matches!(op, Op::Forget(_)),
        "trim" => matches!(op, Op::RemoveEntry(..) | Op::RemoveSnapshot(..) | Op::Forget(_)),
        "freeze" => matches!(op, Op::Freeze(..)),
        "unfreeze" => matches!(op, Op::Unfreeze(_)),
        "shelve" => matches!(op, Op::Shelve(_) | Op::Discard(_)),
        "claim" => matches!(op, Op::TakeOut(_) | Op::UseLastResort(_)),
        "remove_key_package" | "remove_key_packages" => matches!(op, Op::TakeOut(_)),
        "forget_key_packages" => matches!(op, Op::Discard(_)),
        "void_key_packages" => matches!(op, Op::Void(_)),
        _ => false,
    }
}

/// What one write does, sorted.
#[derive(Default)]
pub(super) struct Write<'w> {
    pub(super) leaves: Vec<InboxSeq>,
    pub(super) heads: Vec<&'w Head>,
    pub(super) entries: Vec<&'w Entry>,
    pub(super) agendas: Vec<&'w Agenda>,
    pub(super) remembers: Vec<(AnswerKey, &'w Answer)>,
    pub(super) owes: Vec<(OwedId, &'w Owed)>,
    pub(super) unstages: Vec<&'w GroupId>,
}

impl<'w> Write<'w> {
    pub(super) fn of(written: &'w Written) -> Self {
        let mut write = Self::default();
        let mut ids = written.ids.iter();
        for op in &written.batch.ops {
            assert!(belongs(written.batch.name, op), "{} does {op:?}", written.batch.name);
            match op {
                Op::Leave(row) => write.leaves.push(*row),
                Op::SetHead(head) => write.heads.push(head),
                Op::Append(_, entry) => write.entries.push(entry),
                Op::SetAgenda(agenda) => write.agendas.push(agenda),
                Op::Remember(key, answer) => write.remembers.push((*key, answer)),
                Op::Owe(owed) => write.owes.push((*ids.next().unwrap(), owed)),
                Op::Unstage(group) => write.unstages.push(group),
                _ => {}
            }
        }
        write
    }

    /// What is owed of a kind, and to whom.
    pub(super) fn owed(&self, kind: &str) -> Vec<(OwedId, &Vec<u8>, BTreeSet<ClientId>)> {
        let found = self.owes.iter().filter_map(|(id, owed)| {
            let Delivery::ToDevice { kind: of, content, recipients } = &owed.delivery;
            let clients = recipients
                .iter()
                .map(|to| ClientId { user: to.user.clone(), device: to.device.clone().unwrap() });
            (of == kind).then(|| (*id, content, clients.collect()))
        });
        found.collect()
    }
}
