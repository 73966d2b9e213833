//! What is accepted here, another library accepts as well, to the same hashes.

use maypole_mls::{Delta, Group, reader::Reader, wire::GroupContext};
use maypole_testkit::forge::{
    Forge, GroupInfoDraft,
    chance::{Choices, Kind, Said, Story},
};

use super::{
    others::{
        Follower as _,
        lenient::Lenient,
        mls_rs::MlsRs,
        table::{self, Difference, Library, Way},
        verdict::{self, Hashes, Verdict, weigh},
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
        heard.push(said.clone());
        if said.kind == Kind::Import {
            hear_import(&said, &heard);
            continue;
        }
        let Ok(delta) = ours.validate(&said.message, &Lenient, NOW) else { continue };
        let weighed = theirs.as_ref().map(|theirs| weigh(theirs, &said.message));
        if let Some((verdict, _)) = &weighed {
            agree(&heard, hashes(&delta), verdict);
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
        let went_on = theirs.as_mut().zip(weighed.and_then(|(_, weighed)| weighed));
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
    verdict::begin(|| MlsRs::observe_at(&info, Some(&tree), Some(NOW.0.into()))).1
}

/// A group to begin with.
fn hear_import(said: &Said, heard: &[Said]) {
    let tree = said.tree.as_deref();
    let Ok(ours) = Group::import(&said.message, tree, &Lenient, NOW) else { return };
    let theirs = || MlsRs::observe_at(&said.message, tree, Some(NOW.0.into()));
    let hashes = [ours.tree_hash(), ours.confirmed_transcript_hash()].map(<[u8]>::to_vec);
    agree(heard, Some(hashes), &verdict::begin(theirs).0);
}

fn hashes(delta: &Delta) -> Hashes {
    let context = GroupContext::read(&mut Reader::new(delta.context()?)).unwrap();
    Some([context.tree_hash, context.confirmed_transcript_hash].map(<[u8]>::to_vec))
}

/// Judges the verdict of mls-rs on what was accepted here, and heard last.
#[track_caller]
fn agree(heard: &[Said], ours: Hashes, theirs: &Verdict) {
    let said = heard.last().unwrap();
    let way = match theirs {
        Verdict::Takes(theirs) => {
            assert_eq!(ours, *theirs, "{said}: mls-rs comes to other hashes");
            return;
        }
        Verdict::Refuses(why, _) => Way::Refuses(why),
        Verdict::Panics(why) => Way::Panics(why),
    };
    // Damage may make of a message one that was said before: then what that does explains it.
    let mut same =
        heard.iter().filter(|earlier| earlier.message == said.message && earlier.tree == said.tree);
    assert!(
        same.any(|said| is_known(said, way)),
        "{said}: accepted here, and mls-rs {way:?}: {:02x?}",
        said.message
    );
}

/// Whether it is known that mls-rs differs in this way.
fn is_known(said: &Said, way: Way<'_>) -> bool {
    let words: Vec<&'static str> = said.does.iter().chain(&said.lies).copied().collect();
    let difference = Difference { library: Library::MlsRs, way, kind: said.kind, words: &words };
    table::rows().any(|row| row.covers(&difference))
}
