//! Puts the law `round_trip` to what libFuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maypole_fuzz::laws::round_trip(bytes));
