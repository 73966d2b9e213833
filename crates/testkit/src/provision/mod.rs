//! The servers that tests and the demo need, from PyPI, built once and then used by all.

mod attempts;
mod place;
mod postgres;
mod synapse;

pub use postgres::PostgresPrograms;
pub use synapse::Provision;
