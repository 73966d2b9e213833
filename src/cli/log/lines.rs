//! A file with a log, one link of the chain of receipts a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use maypole_core::limits;
use maypole_room::ShapeError;
use maypole_room::chain::{Break, Flaw, Link};
use maypole_room::strict_json;

use crate::cli::{Exit, Failure};

/// The lines of a file, of bounded length and number.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    number: usize,
}

/// A line that is not empty.
pub(super) struct Line {
    /// Its number, counted from 1.
    pub(super) number: usize,
    /// What it holds.
    pub(super) link: Result<Link, Break>,
}

impl Lines {
    /// Opens a file.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| failed(path, &error))?;
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file), number: 0 })
    }

    /// The next line; those without anything are passed over.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Failure> {
        let most = u64::try_from(limits::LOG_LINE_BYTES).unwrap_or(u64::MAX);
        loop {
            let mut line = Vec::new();
            let read = (&mut self.reader).take(most.saturating_add(1)).read_until(b'\n', &mut line);
            let _ = read.map_err(|error| failed(&self.path, &error))?;
            self.number = self.number.saturating_add(1);
            if line.is_empty() {
                return Ok(None);
            }
            if line.len() > limits::LOG_LINE_BYTES || self.number > limits::LOG_LINES {
                return Err(failed(&self.path, &"there is more in it than a log has"));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(Line { number: self.number, link: link(&line) }));
            }
        }
    }
}

fn link(line: &[u8]) -> Result<Link, Break> {
    let problem = "is not JSON, or has a key twice";
    let value = strict_json::parse(line).map_err(|_| ShapeError::Field { field: "line", problem });
    value
        .and_then(|value| Link::read(&value))
        .map_err(|error| Break { epoch: None, flaw: Flaw::Receipt(error) })
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format_args!("{}: {why}", path.display()))
}
