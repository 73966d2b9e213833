//! The one place that draws randomness.

use aws_lc_rs::rand::SecureRandom;

/// The system gave no randomness: nothing safe can be made.
#[derive(Debug, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoEntropy;

/// Fills an array with random bytes from the system.
pub fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

/// A number that spreads those who wait for the same thing; zero where the system gives none.
pub fn jitter() -> u64 {
    random::<8>().map_or(0, u64::from_le_bytes)
}
