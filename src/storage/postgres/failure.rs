//! What can go wrong between the service and its database, and what each means.

use maypole_core::batch::BackendError;

use super::pages;
use super::record::{Damage, Table};

/// Why a transaction or a question failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database undid it because of another that ran beside it: the same again may pass.
    Beaten(sqlx::Error),
    /// The database is not there, or does not want to, and nothing was done.
    Away(sqlx::Error),
    /// The answer to the last word of a transaction did not come: it may have been done.
    Unknown(sqlx::Error),
    /// No answer came in time: it may have been done.
    Silent,
    /// A newer program wrote a record.
    Newer(Table),
    /// A record cannot be read, or has no stored form.
    Damaged(Table, Vec<u8>, Damage),
    /// The database found its own files damaged under what it was asked for. Everything else it still has.
    Broken(sqlx::Error),
}

impl Failure {
    /// What is in the way of a record.
    pub(super) fn damaged(table: Table, key: &[u8]) -> impl FnOnce(Damage) -> Self {
        move |damage| Self::Damaged(table, key.to_vec(), damage)
    }

    /// What the database says, where it was asked for one record: if its files are damaged, the record is.
    pub(super) fn about(table: Table, key: &[u8]) -> impl Fn(sqlx::Error) -> Self {
        move |error| match Self::from(error) {
            Self::Broken(error) => {
                pages::note(table, format!("record {}", key.escape_ascii()), &error);
                Self::Damaged(table, key.to_vec(), Damage::Unreadable)
            }
            other => other,
        }
    }
}

/// Serialization, deadlock, a row that somebody else has written meanwhile, a lock that somebody else holds for long: the
/// transaction is undone, and what is found at the next try is another state.
const BEATEN: [&str; 4] = ["40001", "40P01", "23505", "55P03"];
/// A page or a value that the database cannot read any more, an index that does not fit its table.
const BROKEN: [&str; 2] = ["XX001", "XX002"];

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
        match code.as_ref() {
            code if BEATEN.contains(&code) => Self::Beaten(error),
            code if BROKEN.contains(&code) => Self::Broken(error),
            _ => Self::Away(error),
        }
    }
}

impl From<Failure> for BackendError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Beaten(error) => {
                Self::Unavailable(format!("others were in the way again and again: {error}"))
            }
            Failure::Away(error) => Self::Unavailable(error.to_string()),
            Failure::Unknown(error) => {
                Self::Unavailable(format!("it is not known whether it was written: {error}"))
            }
            Failure::Silent => Self::Unavailable("the database does not answer".to_owned()),
            Failure::Newer(table) => Self::Unavailable(format!(
                "a newer program has written to `{}`: this one must be renewed too",
                table.name()
            )),
            Failure::Damaged(table, key, damage) => {
                Self::Damaged(format!("{} {}: {damage}", table.name(), key.escape_ascii()))
            }
            Failure::Broken(error) => Self::Damaged(format!("the database cannot read its files: {error}")),
        }
    }
}
