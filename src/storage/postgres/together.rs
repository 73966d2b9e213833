//! Changes that go to the database together, in one statement: each message to it and back takes time while a group waits.

use maypole_core::ids::OwedId;
use sqlx::postgres::Postgres;
use sqlx::{Encode, PgConnection, QueryBuilder, Row as _, Type};

use super::failure::Failure;
use super::number::from_column;
use super::record::Table;

/// A table whose rows have a key, a number that is looked at, and a record.
pub(super) struct Rows {
    pub(super) table: Table,
    key: &'static str,
    number: &'static str,
    /// What a row is the only one with.
    unique: &'static str,
}

impl Rows {
    const fn of(table: Table, key: &'static str, number: &'static str) -> Self {
        Self { table, key, number, unique: key }
    }
}

pub(super) const ANSWERS: Rows = Rows::of(Table::Answers, "key", "expires_at_ms");
pub(super) const GROUPS: Rows = Rows::of(Table::Groups, "id", "epoch");
pub(super) const AGENDAS: Rows = Rows::of(Table::Agendas, "group_id", "revision");
pub(super) const STAGED: Rows = Rows::of(Table::Staged, "group_id", "inbox_seq");
pub(super) const FROZEN: Rows = Rows::of(Table::Frozen, "group_id", "at_ms");
pub(super) const LOG: Rows = Rows { unique: "group_id, epoch", ..Rows::of(Table::Log, "group_id", "epoch") };
pub(super) const SNAPSHOTS: Rows =
    Rows { unique: "group_id, epoch", ..Rows::of(Table::Snapshots, "group_id", "epoch") };

/// Changes that wait. No two are of one table: none sees what another does.
#[derive(Default)]
pub(super) struct Together {
    statement: QueryBuilder<Postgres>,
    tables: Vec<Table>,
    /// Whether numbers are given out by it.
    numbers: bool,
}

impl Together {
    /// Whether a change of a table can join those that wait.
    pub(super) fn has_room_for(&self, table: Table) -> bool {
        !self.tables.contains(&table)
    }

    /// The place of the next change, under a name that no other has.
    fn part(&mut self, table: Table) -> &mut QueryBuilder<Postgres> {
        let opening = if self.tables.is_empty() { "WITH " } else { "), " };
        self.tables.push(table);
        self.statement.push(opening).push("of_").push(table.name()).push(" AS (")
    }

    /// Puts a row, in place of the one with its key. One that is `new` must not find any there.
    pub(super) fn put(&mut self, rows: &Rows, key: &[u8], number: i64, record: Vec<u8>, new: bool) {
        let Rows { table, key: name, number: numbered, unique } = rows;
        let table_name = table.name();
        let part = self.part(*table);
        part.push(format_args!("INSERT INTO {table_name} ({name}, {numbered}, record) VALUES ("));
        part.push_bind(key).push(", ").push_bind(number).push(", ").push_bind(record).push(")");
        if !new {
            part.push(format_args!(
                " ON CONFLICT ({unique}) DO UPDATE SET {numbered} = excluded.{numbered}, record = excluded.record"
            ));
        }
    }

    /// Removes the rows that have a value in a column, and in another one where that is said.
    pub(super) fn remove<'q, T>(&mut self, table: Table, column: &'static str, value: T) -> &mut Self
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        let part = self.part(table);
        part.push(format_args!("DELETE FROM {} WHERE {column} = ", table.name())).push_bind(value);
        self
    }

    /// Of what was said last to be removed, only what has this number in another column.
    pub(super) fn only(&mut self, column: &'static str, number: i64) {
        self.statement.push(format_args!(" AND {column} = ")).push_bind(number);
    }

    /// Removes answers.
    pub(super) fn forget(&mut self, keys: Vec<Vec<u8>>) {
        self.part(Table::Answers).push("DELETE FROM answers WHERE key = ANY(").push_bind(keys).push(")");
    }

    /// Rows of what is owed, in their order; each gets its number from the database.
    pub(super) fn owe(&mut self, shares: Vec<i16>, lanes: Vec<&str>, records: Vec<Vec<u8>>) {
        self.numbers = true;
        let part = self.part(Table::Owed);
        part.push("INSERT INTO owed (share, lane, record) SELECT share, lane, record FROM unnest(");
        part.push_bind(shares).push("::smallint[], ").push_bind(lanes).push("::text[], ");
        part.push_bind(records).push("::bytea[]) WITH ORDINALITY AS rows (share, lane, record, place) ");
        part.push("ORDER BY place RETURNING id");
    }

    /// Makes all that waits; the numbers that were given out, in the order of what they were given to.
    pub(super) async fn make(&mut self, connection: &mut PgConnection) -> Result<Vec<OwedId>, Failure> {
        let mut this = std::mem::take(self);
        if this.tables.is_empty() {
            return Ok(Vec::new());
        }
        let closing = if this.numbers {
            ") SELECT id FROM of_owed ORDER BY id"
        } else {
            ") SELECT 1::bigint WHERE false"
        };
        let rows = this.statement.push(closing).build().fetch_all(connection).await?;
        rows.iter().map(|row| Ok(OwedId::new(from_column(row.try_get(0)?)))).collect()
    }
}
