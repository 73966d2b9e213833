//! What can be wrong with a configuration, in words that name the place and never repeat a value.

use std::fmt;
use std::path::PathBuf;

/// The configuration, or the registration that it names, cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no file, and the environment says nothing either.
    #[error("{}: there is no such file; `maypole config example` prints one to start from", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not YAML that a configuration could be.
    #[error("{}: line {line}, column {column}: {reason}", file.display())]
    Yaml {
        /// The file.
        file: PathBuf,
        /// The line, from 1; 0 where it is not known.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The file is YAML, but values are missing or wrong.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// One value that is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value stands, or would.
    pub origin: Origin,
    /// The key, as `section.key`.
    pub key: String,
    /// What is wrong, without the value.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.key, self.reason)
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// The environment as a whole, where there is no file.
    Environment,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Environment => f.write_str("environment"),
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "the configuration cannot be used".to_owned();
    }
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}
