use std::collections::BTreeMap;

use super::{Choices, Kind, Said, Story};

const NOW: u64 = 1_800_000_000;

/// Everything that is said in a story, honest messages believed.
fn told(bytes: &[u8], messages: usize) -> Vec<Said> {
    let mut story = Story::begin(Choices::new(bytes), NOW).unwrap();
    let mut all = Vec::new();
    while all.len() < messages && !story.is_over() {
        let said = story.say().unwrap();
        if said.is_honest() {
            story.believe(&said).unwrap();
        }
        all.push(said);
    }
    all
}

#[test]
fn every_seed_tells_a_story() {
    let (mut kinds, mut lies, mut honest) = (BTreeMap::new(), BTreeMap::new(), 0);
    let mut all = 0;
    for seed in 0..120 {
        for said in told(&Choices::bytes_of(seed, 3_000), 60) {
            *kinds.entry(said.kind).or_insert(0) += 1;
            said.lies.iter().for_each(|lie| *lies.entry(*lie).or_insert(0) += 1);
            honest += usize::from(said.is_honest());
            all += 1;
        }
    }
    println!("{all} messages, {honest} honest: {kinds:?}, {lies:#?}");
    assert_eq!(kinds.len(), 5);
    assert!(kinds.values().all(|count| *count > all / 40), "{kinds:?}");
    assert!(honest * 3 > all && honest * 2 < all, "{honest} of {all}");
    assert!(lies.len() > 150, "{lies:#?}");
}

#[test]
fn groups_live_for_many_epochs() {
    let epochs = (0..30).map(|seed| {
        let bytes = Choices::bytes_of(seed, 4_000);
        let mut story = Story::begin(Choices::new(&bytes), NOW).unwrap();
        while !story.is_over() {
            let said = story.say().unwrap();
            if said.is_honest() {
                story.believe(&said).unwrap();
            }
        }
        story.forge().epoch()
    });
    let epochs: Vec<u64> = epochs.collect();
    assert!(epochs.iter().all(|epoch| *epoch > 10), "{epochs:?}");
}

#[test]
fn the_same_choices_make_the_same_story() {
    for seed in 0..20 {
        let bytes = Choices::bytes_of(seed, 2_000);
        let (first, second) = (told(&bytes, 40), told(&bytes, 40));
        let words = |all: &[Said]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(words(&first), words(&second), "seed {seed}");
        let story = Story::begin(Choices::new(&bytes), NOW).unwrap();
        // ECDSA signatures are salted.
        if matches!(story.forge().suite().number(), 1 | 3) {
            assert!(
                first.iter().map(|said| &said.message).eq(second.iter().map(|said| &said.message)),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn without_choices_everything_is_plain() {
    let mut story = Story::begin(Choices::new(&[]), NOW).unwrap();
    for _ in 0..10 {
        let said = story.say().unwrap();
        assert!(said.is_honest() && said.kind == Kind::Commit, "{said}");
        story.believe(&said).unwrap();
    }
    assert_eq!((story.forge().epoch(), story.forge().members().count()), (11, 8));
}
