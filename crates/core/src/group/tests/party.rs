//! A group of real members, and the service beside it, at a time that the test says.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

/// Members by name, and the group as the service has it.
pub(super) struct Party {
    pub(super) group: Group,
    pub(super) members: BTreeMap<&'static str, Member>,
    pub(super) now: Timestamp,
    /// The snapshot of the group's beginning, and the log since.
    pub(super) beginning: Snapshot,
    first: Head,
    pub(super) log: Vec<Entry>,
    /// Which proposals of this epoch members have taken in.
    heard: BTreeSet<(String, Vec<u8>)>,
    /// What was asked of the group's place last.
    pub(super) asked: Option<Intent>,
}

pub(super) const ALICE: &str = "@alice:a.org/PHONE";
pub(super) const BOB: &str = "@bob:b.org/PHONE";
pub(super) const CAROL: &str = "@carol:a.org/PHONE";
pub(super) const DAN: &str = "@dan:b.org/PHONE";
pub(super) const ALICES_LAPTOP: &str = "@alice:a.org/LAPTOP";

pub(super) fn id(name: &str) -> ClientId {
    client(name).unwrap()
}

impl Party {
    /// Alice registers a group, and adds the others.
    pub(super) fn of(others: &[&'static str]) -> Self {
        let (group, alice) = world();
        let beginning = Snapshot { epoch: Epoch::ZERO, bytes: group.mls().snapshot() };
        let first = group.head().clone();
        let members = BTreeMap::from([(ALICE, alice)]);
        let mut party = Self {
            group,
            members,
            now: now(),
            beginning,
            first,
            log: Vec::new(),
            heard: BTreeSet::new(),
            asked: None,
        };
        let joining: Vec<(&'static str, Member)> =
            others.iter().map(|name| (*name, Member::new(name, 1).unwrap())).collect();
        if !joining.is_empty() {
            let packages: Vec<Vec<u8>> =
                joining.iter().map(|(_, member)| member.key_package().unwrap()).collect();
            let made = party.member(ALICE).add(&packages).unwrap();
            party.accept(ALICE, &made).unwrap();
            for (name, mut member) in joining {
                member.join(made.welcome.as_ref().unwrap(), &made.ratchet_tree).unwrap();
                party.members.insert(name, member);
            }
        }
        party
    }

    pub(super) fn member(&mut self, name: &str) -> &mut Member {
        self.members.get_mut(name).unwrap()
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    /// The proposals of this epoch reach a member.
    pub(super) fn hear(&mut self, name: &str) {
        let own = id(name);
        for waiting in self.group.agenda().proposals.clone() {
            let is_new = self.heard.insert((name.to_owned(), waiting.reference.clone()));
            if is_new && waiting.sender() != Some(&own) {
                self.member(name).hear(&waiting.message).unwrap();
            }
        }
    }

    /// A commit of a member to the service; `heard` of the proposals that wait, which its library then takes in.
    pub(super) fn commit(
        &mut self,
        by: &'static str,
        heard: bool,
        change: &Change<'_>,
    ) -> Result<(), Rejection> {
        if heard {
            self.hear(by);
        }
        let made = self.member(by).commit(&Change { alone: !heard, ..change.clone() }).unwrap();
        self.accept(by, &made)
    }

    pub(super) fn update(&mut self, by: &'static str, heard: bool) -> Result<(), Rejection> {
        self.commit(by, heard, &Change { path: true, ..Change::default() })
    }

    /// Judges a commit and enters it; the members follow, and who is not one any more is gone.
    pub(super) fn accept(&mut self, by: &'static str, made: &Commit) -> Result<(), Rejection> {
        let mut case = commit(by, self.group.epoch().get(), made);
        let decision = match self.case(&mut case) {
            Step::Decide(decision) => decision,
            Step::Reject(rejection) => {
                self.member(by).discard().unwrap();
                return Err(rejection);
            }
            other => panic!("neither decided nor refused: {other:?}"),
        };
        for name in self.members.keys().copied().filter(|name| *name != by).collect::<Vec<_>>() {
            self.hear(name);
            self.member(name).hear(&made.message).unwrap();
        }
        self.member(by).merge().unwrap();
        self.members.retain(|_, member| member.is_active());
        self.enter(decision);
        Ok(())
    }

    /// Takes a case through, with all that it asks for.
    pub(super) fn case(&mut self, case: &mut Case) -> Step {
        let mut last = step(Some(&self.group), case, Input::Begin, &Here, self.now);
        if let Step::Need(Need::Permit(question)) = &last {
            self.asked = Some(question.intent.clone());
            let yes = Input::Fetched(Fetched::Permit(Ok(FREELY)));
            last = step(Some(&self.group), case, yes, &Here, self.now);
        }
        answered(Some(&self.group), case, last, &FREELY, self.now)
    }

    /// Takes the group out; its beginning stands in for it.
    pub(super) fn take(&mut self) -> Group {
        let spare = Restoring::begin(&self.beginning).unwrap();
        std::mem::replace(&mut self.group, spare.finish(self.first.clone(), None, &Here).unwrap())
    }

    /// A decision enters the group; what it says of itself is held against what it did.
    pub(super) fn enter(&mut self, decision: Box<Decision>) {
        let stapled = decision.stapled.clone();
        self.log.push(decision.entry().clone());
        self.heard.clear();
        let group = self.take();
        self.group = enter(Some(group), decision);
        let waiting = self.group.agenda().proposals.iter().map(|waiting| waiting.message.clone());
        assert_eq!(waiting.collect::<Vec<_>>(), stapled, "what goes out with a commit is what waits");
        self.check();
    }

    pub(super) fn order(&mut self, order: &Order) -> Option<Vec<Waiting>> {
        let draft = heed(&self.group, order, &Here, self.now).unwrap()?;
        let signatures = draft.to_sign().map(|to_sign| signatures(&to_sign)).unwrap_or_default();
        let amendment = draft.signed(&signatures, &Here, self.now)?;
        Some(self.amend(amendment))
    }

    pub(super) fn announce(&mut self, names: &[&str], cause: Cause) -> Option<Vec<Waiting>> {
        let clients = names.iter().map(|name| id(name)).collect();
        self.order(&Order::Announce { clients, cause })
    }

    pub(super) fn withdraw(&mut self, name: &str, cause: Cause) -> Option<Vec<Waiting>> {
        self.order(&Order::Withdraw { clients: vec![id(name)], cause })
    }

    /// A proposal to the service.
    pub(super) fn propose(&mut self, by: &str, message: &[u8]) -> Result<Vec<Waiting>, Rejection> {
        let request = Request::Propose { epoch: self.group.epoch(), message: message.to_vec() };
        match self.case(&mut Case::new(command(by, request))) {
            Step::Amend(amendment) => Ok(self.amend(*amendment)),
            Step::Reject(rejection) => Err(rejection),
            other => panic!("neither accepted nor refused: {other:?}"),
        }
    }

    fn amend(&mut self, amendment: Amendment) -> Vec<Waiting> {
        let proposals = amendment.proposals.clone();
        assert_eq!(amendment.members.len(), usize::try_from(self.group.mls().member_count()).unwrap());
        let group = self.take();
        self.group = group.amend(Durable(amendment)).unwrap();
        self.check();
        proposals
    }

    /// What must hold of every agenda.
    pub(super) fn check(&self) {
        let agenda = self.group.agenda();
        let members: BTreeSet<ClientId> = self.group.members(&Here).map(|(_, client)| client).collect();
        let leaving: BTreeSet<&ClientId> = agenda.leaving.iter().map(|leaving| &leaving.client).collect();
        assert_eq!(leaving.len(), agenda.leaving.len(), "each leaf once");
        assert!(leaving.iter().all(|client| members.contains(*client)), "only leaves of the group must go");
        assert!(agenda.leaving.is_sorted_by_key(|leaving| leaving.announced_at), "the oldest first");
        let removed: Vec<&ClientId> = agenda.proposals.iter().filter_map(Waiting::removes).collect();
        assert_eq!(removed.iter().collect::<BTreeSet<_>>().len(), removed.len(), "one removal of a leaf");
        let pending: Vec<&[u8]> =
            self.group.mls().pending().iter().map(maypole_mls::Pending::reference).collect();
        let waiting: Vec<&[u8]> =
            agenda.proposals.iter().map(|waiting| waiting.reference.as_slice()).collect();
        assert_eq!(pending, waiting, "the engine knows what waits");
        if let Some(lease) = &agenda.lease {
            assert!(members.contains(&lease.holder) && !leaving.contains(&lease.holder));
        }
        assert_eq!(self.group.head().epoch, self.group.epoch());
    }

    /// The group as it comes back from what is written of it.
    pub(super) fn restored(&self) -> Group {
        let mut restoring = Restoring::begin(&self.beginning).unwrap();
        self.log.iter().for_each(|entry| restoring.replay(entry).unwrap());
        let agenda = Some(self.group.agenda().clone()).filter(|agenda| agenda.stored().is_some());
        let group = restoring.finish(self.group.head().clone(), agenda, &Here).unwrap();
        assert_eq!(group.mls().snapshot(), self.group.mls().snapshot());
        assert_eq!(group.agenda(), self.group.agenda());
        group
    }
}
