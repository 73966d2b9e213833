//! What is written of the directory: uploads, claims, removals, and what is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use super::{Durable, Ledger, LedgerError};
use crate::batch::{Backend, Expect, Op};
use crate::directory::{
    Ask, Demand, Handed, KeyPackage, LastResort, Pick, Refused, Search, Standing, Stock, Vouched, broken,
};
use crate::ids::{ClientId, KeyPackageRef};
use crate::limits;
use crate::rejection::Rejection;
use crate::time::Timestamp;

impl<B: Backend> Ledger<B> {
    /// Takes an upload in, all of it or nothing; says what the device then has. What is in stock already adds nothing.
    pub async fn shelve(
        &self,
        upload: &Vouched,
        now: Timestamp,
    ) -> Result<Result<Stock, Refused>, LedgerError> {
        let client = upload.client();
        for _ in 0..limits::UPLOAD_TRIES {
            let (in_stock, ended) = self.look_over(client, now).await?;
            let new = upload.key_packages().iter().filter(|(_, new)| !in_stock.contains(&new.reference));
            let new: Vec<&(usize, KeyPackage)> = new.collect();
            if new.is_empty() {
                return Ok(Ok(self.stock(client, now).await?));
            }
            let arriving = new.iter().filter(|(_, new)| !new.last_resort).count();
            let Some(room) = limits::KEY_PACKAGES_IN_STOCK.checked_sub(arriving) else {
                return Ok(Err(full()));
            };
            let mut expect: Vec<Expect> =
                new.iter().map(|(_, new)| Expect::NewKeyPackage(new.reference.clone())).collect();
            expect.push(Expect::StockAtMost(client.clone(), room.saturating_add(ended.len())));
            let mut ops: Vec<Op> = ended.iter().cloned().map(Op::Discard).collect();
            expect.extend(ended.into_iter().map(Expect::InStock));
            ops.extend(new.iter().map(|(_, new)| Op::Shelve(new.clone())));
            match self.write("shelve", expect, ops).await {
                Ok(_) => return Ok(Ok(self.stock(client, now).await?)),
                Err(LedgerError::Conflict(broken)) => {
                    if let Some(refused) = self.refusal(&broken, &new, now).await? {
                        return Ok(Err(refused));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(LedgerError::Unavailable(format!("the stock of {client} changes all the time")))
    }

    /// The references of what a device has in stock, and of those of them that have ended, last resorts not counted.
    async fn look_over(
        &self,
        client: &ClientId,
        now: Timestamp,
    ) -> Result<(BTreeSet<KeyPackageRef>, Vec<KeyPackageRef>), LedgerError> {
        let stocked = self.backend.stocked(client, None, limits::KEY_PACKAGES_IN_STOCK).await?;
        let ended = stocked.iter().filter(|shelved| shelved.key_package.ends < now);
        let ended = ended.map(|shelved| shelved.key_package.reference.clone()).collect();
        let last_resorts = self.backend.last_resorts(client).await?;
        let all = stocked.into_iter().map(|shelved| shelved.key_package);
        let all = all.chain(last_resorts.into_iter().map(|last| last.key_package));
        Ok((all.map(|key_package| key_package.reference).collect(), ended))
    }

    /// Why an upload does not fit, if that is for good.
    async fn refusal(
        &self,
        conflict: &Expect,
        new: &[&(usize, KeyPackage)],
        now: Timestamp,
    ) -> Result<Option<Refused>, LedgerError> {
        match conflict {
            Expect::NewKeyPackage(reference) => {
                let gone = self.backend.standing(reference).await? == Some(Standing::Gone);
                let nth = new.iter().find(|(_, new)| new.reference == *reference).map(|(nth, _)| *nth);
                let problem = "it was in the directory before, and may have been handed out";
                let rejection = broken("KeyPackageUsed", problem);
                Ok(gone.then_some(Refused { nth, rejection }))
            }
            Expect::StockAtMost(client, _) => {
                let held = usize::try_from(self.stock(client, now).await?.key_packages).unwrap_or(usize::MAX);
                let arriving = new.iter().filter(|(_, new)| !new.last_resort).count();
                Ok((held.saturating_add(arriving) > limits::KEY_PACKAGES_IN_STOCK).then(full))
            }
            _ => Ok(None),
        }
    }

    /// Hands out a KeyPackage of each of some devices, as far as there is one that serves. Each leaves the stock, durably,
    /// before anybody sees it. Who comes too late for one looks again, at more of them, and takes one of these by `chance`: a
    /// number that is another for each claim.
    pub async fn claim(
        &self,
        asks: &[Ask],
        demand: &Demand,
        now: Timestamp,
        chance: u64,
    ) -> Result<BTreeMap<ClientId, Handed>, LedgerError> {
        let mut handed = BTreeMap::new();
        // One for each device, however often it is named.
        let mut named = BTreeSet::new();
        let asks: Vec<&Ask> = asks.iter().filter(|ask| named.insert(&ask.client)).collect();
        for asks in asks.chunks(limits::CLAIMS_AT_ONCE) {
            handed.extend(self.claim_at_once(asks, demand, now, chance).await?);
        }
        Ok(handed)
    }

    async fn claim_at_once(
        &self,
        asks: &[&Ask],
        demand: &Demand,
        now: Timestamp,
        chance: u64,
    ) -> Result<BTreeMap<ClientId, Handed>, LedgerError> {
        // By device, so that two claims of the same devices meet them in the same order.
        let mut tries: BTreeMap<&ClientId, (&Ask, u32)> = BTreeMap::new();
        tries.extend(asks.iter().map(|ask| (&ask.client, (*ask, 0))));
        let mut picks = BTreeMap::new();
        for (client, (ask, tried)) in &tries {
            picks.insert((*client).clone(), self.pick(ask, *tried, demand, now, chance).await?);
        }
        loop {
            let (expect, ops) = picks.values().filter_map(Pick::batch).unzip::<_, _, Vec<_>, Vec<_>>();
            let written =
                if ops.is_empty() { Ok(Vec::new()) } else { self.write("claim", expect, ops).await };
            let lost = match written {
                Ok(_) => {
                    return Ok(picks.into_iter().map(|(client, pick)| (client, pick.handed())).collect());
                }
                Err(LedgerError::Conflict(lost)) => lost,
                Err(error) => return Err(error),
            };
            let late = picks.iter().find(|(_, pick)| pick.is_lost(&lost)).map(|(client, _)| client.clone());
            let Some((client, (ask, tried))) =
                late.and_then(|late| Some((late.clone(), tries.get_mut(&late)?)))
            else {
                return Err(LedgerError::Conflict(lost));
            };
            *tried = tried.saturating_add(1);
            if *tried > limits::CLAIM_TRIES.saturating_mul(2) {
                return Err(LedgerError::Conflict(lost));
            }
            picks.insert(client, self.pick(ask, *tried, demand, now, chance).await?);
        }
    }

    /// What one device has for a claim that came too late so many times.
    async fn pick(
        &self,
        ask: &Ask,
        tried: u32,
        demand: &Demand,
        now: Timestamp,
        chance: u64,
    ) -> Result<Pick, LedgerError> {
        let mut search = Search::new(demand, 1_usize.checked_shl(tried).unwrap_or(usize::MAX), now);
        let mut after = None;
        // Mostly the first few have what serves; if not, all are looked at.
        let pages = [limits::SHELF_PAGE, limits::KEY_PACKAGES_IN_STOCK];
        for size in pages.into_iter().filter(|_| ask.once && tried < limits::CLAIM_TRIES) {
            let page = self.backend.stocked(&ask.client, after, size).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.place);
            page.into_iter().for_each(|shelved| search.see(shelved.key_package));
            if search.is_over() {
                break;
            }
        }
        let last_resorts = match search.is_over() {
            true => Vec::new(),
            false => self.backend.last_resorts(&ask.client).await?,
        };
        Ok(search.pick(last_resorts, chance.rotate_left(tried)))
    }

    /// What a device has in stock.
    pub async fn stock(&self, client: &ClientId, now: Timestamp) -> Result<Stock, LedgerError> {
        Ok(self.backend.stock(client, now).await?)
    }

    /// Removes one KeyPackage of a device, if it is in stock. It was not handed out, or is a last resort. Says whether it was.
    pub async fn remove_key_package(
        &self,
        client: &ClientId,
        reference: &KeyPackageRef,
    ) -> Result<bool, LedgerError> {
        let (in_stock, _) = self.look_over(client, Timestamp::END).await?;
        if !in_stock.contains(reference) {
            return Ok(false);
        }
        let ops = vec![Op::TakeOut(reference.clone())];
        match self.write("remove_key_package", vec![Expect::InStock(reference.clone())], ops).await {
            Ok(_) => Ok(true),
            Err(LedgerError::Conflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes KeyPackages of a device that is gone, a page of them, its last resorts with the last page. Says how many; it is
    /// done when there are none.
    pub async fn remove_key_packages(&self, client: &ClientId) -> Result<usize, LedgerError> {
        let page = self.backend.stocked(client, None, limits::KEY_PACKAGES_SWEPT_AT_ONCE).await?;
        let mut page: Vec<KeyPackageRef> =
            page.into_iter().map(|shelved| shelved.key_package.reference).collect();
        if page.is_empty() {
            let last_resorts = self.backend.last_resorts(client).await?;
            page.extend(last_resorts.into_iter().map(|last| last.key_package.reference));
        }
        self.sweep("remove_key_packages", page, Op::TakeOut).await
    }

    /// Forgets a page of KeyPackages that nobody could use any more, in stock or handed out. Says how many; a full page may not
    /// be the last.
    pub async fn forget_key_packages(&self, now: Timestamp) -> Result<usize, LedgerError> {
        let page = self.backend.outlived_key_packages(now, limits::KEY_PACKAGES_SWEPT_AT_ONCE).await?;
        self.sweep("forget_key_packages", page, Op::Discard).await
    }

    /// Takes a page of all KeyPackages in the store out, of whatever device; last resorts stay. For a store that was restored
    /// from an older copy of itself: what it has in stock may have been handed out since that was made, and none of it comes
    /// back. Says how many; it is done when there are none, and nothing may be handed out before. What was uploaded *and*
    /// handed out since, the store has never heard of; its device must not offer it again.
    pub async fn void_key_packages(&self) -> Result<usize, LedgerError> {
        let page = self.backend.any_stocked(limits::KEY_PACKAGES_SWEPT_AT_ONCE).await?;
        self.sweep("void_key_packages", page, Op::Void).await
    }

    async fn sweep(
        &self,
        name: &'static str,
        page: Vec<KeyPackageRef>,
        op: impl Fn(KeyPackageRef) -> Op,
    ) -> Result<usize, LedgerError> {
        let count = page.len();
        if !page.is_empty() {
            self.write(name, Vec::new(), page.into_iter().map(op).collect()).await?;
        }
        Ok(count)
    }
}

impl Pick {
    /// What must hold and what is done before it is handed out. A last resort that was used before needs nothing.
    fn batch(&self) -> Option<(Expect, Op)> {
        match self {
            Self::Once(KeyPackage { reference, .. }) => {
                Some((Expect::InStock(reference.clone()), Op::TakeOut(reference.clone())))
            }
            Self::LastResort(LastResort { used: false, key_package: KeyPackage { reference, .. } }) => {
                Some((Expect::InStock(reference.clone()), Op::UseLastResort(reference.clone())))
            }
            Self::LastResort(_) | Self::Exhausted | Self::NothingCompatible => None,
        }
    }

    /// Whether it is what somebody else took.
    fn is_lost(&self, conflict: &Expect) -> bool {
        self.batch().is_some_and(|(expect, _)| expect == *conflict)
    }

    /// It is durable now: what it needs was written, or had been before.
    fn handed(self) -> Handed {
        match self {
            Self::Once(key_package) => Handed::Success(Durable(key_package)),
            Self::LastResort(last_resort) => Handed::OnlyLastResort(Durable(last_resort.key_package)),
            Self::Exhausted => Handed::Exhausted,
            Self::NothingCompatible => Handed::NothingCompatible,
        }
    }
}

/// There is no room for so many.
fn full() -> Refused {
    let rejection = Rejection::too_many("KeyPackages in stock for one device", limits::KEY_PACKAGES_IN_STOCK);
    Refused { nth: None, rejection }
}
