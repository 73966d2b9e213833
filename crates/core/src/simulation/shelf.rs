//! The directory of KeyPackages: uploads, claims and removals, and that each is handed out once.

use std::collections::BTreeSet;
use std::rc::Rc;

use maypole_mls::Suite;

use super::house::{House, Process};
use super::people::clients;
use crate::directory::{self, Ask, Demand, Handed, Offered, Standing};
use crate::group::tests::Here;
use crate::ids::{ClientId, KeyPackageRef};
use crate::ledger::Durable;
use crate::limits;
use crate::memory::Records;

/// What is known of the directory outside.
#[derive(Default)]
pub(super) struct Shelf {
    /// Handed out, but for last resorts.
    handed: BTreeSet<KeyPackageRef>,
    /// What devices have made, and may offer again.
    made: Vec<(ClientId, Vec<u8>, KeyPackageRef)>,
    pub(super) claims: u64,
    pub(super) refused: u64,
}

impl Shelf {
    pub(super) fn handed_out(&self) -> usize {
        self.handed.len()
    }

    /// Nothing that was handed out can be had again, and no stock has more than it may.
    pub(super) fn hold_against(&self, records: &Records) {
        for reference in &self.handed {
            assert_ne!(records.standing(reference), Some(Standing::InStock), "what was handed out is gone");
        }
        for client in clients() {
            assert!(records.stocked(&client).len() <= limits::KEY_PACKAGES_IN_STOCK, "a stock has a bound");
            let last_resorts = records.last_resorts(&client);
            let suites: BTreeSet<u16> =
                last_resorts.iter().map(|last| last.key_package.suite.code()).collect();
            assert_eq!(suites.len(), last_resorts.len(), "one last resort for a suite");
        }
    }
}

/// A device offers what it has made now, and sometimes what it made before.
pub(super) async fn upload(process: Rc<Process>, client: ClientId) {
    let house = process.house.clone();
    let (offered, again) = offer(&house, &client);
    let now = house.now();
    let judged = directory::judge(&client, offered, &Here, now);
    // What has ended is not even judged further.
    let Ok(upload) = judged else { return house.shelf.borrow_mut().refused += 1 };
    let vouched = upload.vouched(Ok(())).unwrap();
    match process.ledger.shelve(&vouched, now).await {
        Ok(Ok(_)) => {}
        Ok(Err(refused)) => {
            let is_expected = again || refused.nth.is_none();
            assert!(is_expected, "what is new is taken: {refused:?}");
            house.shelf.borrow_mut().refused += 1;
        }
        Err(error) => house.failed(&error),
    }
}

fn offer(house: &House, client: &ClientId) -> (Vec<Offered>, bool) {
    let (chance, now) = (&house.chance, house.now());
    let number = if house.hoards() && *client == clients()[5] { 45 } else { 1 + chance.below(4) };
    let days = if chance.one_in(3) { 1 } else { 20 };
    let mut offered: Vec<Offered> = Vec::new();
    let mut shelf = house.shelf.borrow_mut();
    for place in 0..number {
        let bytes = house.people.borrow_mut().key_package(client, days, now);
        let reference = house.people.borrow().reference_of_last();
        shelf.made.push((client.clone(), bytes.clone(), reference));
        let last_resort = place == 0 && chance.one_in(4);
        offered.push(Offered { bytes, last_resort, notes: Vec::new() });
    }
    let again = chance.one_in(3);
    let own: Vec<&(ClientId, Vec<u8>, KeyPackageRef)> =
        shelf.made.iter().rev().skip(number).take(60).filter(|(of, ..)| of == client).collect();
    let before = chance.pick(&own).filter(|_| again);
    offered.extend(before.map(|(_, bytes, _)| Offered {
        bytes: bytes.clone(),
        last_resort: false,
        notes: Vec::new(),
    }));
    (offered, again)
}

/// Somebody wants KeyPackages of some devices.
pub(super) async fn claim(process: Rc<Process>) {
    let house = process.house.clone();
    let all = clients();
    let some = 1 + house.chance.below(3);
    let ask = |_| Ask { client: house.chance.pick(&all).unwrap().clone(), once: !house.chance.one_in(8) };
    let asks: Vec<Ask> = (0..some).map(ask).collect();
    let demand = Demand::of(vec![Suite::X25519Aes128]).unwrap();
    let (now, chance) = (house.now(), house.chance.next());
    match process.ledger.claim(&asks, &demand, now, chance).await {
        Ok(handed) => {
            for (client, handed) in handed {
                take(&house, client, &handed, now);
            }
        }
        Err(error) => house.failed(&error),
    }
}

fn take(house: &House, client: ClientId, handed: &Handed, now: crate::time::Timestamp) {
    let mut shelf = house.shelf.borrow_mut();
    shelf.claims += 1;
    let of = |found: &Durable<directory::KeyPackage>| {
        let found = found.get();
        assert!(
            found.client == client && found.begins <= now && now <= found.ends,
            "it is the device's, and good"
        );
        (found.reference.clone(), found.ends, found.last_resort)
    };
    match handed {
        Handed::Success(found) => {
            let (reference, ends, last_resort) = of(found);
            assert!(!last_resort, "a last resort is the last");
            assert!(shelf.handed.insert(reference.clone()), "it is handed out once");
            let standing = house.store.look(|records| records.standing(&reference));
            assert_ne!(standing, Some(Standing::InStock), "it is gone before anybody sees it");
            house.people.borrow_mut().claimed.push((client, reference, ends));
        }
        Handed::OnlyLastResort(found) => {
            assert!(of(found).2, "what may be handed out again is a last resort")
        }
        Handed::Exhausted | Handed::NothingCompatible => {}
    }
}

/// A device takes something back, or all of it.
pub(super) async fn remove(process: Rc<Process>, client: ClientId) {
    let house = process.house.clone();
    let made: Vec<(ClientId, Vec<u8>, KeyPackageRef)> =
        house.shelf.borrow().made.iter().rev().take(40).cloned().collect();
    let Some((of, _, reference)) = house.chance.pick(&made).cloned() else { return };
    let done = match house.chance.one_in(6) {
        true => process.ledger.remove_key_packages(&client).await.map(drop),
        false => process.ledger.remove_key_package(&of, &reference).await.map(drop),
    };
    done.err().into_iter().for_each(|error| house.failed(&error));
}
