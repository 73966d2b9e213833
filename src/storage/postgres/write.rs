//! A batch as one transaction: what it expects, then what it does.

use maypole_core::batch::{Batch, Expect, Op};
use maypole_core::directory::KeyPackage;
use maypole_core::group::{Entry, Frozen};
use maypole_core::ids::{Epoch, GroupId, InboxSeq, KeyPackageRef, OwedId};
use maypole_core::limits;
use maypole_core::records::{Answer, AnswerKey, InboxItem, Owed, Progress, PushTransaction, SetAside};
use maypole_core::shares::Share;
use serde::Serialize;
use sqlx::postgres::Postgres;
use sqlx::{Encode, PgConnection, PgPool, Row as _, Type};

use super::expect::{Absent, Found, lock};
use super::failure::Failure;
use super::number::{limit, to_column};
use super::record::{Table, entry_key, seal};
use super::shelves;
use super::together::{AGENDAS, ANSWERS, FROZEN, GROUPS, LOG, Rows, SNAPSHOTS, STAGED, Together};

/// The database's default may be another, and so may that of whoever runs it.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// Tries a batch once: the numbers given out for what is owed, or the first expectation that does not hold.
pub(super) async fn attempt(pool: &PgPool, batch: &Batch) -> Result<Result<Vec<OwedId>, Expect>, Failure> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let found = Found::of(&mut transaction, &batch.expect).await?;
    let mut absent = Absent::default();
    for expect in &batch.expect {
        if !found.holds(&mut transaction, expect, &mut absent).await? {
            transaction.rollback().await?;
            return Ok(Err(expect.clone()));
        }
    }
    let owed = write(&mut transaction, &batch.ops, absent).await.map_err(|failure| match failure {
        // What is damaged where something is written need not be what it is written for: nothing was done, as long as it is.
        Failure::Broken(error) => Failure::Away(error),
        other => other,
    })?;
    match transaction.commit().await {
        Ok(()) => Ok(Ok(owed)),
        Err(error) => match Failure::from(error) {
            Failure::Away(error) if error.as_database_error().is_none() => Err(Failure::Unknown(error)),
            refused => Err(refused),
        },
    }
}

/// Does what a batch does, in a transaction in which everything is as it expects; the numbers given out for what is owed.
async fn write(
    connection: &mut PgConnection,
    mut ops: &[Op],
    absent: Absent,
) -> Result<Vec<OwedId>, Failure> {
    let mut writing =
        Writing { connection, absent, owed: Vec::new(), counted_at: None, together: Together::default() };
    while let Some((first, rest)) = ops.split_first() {
        // Rows of one kind that follow each other go in one statement.
        let run = 1 + rest.iter().take_while(|op| is_one_of_many(op) && is_alike(op, first)).count();
        let (together, rest) = ops.split_at_checked(run).unwrap_or((ops, &[]));
        writing.carry_out(first, together).await?;
        ops = rest;
    }
    writing.make().await?;
    Ok(writing.owed)
}

fn is_one_of_many(op: &Op) -> bool {
    matches!(op, Op::Receive(_) | Op::Owe(_) | Op::Forget(_))
}

fn is_alike(op: &Op, other: &Op) -> bool {
    std::mem::discriminant(op) == std::mem::discriminant(other)
}

/// A transaction in which everything is as its batch expects.
struct Writing<'t> {
    connection: &'t mut PgConnection,
    absent: Absent,
    owed: Vec<OwedId>,
    /// Where this transaction counts what it gives out: one place, so that two never wait for each other in a circle.
    counted_at: Option<i16>,
    /// What waits to be written with others.
    together: Together,
}

impl Writing<'_> {
    /// Carries out an operation, and those that follow it if they are of a kind that goes together.
    async fn carry_out(&mut self, op: &Op, together: &[Op]) -> Result<(), Failure> {
        match op {
            Op::Bind(owner) => self.set("UPDATE store SET owner = $1", owner.as_str()).await,
            Op::BindKeys(keys) => {
                let bind = sqlx::query("UPDATE store SET keys = $1").bind(keys.as_bytes().as_slice());
                bind.execute(self.now().await?).await?;
                Ok(())
            }
            Op::MoveCursor(cursor) => self.set("UPDATE store SET cursor = $1", cursor.as_str()).await,
            Op::Receive(_) => self.receive(together).await,
            Op::ReceiveAs(seq, item) => self.receive_as(*seq, item).await,
            Op::Route(seq, to) => self.route(*seq, *to).await,
            Op::Leave(seq) => self.remove(Table::Inbox, "seq", to_column(seq.get())).await,
            Op::Remember(key, answer) => self.remember(key, answer).await,
            Op::Forget(_) => self.forget(together).await,
            Op::Owe(_) => self.owe(together).await,
            Op::OweAs(id, owed) => self.owe_as(*id, owed).await,
            Op::Settle(id) => self.remove(Table::Owed, "id", to_column(id.get())).await,
            Op::NoteTransaction(transaction) => self.note_transaction(transaction).await,
            Op::SetAside(aside) => self.set_aside(aside).await,
            Op::SetHead(head) => self.put_of(&GROUPS, &head.group, head.epoch.get(), head).await,
            Op::SetAgenda(agenda) => self.put_of(&AGENDAS, &agenda.group, agenda.revision, agenda).await,
            Op::Append(group, entry) => self.append(group, entry).await,
            Op::RemoveEntry(group, epoch) => self.remove_of(Table::Log, group, *epoch).await,
            Op::PutSnapshot(group, snapshot) => {
                self.put_of(&SNAPSHOTS, group, snapshot.epoch.get(), snapshot).await
            }
            Op::RemoveSnapshot(group, epoch) => self.remove_of(Table::Snapshots, group, *epoch).await,
            Op::Stage(staged) => self.put_of(&STAGED, staged.group(), staged.row.get(), staged).await,
            Op::Unstage(group) => self.remove(Table::Staged, "group_id", group.as_bytes()).await,
            Op::Freeze(group, frozen) => self.freeze(group, frozen).await,
            Op::Unfreeze(group) => self.remove(Table::Frozen, "group_id", group.as_bytes()).await,
            Op::Shelve(key_package) => self.shelve(key_package).await,
            Op::TakeOut(reference) => self.issue(shelves::TAKE_OUT, reference).await,
            Op::Void(reference) => shelves::on(self.now().await?, shelves::TAKE_OUT, reference).await,
            Op::UseLastResort(reference) => self.issue(shelves::USE, reference).await,
            Op::Discard(reference) => shelves::on(self.now().await?, shelves::DISCARD, reference).await,
            Op::KnowGone(reference, until) => shelves::know_gone(self.now().await?, reference, *until).await,
            Op::SkipTo(progress) => self.skip_to(*progress).await,
        }
    }

    /// Makes what waits.
    async fn make(&mut self) -> Result<(), Failure> {
        self.owed.extend(self.together.make(self.connection).await?);
        Ok(())
    }

    /// The session, for what does not wait: after what does.
    async fn now(&mut self) -> Result<&mut PgConnection, Failure> {
        self.make().await?;
        Ok(&mut *self.connection)
    }

    /// What waits, with room for a change of a table.
    async fn room(&mut self, table: Table) -> Result<&mut Together, Failure> {
        if !self.together.has_room_for(table) {
            self.make().await?;
        }
        Ok(&mut self.together)
    }

    /// Puts a record that a group has one of, or one of in an epoch.
    async fn put_of(
        &mut self,
        rows: &Rows,
        group: &GroupId,
        number: u64,
        record: &impl Serialize,
    ) -> Result<(), Failure> {
        self.put(rows, (group.as_bytes(), group.as_bytes()), number, record, false).await
    }

    /// Puts a record in the row of its key; the other key is what it is sealed for.
    async fn put(
        &mut self,
        rows: &Rows,
        (key, sealed_for): (&[u8], &[u8]),
        number: u64,
        record: &impl Serialize,
        is_new: bool,
    ) -> Result<(), Failure> {
        let table = rows.table;
        let record = seal(table, sealed_for, record).map_err(Failure::damaged(table, sealed_for))?;
        self.room(table).await?.put(rows, key, to_column(number), record, is_new);
        Ok(())
    }

    async fn remove<'q, T>(&mut self, table: Table, column: &'static str, value: T) -> Result<(), Failure>
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        self.room(table).await?.remove(table, column, value);
        Ok(())
    }

    /// Removes what a group has of an epoch in a table.
    async fn remove_of(&mut self, table: Table, group: &GroupId, epoch: Epoch) -> Result<(), Failure> {
        let waits = self.room(table).await?;
        waits.remove(table, "group_id", group.as_bytes()).only("epoch", to_column(epoch.get()));
        Ok(())
    }

    async fn append(&mut self, group: &GroupId, entry: &Entry) -> Result<(), Failure> {
        let number = entry.epoch.get();
        let key = entry_key(group, to_column(number));
        self.put(&LOG, (group.as_bytes(), &key), number, entry, false).await
    }

    async fn remember(&mut self, key: &AnswerKey, answer: &Answer) -> Result<(), Failure> {
        let is_new = self.absent.answers.contains(key);
        self.absent.answers.retain(|absent| absent != key);
        let (bytes, expires) = (key.0.as_bytes().as_slice(), answer.expires_at.as_millis());
        self.put(&ANSWERS, (bytes, bytes), expires, answer, is_new).await
    }

    async fn forget(&mut self, together: &[Op]) -> Result<(), Failure> {
        let keys = together.iter().filter_map(|op| match op {
            Op::Forget(key) => Some(key.0.as_bytes().to_vec()),
            _ => None,
        });
        self.room(Table::Answers).await?.forget(keys.collect());
        Ok(())
    }

    /// Freezes a group, after whatever is being decided in it.
    async fn freeze(&mut self, group: &GroupId, frozen: &Frozen) -> Result<(), Failure> {
        lock(self.now().await?, group).await?;
        self.put_of(&FROZEN, group, frozen.frozen_at.as_millis(), frozen).await
    }

    async fn shelve(&mut self, key_package: &KeyPackage) -> Result<(), Failure> {
        let is_absent = self.absent.key_packages.contains(&key_package.reference);
        shelves::shelve(self.now().await?, key_package, is_absent).await?;
        self.absent.key_packages.retain(|absent| *absent != key_package.reference);
        Ok(())
    }

    /// A row of the inbox goes to whoever holds another share.
    async fn route(&mut self, seq: InboxSeq, to: Share) -> Result<(), Failure> {
        let route = sqlx::query("UPDATE inbox SET share = $2 WHERE seq = $1");
        let route = route.bind(to_column(seq.get())).bind(i16::from(to.get()));
        route.execute(self.now().await?).await?;
        Ok(())
    }

    async fn set(&mut self, statement: &'static str, value: &str) -> Result<(), Failure> {
        sqlx::query(statement).bind(value).execute(self.now().await?).await?;
        Ok(())
    }

    /// Messages enter the inbox. The row that counts them is held until the end: they are seen in the order of their
    /// numbers, whoever writes at the same time.
    async fn receive(&mut self, together: &[Op]) -> Result<(), Failure> {
        let (mut shares, mut senders, mut times, mut records) = (vec![], vec![], vec![], vec![]);
        for op in together {
            let Op::Receive(item) = op else { continue };
            shares.push(i16::from(Share::of_user(item.sender()).get()));
            senders.push(item.sender().as_str());
            times.push(to_column(item.received_at.as_millis()));
            records.push(seal(Table::Inbox, b"", item).map_err(Failure::damaged(Table::Inbox, b""))?);
        }
        let count = limit(records.len());
        let counted = "UPDATE store SET next_inbox = next_inbox + $1 RETURNING next_inbox - $1";
        let first: i64 = sqlx::query(counted).bind(count).fetch_one(self.now().await?).await?.try_get(0)?;
        let insert = "INSERT INTO inbox (seq, share, sender, received_at_ms, record) \
                      SELECT $1 + place - 1, share, sender, at, record \
                      FROM unnest($2::smallint[], $3::text[], $4::bigint[], $5::bytea[]) WITH ORDINALITY \
                      AS rows (share, sender, at, record, place)";
        let insert = sqlx::query(insert).bind(first).bind(shares).bind(senders).bind(times).bind(records);
        insert.execute(self.now().await?).await?;
        Ok(())
    }

    /// A KeyPackage is given out.
    async fn issue(&mut self, statement: &'static str, reference: &KeyPackageRef) -> Result<(), Failure> {
        let first = reference.as_bytes().first().copied().unwrap_or_default();
        let place = *self.counted_at.get_or_insert(i16::from(first % 64));
        let count = sqlx::query("UPDATE issued SET count = count + 1 WHERE place = $1").bind(place);
        count.execute(self.now().await?).await?;
        shelves::on(self.now().await?, statement, reference).await
    }

    async fn receive_as(&mut self, seq: InboxSeq, item: &InboxItem) -> Result<(), Failure> {
        let record = seal(Table::Inbox, b"", item).map_err(Failure::damaged(Table::Inbox, b""))?;
        let insert = "INSERT INTO inbox (seq, share, sender, received_at_ms, record) VALUES ($1, $2, $3, $4, $5) \
                      ON CONFLICT (seq) DO UPDATE SET share = $2, sender = $3, received_at_ms = $4, record = $5";
        let insert = sqlx::query(insert).bind(to_column(seq.get()));
        let insert = insert.bind(i16::from(Share::of_user(item.sender()).get())).bind(item.sender().as_str());
        let insert = insert.bind(to_column(item.received_at.as_millis())).bind(record);
        insert.execute(self.now().await?).await?;
        self.skip_to(Progress { inbox: seq.get().saturating_add(1), ..Progress::default() }).await
    }

    async fn owe_as(&mut self, id: OwedId, owed: &Owed) -> Result<(), Failure> {
        let lane = owed.lane.as_str();
        let damaged = Failure::damaged(Table::Owed, lane.as_bytes());
        let record = seal(Table::Owed, lane.as_bytes(), owed).map_err(damaged)?;
        let insert = "INSERT INTO owed (id, share, lane, record) VALUES ($1, $2, $3, $4) \
                      ON CONFLICT (id) DO UPDATE SET share = $2, lane = $3, record = $4";
        let insert = sqlx::query(insert).bind(to_column(id.get()));
        let insert = insert.bind(i16::from(Share::of_lane(&owed.lane).get())).bind(lane).bind(record);
        insert.execute(self.now().await?).await?;
        self.skip_to(Progress { owed: id.get().saturating_add(1), ..Progress::default() }).await
    }

    async fn skip_to(&mut self, to: Progress) -> Result<(), Failure> {
        let inbox = sqlx::query("UPDATE store SET next_inbox = greatest(next_inbox, $1)");
        inbox.bind(to_column(to.inbox)).execute(self.now().await?).await?;
        // Never back, whoever else counts on meanwhile.
        let owed = "SELECT setval('owed_id', $1, false) FROM owed_id WHERE $1 > last_value + is_called::int";
        sqlx::query(owed).bind(to_column(to.owed)).execute(self.now().await?).await?;
        let issued = "UPDATE issued SET count = count + greatest(0, $1 - (SELECT sum(count) FROM issued)) WHERE place = 0";
        sqlx::query(issued).bind(to_column(to.issued)).execute(self.now().await?).await?;
        Ok(())
    }

    async fn owe(&mut self, together: &[Op]) -> Result<(), Failure> {
        let (mut shares, mut lanes, mut records) = (vec![], vec![], vec![]);
        for op in together {
            let Op::Owe(owed) = op else { continue };
            shares.push(i16::from(Share::of_lane(&owed.lane).get()));
            let lane = owed.lane.as_str();
            let damaged = Failure::damaged(Table::Owed, lane.as_bytes());
            records.push(seal(Table::Owed, lane.as_bytes(), owed).map_err(damaged)?);
            lanes.push(lane);
        }
        self.room(Table::Owed).await?.owe(shares, lanes, records);
        Ok(())
    }

    async fn note_transaction(&mut self, transaction: &PushTransaction) -> Result<(), Failure> {
        let statement = if self.absent.transactions.contains(transaction) {
            "INSERT INTO push_transactions (id, body) VALUES ($1, $2)"
        } else {
            "INSERT INTO push_transactions (id, body) VALUES ($1, $2) ON CONFLICT (id, body) DO NOTHING"
        };
        let note = sqlx::query(statement);
        let body = transaction.body.as_bytes().as_slice();
        note.bind(transaction.id.as_str()).bind(body).execute(self.now().await?).await?;
        self.absent.transactions.retain(|absent| absent != transaction);
        let forget = "DELETE FROM push_transactions WHERE number <= \
                      (SELECT number FROM push_transactions ORDER BY number DESC OFFSET $1 LIMIT 1)";
        let forget = sqlx::query(forget).bind(limit(limits::PUSH_TRANSACTIONS_REMEMBERED));
        forget.execute(self.now().await?).await?;
        Ok(())
    }

    async fn set_aside(&mut self, aside: &SetAside) -> Result<(), Failure> {
        let record = seal(Table::SetAside, b"", aside).map_err(Failure::damaged(Table::SetAside, b""))?;
        let insert = sqlx::query("INSERT INTO set_aside (at_ms, record) VALUES ($1, $2)");
        insert.bind(to_column(aside.at.as_millis())).bind(record).execute(self.now().await?).await?;
        let drop = "DELETE FROM set_aside WHERE number <= \
                    (SELECT number FROM set_aside ORDER BY number DESC OFFSET $1 LIMIT 1)";
        sqlx::query(drop).bind(limit(limits::SET_ASIDE_ROWS)).execute(self.now().await?).await?;
        Ok(())
    }
}
