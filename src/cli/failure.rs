//! Why a command did not do what it was asked, and how the process ends because of it.

use std::fmt;
use std::io;

use super::exit::Exit;
use crate::config::ConfigError;
use crate::entropy::NoEntropy;
use crate::keys::KeysError;
use crate::service::ServiceError;

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with the words for the operator.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// How the process ends.
    pub const fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Configuration, error)
    }
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        Self::new(Exit::Keys, error)
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let exit = match &error {
            ServiceError::Log(_)
            | ServiceError::Setting { .. }
            | ServiceError::Homeserver(_)
            | ServiceError::Token(_) => Exit::Configuration,
            ServiceError::NotAccepted(_) => Exit::Homeserver,
            ServiceError::Open(_)
            | ServiceError::Folder { .. }
            | ServiceError::Ledger(_)
            | ServiceError::HalfImported
            | ServiceError::WentBack
            | ServiceError::OtherOwner { .. } => Exit::Store,
            ServiceError::Keys(_) | ServiceError::OtherKeys { .. } => Exit::Keys,
            ServiceError::Metrics(_)
            | ServiceError::NoEntropy(_)
            | ServiceError::Bind(_)
            | ServiceError::Admin(_)
            | ServiceError::StoppedHard
            | ServiceError::DrainTooLong => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<NoEntropy> for Failure {
    fn from(error: NoEntropy) -> Self {
        Self::new(Exit::Failed, error)
    }
}

/// Output that could not be written. Whoever closed the pipe has read enough: that is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let exit = if error.kind() == io::ErrorKind::BrokenPipe { Exit::Ok } else { Exit::Failed };
        Self::new(exit, format_args!("the output cannot be written: {error}"))
    }
}
