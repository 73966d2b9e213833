//! The public MLS test vectors, which stay outside the repository.

use serde_json::Value;

/// The folder in which they are.
pub const FOLDER: &str = "MAYPOLE_MLS_VECTORS";

/// One file of vectors by its name without ending; nothing, and a line that says so, where there are none. A folder
/// that was named and does not have the file is a mistake, not an absence.
///
/// # Panics
/// When the folder was named and the file cannot be read.
#[expect(clippy::disallowed_methods, reason = "where the vectors are is said by the environment")]
#[expect(clippy::panic, reason = "a wrong folder must not look like a passed test")]
#[must_use]
pub fn read(name: &str) -> Option<Value> {
    let Some(folder) = std::env::var(FOLDER).ok().filter(|folder| !folder.is_empty()) else {
        println!("{FOLDER} is not set: {name} was not compared with the public vectors");
        return None;
    };
    let path = std::path::Path::new(&folder).join(name).with_extension("json");
    let read = std::fs::read(&path).map_err(|error| error.to_string());
    match read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())) {
        Ok(value) => Some(value),
        Err(error) => panic!("{} cannot be read: {error}", path.display()),
    }
}

/// Bytes that a vector has in hexadecimal.
///
/// ```
/// assert_eq!(maypole_testkit::vectors::bytes(&serde_json::json!("00ff")), [0, 0xff]);
/// ```
///
/// # Panics
/// When it has something else there.
#[expect(clippy::panic, reason = "a wrong file must not look like a passed test")]
#[must_use]
pub fn bytes(value: &Value) -> Vec<u8> {
    let pairs = value.as_str().map(|hex| hex.as_bytes().chunks(2));
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = pairs.and_then(|pairs| pairs.map(byte).collect());
    bytes.unwrap_or_else(|| panic!("not hexadecimal: {value}"))
}
