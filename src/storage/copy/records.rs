//! What a copy consists of.

use maypole_core::batch::Op;
use maypole_core::directory::KeyPackage;
use maypole_core::group::{Agenda, Entry, Frozen, Head, Snapshot, Staged};
use maypole_core::ids::{GroupId, InboxSeq, KeyPackageRef, OwedId, Sha256, SyncToken, UserId};
use maypole_core::records::{Answer, AnswerKey, InboxItem, Owed, Progress, PushTransaction, SetAside};
use maypole_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One record of a store. Their order here is how they are told apart in files: new ones come last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Whose store it is.
    Owner(UserId),
    /// By what the keys of its service are known.
    Keys(Sha256),
    /// The position in the homeserver's stream.
    Cursor(SyncToken),
    /// How far the store had come.
    Progress(Progress),
    /// A message of the inbox.
    Inbox(InboxSeq, InboxItem),
    /// Something owed.
    Owed(OwedId, Owed),
    /// An answer that is remembered.
    Answer(AnswerKey, Answer),
    /// A push transaction, in the order of their coming.
    Transaction(PushTransaction),
    /// Something set aside, oldest first.
    Aside(SetAside),
    /// Where a group stands.
    Head(Head),
    /// What a group owes.
    Agenda(Agenda),
    /// An entry of a group's log.
    Entry(GroupId, Entry),
    /// A group's tree.
    Snapshot(GroupId, Snapshot),
    /// A command that waits in its group.
    Staged(Staged),
    /// That a group takes no commands.
    Frozen(GroupId, Frozen),
    /// A KeyPackage in stock, those of one device in their order; for a last resort, whether it was ever handed out.
    KeyPackage(Box<KeyPackage>, bool),
    /// A KeyPackage that does not come back, and until when that is known.
    Gone(KeyPackageRef, Timestamp),
}

impl Record {
    /// What puts it into another store.
    pub fn into_ops(self) -> Vec<Op> {
        match self {
            Self::Owner(owner) => vec![Op::Bind(owner)],
            Self::Keys(keys) => vec![Op::BindKeys(keys)],
            Self::Cursor(cursor) => vec![Op::MoveCursor(cursor)],
            Self::Progress(progress) => vec![Op::SkipTo(progress)],
            Self::Inbox(row, item) => vec![Op::ReceiveAs(row, item)],
            Self::Owed(id, owed) => vec![Op::OweAs(id, owed)],
            Self::Answer(key, answer) => vec![Op::Remember(key, answer)],
            Self::Transaction(transaction) => vec![Op::NoteTransaction(transaction)],
            Self::Aside(aside) => vec![Op::SetAside(aside)],
            Self::Head(head) => vec![Op::SetHead(head)],
            Self::Agenda(agenda) => vec![Op::SetAgenda(agenda)],
            Self::Entry(group, entry) => vec![Op::Append(group, entry)],
            Self::Snapshot(group, snapshot) => vec![Op::PutSnapshot(group, snapshot)],
            Self::Staged(staged) => vec![Op::Stage(staged)],
            Self::Frozen(group, frozen) => vec![Op::Freeze(group, frozen)],
            Self::KeyPackage(key_package, used) => {
                let reference = key_package.reference.clone();
                let mut ops = vec![Op::Shelve(*key_package)];
                ops.extend(used.then_some(Op::UseLastResort(reference)));
                ops
            }
            Self::Gone(reference, until) => vec![Op::KnowGone(reference, until)],
        }
    }
}

/// How much there is in a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records of all kinds.
    pub records: u64,
    /// Groups.
    pub groups: u64,
    /// Epochs in their logs.
    pub epochs: u64,
    /// KeyPackages in stock.
    pub key_packages: u64,
    /// Messages that wait for an answer.
    pub inbox: u64,
    /// Deliveries that are owed.
    pub owed: u64,
}

impl Tally {
    /// Counts a record.
    pub fn count(&mut self, record: &Record) {
        let one_more = |counter: &mut u64| *counter = counter.saturating_add(1);
        one_more(&mut self.records);
        match record {
            Record::Head(_) => one_more(&mut self.groups),
            Record::Entry(..) => one_more(&mut self.epochs),
            Record::KeyPackage(..) => one_more(&mut self.key_packages),
            Record::Inbox(..) => one_more(&mut self.inbox),
            Record::Owed(..) => one_more(&mut self.owed),
            _ => {}
        }
    }
}
