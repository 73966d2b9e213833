//! Medians, and how numbers are written.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// The median of what was measured.
pub(crate) fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2).context("nothing was measured")?;
    let lower = *values.get(values.len().saturating_sub(1) / 2).context("nothing was measured")?;
    Ok(f64::midpoint(lower, upper))
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Three digits that count.
pub(crate) fn short(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// Whole numbers in groups of three digits.
pub(crate) fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let mut written = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// A row of a table.
pub(crate) fn row(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

/// The head of a table, and the line under it.
pub(crate) fn head(cells: &[String]) -> String {
    format!("{}\n{}", row(cells.iter().cloned()), row(cells.iter().map(|_| "---".to_owned())))
}
