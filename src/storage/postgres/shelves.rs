//! The directory of KeyPackages. A row stays as long as something must be known of its KeyPackage; only while that is in stock
//! does it have a record.

use maypole_core::directory::{KeyPackage, LastResort, Shelved, Standing, Stock};
use maypole_core::ids::{ClientId, KeyPackageRef, ShelfPlace};
use maypole_core::time::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row as _};

use super::failure::Failure;
use super::number::{from_column, limit, to_column};
use super::read::{Key, quarantine};
use super::record::{Damage, Table, open, seal};

/// Whether nothing is known of a KeyPackage.
pub(super) async fn is_new(
    connection: &mut PgConnection,
    reference: &KeyPackageRef,
) -> Result<bool, Failure> {
    let known = sqlx::query("SELECT 1 FROM key_packages WHERE reference = $1 FOR UPDATE");
    Ok(known.bind(reference.as_bytes()).fetch_optional(connection).await?.is_none())
}

/// Whether a KeyPackage can be handed out; nobody else hands it out meanwhile.
pub(super) async fn is_in_stock(
    connection: &mut PgConnection,
    reference: &KeyPackageRef,
) -> Result<bool, Failure> {
    let known = sqlx::query("SELECT record IS NOT NULL FROM key_packages WHERE reference = $1 FOR UPDATE");
    let row = known.bind(reference.as_bytes()).fetch_optional(connection).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// How many KeyPackages a device has in stock. Whoever else counts them waits for the end of this transaction.
pub(super) async fn count(connection: &mut PgConnection, client: &ClientId) -> Result<usize, Failure> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind(client.to_string());
    lock.execute(&mut *connection).await?;
    let count = "SELECT count(*) FROM key_packages \
                 WHERE account = $1 AND device = $2 AND NOT last_resort AND record IS NOT NULL";
    let count = sqlx::query(count).bind(client.user.as_str()).bind(client.device.as_str());
    let count: i64 = count.fetch_one(connection).await?.try_get(0)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// A KeyPackage enters its device's stock; a last resort takes the place of the one before.
pub(super) async fn shelve(
    connection: &mut PgConnection,
    key_package: &KeyPackage,
    is_absent: bool,
) -> Result<(), Failure> {
    let reference = key_package.reference.as_bytes();
    let damaged = Failure::damaged(Table::KeyPackages, reference);
    let record = seal(Table::KeyPackages, reference, key_package).map_err(damaged)?;
    let (user, device) = (key_package.client.user.as_str(), key_package.client.device.as_str());
    let suite = i32::from(key_package.suite.code());
    if key_package.last_resort {
        let replace = "UPDATE key_packages SET record = NULL \
                       WHERE account = $1 AND device = $2 AND suite = $3 AND last_resort AND record IS NOT NULL";
        sqlx::query(replace).bind(user).bind(device).bind(suite).execute(&mut *connection).await?;
    }
    if !is_absent {
        let again = sqlx::query("DELETE FROM key_packages WHERE reference = $1").bind(reference);
        again.execute(&mut *connection).await?;
    }
    let insert = "INSERT INTO key_packages \
                  (reference, account, device, suite, last_resort, ends_ms, known_until_ms, record) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let insert = sqlx::query(insert).bind(reference).bind(user).bind(device).bind(suite);
    let insert = insert.bind(key_package.last_resort).bind(to_column(key_package.ends.as_millis()));
    let insert = insert.bind(to_column(key_package.known_until().as_millis())).bind(record);
    insert.execute(connection).await?;
    Ok(())
}

/// Carries out a statement on one KeyPackage.
pub(super) async fn on(
    connection: &mut PgConnection,
    statement: &'static str,
    reference: &KeyPackageRef,
) -> Result<(), Failure> {
    sqlx::query(statement).bind(reference.as_bytes()).execute(connection).await?;
    Ok(())
}

/// A KeyPackage is not in stock, and known until a time, whether or not it was here.
pub(super) async fn know_gone(
    connection: &mut PgConnection,
    reference: &KeyPackageRef,
    until: Timestamp,
) -> Result<(), Failure> {
    on(&mut *connection, DISCARD, reference).await?;
    let insert = "INSERT INTO key_packages (reference, last_resort, ends_ms, known_until_ms) VALUES ($1, false, $2, $2)";
    let insert = sqlx::query(insert).bind(reference.as_bytes()).bind(to_column(until.as_millis()));
    insert.execute(connection).await?;
    Ok(())
}

/// A KeyPackage leaves the stock, and stays known.
pub(super) const TAKE_OUT: &str = "UPDATE key_packages SET record = NULL WHERE reference = $1";
/// A last resort was handed out.
pub(super) const USE: &str = "UPDATE key_packages SET used = true WHERE reference = $1";
/// Nothing is known of a KeyPackage any more.
pub(super) const DISCARD: &str = "DELETE FROM key_packages WHERE reference = $1";

pub(super) async fn stocked(
    pool: &PgPool,
    client: &ClientId,
    after: Option<ShelfPlace>,
    rows: usize,
) -> Result<Vec<Shelved>, Failure> {
    let query = "SELECT reference, record, place FROM key_packages \
                 WHERE account = $1 AND device = $2 AND NOT last_resort AND record IS NOT NULL AND place > $3 \
                 ORDER BY place LIMIT $4";
    let query = sqlx::query(query).bind(client.user.as_str()).bind(client.device.as_str());
    let query = query.bind(after.map_or(-1, |after| to_column(after.get()))).bind(limit(rows));
    let mut found = Vec::new();
    for row in query.fetch_all(pool).await? {
        if let Some(key_package) = opened(pool, &row).await? {
            found.push(Shelved { place: ShelfPlace::new(from_column(row.try_get(2)?)), key_package });
        }
    }
    Ok(found)
}

pub(super) async fn last_resorts(pool: &PgPool, client: &ClientId) -> Result<Vec<LastResort>, Failure> {
    let query = "SELECT reference, record, used FROM key_packages \
                 WHERE account = $1 AND device = $2 AND last_resort AND record IS NOT NULL ORDER BY suite";
    let query = sqlx::query(query).bind(client.user.as_str()).bind(client.device.as_str());
    let mut found = Vec::new();
    for row in query.fetch_all(pool).await? {
        if let Some(key_package) = opened(pool, &row).await? {
            found.push(LastResort { key_package, used: row.try_get(2)? });
        }
    }
    Ok(found)
}

/// The KeyPackage of a row. A damaged one cannot be handed out; it leaves the stock, and stays known.
async fn opened(pool: &PgPool, row: &PgRow) -> Result<Option<KeyPackage>, Failure> {
    let reference: &[u8] = row.try_get(0)?;
    let record = row.try_get(1)?;
    match open(Table::KeyPackages, reference, record) {
        Ok(key_package) => Ok(Some(key_package)),
        Err(Damage::Version) => Err(Failure::Newer(Table::KeyPackages)),
        Err(_) => {
            quarantine(pool, Table::KeyPackages, Key::Bytes(reference), record).await?;
            Ok(None)
        }
    }
}

pub(super) async fn stock(pool: &PgPool, client: &ClientId, now: Timestamp) -> Result<Stock, Failure> {
    let query = "SELECT count(*) FILTER (WHERE NOT last_resort), count(*) FILTER (WHERE last_resort), \
                 coalesce(bool_or(used) FILTER (WHERE last_resort), false) FROM key_packages \
                 WHERE account = $1 AND device = $2 AND record IS NOT NULL AND ends_ms >= $3";
    let query = sqlx::query(query).bind(client.user.as_str()).bind(client.device.as_str());
    let row = query.bind(to_column(now.as_millis())).fetch_one(pool).await?;
    Ok(Stock {
        key_packages: from_column(row.try_get(0)?),
        last_resorts: from_column(row.try_get(1)?),
        last_resort_used: row.try_get(2)?,
    })
}

pub(super) async fn standing(pool: &PgPool, reference: &KeyPackageRef) -> Result<Option<Standing>, Failure> {
    let query = sqlx::query("SELECT record IS NOT NULL FROM key_packages WHERE reference = $1");
    let row = query.bind(reference.as_bytes()).fetch_optional(pool).await?;
    let in_stock: Option<bool> = row.map(|row| row.try_get(0)).transpose()?;
    Ok(in_stock.map(|in_stock| if in_stock { Standing::InStock } else { Standing::Gone }))
}

pub(super) async fn outlived(
    pool: &PgPool,
    now: Timestamp,
    rows: usize,
) -> Result<Vec<KeyPackageRef>, Failure> {
    let query = "SELECT reference FROM key_packages WHERE known_until_ms <= $1 ORDER BY known_until_ms, reference LIMIT $2";
    let query = sqlx::query(query).bind(to_column(now.as_millis())).bind(limit(rows));
    references(query.fetch_all(pool).await?)
}

pub(super) async fn any_stocked(pool: &PgPool, rows: usize) -> Result<Vec<KeyPackageRef>, Failure> {
    let query = "SELECT reference FROM key_packages WHERE NOT last_resort AND record IS NOT NULL LIMIT $1";
    references(sqlx::query(query).bind(limit(rows)).fetch_all(pool).await?)
}

fn references(rows: Vec<PgRow>) -> Result<Vec<KeyPackageRef>, Failure> {
    let mut found = Vec::new();
    for row in rows {
        found.extend(KeyPackageRef::parse(row.try_get::<Vec<u8>, _>(0)?));
    }
    Ok(found)
}
