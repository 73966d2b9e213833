//! The kinds of store.

use clap::ValueEnum;

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The embedded one.
    Sled,
    /// The one that several processes share.
    Postgres,
}

impl Kind {
    /// Both of them.
    pub(crate) const ALL: [Self; 2] = [Self::Sled, Self::Postgres];

    /// Its name as people write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Postgres => "PostgreSQL",
        }
    }
}
