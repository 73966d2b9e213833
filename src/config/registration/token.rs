//! What a token must be, wherever it is written.

use maypole_core::limits;

/// Words of tokens that stand in examples: whoever can read those could pass for the homeserver.
const PLACEHOLDER_WORDS: [&str; 7] =
    ["replace", "placeholder", "change-me", "change_me", "changeme", "example", "your"];

/// Fewer different characters than this are not a random token.
const DISTINCT_CHARACTERS: usize = 8;

/// What is wrong with a token, without the token.
pub(crate) fn fault(token: &str) -> Option<String> {
    if token.is_empty() {
        return Some("must not be empty".to_owned());
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("must be of printable ASCII characters, without spaces".to_owned());
    }
    let lower = token.to_ascii_lowercase();
    if lower.starts_with('<') || PLACEHOLDER_WORDS.iter().any(|word| lower.contains(word)) {
        return Some("is a placeholder; `maypole registration` makes random tokens".to_owned());
    }
    if token.len() < limits::TOKEN_MIN_BYTES {
        return Some(format!(
            "must be at least {} characters long; some homeservers refuse shorter ones",
            limits::TOKEN_MIN_BYTES
        ));
    }
    if token.len() > limits::TOKEN_BYTES {
        return Some(format!("must not be longer than {} characters", limits::TOKEN_BYTES));
    }
    let mut characters: Vec<u8> = token.bytes().collect();
    characters.sort_unstable();
    characters.dedup();
    if characters.len() < DISTINCT_CHARACTERS {
        return Some("is not random; `maypole registration` makes random tokens".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_protect_nothing_are_refused() {
        for wrong in [
            String::new(),
            "0123456789abcdef0123456789abcde".to_owned(),
            "0123456789abcdef 0123456789abcdef".to_owned(),
            "0123456789abcdef0123456789abcdef\n".to_owned(),
            "ü0123456789abcdef0123456789abcdef".to_owned(),
            "<as_token of at least 32 characters>".to_owned(),
            "Replace-this-by-a-random-token-0123456789".to_owned(),
            "a".repeat(64),
            "0123456789abcdef".repeat(65),
        ] {
            assert!(fault(&wrong).is_some(), "{wrong:?}");
        }
        assert_eq!(fault("0123456789abcdef0123456789abcdef"), None);
    }
}
