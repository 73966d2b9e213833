//! A story, heard by three judges.

use maypole_mls::{Strict, UnixSeconds};
use maypole_testkit::forge::GroupInfoDraft;
use maypole_testkit::forge::chance::{Choices, Kind, Said, Story};
use maypole_testkit::wait::unix_seconds;

use crate::lenient::Lenient;
use crate::oracles::{Follower, mls_rs::MlsRs, openmls::OpenMls, ours::Ours};
use crate::table::Library;
use crate::tally::{Case, Tally};
use crate::verdict::{Verdict, begin, weigh};
use crate::{STORY_BYTES, STORY_MESSAGES};

/// How many messages are heard after the group was closed, or in the last epoch that can be.
const AFTER_THE_END: usize = 8;

/// How an `MLSMessage` with a GroupInfo begins.
const GROUP_INFO_HEAD: [u8; 4] = [0, 1, 0, 4];

/// A library that follows, or one that waits for the next epoch: it did not take a proposal that was honest, and would
/// refuse whatever refers to that, or it could not begin.
type Seat<F> = Option<F>;

/// The judges of a group, each in the same state.
pub(crate) struct Court<'a> {
    story: Story<'a>,
    ours: Ours,
    openmls: Seat<OpenMls>,
    mls_rs: Seat<MlsRs>,
    seed: u64,
    heard: usize,
    /// How many messages were heard since the group was closed, or came to its last epoch.
    closed: Option<usize>,
}

fn begin_ours(message: &[u8], tree: Option<&[u8]>) -> (Verdict, Option<Ours>) {
    begin(|| Ours::observe_under(&Lenient, message, tree))
}

fn begin_openmls(message: &[u8], tree: Option<&[u8]>) -> (Verdict, Option<OpenMls>) {
    begin(|| OpenMls::observe(message, tree))
}

fn begin_mls_rs(message: &[u8], tree: Option<&[u8]>) -> (Verdict, Option<MlsRs>) {
    begin(|| MlsRs::observe_at(message, tree, Some(unix_seconds().into())))
}

impl Court<'_> {
    /// Hears the story of a seed.
    pub(crate) fn hold(seed: u64, tally: &mut Tally) {
        let bytes = Choices::bytes_of(seed, STORY_BYTES);
        let story = Story::begin(Choices::new(&bytes), unix_seconds()).unwrap();
        let info = story.forge().group_info(&GroupInfoDraft::by(0)).unwrap();
        let tree = story.forge().ratchet_tree();
        let (verdict, ours) = begin_ours(&info, Some(&tree));
        let ours = ours.unwrap_or_else(|| panic!("seed {seed}: the beginning: ours {verdict}"));
        let mut court = Court { story, ours, openmls: None, mls_rs: None, seed, heard: 0, closed: None };
        court.fill_seats();
        while court.heard < STORY_MESSAGES && court.closed.is_none_or(|since| since < AFTER_THE_END) {
            court.hear_one(tally);
        }
    }

    /// Whoever waits begins with the epoch, if that is possible.
    fn fill_seats(&mut self) {
        let info = self.story.forge().group_info(&GroupInfoDraft::by(self.signer())).unwrap();
        let tree = self.story.forge().ratchet_tree();
        if self.openmls.is_none() {
            self.openmls = begin_openmls(&info, Some(&tree)).1;
        }
        if self.mls_rs.is_none() {
            self.mls_rs = begin_mls_rs(&info, Some(&tree)).1;
        }
    }

    fn signer(&self) -> u32 {
        self.story.forge().members().next().map(|(leaf, _)| leaf).unwrap()
    }

    fn hear_one(&mut self, tally: &mut Tally) {
        let said = self
            .story
            .say()
            .unwrap_or_else(|why| panic!("seed {}, message {}: {why:#}", self.seed, self.heard));
        match said.kind {
            Kind::Import => self.judge_import(&said, tally),
            _ => self.judge(&said, tally),
        }
        self.heard += 1;
        if let Some(since) = &mut self.closed {
            *since += 1;
        }
    }

    fn case(&self, said: &Said, ours: Verdict, others: Vec<(Library, Verdict)>) -> Case {
        Case {
            name: format!(
                "seed {}, message {}, epoch {}: {said}",
                self.seed,
                self.heard,
                self.story.forge().epoch()
            ),
            kind: said.kind,
            words: said.does.iter().chain(&said.lies).copied().collect(),
            is_honest: said.is_honest() && self.closed.is_none(),
            message: said.message.clone(),
            suite: self.story.forge().suite().number(),
            ours,
            others,
        }
    }

    fn judge_import(&mut self, said: &Said, tally: &mut Tally) {
        let tree = said.tree.as_deref();
        let (ours, _) = begin_ours(&said.message, tree);
        // Ours takes a GroupInfo bare, too; the libraries' readers do not.
        let head: &[u8] = if said.message.starts_with(&GROUP_INFO_HEAD) { &[] } else { &GROUP_INFO_HEAD };
        let message = &[head, &said.message].concat();
        let others = vec![
            (Library::OpenMls, begin_openmls(message, tree).0),
            (Library::MlsRs, begin_mls_rs(message, tree).0),
        ];
        tally.count(&self.case(said, ours, others));
    }

    fn judge(&mut self, said: &Said, tally: &mut Tally) {
        let message = &said.message;
        let (ours, after) = weigh(&self.ours, message);
        self.judge_strictly(said, &ours, tally);
        let openmls = self.openmls.as_ref().map(|judge| weigh(judge, message));
        let mls_rs = self.mls_rs.as_ref().map(|judge| weigh(judge, message));
        let others = [
            openmls.as_ref().map(|(verdict, _)| (Library::OpenMls, verdict.clone())),
            mls_rs.as_ref().map(|(verdict, _)| (Library::MlsRs, verdict.clone())),
        ];
        let case = self.case(said, ours, others.into_iter().flatten().collect());
        if let (Verdict::Takes(Some(hashes)), Some(forged), true) =
            (&case.ours, said.leads_to(), case.is_honest)
        {
            assert_eq!(
                [&*hashes[0], &*hashes[1]],
                [forged.0, forged.1],
                "{}: ours comes elsewhere",
                case.name
            );
        }
        tally.count(&case);
        let (true, Some(after)) = (case.is_honest, after) else { return };
        let name = &case.name;
        self.ours.adopt(after).unwrap_or_else(|why| panic!("{name}: ours: {why:#}"));
        self.story.believe(said).unwrap();
        go_on(&mut self.openmls, openmls.and_then(|(_, weighed)| weighed), name);
        go_on(&mut self.mls_rs, mls_rs.and_then(|(_, weighed)| weighed), name);
        if said.leads_to().is_some() {
            self.fill_seats();
        }
        if said.closes() || self.story.forge().epoch() == u64::MAX {
            self.closed = Some(0);
        }
    }

    /// Whatever the strict policy takes, the lenient one takes too.
    fn judge_strictly(&self, said: &Said, lenient: &Verdict, tally: &mut Tally) {
        match self.ours.group().validate(&said.message, &Strict, UnixSeconds(unix_seconds())) {
            Err(refusal) => tally.strict(refusal.rule),
            Ok(_) => assert!(
                matches!(lenient, Verdict::Takes(_)),
                "seed {}, message {}: {said}: strictly taken, and leniently {lenient}",
                self.seed,
                self.heard
            ),
        }
    }
}

/// A library goes on with what it has taken; one that did not take it waits.
fn go_on<F: Follower>(seat: &mut Seat<F>, weighed: Option<F::Weighed>, name: &str) {
    let Some((mut judge, weighed)) = seat.take().zip(weighed) else { return };
    judge.adopt(weighed).unwrap_or_else(|why| panic!("{name}: {}: {why:#}", F::NAME));
    *seat = Some(judge);
}
