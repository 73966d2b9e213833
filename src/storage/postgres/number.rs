//! Unsigned numbers in columns of signed ones. No number of ours is as large as half of them; what is asked for may be.

/// A number as the database has it; the largest it can have stands for all that are larger.
pub(super) fn to_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many rows are asked for.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A number from a column. None of ours is negative.
pub(super) fn from_column(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
