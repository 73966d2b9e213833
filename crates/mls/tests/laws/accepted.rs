//! What is accepted here, another library accepts as well, to the same hashes.

use std::panic::{self, AssertUnwindSafe};

use maypole_mls::{Delta, Group, reader::Reader, wire::GroupContext};
use maypole_testkit::forge::{
    Forge, GroupInfoDraft,
    chance::{Choices, Kind, Said, Story},
};

use super::{
    others::{
        Follower as _, Seen, Weighed as _,
        lenient::Lenient,
        mls_rs::MlsRs,
        table::{self, Difference, Library, Way},
    },
    world::{MESSAGES, NOW, begin},
};

/// Whatever is said in a group and accepted, mls-rs accepts, with the same tree hash and the same transcript hash; but for
/// the differences that are listed (`docs/differences.md`).
pub fn accepted(input: &[u8]) {
    let mut story = Story::begin(Choices::new(input), NOW.0).unwrap();
    let mut ours = begin(story.forge(), &Lenient);
    let mut theirs = observe(story.forge());
    let mut heard = Vec::new();
    for _ in 0..MESSAGES {
        if story.is_over() {
            return;
        }
        let said = story.say().unwrap();
        heard.push(Words::of(&said));
        if said.kind == Kind::Import {
            hear_import(&said, &heard);
            continue;
        }
        let Ok(delta) = ours.validate(&said.message, &Lenient, NOW) else { continue };
        let weighed = theirs.as_ref().map(|theirs| caught(|| theirs.weigh(&said.message)));
        if let Some(weighed) = &weighed {
            agree(&said, &heard, hashes(&delta), weighed.as_ref().map(|weighed| weighed.leads_to()));
        }
        if !said.is_honest() {
            continue;
        }
        story.believe(&said).unwrap();
        let commits = delta.committed().is_some();
        ours.apply(delta).unwrap();
        if ours.successor().is_some() {
            return;
        }
        // Who did not take something honest waits for the next epoch.
        let went_on = theirs.as_mut().zip(weighed.and_then(Result::ok));
        if went_on.map(|(theirs, weighed)| theirs.adopt(weighed).unwrap()).is_none() {
            theirs = None;
        }
        if commits && theirs.is_none() {
            theirs = observe(story.forge());
        }
    }
}

/// mls-rs in the group as it is, if it can be.
fn observe(forge: &Forge) -> Option<MlsRs> {
    let (signer, _) = forge.members().next().unwrap();
    let info = forge.group_info(&GroupInfoDraft::by(signer)).unwrap();
    let tree = forge.ratchet_tree();
    caught(|| MlsRs::observe_at(&info, Some(&tree), Some(NOW.0.into()))).ok()
}

/// A group to begin with.
fn hear_import(said: &Said, heard: &[Words]) {
    let tree = said.tree.as_deref();
    let Ok(ours) = Group::import(&said.message, tree, &Lenient, NOW) else { return };
    let theirs = caught(|| MlsRs::observe_at(&said.message, tree, Some(NOW.0.into()))?.seen());
    let seen = |seen: &Seen| Some([seen.tree_hash.clone(), seen.confirmed_transcript_hash.clone()]);
    let hashes = [ours.tree_hash(), ours.confirmed_transcript_hash()].map(<[u8]>::to_vec);
    agree(said, heard, Some(hashes), theirs.as_ref().map(seen));
}

/// Why a library does not take something.
#[derive(Debug)]
enum Why {
    Refuses(String),
    Panics(String),
}

/// The tree hash and the transcript hash that something leads to, if it leads anywhere.
type Hashes = Option<[Vec<u8>; 2]>;

fn hashes(delta: &Delta) -> Hashes {
    let context = GroupContext::read(&mut Reader::new(delta.context()?)).unwrap();
    Some([context.tree_hash, context.confirmed_transcript_hash].map(<[u8]>::to_vec))
}

/// What is known of a message, in words.
struct Words {
    kind: Kind,
    words: Vec<&'static str>,
}

impl Words {
    fn of(said: &Said) -> Self {
        Self { kind: said.kind, words: said.does.iter().chain(&said.lies).copied().collect() }
    }

    /// Whether the message may be an earlier one.
    fn are_said_again(&self) -> bool {
        self.words.iter().any(|word| word.starts_with("damaged: spliced") || *word == "a message said before")
    }

    /// Whether it is known that mls-rs differs in this way.
    fn explain(&self, way: Way<'_>) -> bool {
        let difference = Difference { library: Library::MlsRs, way, kind: self.kind, words: &self.words };
        table::rows().any(|row| row.covers(&difference))
    }
}

/// Judges the verdict of mls-rs on what was accepted here, and heard last.
#[track_caller]
fn agree(said: &Said, heard: &[Words], ours: Hashes, theirs: Result<Hashes, &Why>) {
    let way = match theirs {
        Ok(theirs) => {
            assert_eq!(ours, theirs, "{said}: mls-rs comes to other hashes");
            return;
        }
        Err(Why::Refuses(why)) => Way::Refuses(why),
        Err(Why::Panics(why)) => Way::Panics(why),
    };
    let again = heard.last().is_some_and(Words::are_said_again);
    let mut meant = if again { heard } else { &heard[heard.len() - 1..] }.iter();
    assert!(
        meant.any(|words| words.explain(way)),
        "{said}: accepted here, and mls-rs {way:?}: {:02x?}",
        said.message
    );
}

/// Has a library say something, and catches it if it falls over. libFuzzer's own way with a panic is to end the process.
fn caught<T>(judge: impl FnOnce() -> anyhow::Result<T>) -> Result<T, Why> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let said = panic::catch_unwind(AssertUnwindSafe(judge));
    panic::set_hook(hook);
    match said {
        Ok(said) => said.map_err(|why| Why::Refuses(format!("{why:#}"))),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
            Err(Why::Panics(text.to_owned()))
        }
    }
}
