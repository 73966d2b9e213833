//! Who is calling, as a value that cannot be forged by accident.
//!
//! `main` makes one [`AuthToken`] and hands it to the two places that authenticate: the HTTP extractors and the
//! homeserver adapter. Whoever has no token cannot make an [`Authenticated`] caller, and the core takes nothing else.
//! A back end reads back what it stored, and who sent it was authenticated when it was: records can be decoded.
//! `clippy.toml` forbids [`AuthToken::make`] everywhere; `main` alone is excepted.

use crate::ids::UserId;

/// The right to declare a caller authenticated.
#[derive(Clone, Copy, Debug)]
pub struct AuthToken(());

impl AuthToken {
    /// Makes the right out of nothing. For `main`, and for tests.
    pub fn make() -> Self {
        Self(())
    }
}

/// Something that was authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated<T>(T);

impl<T> Authenticated<T> {
    /// Declares `caller` authenticated, by the right of the token.
    pub fn by(_: AuthToken, caller: T) -> Self {
        Self(caller)
    }

    /// What was stored as authenticated, read back from the store.
    pub(crate) fn stored(caller: T) -> Self {
        Self(caller)
    }

    /// What was authenticated.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// What was authenticated, without the proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// An account that the homeserver vouches for.
pub type Caller = Authenticated<UserId>;
