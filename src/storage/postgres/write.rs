//! A batch as one transaction: what it expects, then what it does.

use maypole_core::batch::{Batch, Expect, Op};
use maypole_core::group::{Agenda, Entry, Frozen, Head, Snapshot, Staged};
use maypole_core::ids::{GroupId, InboxSeq, KeyPackageRef, OwedId};
use maypole_core::limits;
use maypole_core::records::{Answer, AnswerKey, InboxItem, Owed, Progress, PushTransaction, SetAside};
use maypole_core::shares::Share;
use sqlx::{PgConnection, PgPool, Row as _};

use super::expect::{Absent, holds, lock};
use super::failure::Failure;
use super::number::{from_column, limit, to_column};
use super::record::{Table, entry_key, seal};
use super::shelves;

/// The database's default may be another, and so may that of whoever runs it.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// Tries a batch once: the numbers given out for what is owed, or the first expectation that does not hold.
pub(super) async fn attempt(pool: &PgPool, batch: &Batch) -> Result<Result<Vec<OwedId>, Expect>, Failure> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let mut absent = Absent::default();
    for expect in &batch.expect {
        if !holds(&mut transaction, expect, &mut absent).await? {
            transaction.rollback().await?;
            return Ok(Err(expect.clone()));
        }
    }
    let mut writing = Writing { connection: &mut transaction, absent, owed: Vec::new(), counted_at: None };
    let mut ops = batch.ops.as_slice();
    while let Some((first, rest)) = ops.split_first() {
        // Rows of one kind that follow each other go in one statement.
        let run = 1 + rest.iter().take_while(|op| is_one_of_many(op) && is_alike(op, first)).count();
        let (together, rest) = ops.split_at_checked(run).unwrap_or((ops, &[]));
        writing.carry_out(first, together).await?;
        ops = rest;
    }
    let owed = writing.owed;
    match transaction.commit().await {
        Ok(()) => Ok(Ok(owed)),
        Err(error) => match Failure::from(error) {
            Failure::Away(error) if error.as_database_error().is_none() => Err(Failure::Unknown(error)),
            refused => Err(refused),
        },
    }
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
}

impl Writing<'_> {
    /// Carries out an operation, and those that follow it if they are of a kind that goes together.
    async fn carry_out(&mut self, op: &Op, together: &[Op]) -> Result<(), Failure> {
        match op {
            Op::Bind(owner) => self.set("UPDATE store SET owner = $1", owner.as_str()).await,
            Op::BindKeys(keys) => {
                let bind = sqlx::query("UPDATE store SET keys = $1").bind(keys.as_bytes().as_slice());
                bind.execute(&mut *self.connection).await?;
                Ok(())
            }
            Op::MoveCursor(cursor) => self.set("UPDATE store SET cursor = $1", cursor.as_str()).await,
            Op::Receive(_) => {
                let items = together.iter().filter_map(|op| match op {
                    Op::Receive(item) => Some(item),
                    _ => None,
                });
                self.receive(items).await
            }
            Op::Route(seq, to) => self.route(*seq, *to).await,
            Op::ReceiveAs(seq, item) => self.receive_as(*seq, item).await,
            Op::OweAs(id, owed) => self.owe_as(*id, owed).await,
            Op::SkipTo(progress) => self.skip_to(*progress).await,
            Op::KnowGone(reference, until) => shelves::know_gone(self.connection, reference, *until).await,
            Op::Leave(seq) => self.remove("DELETE FROM inbox WHERE seq = $1", seq.get()).await,
            Op::Remember(key, answer) => self.remember(key, answer).await,
            Op::Forget(_) => {
                let keys = together.iter().filter_map(|op| match op {
                    Op::Forget(key) => Some(key.0.as_bytes().to_vec()),
                    _ => None,
                });
                let forget = sqlx::query("DELETE FROM answers WHERE key = ANY($1)");
                forget.bind(keys.collect::<Vec<_>>()).execute(&mut *self.connection).await?;
                Ok(())
            }
            Op::Owe(_) => {
                let owed = together.iter().filter_map(|op| match op {
                    Op::Owe(owed) => Some(owed),
                    _ => None,
                });
                self.owe(owed).await
            }
            Op::Settle(id) => self.remove("DELETE FROM owed WHERE id = $1", id.get()).await,
            Op::NoteTransaction(transaction) => self.note_transaction(transaction).await,
            Op::SetAside(aside) => self.set_aside(aside).await,
            Op::SetHead(head) => self.set_head(head).await,
            Op::Append(group, entry) => self.append(group, entry).await,
            Op::SetAgenda(agenda) => self.set_agenda(agenda).await,
            Op::RemoveEntry(group, epoch) => {
                let remove = sqlx::query("DELETE FROM log WHERE group_id = $1 AND epoch = $2");
                let remove = remove.bind(group.as_bytes()).bind(to_column(epoch.get()));
                remove.execute(&mut *self.connection).await?;
                Ok(())
            }
            Op::PutSnapshot(group, snapshot) => self.put_snapshot(group, snapshot).await,
            Op::Stage(staged) => self.stage(staged).await,
            Op::Unstage(group) => self.remove_of("DELETE FROM staged WHERE group_id = $1", group).await,
            Op::Shelve(key_package) => {
                let is_absent = self.absent.key_packages.contains(&key_package.reference);
                shelves::shelve(self.connection, key_package, is_absent).await?;
                self.absent.key_packages.retain(|absent| *absent != key_package.reference);
                Ok(())
            }
            Op::TakeOut(reference) => self.issue(shelves::TAKE_OUT, reference).await,
            Op::Void(reference) => shelves::on(self.connection, shelves::TAKE_OUT, reference).await,
            Op::UseLastResort(reference) => self.issue(shelves::USE, reference).await,
            Op::Discard(reference) => shelves::on(self.connection, shelves::DISCARD, reference).await,
            Op::Freeze(group, frozen) => self.freeze(group, frozen).await,
            Op::Unfreeze(group) => self.remove_of("DELETE FROM frozen WHERE group_id = $1", group).await,
        }
    }

    /// A row of the inbox goes to whoever holds another share.
    async fn route(&mut self, seq: InboxSeq, to: Share) -> Result<(), Failure> {
        let route = sqlx::query("UPDATE inbox SET share = $2 WHERE seq = $1");
        let route = route.bind(to_column(seq.get())).bind(i16::from(to.get()));
        route.execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn set(&mut self, statement: &'static str, value: &str) -> Result<(), Failure> {
        sqlx::query(statement).bind(value).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn remove(&mut self, statement: &'static str, number: u64) -> Result<(), Failure> {
        sqlx::query(statement).bind(to_column(number)).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn remove_of(&mut self, statement: &'static str, group: &GroupId) -> Result<(), Failure> {
        sqlx::query(statement).bind(group.as_bytes()).execute(&mut *self.connection).await?;
        Ok(())
    }

    /// Messages enter the inbox. The row that counts them is held until the end: they are seen in the order of their
    /// numbers, whoever writes at the same time.
    async fn receive(&mut self, items: impl Iterator<Item = &InboxItem>) -> Result<(), Failure> {
        let (mut shares, mut senders, mut times, mut records) = (vec![], vec![], vec![], vec![]);
        for item in items {
            shares.push(i16::from(Share::of_user(item.sender()).get()));
            senders.push(item.sender().as_str());
            times.push(to_column(item.received_at.as_millis()));
            records.push(seal(Table::Inbox, b"", item).map_err(Failure::damaged(Table::Inbox, b""))?);
        }
        let count = limit(records.len());
        let counted = "UPDATE store SET next_inbox = next_inbox + $1 RETURNING next_inbox - $1";
        let first: i64 =
            sqlx::query(counted).bind(count).fetch_one(&mut *self.connection).await?.try_get(0)?;
        let insert = "INSERT INTO inbox (seq, share, sender, received_at_ms, record) \
                      SELECT $1 + place - 1, share, sender, at, record \
                      FROM unnest($2::smallint[], $3::text[], $4::bigint[], $5::bytea[]) WITH ORDINALITY \
                      AS rows (share, sender, at, record, place)";
        let insert = sqlx::query(insert).bind(first).bind(shares).bind(senders).bind(times).bind(records);
        insert.execute(&mut *self.connection).await?;
        Ok(())
    }

    /// A KeyPackage is given out.
    async fn issue(&mut self, statement: &'static str, reference: &KeyPackageRef) -> Result<(), Failure> {
        let first = reference.as_bytes().first().copied().unwrap_or_default();
        let place = *self.counted_at.get_or_insert(i16::from(first % 64));
        let count = sqlx::query("UPDATE issued SET count = count + 1 WHERE place = $1").bind(place);
        count.execute(&mut *self.connection).await?;
        shelves::on(self.connection, statement, reference).await
    }

    async fn receive_as(&mut self, seq: InboxSeq, item: &InboxItem) -> Result<(), Failure> {
        let record = seal(Table::Inbox, b"", item).map_err(Failure::damaged(Table::Inbox, b""))?;
        let insert = "INSERT INTO inbox (seq, share, sender, received_at_ms, record) VALUES ($1, $2, $3, $4, $5) \
                      ON CONFLICT (seq) DO UPDATE SET share = $2, sender = $3, received_at_ms = $4, record = $5";
        let insert = sqlx::query(insert).bind(to_column(seq.get()));
        let insert = insert.bind(i16::from(Share::of_user(item.sender()).get())).bind(item.sender().as_str());
        let insert = insert.bind(to_column(item.received_at.as_millis())).bind(record);
        insert.execute(&mut *self.connection).await?;
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
        insert.execute(&mut *self.connection).await?;
        self.skip_to(Progress { owed: id.get().saturating_add(1), ..Progress::default() }).await
    }

    async fn skip_to(&mut self, to: Progress) -> Result<(), Failure> {
        let inbox = sqlx::query("UPDATE store SET next_inbox = greatest(next_inbox, $1)");
        inbox.bind(to_column(to.inbox)).execute(&mut *self.connection).await?;
        // Never back, whoever else counts on meanwhile.
        let owed = "SELECT setval('owed_id', $1, false) FROM owed_id WHERE $1 > last_value + is_called::int";
        sqlx::query(owed).bind(to_column(to.owed)).execute(&mut *self.connection).await?;
        let issued = "UPDATE issued SET count = count + greatest(0, $1 - (SELECT sum(count) FROM issued)) WHERE place = 0";
        sqlx::query(issued).bind(to_column(to.issued)).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn owe(&mut self, owed: impl Iterator<Item = &Owed>) -> Result<(), Failure> {
        let (mut shares, mut lanes, mut records) = (vec![], vec![], vec![]);
        for owed in owed {
            shares.push(i16::from(Share::of_lane(&owed.lane).get()));
            let lane = owed.lane.as_str();
            let damaged = Failure::damaged(Table::Owed, lane.as_bytes());
            records.push(seal(Table::Owed, lane.as_bytes(), owed).map_err(damaged)?);
            lanes.push(lane);
        }
        let insert = "INSERT INTO owed (share, lane, record) SELECT share, lane, record \
                      FROM unnest($1::smallint[], $2::text[], $3::bytea[]) WITH ORDINALITY \
                      AS rows (share, lane, record, place) ORDER BY place RETURNING id";
        let insert = sqlx::query(insert).bind(shares).bind(lanes).bind(records);
        let rows = insert.fetch_all(&mut *self.connection).await?;
        for row in rows {
            self.owed.push(OwedId::new(from_column(row.try_get(0)?)));
        }
        Ok(())
    }

    async fn remember(&mut self, key: &AnswerKey, answer: &Answer) -> Result<(), Failure> {
        let bytes = key.0.as_bytes().as_slice();
        let record = seal(Table::Answers, bytes, answer).map_err(Failure::damaged(Table::Answers, bytes))?;
        let statement = if self.absent.answers.contains(key) {
            "INSERT INTO answers (key, expires_at_ms, record) VALUES ($1, $2, $3)"
        } else {
            "INSERT INTO answers (key, expires_at_ms, record) VALUES ($1, $2, $3) \
             ON CONFLICT (key) DO UPDATE SET expires_at_ms = $2, record = $3"
        };
        let expires = to_column(answer.expires_at.as_millis());
        let remember = sqlx::query(statement).bind(bytes).bind(expires).bind(record);
        remember.execute(&mut *self.connection).await?;
        self.absent.answers.retain(|absent| absent != key);
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
        note.bind(transaction.id.as_str()).bind(body).execute(&mut *self.connection).await?;
        self.absent.transactions.retain(|absent| absent != transaction);
        let forget = "DELETE FROM push_transactions WHERE number <= \
                      (SELECT number FROM push_transactions ORDER BY number DESC OFFSET $1 LIMIT 1)";
        let forget = sqlx::query(forget).bind(limit(limits::PUSH_TRANSACTIONS_REMEMBERED));
        forget.execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn set_aside(&mut self, aside: &SetAside) -> Result<(), Failure> {
        let record = seal(Table::SetAside, b"", aside).map_err(Failure::damaged(Table::SetAside, b""))?;
        let insert = sqlx::query("INSERT INTO set_aside (at_ms, record) VALUES ($1, $2)");
        insert.bind(to_column(aside.at.as_millis())).bind(record).execute(&mut *self.connection).await?;
        let drop = "DELETE FROM set_aside WHERE number <= \
                    (SELECT number FROM set_aside ORDER BY number DESC OFFSET $1 LIMIT 1)";
        sqlx::query(drop).bind(limit(limits::SET_ASIDE_ROWS)).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn set_head(&mut self, head: &Head) -> Result<(), Failure> {
        let id = head.group.as_bytes();
        let record = seal(Table::Groups, id, head).map_err(Failure::damaged(Table::Groups, id))?;
        let statement = "INSERT INTO groups (id, epoch, record) VALUES ($1, $2, $3) \
                         ON CONFLICT (id) DO UPDATE SET epoch = $2, record = $3";
        let set = sqlx::query(statement).bind(id).bind(to_column(head.epoch.get())).bind(record);
        set.execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn set_agenda(&mut self, agenda: &Agenda) -> Result<(), Failure> {
        let id = agenda.group.as_bytes();
        let record = seal(Table::Agendas, id, agenda).map_err(Failure::damaged(Table::Agendas, id))?;
        let set = "INSERT INTO agendas (group_id, revision, record) VALUES ($1, $2, $3) \
                   ON CONFLICT (group_id) DO UPDATE SET revision = $2, record = $3";
        let set = sqlx::query(set).bind(id).bind(to_column(agenda.revision)).bind(record);
        set.execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn append(&mut self, group: &GroupId, entry: &Entry) -> Result<(), Failure> {
        let (id, epoch) = (group.as_bytes(), to_column(entry.epoch.get()));
        let key = entry_key(group, epoch);
        let record = seal(Table::Log, &key, entry).map_err(Failure::damaged(Table::Log, &key))?;
        let append = "INSERT INTO log (group_id, epoch, record) VALUES ($1, $2, $3) \
                      ON CONFLICT (group_id, epoch) DO UPDATE SET record = $3";
        sqlx::query(append).bind(id).bind(epoch).bind(record).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn put_snapshot(&mut self, group: &GroupId, snapshot: &Snapshot) -> Result<(), Failure> {
        let (id, epoch) = (group.as_bytes(), to_column(snapshot.epoch.get()));
        let record = seal(Table::Snapshots, id, snapshot).map_err(Failure::damaged(Table::Snapshots, id))?;
        let put = "INSERT INTO snapshots (group_id, epoch, record) VALUES ($1, $2, $3) \
                   ON CONFLICT (group_id) DO UPDATE SET epoch = $2, record = $3";
        sqlx::query(put).bind(id).bind(epoch).bind(record).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn stage(&mut self, staged: &Staged) -> Result<(), Failure> {
        let id = staged.group().as_bytes();
        let record = seal(Table::Staged, id, staged).map_err(Failure::damaged(Table::Staged, id))?;
        let statement = "INSERT INTO staged (group_id, inbox_seq, record) VALUES ($1, $2, $3) \
                         ON CONFLICT (group_id) DO UPDATE SET inbox_seq = $2, record = $3";
        let stage = sqlx::query(statement).bind(id).bind(to_column(staged.row.get())).bind(record);
        stage.execute(&mut *self.connection).await?;
        Ok(())
    }

    /// Freezes a group, after whatever is being decided in it.
    async fn freeze(&mut self, group: &GroupId, frozen: &Frozen) -> Result<(), Failure> {
        lock(self.connection, group).await?;
        let id = group.as_bytes();
        let record = seal(Table::Frozen, id, frozen).map_err(Failure::damaged(Table::Frozen, id))?;
        let freeze = "INSERT INTO frozen (group_id, at_ms, record) VALUES ($1, $2, $3) \
                      ON CONFLICT (group_id) DO UPDATE SET at_ms = $2, record = $3";
        let at = to_column(frozen.frozen_at.as_millis());
        sqlx::query(freeze).bind(id).bind(at).bind(record).execute(&mut *self.connection).await?;
        Ok(())
    }
}
