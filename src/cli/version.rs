//! `maypole version`.

use super::{Exit, Failure, Surroundings};

pub(super) fn run(surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
    writeln!(surroundings.out, "maypole {}", env!("CARGO_PKG_VERSION"))?;
    Ok(Exit::Ok)
}
