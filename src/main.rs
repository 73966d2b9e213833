//! The `maypole` binary: parse, dispatch, return the exit code.

use std::io;
use std::process::ExitCode;

use maypole::cli::{self, Surroundings};
use maypole::config;
use maypole_core::auth::AuthToken;

#[expect(clippy::disallowed_methods, reason = "this is where the one token is made")]
fn main() -> ExitCode {
    let mut surroundings = Surroundings {
        token: AuthToken::make(),
        env: config::environment_of_process(),
        out: &mut io::stdout(),
        err: &mut io::stderr(),
    };
    cli::run(std::env::args_os(), &mut surroundings).into()
}
