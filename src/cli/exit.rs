//! How the process ends: every exit code, in one place.

use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Ok,
    /// The service, or the command, failed while running.
    Failed,
    /// The command line is wrong.
    Usage,
    /// The configuration or the registration is wrong.
    Configuration,
    /// The homeserver does not accept the service.
    Homeserver,
    /// The store cannot be used.
    Store,
    /// The keys cannot be used.
    Keys,
    /// The receipts of a log are not one chain.
    Broken,
    /// There are two receipts of one epoch.
    Forked,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Configuration,
        Self::Homeserver,
        Self::Store,
        Self::Keys,
        Self::Broken,
        Self::Forked,
    ];

    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Configuration => 3,
            Self::Homeserver => 4,
            Self::Store => 5,
            Self::Keys => 6,
            Self::Broken => 7,
            Self::Forked => 8,
        }
    }

    /// What it means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "all went well",
            Self::Failed => "the service, or the command, failed while running",
            Self::Usage => "the command line is wrong",
            Self::Configuration => "the configuration or the registration is wrong",
            Self::Homeserver => "the homeserver does not accept the service",
            Self::Store => {
                "the store, or a copy of it, cannot be used: in use, not there, damaged, or of a newer version"
            }
            Self::Keys => {
                "the keys are missing, damaged, refused, or not those of the store; or so is their backup"
            }
            Self::Broken => "the receipts of a log are not one whole chain",
            Self::Forked => "two receipts of one epoch differ: the service told two stories",
        }
    }

    /// The list of all of them, for `--help`.
    pub fn help() -> String {
        let lines: Vec<String> =
            Self::ALL.iter().map(|exit| format!("  {}  {}", exit.code(), exit.meaning())).collect();
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_all_are_in_the_help() {
        for (index, exit) in Exit::ALL.iter().enumerate() {
            assert_eq!(usize::from(exit.code()), index);
            assert!(Exit::help().contains(&format!("  {index}  {}", exit.meaning())));
        }
    }
}
