//! Choices of which only laws have need.

use maypole_testkit::forge::chance::Choices;

/// Any number.
pub(super) fn number(choices: &mut Choices<'_>) -> u32 {
    u32::from_be_bytes([choices.byte(), choices.byte(), choices.byte(), choices.byte()])
}

/// One of several things.
pub(super) fn one_of<'t, T>(choices: &mut Choices<'_>, things: &'t [T]) -> &'t T {
    &things[choices.below(things.len())]
}
