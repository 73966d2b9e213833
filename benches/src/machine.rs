//! What all this is measured on, and what a signature and a hash take there.

use std::{hint::black_box, process::Command};

use anyhow::{Context as _, Result, ensure};
use maypole_testkit::wait::{Stopwatch, unix_seconds};

use crate::{
    figures::{Notebook, Of},
    floor::sha256,
    importing::signatures,
    numbers::{median, micros},
    options::Options,
    scene::{Start, found},
};

/// What figures of the machine itself speak of.
pub(crate) fn itself() -> Of {
    Of::new("machine", "", 0, "")
}

/// What must be said of every figure.
pub(crate) fn said(options: &Options) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("machine", machine()),
        ("compiler", compiler().unwrap_or_else(|| "unknown".to_owned())),
        ("versions", versions()?),
        ("date", date(unix_seconds())),
        ("command", format!("maypole-benches {}", options.words.join(" "))),
        ("seed", options.seed.to_string()),
    ])
}

/// Notes how fast it verifies and hashes, by the library that the engine uses.
pub(crate) fn speed(options: &Options, notebook: &mut Notebook) -> Result<()> {
    let (forge, now) = found(8, false, options.seed)?;
    let signatures = signatures(&Start::of(&forge, now)?)?;
    let signed = signatures.first().context("no signature")?;
    let verify = median_us(|| black_box(signed).verify())?;
    ensure!(signed.verify(), "a signature does not verify");
    let bytes = forge.bytes(180);
    let hash = median_us(|| sha256(black_box(&bytes)))?;
    notebook.note(&itself(), "aws-lc-rs", "ed25519_verify_us", verify)?;
    notebook.note(&itself(), "aws-lc-rs", "sha256_180_bytes_us", hash)
}

/// What something takes that takes little: the median of many rounds of some hundred each.
fn median_us<T>(mut what: impl FnMut() -> T) -> Result<f64> {
    const ROUNDS: usize = 51;
    const TIMES: u32 = 100;
    let round = |_| {
        let watch = Stopwatch::start();
        for _ in 0..TIMES {
            black_box(what());
        }
        micros(watch.elapsed()) / f64::from(TIMES)
    };
    median((0..ROUNDS).map(round).collect())
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("an unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{model}, {cores} cores, {} {}", std::env::consts::OS, std::env::consts::ARCH)
}

fn compiler() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|version| !version.is_empty())
}

/// The versions of what is compared, as they are locked.
fn versions() -> Result<String> {
    const COMPARED: [&str; 5] =
        ["aws-lc-rs", "openmls", "mls-rs", "mls-rs-crypto-rustcrypto", "mls-rs-crypto-awslc"];
    let lock = include_str!("../Cargo.lock");
    let version = |name: &str| {
        let (_, package) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", package.split_once('"')?.0))
    };
    let versions = COMPARED.map(|name| version(name).with_context(|| format!("{name} is not locked")));
    Ok(versions.into_iter().collect::<Result<Vec<_>>>()?.join("; "))
}

/// The day, in UTC.
fn date(unix_seconds: u64) -> String {
    let mut day = unix_seconds / 86_400;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        let dates = [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_251_199, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (1_735_689_599, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
        ];
        for (seconds, expected) in dates {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn everything_that_is_compared_is_locked() {
        let versions = versions().unwrap();
        assert_eq!(versions.split("; ").count(), 5, "{versions}");
    }
}
