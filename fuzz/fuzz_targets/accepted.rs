//! Puts the law `accepted` to what libFuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maypole_fuzz::laws::accepted(bytes));
