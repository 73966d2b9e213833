//! What every target here puts to the test: the laws of the engine, which stand beside its other tests, so that these can
//! replay what was found.

#[path = "../../crates/mls/tests/laws/mod.rs"]
pub mod laws;
