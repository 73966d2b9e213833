//! The world around two processes: turn by turn one thing happens, chosen by chance.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::books::Books;
use super::chance::{Habit, is_calm};
use super::house::{Doing, House, Note, Process, Work};
use super::people::{Occasion, Sent, clients};
use super::road::{begin_carrying, handle};
use super::{chores, shelf};
use crate::group::tests::client;
use crate::group::{Cause, FreezeCause, Frozen, Order};
use crate::ids::{ClientId, FreezeReason, GroupId};
use crate::limits;
use crate::memory::{Fault, Records};
use crate::records::{AnswerKey, InboxRow};

const ROOMS: [&str; 2] = ["!one:a.org", "!two:a.org"];
const CAUSES: [Cause; 4] = [Cause::Left, Cause::Kicked, Cause::DeviceGone, Cause::KeyReplaced];
/// More is not begun at once.
const AT_ONCE: usize = 16;
/// What is on its way, or owed, before nothing new is sent.
const BACKLOG: usize = 12;

struct Task {
    process: usize,
    note: Note,
    work: Work,
}

/// One life of the service, from nothing on.
pub(super) struct World {
    pub(super) house: Rc<House>,
    processes: [Rc<Process>; 2],
    tasks: Vec<Task>,
    backup: Option<Records>,
    pub(super) steps: u64,
    pub(super) crashes: u64,
    pub(super) faults: u64,
    pub(super) restores: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let house = Rc::new(House::new(seed));
        house.store.written();
        let processes = [Process::start(&house), Process::start(&house)];
        Self {
            house,
            processes,
            tasks: Vec::new(),
            backup: None,
            steps: 0,
            crashes: 0,
            faults: 0,
            restores: 0,
        }
    }

    /// One thing happens, or nothing, where there is nothing to do or somebody was only asked in vain: that is no step.
    pub(super) fn turn(&mut self) {
        let happened = match is_calm(self.house.seed) && !self.house.chance.one_in(8) {
            true => self.turn_calmly(),
            false => self.turn_as_chance_has_it(),
        };
        self.steps += u64::from(happened);
    }

    fn turn_as_chance_has_it(&mut self) -> bool {
        let house = self.house.clone();
        let chance = &house.chance;
        if Habit::of(house.seed) == Habit::Frozen && chance.one_in(20) {
            let (group, freezes) = (self.any_group(), chance.one_in(3));
            return self.begin(|process, _| Box::pin(chores::freeze(process, group, freezes)));
        }
        match chance.below(1_000) {
            0..=749 => self.go_on(),
            750..=799 => self.send(),
            800..=869 => self.begin_a_row(),
            870..=889 => self.take_in(),
            890..=909 => self.deliver(),
            910..=934 => self.carry_out(),
            935..=944 => self.begin_an_order(),
            945..=955 => self.begin(|process, _| Box::pin(shelf::claim(process))),
            956..=960 => {
                let hoarder = house.hoards() && chance.one_in(2);
                let client =
                    if hoarder { clients()[5].clone() } else { chance.pick(&clients()).unwrap().clone() };
                self.begin(|process, _| Box::pin(shelf::upload(process, client)))
            }
            961 => {
                let client = chance.pick(&clients()).unwrap().clone();
                self.begin(|process, _| Box::pin(shelf::remove(process, client)))
            }
            962..=963 => {
                let group = self.any_group();
                self.begin(|process, _| Box::pin(chores::forget(process, group)))
            }
            964..=966 => {
                let freezes = !is_calm(house.seed) && chance.one_in(20);
                let group = self.any_group();
                self.begin(|process, _| Box::pin(chores::freeze(process, group, freezes)))
            }
            967..=986 => self.wait(),
            987..=992 => {
                self.faults += 1;
                house.store.fail(*chance.pick(&[Fault::Lost, Fault::Unheard]).unwrap());
                true
            }
            993..=995 => self.crash(chance.below(2)),
            996..=997 => self.look_over(),
            _ => self.send_a_crowd(),
        }
    }

    /// One commit after the other.
    fn turn_calmly(&mut self) -> bool {
        match self.tasks.len() {
            0..=1 => match self.house.chance.below(8) {
                0..=2 => self.send(),
                3..=4 => self.take_in(),
                5 => self.deliver(),
                _ => self.begin_a_row(),
            },
            _ => self.go_on(),
        }
    }

    /// Somebody goes on with what they are at.
    fn go_on(&mut self) -> bool {
        loop {
            if self.tasks.is_empty() {
                return false;
            }
            self.house.idle.set(false);
            let place = self.house.chance.below(self.tasks.len());
            let task = &mut self.tasks[place];
            let done = task.work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            let (process, note) = (task.process, task.note.clone());
            if done {
                drop(self.tasks.swap_remove(place));
            }
            self.note(&note);
            let begun = self.processes[process].begun.take();
            self.tasks.extend(begun.into_iter().map(|(note, work)| Task { process, note, work }));
            // Whoever only waits has not gone on.
            let happened = !self.house.idle.get();
            if happened || self.house.chance.one_in(8) {
                return happened;
            }
        }
    }

    fn note(&self, note: &Note) {
        for written in self.house.store.written() {
            for op in &written.batch.ops {
                self.house.is_delivered(op);
            }
            let (mut books, mut people) = (self.house.books.borrow_mut(), self.house.people.borrow_mut());
            books.note(&written, &note.borrow(), &self.house.sent.borrow(), &mut people, self.house.now());
        }
    }

    fn begin(&mut self, work: impl FnOnce(Rc<Process>, Note) -> Work) -> bool {
        let has_room = self.tasks.len() < AT_ONCE;
        if has_room {
            let process = self.house.chance.below(2);
            let note = Rc::new(RefCell::new(Doing::Chore));
            let work = work(self.processes[process].clone(), note.clone());
            self.tasks.push(Task { process, note, work });
        }
        has_room
    }

    fn take_in(&mut self) -> bool {
        self.house.on_its_way() > 0 && self.begin(|process, _| Box::pin(chores::take_in(process)))
    }

    fn deliver(&mut self) -> bool {
        let is_owed = self.house.store.look(Records::depths).owed > 0;
        is_owed && self.begin(|process, _| Box::pin(chores::deliver(process)))
    }

    /// A process takes a message out of the inbox, an old one rather than a new one.
    fn begin_a_row(&mut self) -> bool {
        let rows: Vec<InboxRow> = self.house.store.look(|records| records.inbox(None, 8));
        let place = self.house.chance.below(rows.len()).min(self.house.chance.below(rows.len()));
        let Some(row) = rows.get(place).cloned() else { return false };
        let in_hand = self.processes.iter().any(|process| process.in_hand.borrow().contains(&row.seq));
        if in_hand && !self.house.chance.one_in(4) {
            return false;
        }
        self.begin(|process, note| {
            if !process.in_hand.borrow_mut().insert(row.seq) {
                return Box::pin(std::future::ready(()));
            }
            Box::pin(handle(process, row, note))
        })
    }

    /// What must happen outside happens, or a process takes up what was staged.
    fn carry_out(&mut self) -> bool {
        let staged = self.house.store.look(Records::staged_groups);
        let Some((group, row)) = self.house.chance.pick(&staged).cloned() else { return false };
        let haste = if Habit::of(self.house.seed).is_slow() { 24 } else { 6 };
        if self.house.chance.one_in(haste) {
            return self.house.carried_out.borrow_mut().insert(row);
        }
        self.begin(|process, _| {
            Box::pin(async move {
                match process.ledger.staged(&group).await {
                    Ok(staged) => {
                        staged.into_iter().for_each(|staged| begin_carrying(&process, staged, None))
                    }
                    Err(error) => process.house.failed(&error),
                }
            })
        })
    }

    /// A group: mostly the newest generation of a room, or the next where that may begin.
    fn any_group(&self) -> GroupId {
        let (chance, books) = (&self.house.chance, self.house.books.borrow());
        let rooms = if is_calm(self.house.seed) { &ROOMS[..1] } else { &ROOMS };
        let first = GroupId::parse(*chance.pick(rooms).unwrap()).unwrap();
        let generation = |number| first.of_generation(number).unwrap();
        if is_calm(self.house.seed) {
            return first;
        }
        let begun = (0..).find(|number| books.circle(&generation(*number)).is_none()).unwrap();
        let Some(newest) = begun.checked_sub(1) else { return first };
        let circle = books.circle(&generation(newest)).unwrap();
        let may_end = circle.is_dormant() || circle.reset_open;
        match chance.below(16) {
            0 => generation(newest.saturating_sub(1)),
            1 => generation(begun),
            2..=5 if may_end => generation(begun),
            _ => generation(newest),
        }
    }

    fn wait(&mut self) -> bool {
        let chance = &self.house.chance;
        let time_ms = match chance.below(100) {
            80.. if is_calm(self.house.seed) => 25 * 3_600_000,
            0..=59 => 1 + chance.below(1_000) as u64,
            60..=89 => 4_000 + chance.below(8_000) as u64,
            90..=96 => 31_000,
            _ => {
                // Refusals are forgotten, while they are asked for again.
                let (sent, house) = (self.house.sent.borrow().len(), &self.house);
                house.stream.borrow_mut().extend(sent.saturating_sub(4)..sent);
                25 * 3_600_000
            }
        };
        self.house.now.set(self.house.now().plus(Duration::from_millis(time_ms)));
        true
    }

    /// A process is killed: all that it had in memory is gone.
    fn crash(&mut self, process: usize) -> bool {
        self.tasks.retain(|task| task.process != process);
        self.processes[process] = Process::start(&self.house);
        self.crashes += 1;
        true
    }

    /// The store is held against the books; a copy of it may be put away.
    fn look_over(&mut self) -> bool {
        let house = &self.house;
        house.store.look(|records| {
            house.books.borrow().hold_against(records);
            house.shelf.borrow().hold_against(records);
        });
        if house.chance.one_in(3) {
            self.backup = Some(house.store.records());
        }
        true
    }

    fn begin_an_order(&mut self) -> bool {
        let house = self.house.clone();
        if is_calm(house.seed) {
            return false;
        }
        let (chance, group) = (&house.chance, self.any_group());
        let some: BTreeSet<ClientId> =
            (0..1 + chance.below(2)).map(|_| chance.pick(&clients()).unwrap().clone()).collect();
        let (clients, cause) = (some.into_iter().collect(), *chance.pick(&CAUSES).unwrap());
        let power = FreezeCause::Power;
        let order = match chance.below(32) {
            0..=7 => Order::Announce { clients, cause },
            8..=14 => Order::Withdraw { clients, cause },
            15 => Order::Want { clients: strangers() },
            16 => Order::Want { clients },
            17 if chance.one_in(2) => Order::Unwant { clients: strangers() },
            17 => Order::Unwant { clients },
            18 if chance.one_in(3) => Order::Freeze { cause: power, reason: "so chance has it".to_owned() },
            19..=23 => Order::Unfreeze { cause: power },
            24 => Order::Reset { open: chance.one_in(6) },
            _ => Order::Tend,
        };
        let signs = !chance.one_in(8);
        self.begin(|process, note| Box::pin(chores::order(process, group, order, signs, note)))
    }

    /// A device sends something: new, again, or under a name that it has used.
    fn send(&mut self) -> bool {
        let house = self.house.clone();
        let depths = house.store.look(Records::depths);
        let chance = &house.chance;
        let backlog = if is_calm(house.seed) { 2 } else { BACKLOG };
        if depths.inbox as usize + house.on_its_way() > chance.below(backlog)
            || depths.owed as usize > 4 * BACKLOG
        {
            return false;
        }
        let sent = house.sent.borrow().len();
        let recent = |among: usize| sent.checked_sub(1 + chance.below(among.min(sent)));
        if let (true, Some(number)) = (chance.one_in(3), recent(24)) {
            house.stream.borrow_mut().push(number);
            return true;
        }
        let message = match (chance.below(16), recent(40)) {
            (0, Some(number)) => {
                let before = house.sent.borrow()[number].clone();
                let key = AnswerKey(crate::ids::Sha256::of(&chance.next().to_be_bytes()));
                Some(house.people.borrow_mut().renamed(&before, key))
            }
            (1, Some(number)) => {
                let key = house.sent.borrow()[number].key;
                self.message().map(|message| message.under(key))
            }
            _ => self.message(),
        };
        let Some(message) = message else { return false };
        house.sent.borrow_mut().push(Rc::new(message));
        let twins = Habit::of(house.seed).has_twins() && chance.one_in(2);
        house.stream.borrow_mut().extend([sent].repeat(1 + usize::from(twins)));
        true
    }

    /// Several devices commit in the same epoch.
    fn send_a_crowd(&mut self) -> bool {
        (0..4).filter(|_| self.send()).count() > 0
    }

    fn message(&self) -> Option<Sent> {
        let (house, group) = (&self.house, self.any_group());
        let (chance, now) = (&house.chance, house.now());
        let books = house.books.borrow();
        let circle = books.circle(&group);
        let mut who = clients();
        if let (Some(circle), false) = (circle, chance.one_in(6)) {
            who = circle.members.iter().cloned().collect();
        }
        let by = chance.pick(&who)?;
        let mut people = house.people.borrow_mut();
        let Some(circle) = circle else {
            let first = group.of_generation(0).filter(|_| chance.one_in(4));
            let other = first.as_ref().and_then(|first| Some((books.circle(first)?, first)));
            return match other {
                Some((circle, other)) => {
                    people.stray(&Occasion { by, group: other, circle, chance, now }, &group)
                }
                None => Some(people.register(by, &group, now)),
            };
        };
        let occasion = Occasion { by, group: &group, circle, chance, now };
        let proposes = if Habit::of(house.seed) == Habit::Proposals { 2 } else { 4 };
        match is_calm(house.seed) {
            true => people.commit(&occasion),
            false if chance.one_in(30) => Some(people.register(by, &group, now)),
            false if chance.one_in(proposes) => people.propose(&occasion),
            false => people.commit(&occasion),
        }
    }

    /// All comes to an end: what was begun is finished, the inbox is worked through, and all is delivered.
    pub(super) fn end(&mut self) {
        for _ in 0..200_000 {
            let depths = self.house.store.look(Records::depths);
            if self.tasks.is_empty() && depths.inbox == 0 && depths.owed == 0 {
                break;
            }
            match self.house.chance.below(8) {
                0 => self.begin_a_row(),
                1 => self.carry_out(),
                2 => self.deliver(),
                3 => self.wait(),
                _ => self.go_on(),
            };
        }
        let depths = self.house.store.look(Records::depths);
        assert_eq!(
            (depths.inbox, depths.owed, depths.staged),
            (0, 0, 0),
            "all that was asked is answered and told"
        );
        self.look_over();
    }

    /// A store that is restored from a copy of itself, and told so, does nothing in its groups any more, and its directory hands
    /// nothing out that it has handed out since.
    pub(super) fn restore(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        self.crash(0);
        self.crash(1);
        let reached = self.house.store.look(Records::progress);
        self.house.store.restore(backup);
        let (process, now) = (Process::start(&self.house), self.house.now());
        let frozen = Frozen { reason: FreezeReason::parse("an older copy").unwrap(), frozen_at: now };
        finish(Box::pin(async move {
            // One write may still be about to fail; whatever has broken it off, it is done again.
            if process.ledger.recover(reached.inbox, reached, &frozen, now).await.is_err() {
                process.ledger.recover(reached.inbox, reached, &frozen, now).await.unwrap();
            }
            for _ in 0..20 {
                shelf::claim(process.clone()).await;
            }
        }));
        self.house.store.look(|records| {
            Books::is_stopped(records, reached);
            self.house.shelf.borrow().hold_against(records);
        });
        self.restores += 1;
    }
}

/// More devices than a group may want.
fn strangers() -> Vec<ClientId> {
    let stranger = |number| client(&format!("@dan:b.org/{number}")).unwrap();
    (0..limits::WANTED_DEVICES + 8).map(stranger).collect()
}

fn finish(mut work: Pin<Box<dyn Future<Output = ()>>>) {
    while work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
}
