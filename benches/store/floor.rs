//! What nobody can leave out who decides a commit: three signatures to verify (the frame's, the leaf's, the GroupInfo's), one to
//! make (the receipt's), and a disk that has it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_lc_rs::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
use maypole::clock;

use crate::crowd::receipt_key;

/// How often each is taken.
const TIMES: usize = 300;
/// About what a commit's signatures are over.
const SIGNED_BYTES: usize = 400;

/// The middle of some durations.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The signatures of one commit.
pub(crate) fn signatures() -> Result<Duration> {
    let key = receipt_key()?;
    let bytes = vec![7; SIGNED_BYTES];
    let signature = key.sign(&bytes);
    let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref());
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let began = clock::monotonic();
        for _ in 0..3 {
            public.verify(std::hint::black_box(&bytes), signature.as_ref()).context("a signature")?;
        }
        std::hint::black_box(key.sign(std::hint::black_box(&bytes)));
        times.push(began.elapsed());
    }
    Ok(median(times))
}

/// One write of 4 KiB that the disk has.
pub(crate) fn fdatasync(folder: &Path) -> Result<Duration> {
    let mut file = File::create(folder.join("synced"))?;
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let began = clock::monotonic();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(median(times))
}
