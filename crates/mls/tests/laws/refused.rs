//! What is refused changes nothing, and nothing that comes after it.

use maypole_mls::{Delta, Group, Policy, Refusal};
use maypole_testkit::forge::{
    Forge,
    chance::{Choices, Kind, Story},
};

use super::{
    policies::policy,
    world::{MESSAGES, NOW, begin},
};

/// Whatever is said in a group and refused (a message, a written delta that is not quite what it was, a delta of an earlier
/// state) leaves its state as it was to the byte, and the next honest commit does what it would have done.
pub fn refused(input: &[u8]) {
    let mut choices = Choices::new(input);
    let policy = policy(&mut choices);
    // Which byte of each delta is turned, and how: the input once more, from its end.
    let backwards: Vec<u8> = input.iter().rev().copied().collect();
    let mut turns = Choices::new(&backwards);
    let mut story = Story::begin(choices, NOW.0).unwrap();
    let mut group = begin(story.forge(), policy);
    let mut honest = Honest::of(&group, story.forge(), policy);
    let mut last: Option<Delta> = None;
    for _ in 0..MESSAGES {
        if story.is_over() {
            return;
        }
        let said = story.say().unwrap();
        if said.kind == Kind::Import {
            continue;
        }
        let verdict = group.validate(&said.message, policy, NOW);
        honest.is_unchanged(&group, policy, &said.to_string());
        let Ok(delta) = verdict else { continue };

        let mut spoilt = delta.to_bytes();
        let place = turns.below(spoilt.len());
        spoilt[place] ^= turns.byte().max(1);
        let mut copy = group.clone();
        if copy.replay(&spoilt).is_err() {
            honest.is_unchanged(&copy, policy, &format!("{said}, byte {place} of its delta turned"));
        }
        if !said.is_honest() {
            continue;
        }
        story.believe(&said).unwrap();
        group.apply(delta.clone()).unwrap();
        if group.successor().is_some() {
            return;
        }
        honest = Honest::of(&group, story.forge(), policy);
        if let Some(earlier) = last.replace(delta) {
            group.apply(earlier).unwrap_err();
            honest.is_unchanged(&group, policy, "a delta of an earlier state");
        }
    }
}

/// A commit's delta and the state that it leads to; or why there is none, as in the last epoch that there can be.
type Effect = Result<(Vec<u8>, Vec<u8>), Refusal>;

/// A state, and what an honest commit would make of it.
struct Honest {
    state: Vec<u8>,
    commit: Vec<u8>,
    effect: Effect,
}

impl Honest {
    fn of(group: &Group, forge: &Forge, policy: &dyn Policy) -> Self {
        let (committer, _) = forge.members().last().unwrap();
        let commit = forge.commit(&forge.draft_update(committer)).unwrap().message;
        Self { state: group.snapshot(), effect: effect(group, &commit, policy), commit }
    }

    #[track_caller]
    fn is_unchanged(&self, group: &Group, policy: &dyn Policy, what: &str) {
        assert!(group.snapshot() == self.state, "{what}: the group is another");
        let after = effect(group, &self.commit, policy);
        assert!(after == self.effect, "{what}: an honest commit does something else");
    }
}

/// What an honest commit makes of a group.
fn effect(group: &Group, commit: &[u8], policy: &dyn Policy) -> Effect {
    let delta = group.validate(commit, policy, NOW);
    assert!(delta.is_ok() || group.epoch() == u64::MAX, "an honest commit is refused: {delta:?}");
    let delta = delta?;
    let mut after = group.clone();
    let bytes = delta.to_bytes();
    after.apply(delta).unwrap();
    Ok((bytes, after.snapshot()))
}
