//! How a group begins, drawn.

use anyhow::Result;

use super::{Choices, Story, UNKNOWN};
use crate::forge::{Capabilities, Extension, Forge, Founding, LeafDraft, Shape, Suite};

/// Founds a group of 2 to 16.
pub(super) fn found(mut choices: Choices<'_>, now: u64) -> Result<Story<'_>> {
    let (one, three) = (Suite::One, Suite::Three);
    let rarer =
        [one, three, one, three, one, three, one, three, Suite::Two, Suite::Two, Suite::Five, Suite::Seven];
    let suite = choices.one_of(one, &rarer);
    let members = choices.one_of(8, &[2, 3, 5, 7, 8, 8, 11, 16]);
    let shape = choices.one_of(Shape::Warm, &[Shape::Bare]);
    let seed = u64::from(choices.byte()) << 8 | u64::from(choices.byte());
    let mut founding = Founding::of(suite, members, shape, seed).at(now);
    founding.epoch = choices.one_of(1, &[1, 1, 1, 1, 1, 1, 7, u64::from(u32::MAX), u64::MAX - 4]);
    let mut able = Capabilities::default();
    if choices.rarely(2) {
        able.extensions.push(UNKNOWN);
        able.proposals.push(UNKNOWN);
    }
    if choices.rarely(4) {
        able.credentials.push(2);
    }
    founding.external_senders = match choices.below(4) {
        0 | 1 => vec!["@:a.org".to_owned()],
        2 => vec!["@:a.org".to_owned(), "@:b.org".to_owned()],
        _ => Vec::new(),
    };
    let knows = able.extensions.contains(&UNKNOWN);
    if choices.rarely(3) {
        let unknown: &[u16] = if knows { &[UNKNOWN] } else { &[] };
        founding.extensions.push(Extension::required_capabilities(unknown, unknown, &[1]));
    }
    if knows && choices.rarely(2) {
        founding.extensions.push(Extension::new(UNKNOWN, vec![1, 2, 3]));
    }
    for leaf in 0..members {
        let mut capabilities = able.clone();
        if choices.rarely(12) {
            set_apart(&mut choices, &mut capabilities);
        }
        if capabilities != Capabilities::default() {
            let draft = LeafDraft { capabilities: Some(capabilities), ..LeafDraft::default() };
            founding.leaves.insert(leaf, draft);
        }
    }
    let forge = Forge::new(&founding)?;
    Ok(Story {
        choices,
        forge,
        now,
        able,
        pending: Vec::new(),
        forgotten: Vec::new(),
        heard: Vec::new(),
        names: 0,
    })
}

/// What one member can do differently, and the group bears.
fn set_apart(choices: &mut Choices<'_>, capabilities: &mut Capabilities) {
    match choices.below(6) {
        0 => capabilities.proposals.retain(|kind| *kind != crate::forge::SELF_REMOVE),
        1 => capabilities.extensions.extend([0x0a0a, 0xf0f0]),
        2 => capabilities.proposals.extend([0x0a0a, 0xf0f0]),
        3 => capabilities.versions.insert(0, 2),
        4 => capabilities.extensions.extend([1, 2, 3, 4, 5]),
        _ => capabilities.suites.extend([0x1a1a, 0xff00]),
    }
}
