//! What must hold of everything that is written, whoever wrote it: the invariants, over the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use maypole_mls::wire::GroupInfo;

use super::chance::Fate;
use super::house::Doing;
use super::people::{People, Sent};
use super::rules::{Circle, Truth, Waits};
use super::service::{ANSWER, COMMIT, PROPOSAL, WELCOME, number_of};
use super::writes::Write;
use crate::batch::Op;
use crate::group::{Agenda, Does, Entry, FreezeCause, Head, Staged};
use crate::ids::{ClientId, Epoch, GroupId, InboxSeq, OwedId, Sha256};
use crate::limits;
use crate::memory::{Records, Written};
use crate::records::{Answer, AnswerKey, Delivery, Incoming, Owed, Progress};
use crate::rejection::Code;
use crate::time::Timestamp;

/// All that was written, in the words of the rules.
pub(super) struct Books {
    seed: u64,
    /// Each group as it was at each epoch and revision; the last is as it is.
    circles: BTreeMap<GroupId, BTreeMap<(u64, u64), Circle>>,
    hashes: BTreeMap<(GroupId, u64), (Vec<u8>, Vec<u8>)>,
    /// Which message each row of the inbox is, those that were answered included.
    pub(super) rows: BTreeMap<InboxSeq, Rc<Sent>>,
    answered: BTreeSet<InboxSeq>,
    /// What is remembered, and by which group it was answered.
    answers: BTreeMap<AnswerKey, (Answer, GroupId)>,
    forgotten: BTreeMap<AnswerKey, Answer>,
    /// What was remembered under a name that its device gave to two things at once.
    replaced: BTreeMap<AnswerKey, Answer>,
    staged: BTreeMap<GroupId, (Staged, (u64, u64))>,
    /// Groups that the operator has frozen.
    frozen: BTreeSet<GroupId>,
    /// When each proposal was told of.
    told: BTreeMap<Vec<u8>, OwedId>,
    /// What nobody may have: all that was delivered is of what was owed.
    pub(super) owed: BTreeMap<OwedId, Owed>,
    last_owed: Option<OwedId>,
    pub(super) accepted: u64,
    pub(super) amended: u64,
    pub(super) refused: BTreeMap<Vec<u8>, u64>,
    pub(super) overtaken: u64,
    pub(super) staged_ever: u64,
    pub(super) snapshots: u64,
    pub(super) trimmed: u64,
    pub(super) looked_back: u64,
    pub(super) repeated: u64,
    pub(super) withheld: u64,
    pub(super) begun_anew: u64,
    pub(super) most_wanted: u64,
}

fn words(answer: &Answer) -> &[u8] {
    let Delivery::ToDevice { content, .. } = &answer.reply;
    content
}

impl Books {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            circles: BTreeMap::new(),
            hashes: BTreeMap::new(),
            rows: BTreeMap::new(),
            answered: BTreeSet::new(),
            answers: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            replaced: BTreeMap::new(),
            staged: BTreeMap::new(),
            frozen: BTreeSet::new(),
            told: BTreeMap::new(),
            owed: BTreeMap::new(),
            last_owed: None,
            accepted: 0,
            amended: 0,
            refused: BTreeMap::new(),
            overtaken: 0,
            staged_ever: 0,
            snapshots: 0,
            trimmed: 0,
            looked_back: 0,
            repeated: 0,
            withheld: 0,
            begun_anew: 0,
            most_wanted: 0,
        }
    }

    /// A group as it is.
    pub(super) fn circle(&self, group: &GroupId) -> Option<&Circle> {
        self.circles.get(group)?.values().next_back()
    }

    /// A group as it was.
    pub(super) fn circle_at(&self, group: &GroupId, epoch: u64, revision: u64) -> &Circle {
        &self.circles[group][&(epoch, revision)]
    }

    pub(super) fn tree_hash(&self, group: &GroupId, epoch: u64) -> &[u8] {
        &self.hashes[&(group.clone(), epoch)].0
    }

    fn enter(&mut self, group: &GroupId, circle: Circle) {
        self.circles.entry(group.clone()).or_default().insert((circle.epoch, circle.revision), circle);
    }

    /// A write was applied.
    pub(super) fn note(
        &mut self,
        written: &Written,
        doing: &Doing,
        sent: &[Rc<Sent>],
        people: &mut People,
        now: Timestamp,
    ) {
        let write = Write::of(written);
        for (id, owed) in &write.owes {
            assert!(self.last_owed < Some(*id), "numbers of what is owed grow");
            self.last_owed = Some(*id);
            self.owed.insert(*id, (*owed).clone());
        }
        match written.batch.name {
            "receive" => self.receive(&written.batch.ops, sent),
            "stage" => self.stage(&written.batch.ops, now),
            "decide" => self.decide(&write, people),
            "overtake" => {
                let [_, row] = write.leaves[..] else { panic!("one is refused by it: {:?}", write.leaves) };
                assert!(self.staged.values().any(|(staged, _)| staged.row == row), "the one that was staged");
                self.decide(&write, people);
            }
            "amend" => self.amend(&write, doing),
            "answer_as_of" => self.is_of_the_moment(&write, doing),
            "trim" => {
                let count = |goes: fn(&Op) -> bool| written.batch.ops.iter().filter(|op| goes(op)).count();
                let epochs = count(|op| matches!(op, Op::RemoveEntry(..)));
                assert_eq!(epochs, count(|op| matches!(op, Op::Forget(_))), "an answer goes with its epoch");
            }
            // Whatever else does nothing that only these may do.
            _ => {}
        }
        self.answer(&write, now);
        for op in &written.batch.ops {
            match op {
                Op::Forget(key) => {
                    let Some((answer, _)) = self.answers.remove(key) else { continue };
                    let is_due = answer.expires_at <= now || written.batch.name == "trim";
                    assert!(is_due, "what stands is not forgotten");
                    self.forgotten.insert(*key, answer);
                }
                Op::PutSnapshot(..) => self.snapshots += 1,
                Op::RemoveEntry(..) => self.trimmed += 1,
                Op::Freeze(group, _) => drop(self.frozen.insert(group.clone())),
                Op::Unfreeze(group) => drop(self.frozen.remove(group)),
                Op::Settle(id) => drop(self.owed.remove(id)),
                Op::Unstage(group) => {
                    let (staged, _) = self.staged.remove(group).unwrap();
                    assert!(write.leaves.contains(&staged.row), "what was staged is answered when it ends");
                }
                _ => {}
            }
        }
    }

    /// A refusal is by the group as it is when it is written, and by nothing that somebody else has moved on from.
    fn is_of_the_moment(&self, write: &Write<'_>, doing: &Doing) {
        let Doing::Row { row, by, .. } = doing else { panic!("refused by {doing:?}") };
        assert_eq!(write.leaves, [*row]);
        let circle = self.circle(&self.rows[row].command.get().group);
        assert_eq!(circle.map(|circle| (circle.epoch, circle.revision)), *by, "judged by the group as it is");
    }

    /// What clients sent enters the inbox in its order, once.
    fn receive(&mut self, ops: &[Op], sent: &[Rc<Sent>]) {
        for op in ops {
            let Op::Receive(item) = op else { continue };
            let Incoming::ToDevice { content, .. } = &item.message else { panic!("an invitation") };
            let row = InboxSeq::new(self.rows.len() as u64);
            self.rows.insert(row, sent[number_of(content)].clone());
        }
    }

    fn stage(&mut self, ops: &[Op], now: Timestamp) {
        let [Op::Stage(staged)] = ops else {
            panic!("something is staged and something else besides: {ops:?}")
        };
        assert!(!self.answered.contains(&staged.row), "what was answered is not staged");
        let stands = self.stands(self.rows[&staged.row].key, now);
        assert!(stands.is_none(), "nor what is remembered");
        assert!(!self.frozen.contains(staged.group()), "nothing passes in a frozen group");
        assert!(self.staged.values().all(|(other, _)| other.row != staged.row), "a message is staged once");
        let at = self.circle(staged.group()).map_or((0, 0), |circle| (circle.epoch, circle.revision));
        let before = self.staged.insert(staged.group().clone(), (staged.clone(), at));
        assert!(before.is_none(), "one at most is staged in a group");
        self.staged_ever += 1;
    }

    /// Every row is answered once, with what was answered before if it is the same question.
    fn answer(&mut self, write: &Write<'_>, now: Timestamp) {
        let replies = write.owed(ANSWER);
        assert_eq!(
            replies.len(),
            write.leaves.len(),
            "an answer for each message that leaves, and for no other"
        );
        let mut remembers = write.remembers.iter().peekable();
        for (row, (_, reply, to)) in write.leaves.iter().zip(&replies) {
            let sent = self.rows.get(row).unwrap().clone();
            assert!(self.answered.insert(*row), "a message is answered once");
            assert_eq!(*to, BTreeSet::from([sent.command.get().by.clone()]), "to whoever asked");
            let staged = self.staged.values().find(|(staged, _)| staged.row == *row);
            let is_staged = staged.is_some_and(|(staged, _)| {
                assert!(
                    write.unstages.contains(&staged.group()),
                    "what is staged is answered by its outcome"
                );
                true
            });
            *self.refused.entry((*reply).clone()).or_default() += u64::from(!reply.starts_with(b"epoch"));
            match remembers.next_if(|(key, _)| *key == sent.key) {
                Some((key, answer)) => {
                    assert_eq!(answer.question, sent.question, "an answer is that of its question");
                    self.is_the_first(*row, &sent, is_staged, now);
                    let group = sent.command.get().group.clone();
                    self.answers.insert(*key, ((*answer).clone(), group));
                }
                None => {
                    self.is_repeated(reply, &sent, now);
                    self.repeated += 1;
                }
            }
        }
        assert!(remembers.next().is_none(), "what is remembered is an answer");
    }

    /// What is remembered under a name and has not expired.
    fn stands(&self, key: AnswerKey, now: Timestamp) -> Option<&(Answer, GroupId)> {
        self.answers.get(&key).filter(|(answer, _)| answer.expires_at > now)
    }

    /// Nothing was answered under this name that stands, unless its device gave the name to something else as well, in another
    /// group, while this was staged: that is answered all the same.
    fn is_the_first(&mut self, row: InboxSeq, sent: &Sent, is_staged: bool, now: Timestamp) {
        let Some((stands, group)) = self.stands(sent.key, now).cloned() else { return };
        let is_other = stands.question != sent.question && group != sent.command.get().group;
        assert!(is_staged && is_other, "{row:?} was answered before, and that answer stands: {stands:?}");
        self.replaced.insert(sent.key, stands);
    }

    /// What is not remembered was answered before, or may be asked again.
    fn is_repeated(&self, reply: &[u8], sent: &Sent, now: Timestamp) {
        let word = |code: Code| code.facts().errcode.as_bytes();
        let is_same = |before: &Answer| before.question == sent.question;
        if [Code::Unavailable, Code::LimitExceeded].map(word).contains(&reply) {
            let stands = self.stands(sent.key, now).filter(|(before, _)| is_same(before));
            let is_accepted = stands.is_some_and(|(before, _)| words(before).starts_with(b"epoch"));
            return assert!(!is_accepted, "what was accepted is not asked again");
        }
        let before = self.answers.get(&sent.key).map(|(before, _)| before);
        let before = before.or_else(|| self.forgotten.get(&sent.key)).unwrap();
        let was_told = |before: &&Answer| is_same(before) && words(before) == reply;
        match is_same(before) {
            true => assert_eq!(words(before), reply, "the same question gets the same answer"),
            false if self.replaced.get(&sent.key).filter(was_told).is_some() => {}
            false => assert_eq!(word(Code::TxnReused), reply, "another question under its name gets none"),
        }
    }

    /// A commit or a registration is accepted.
    fn decide(&mut self, write: &Write<'_>, people: &mut People) {
        let ([head], [entry]) = (&write.heads[..], &write.entries[..]) else { panic!("one head, one entry") };
        let (row, group) = (write.leaves[0], &head.group);
        let sent = self.rows.get(&row).unwrap().clone();
        assert_eq!(entry.message, sent.command.get().message(), "what is accepted is what was asked");
        assert_eq!(head.epoch, entry.epoch);
        let accepted_at = entry.accepted_at;
        let fate = Fate::of(self.seed, row);
        let staged = self.staged.get(group).filter(|(staged, _)| staged.row == row);
        let permit = staged.map(|(staged, _)| staged.permit.clone());
        if let Some((staged, (epoch, _))) = staged {
            assert!(fate.refused_of(&staged.permit) != Some(0), "what the outside refused is not accepted");
            assert!(
                *epoch + 1 == entry.epoch.get() || entry.epoch.get() == 0,
                "what is staged is of its epoch"
            );
        }
        assert!(permit.is_some() || !self.frozen.contains(group), "nothing passes in a frozen group");
        let before = self.circle(group).cloned();
        let expected = match (&sent.truth, &before) {
            (Truth::Registers { leaf }, None) => Circle::begun_by(leaf.clone()),
            (Truth::Commits(commit), Some(before)) => {
                assert_eq!(
                    commit.epoch, before.epoch,
                    "one commit is accepted in an epoch, and none for another"
                );
                assert_eq!(entry.epoch.get(), before.epoch + 1, "epochs are contiguous");
                self.are_told_before(&commit.carries, write);
                before.after_commit(commit, &fate, permit.as_ref(), accepted_at)
            }
            other => panic!("accepted: {other:?}"),
        };
        people.accept(&sent);
        self.is_consistent(entry, head, people);
        self.everybody_is_told(write, &sent, before.as_ref(), &expected, permit.as_ref(), &fate);
        let mut members = before.as_ref().map(|before| before.members.clone()).unwrap_or_default();
        members.retain(|client| !entry.left.contains(client));
        members.extend(entry.joined.iter().cloned());
        let mine: Vec<&&Agenda> = write.agendas.iter().filter(|agenda| agenda.group == *group).collect();
        let seen = match mine[..] {
            [agenda] => {
                self.has_a_lease_as_it_must(agenda, &expected);
                Circle::seen(entry.epoch.get(), members, agenda)
            }
            _ => Circle { members, waiting: Vec::new(), ..expected.clone() },
        };
        let revision = before.map_or(0, |before| before.revision) + mine.len() as u64;
        assert_eq!(seen.without_references(), Circle { revision, ..expected }, "after {:?}", sent.truth);
        self.enter(group, seen);
        self.note_stapled(write);
        self.end_predecessor(write, group);
        self.accepted += 1;
        self.overtaken += u64::from(write.leaves.len() > 1);
    }

    /// The stored hashes are those of the tree that the members have.
    fn is_consistent(&mut self, entry: &Entry, head: &Head, people: &People) {
        let forge = people.forge(&head.group).unwrap();
        assert_eq!(forge.epoch(), entry.epoch.get());
        let hashes = (forge.tree_hash().to_vec(), forge.confirmed_transcript_hash().to_vec());
        assert_eq!(
            entry.receipt,
            [hashes.0.clone(), hashes.1.clone()].concat(),
            "what the service vouches for"
        );
        assert_eq!(head.receipt, Sha256::of(&entry.receipt));
        let info = GroupInfo::from_bytes(&entry.group_info).unwrap().context;
        assert_eq!(info.epoch, entry.epoch.get(), "the GroupInfo is of the epoch");
        assert_eq!((info.tree_hash, info.confirmed_transcript_hash), (&hashes.0[..], &hashes.1[..]));
        self.hashes.insert((head.group.clone(), entry.epoch.get()), hashes);
    }

    /// Everybody was told of each proposal that a commit refers to, before they are told of the commit.
    fn are_told_before(&self, carries: &[Vec<u8>], write: &Write<'_>) {
        let commit = write.owed(COMMIT)[0].0;
        for reference in carries {
            assert!(
                self.told.get(reference).is_some_and(|told| *told < commit),
                "a proposal comes before its commit"
            );
        }
    }

    /// Each device with a leaf before gets the commit, who is added the Welcome after it, and nobody else anything.
    fn everybody_is_told(
        &mut self,
        write: &Write<'_>,
        sent: &Sent,
        before: Option<&Circle>,
        after: &Circle,
        permit: Option<&crate::permit::Permit>,
        fate: &Fate,
    ) {
        let [(commit, content, to)] = &write.owed(COMMIT)[..] else { panic!("the commit is told once") };
        assert_eq!(*to, before.map(|before| before.members.clone()).unwrap_or_default(), "who had a leaf");
        assert!(content.starts_with(sent.command.get().message()));
        let stapled = content.len() - sent.command.get().message().len();
        assert_eq!(stapled / 32, after.waiting.len(), "what must go is told with the commit");
        let mut welcomed = BTreeSet::new();
        if let Truth::Commits(commit) = &sent.truth {
            let added = commit.joins.iter().filter(|client| !commit.from_outside || commit.leaf != **client);
            let is_withheld = |client: &ClientId| permit.is_some_and(|permit| fate.withholds(permit, client));
            for client in added {
                match is_withheld(client) {
                    true => self.withheld += 1,
                    false => drop(welcomed.insert(client.clone())),
                }
            }
        }
        let welcomes = write.owed(WELCOME);
        let to: BTreeSet<ClientId> = welcomes.iter().flat_map(|(.., to)| to.iter().cloned()).collect();
        assert_eq!(to, welcomed, "who is added, and let in");
        assert!(welcomes.iter().all(|(welcome, ..)| welcome > commit), "a Welcome comes after its commit");
        assert!(write.owed(PROPOSAL).is_empty());
    }

    fn has_a_lease_as_it_must(&self, agenda: &Agenda, circle: &Circle) {
        let needed = circle.needs_commit() && !circle.is_dormant();
        assert_eq!(
            agenda.lease.is_some(),
            needed,
            "somebody has the duty exactly if there is one: {circle:?}"
        );
        if let Some(lease) = &agenda.lease {
            assert!(circle.members.contains(&lease.holder) && !circle.is_leaving(&lease.holder));
            assert!(lease.tried.len() <= limits::DUTY_TRIED);
        }
    }

    fn note_stapled(&mut self, write: &Write<'_>) {
        let commit = write.owed(COMMIT)[0].0;
        for agenda in &write.agendas {
            let waiting = agenda.proposals.iter().map(|waiting| (waiting.reference.clone(), commit));
            self.told.extend(
                waiting.filter(|_| agenda.frozen.iter().all(|it| it.cause != FreezeCause::Succeeded)),
            );
        }
    }

    /// The generation before ends with the beginning of the next.
    fn end_predecessor(&mut self, write: &Write<'_>, group: &GroupId) {
        let begins_anew = group.generation().1 > 0 && write.entries[0].epoch.get() == 0;
        let others = write.agendas.iter().filter(|agenda| agenda.group != *group).count();
        assert_eq!(others, usize::from(begins_anew), "with the next generation the one before ends");
        for agenda in write.agendas.iter().filter(|agenda| agenda.group != *group) {
            let before = self.circle(&agenda.group).unwrap().clone();
            assert!(
                before.frozen.is_empty() && (before.is_dormant() || before.reset_open),
                "it may be succeeded"
            );
            let mut after = Circle { revision: before.revision + 1, ..before };
            after.frozen.insert(FreezeCause::Succeeded);
            assert_eq!(Circle::seen(after.epoch, after.members.clone(), agenda), after);
            self.enter(&agenda.group.clone(), after);
            self.begun_anew += 1;
        }
    }

    /// What a group owes has changed.
    fn amend(&mut self, write: &Write<'_>, doing: &Doing) {
        assert!(write.heads.is_empty() && write.entries.is_empty());
        let [agenda] = &write.agendas[..] else { panic!("one agenda") };
        let before = self.circle(&agenda.group).unwrap().clone();
        let seen = Circle::seen(before.epoch, before.members.clone(), agenda);
        let expected = match (&write.leaves[..], doing) {
            ([row], Doing::Row { row: in_hand, now, .. }) => {
                assert_eq!(row, in_hand);
                let sent = self.rows.get(row).unwrap();
                let Truth::Proposes(proposal) = &sent.truth else { panic!("no proposal: {:?}", sent.truth) };
                assert_eq!(proposal.epoch, before.epoch, "a proposal waits in its own epoch");
                let reference = seen.waiting.last().unwrap().reference.clone();
                before.after_proposal(&sent.command.get().by, &proposal.does, reference, *now)
            }
            ([], Doing::Order { order, signs, now }) => before.after_order(order, *signs, *now),
            other => panic!("amended by {other:?}"),
        };
        let expected = Circle { revision: before.revision + 1, ..expected };
        assert_eq!(seen.without_references(), expected.without_references(), "by {doing:?}");
        self.has_a_lease_as_it_must(agenda, &seen);
        self.is_bounded(&seen);
        self.most_wanted += u64::from(seen.wanted.len() == limits::WANTED_DEVICES);
        let told = write.owed(PROPOSAL);
        let new = &agenda.proposals[before.waiting.len()..];
        assert_eq!(told.len(), new.len(), "everybody is told of what waits from now on");
        for (waiting, (id, message, to)) in new.iter().zip(told) {
            assert_eq!((&waiting.message, &before.members), (message, &to));
            self.told.insert(waiting.reference.clone(), id);
        }
        self.enter(&agenda.group.clone(), seen);
        self.amended += 1;
    }

    fn is_bounded(&self, circle: &Circle) {
        let others = circle.waiting.iter().filter(|waits| waits.by.is_some());
        let mut of_one: BTreeMap<&ClientId, usize> = BTreeMap::new();
        others.clone().for_each(|waits| *of_one.entry(waits.by.as_ref().unwrap()).or_default() += 1);
        assert!(of_one.values().all(|count| *count <= limits::PROPOSALS_OF_ONE));
        assert!(others.count() <= limits::PROPOSALS_OF_MEMBERS && circle.leaving.len() <= limits::LEAVING);
        let removed: Vec<&ClientId> = circle.waiting.iter().filter_map(Waits::removes).collect();
        let distinct: BTreeSet<&&ClientId> = removed.iter().collect();
        assert_eq!(distinct.len(), removed.len(), "one removal of a leaf");
        assert!(circle.wanted.len() <= limits::WANTED_DEVICES);
        let adds: Vec<&Waits> =
            circle.waiting.iter().filter(|waits| matches!(waits.does, Does::Adds(_))).collect();
        assert!(adds.iter().all(|waits| adds.iter().filter(|other| other.does == waits.does).count() == 1));
    }

    /// A store that was replaced by an older copy of itself, and was told so: nothing goes on in it, and no number that was given
    /// out since comes again.
    pub(super) fn is_stopped(records: &Records, reached: Progress) {
        for group in records.groups() {
            assert!(records.frozen(&group).is_some(), "what may have gone on is frozen: {group:?}");
        }
        assert_eq!(records.staged_groups(), [], "nothing is staged");
        assert_eq!(records.inbox(None, 1), [], "what waited was set aside");
        let came = records.progress();
        assert!(came.inbox > reached.inbox && came.owed > reached.owed && came.issued > reached.issued);
    }

    /// What the store has is what was written, after whatever crash.
    pub(super) fn hold_against(&self, records: &Records) {
        for (key, (answer, _)) in &self.answers {
            assert_eq!(records.answer(*key).as_ref(), Some(answer), "what was answered is remembered");
        }
        for group in self.circles.keys() {
            let (circle, head) = (self.circle(group).unwrap(), records.head(group).unwrap());
            assert_eq!(head.epoch.get(), circle.epoch);
            let begins = records.log_begins(group).unwrap();
            let log = records.log(group, begins, usize::MAX);
            let epochs = log.iter().map(|entry| entry.epoch.get());
            assert!(epochs.eq(begins.get()..=circle.epoch), "a log has no gap");
            assert!(
                begins.get() <= (circle.epoch + 1).saturating_sub(limits::LOG_KEPT_EPOCHS),
                "the newest are kept"
            );
            let snapshot = records.snapshot(group, head.epoch).unwrap().epoch;
            assert_eq!(snapshot, head.snapshot_epoch);
            let kept = records.snapshots(group, Epoch::ZERO);
            assert!(kept[0].epoch <= begins, "each epoch has a snapshot at or before it");
            let cut = kept.get(1).map_or(0, |next| next.epoch.get());
            let may_go = (circle.epoch + 1).saturating_sub(limits::LOG_KEPT_EPOCHS);
            assert!(kept[0].epoch == begins || cut <= may_go, "what is cut is cut up to a snapshot");
            assert_eq!(records.agenda(group).map_or(0, |agenda| agenda.revision), circle.revision);
        }
        let open: Vec<InboxSeq> = records.inbox(None, usize::MAX).iter().map(|row| row.seq).collect();
        let expected = self.rows.keys().filter(|row| !self.answered.contains(row)).copied();
        assert_eq!(open, expected.collect::<Vec<_>>(), "what is not answered is in the inbox");
    }
}
