//! Random secrets and names, so that no two homeservers or devices of a test run share one.

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use openmls::prelude::OpenMlsRand as _;
use openmls_rust_crypto::RustCrypto;

/// Random bytes from the system.
pub(crate) fn random_bytes(count: usize) -> Result<Vec<u8>> {
    RustCrypto::default().random_vec(count).map_err(|error| anyhow!("no randomness: {error:?}"))
}

/// A secret of 256 bits, as hexadecimal digits.
pub(crate) fn secret() -> Result<String> {
    Ok(hexadecimal(&random_bytes(32)?))
}

/// A short random name, for a device or a key.
pub(crate) fn name() -> Result<String> {
    Ok(hexadecimal(&random_bytes(5)?))
}

/// The one line of a Synapse signing key file: algorithm, version, Ed25519 seed.
pub(crate) fn signing_key_line() -> Result<String> {
    Ok(format!("ed25519 a_{} {}\n", name()?, STANDARD_NO_PAD.encode(random_bytes(32)?)))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_agree() {
        assert_ne!(secret().unwrap(), secret().unwrap());
        assert_ne!(signing_key_line().unwrap(), signing_key_line().unwrap());
        assert_eq!(secret().unwrap().len(), 64);
    }

    #[test]
    fn hexadecimal_keeps_leading_zeros() {
        assert_eq!(hexadecimal(&[0, 1, 0xab]), "0001ab");
    }
}
