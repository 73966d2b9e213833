//! One message made into another.

use maypole_testkit::recorder::SplitMix64;

/// A copy with one to three changes at places that the numbers choose.
pub(crate) fn mutate(message: &[u8], others: &[Vec<u8>], numbers: &mut SplitMix64) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for _ in 0..=numbers.below(3) {
        change(&mut bytes, others, numbers);
    }
    bytes
}

/// Below the end, and in one of three cases near the beginning, where most lengths are.
fn place(end: usize, numbers: &mut SplitMix64) -> usize {
    let near = if numbers.below(3) == 0 { end.min(64) } else { end };
    numbers.below(near as u64) as usize
}

fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], numbers: &mut SplitMix64) {
    let at = place(bytes.len(), numbers);
    let Some(byte) = bytes.get_mut(at) else { return };
    match numbers.below(9) {
        0 => *byte ^= 1 << numbers.below(8),
        1 => *byte = numbers.below(256) as u8,
        // A length, or a count, that is off by little.
        2 => *byte = byte.wrapping_add(1),
        3 => *byte = byte.wrapping_sub(1),
        // The same length in more bytes than it needs.
        4 => {
            *byte &= 0x3f;
            bytes.insert(at, 0x40);
        }
        // A vector that grows or shrinks together with its length.
        5 => {
            let length = usize::from(*byte & 0x3f);
            *byte = (*byte & 0xc0) | ((length + 1) as u8 & 0x3f);
            let end = (at + 1 + length).min(bytes.len());
            bytes.insert(end, numbers.below(256) as u8);
        }
        6 => bytes.truncate(at),
        7 => {
            let end = (at + 1 + numbers.below(4) as usize).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => {
            let other = &others[numbers.below(others.len() as u64) as usize];
            let from = place(other.len(), numbers);
            let to = (from + 1 + numbers.below(8) as usize).min(other.len());
            let at = if numbers.below(4) == 0 { bytes.len() } else { at };
            bytes.splice(at..at, other[from..to].iter().copied());
        }
    }
}
