//! What the ledger's directory promises, on every back end: real KeyPackages go in, and come out once.

use std::collections::{BTreeMap, BTreeSet};
use std::slice::from_ref;
use std::sync::Arc;

use maypole_core::batch::Backend;
use maypole_core::directory::{Ask, Demand, Handed, Offered, Refused, Standing, Stock, Vouched, judge};
use maypole_core::group::Terms;
use maypole_core::ids::{ClientId, DeviceId, KeyPackageRef, UserId};
use maypole_core::ledger::Ledger;
use maypole_core::limits;
use maypole_core::rejection::{Code, Rejection};
use maypole_core::time::Timestamp;
use maypole_mls::Suite;
use maypole_testkit::forge::{Forge, Founding, KeyPackageDraft, Shape};

use super::Place;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAYS_30_S: u64 = 30 * 24 * 60 * 60;

pub(super) async fn all<P: Place>(place: &impl Fn() -> P) {
    of_a_thousand_claims_a_hundred_get_one_each(&place()).await;
    what_was_handed_out_does_not_come_back(&place()).await;
    an_upload_is_stored_whole_or_not_at_all(&place()).await;
    a_stock_is_bounded_whoever_uploads_at_once(&place()).await;
    a_claim_says_for_each_device_what_it_has(&place()).await;
    a_last_resort_is_handed_out_again_and_again_and_replaced(&place()).await;
    what_has_ended_is_not_handed_out_and_is_forgotten(&place()).await;
    a_device_that_is_gone_leaves_nothing(&place()).await;
    a_store_that_was_voided_hands_out_last_resorts_alone(&place()).await;
}

/// Identities are `user/device`.
struct Here;

impl Terms for Here {
    fn client(&self, identity: &[u8]) -> Option<ClientId> {
        let (user, device) = std::str::from_utf8(identity).ok()?.split_once('/')?;
        Some(ClientId { user: UserId::parse(user)?, device: DeviceId::parse(device)? })
    }

    fn external_sender(&self, _: Suite) -> Option<(Vec<u8>, Vec<u8>)> {
        None
    }
}

/// Somebody who makes KeyPackages in the name of any device; from and for how long these are good, in seconds.
pub(crate) struct Maker {
    forge: Forge,
}

impl Maker {
    pub(crate) fn new() -> Self {
        let now_s = NOW.as_millis() / 1_000;
        let lifetime = (now_s - 60, now_s + DAYS_30_S);
        let founding = Founding::of(maypole_testkit::forge::Suite::One, 1, Shape::Bare, 7);
        Self { forge: Forge::new(&Founding { lifetime, ..founding }).unwrap() }
    }

    /// KeyPackages of a device: so many that are used once.
    pub(crate) fn some(&self, name: &str, count: usize) -> Vec<Offered> {
        let one = |_| {
            let bytes = self.forge.key_package(&KeyPackageDraft::of(name)).unwrap().bytes;
            Offered { bytes, last_resort: false, notes: b"mls:1".to_vec() }
        };
        (0..count).map(one).collect()
    }

    pub(crate) fn last_resort(&self, name: &str) -> Offered {
        Offered { last_resort: true, ..self.some(name, 1).remove(0) }
    }
}

pub(crate) fn client(name: &str) -> ClientId {
    Here.client(name.as_bytes()).unwrap()
}

pub(crate) fn upload(name: &str, offered: &[Offered]) -> Vouched {
    judge(&client(name), offered.to_vec(), &Here, NOW).unwrap().vouched(Ok(())).unwrap()
}

pub(crate) async fn shelve(
    ledger: &Ledger<impl Backend>,
    name: &str,
    offered: &[Offered],
) -> Result<Stock, Refused> {
    ledger.shelve(&upload(name, offered), NOW).await.unwrap()
}

pub(crate) fn demand() -> Demand {
    Demand::of(vec![Suite::X25519Aes128]).unwrap()
}

fn ask(name: &str, once: bool) -> Ask {
    Ask { client: client(name), once }
}

/// What one claim brings for one device.
pub(crate) async fn claim(ledger: &Ledger<impl Backend>, name: &str, chance: u64) -> Handed {
    let handed = ledger.claim(&[ask(name, true)], &demand(), NOW, chance).await.unwrap();
    handed.into_values().next().unwrap()
}

#[track_caller]
fn bytes(handed: &Handed) -> Vec<u8> {
    match handed {
        Handed::Success(found) | Handed::OnlyLastResort(found) => found.get().bytes.clone(),
        other => panic!("{other:?}"),
    }
}

const BOB: &str = "@bob:b.org/LAPTOP";

async fn of_a_thousand_claims_a_hundred_get_one_each(place: &impl Place) {
    let ledger = Arc::new(Ledger::new(place.open().await));
    let maker = Maker::new();
    let (stock, last) = (maker.some(BOB, 100), maker.last_resort(BOB));
    shelve(&ledger, BOB, &stock).await.unwrap();
    let held = shelve(&ledger, BOB, from_ref(&last)).await.unwrap();
    assert_eq!(held, Stock { key_packages: 100, last_resorts: 1, last_resort_used: false });
    let tasks: Vec<_> = (0..1_000_u64)
        .map(|number| {
            let ledger = Arc::clone(&ledger);
            let chance = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            tokio::spawn(async move { claim(&ledger, BOB, chance).await })
        })
        .collect();
    let mut found = BTreeSet::new();
    let mut last_resorts = 0;
    for task in tasks {
        match task.await.unwrap() {
            Handed::Success(one) => {
                assert!(found.insert(one.get().bytes.clone()), "one was handed out twice")
            }
            Handed::OnlyLastResort(one) => {
                assert_eq!(one.get().bytes, last.bytes);
                last_resorts += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((found.len(), last_resorts), (100, 900));
    assert_eq!(found, stock.iter().map(|offered| offered.bytes.clone()).collect());
    place.close(Arc::into_inner(ledger).unwrap().into_backend()).await;
    let ledger = Ledger::new(place.open().await);
    let held = ledger.stock(&client(BOB), NOW).await.unwrap();
    assert_eq!(held, Stock { key_packages: 0, last_resorts: 1, last_resort_used: true });
    assert!(held.is_low());
    for offered in stock {
        let refused = shelve(&ledger, BOB, &[offered]).await.unwrap_err();
        assert_eq!((refused.nth, refused.rejection.code()), (Some(0), Code::InvalidKeyPackage));
    }
    assert!(matches!(claim(&ledger, BOB, 7).await, Handed::OnlyLastResort(_)));
    place.close(ledger.into_backend()).await;
}

async fn what_was_handed_out_does_not_come_back(place: &impl Place) {
    let maker = Maker::new();
    let offered = maker.some(BOB, 3);
    let mut ledger = Ledger::new(place.open().await);
    shelve(&ledger, BOB, &offered).await.unwrap();
    // In the order of their arrival, across a restart.
    for expected in &offered {
        assert_eq!(bytes(&claim(&ledger, BOB, 7).await), expected.bytes);
        place.close(ledger.into_backend()).await;
        ledger = Ledger::new(place.open().await);
    }
    assert_eq!(claim(&ledger, BOB, 7).await, Handed::Exhausted);
    // Nor as a last resort.
    let last = Offered { last_resort: true, ..offered[1].clone() };
    for again in [offered[0].clone(), last] {
        let refused = shelve(&ledger, BOB, &[again]).await.unwrap_err();
        assert_eq!((refused.nth, refused.rejection.code()), (Some(0), Code::InvalidKeyPackage));
    }
    assert_eq!(claim(&ledger, BOB, 7).await, Handed::Exhausted);
    place.close(ledger.into_backend()).await;
}

async fn an_upload_is_stored_whole_or_not_at_all(place: &impl Place) {
    let maker = Maker::new();
    let ledger = Ledger::new(place.open().await);
    let offered = maker.some(BOB, 5);
    shelve(&ledger, BOB, &offered[..2]).await.unwrap();
    assert_eq!(bytes(&claim(&ledger, BOB, 7).await), offered[0].bytes);
    let before = ledger.stock(&client(BOB), NOW).await.unwrap();
    // The second of these was handed out; the first and the last are new.
    let mixed = [offered[2].clone(), offered[0].clone(), offered[3].clone()];
    let refused = shelve(&ledger, BOB, &mixed).await.unwrap_err();
    assert_eq!((refused.nth, refused.rejection.code()), (Some(1), Code::InvalidKeyPackage));
    assert_eq!(ledger.stock(&client(BOB), NOW).await.unwrap(), before);
    // What is there is no error, adds nothing and moves nothing.
    let again = [offered[4].clone(), offered[1].clone()];
    for _ in 0..2 {
        assert_eq!(shelve(&ledger, BOB, &again).await.unwrap().key_packages, 2);
    }
    let as_last = Offered { last_resort: true, ..offered[1].clone() };
    let stock = shelve(&ledger, BOB, &[as_last]).await.unwrap();
    assert_eq!(stock, Stock { key_packages: 2, ..Stock::default() });
    for expected in [1, 4] {
        assert_eq!(bytes(&claim(&ledger, BOB, 7).await), offered[expected].bytes);
    }
    assert_eq!(shelve(&ledger, BOB, &[]).await.unwrap(), Stock::default());
    place.close(ledger.into_backend()).await;
}

async fn a_stock_is_bounded_whoever_uploads_at_once(place: &impl Place) {
    let maker = Maker::new();
    let ledger = Arc::new(Ledger::new(place.open().await));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (ledger, offered) = (Arc::clone(&ledger), maker.some(BOB, 60));
            tokio::spawn(async move { shelve(&ledger, BOB, &offered).await })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(stock) => {
                taken += 60;
                assert!(stock.key_packages <= 200);
            }
            Err(refused) => {
                assert!(matches!(
                    refused,
                    Refused { nth: None, rejection: Rejection::TooMany { limit: 200, .. } }
                ));
            }
        }
    }
    assert_eq!(taken, 180);
    // What fits still does, and a last resort is no part of it.
    assert!(shelve(&ledger, BOB, &maker.some(BOB, 21)).await.is_err());
    shelve(&ledger, BOB, &maker.some(BOB, 20)).await.unwrap();
    let full = shelve(&ledger, BOB, &[maker.last_resort(BOB)]).await.unwrap();
    assert_eq!(full, Stock { key_packages: 200, last_resorts: 1, last_resort_used: false });
    assert!(shelve(&ledger, BOB, &maker.some(BOB, 1)).await.is_err());
    let carol = "@carol:b.org/PHONE";
    shelve(&ledger, carol, &maker.some(carol, 1)).await.unwrap();
    place.close(Arc::into_inner(ledger).unwrap().into_backend()).await;
}

async fn a_claim_says_for_each_device_what_it_has(place: &impl Place) {
    let maker = Maker::new();
    let ledger = Ledger::new(place.open().await);
    let names = |prefix: &str, count| (0..count).map(|n| format!("@{prefix}{n}:b.org/D")).collect::<Vec<_>>();
    // More than one write takes, so that the claim is several.
    let rich = names("rich", limits::CLAIMS_AT_ONCE + 3);
    for name in &rich {
        shelve(&ledger, name, &maker.some(name, 1)).await.unwrap();
    }
    let poor = "@poor:b.org/D";
    let last = maker.last_resort(poor);
    shelve(&ledger, poor, from_ref(&last)).await.unwrap();
    let mut asks: Vec<Ask> = rich.iter().map(|name| ask(name, true)).collect();
    asks.extend([ask(poor, true), ask("@nobody:b.org/D", true), ask(&rich[0], true)]);
    let other = Demand::of(vec![Suite::P256Aes128]).unwrap();
    let nothing = ledger.claim(&asks, &other, NOW, 7).await.unwrap();
    let incompatible = nothing.values().filter(|handed| **handed == Handed::NothingCompatible).count();
    assert_eq!((nothing.len(), incompatible), (rich.len() + 2, rich.len() + 1));
    // Above its limit a claimer gets the last resort, where there is one, and the stock stays.
    let limited: Vec<Ask> = asks.iter().map(|ask| Ask { once: false, ..ask.clone() }).collect();
    let limited = ledger.claim(&limited, &demand(), NOW, 7).await.unwrap();
    assert_eq!(bytes(&limited[&client(poor)]), last.bytes);
    assert_eq!(limited[&client(&rich[0])], Handed::Exhausted);
    let handed = ledger.claim(&asks, &demand(), NOW, 7).await.unwrap();
    assert_eq!(handed.len(), rich.len() + 2);
    for name in &rich {
        let Handed::Success(found) = &handed[&client(name)] else { panic!("{name}") };
        assert_eq!((&found.get().client, &found.get().notes[..]), (&client(name), &b"mls:1"[..]));
    }
    assert_eq!(bytes(&handed[&client(poor)]), last.bytes);
    assert_eq!(handed[&client("@nobody:b.org/D")], Handed::Exhausted);
    let empty = ledger.claim(&asks, &demand(), NOW, 7).await.unwrap();
    assert!(rich.iter().all(|name| empty[&client(name)] == Handed::Exhausted));
    assert_eq!(ledger.claim(&[], &demand(), NOW, 7).await.unwrap(), BTreeMap::new());
    place.close(ledger.into_backend()).await;
}

async fn a_last_resort_is_handed_out_again_and_again_and_replaced(place: &impl Place) {
    let maker = Maker::new();
    let mut ledger = Ledger::new(place.open().await);
    let (first, second) = (maker.last_resort(BOB), maker.last_resort(BOB));
    shelve(&ledger, BOB, from_ref(&first)).await.unwrap();
    for _ in 0..3 {
        let handed = claim(&ledger, BOB, 7).await;
        assert!(matches!(handed, Handed::OnlyLastResort(_)) && bytes(&handed) == first.bytes);
        place.close(ledger.into_backend()).await;
        ledger = Ledger::new(place.open().await);
        assert!(ledger.stock(&client(BOB), NOW).await.unwrap().last_resort_used);
    }
    // The same again changes nothing; another one begins anew; the one before does not come back, not even to be used once.
    assert!(shelve(&ledger, BOB, from_ref(&first)).await.unwrap().last_resort_used);
    let stock = shelve(&ledger, BOB, from_ref(&second)).await.unwrap();
    assert_eq!(stock, Stock { key_packages: 0, last_resorts: 1, last_resort_used: false });
    for again in [first.clone(), Offered { last_resort: false, ..first }] {
        assert!(shelve(&ledger, BOB, &[again]).await.is_err());
    }
    assert_eq!(bytes(&claim(&ledger, BOB, 7).await), second.bytes);
    let once = maker.some(BOB, 1);
    shelve(&ledger, BOB, &once).await.unwrap();
    assert_eq!(bytes(&claim(&ledger, BOB, 7).await), once[0].bytes, "not while there is something else");
    place.close(ledger.into_backend()).await;
}

async fn what_has_ended_is_not_handed_out_and_is_forgotten(place: &impl Place) {
    let maker = Maker::new();
    let ledger = Ledger::new(place.open().await);
    let offered = maker.some(BOB, limits::KEY_PACKAGES_SWEPT_AT_ONCE + 5);
    shelve(&ledger, BOB, &offered).await.unwrap();
    shelve(&ledger, BOB, &[maker.last_resort(BOB)]).await.unwrap();
    claim(&ledger, BOB, 7).await;
    let ends = Timestamp::from_millis(NOW.as_millis() + DAYS_30_S * 1_000 + 999);
    let claimed_at = async |now| {
        let handed = ledger.claim(&[ask(BOB, true)], &demand(), now, 7).await.unwrap();
        handed.into_values().next().unwrap()
    };
    let early = Timestamp::from_millis(NOW.as_millis() - 60_001);
    assert_eq!(claimed_at(early).await, Handed::Exhausted, "none has begun");
    assert!(matches!(claimed_at(ends).await, Handed::Success(_)));
    let after = Timestamp::from_millis(ends.as_millis() + 1);
    assert_eq!(claimed_at(after).await, Handed::Exhausted);
    assert_eq!(ledger.stock(&client(BOB), after).await.unwrap(), Stock::default());
    // Until nobody could use them any more they are known, wherever they are; then page by page they are not.
    let until = ends.plus(limits::KEY_PACKAGE_LEEWAY).plus(limits::KEY_PACKAGE_KNOWN_AFTER);
    let before = Timestamp::from_millis(until.as_millis() - 1);
    assert_eq!(ledger.forget_key_packages(before).await.unwrap(), 0);
    let mut pages = Vec::new();
    while pages.last() != Some(&0) {
        pages.push(ledger.forget_key_packages(until).await.unwrap());
    }
    assert_eq!(pages, [limits::KEY_PACKAGES_SWEPT_AT_ONCE, 6, 0]);
    assert_eq!(ledger.stock(&client(BOB), NOW).await.unwrap(), Stock::default());
    place.close(ledger.into_backend()).await;
}

async fn a_device_that_is_gone_leaves_nothing(place: &impl Place) {
    let maker = Maker::new();
    let ledger = Ledger::new(place.open().await);
    let phone = "@bob:b.org/PHONE";
    let count = limits::KEY_PACKAGES_SWEPT_AT_ONCE + 5;
    let (offered, last) = (maker.some(BOB, count), maker.last_resort(BOB));
    shelve(&ledger, BOB, &offered).await.unwrap();
    shelve(&ledger, BOB, from_ref(&last)).await.unwrap();
    shelve(&ledger, phone, &maker.some(phone, 2)).await.unwrap();
    // One of them: only by its own device, and only while it is there.
    let Handed::Success(handed) = claim(&ledger, BOB, 7).await else { panic!("there are many") };
    let gone = &handed.get().reference;
    assert!(!ledger.remove_key_package(&client(BOB), gone).await.unwrap(), "it was handed out");
    let next = reference_of(&offered[1]);
    assert!(!ledger.remove_key_package(&client(phone), &next).await.unwrap(), "it is another's");
    assert!(ledger.remove_key_package(&client(BOB), &next).await.unwrap());
    assert!(!ledger.remove_key_package(&client(BOB), &next).await.unwrap(), "it is gone");
    assert_eq!(bytes(&claim(&ledger, BOB, 7).await), offered[2].bytes);
    // All of them.
    let mut pages = Vec::new();
    while pages.last() != Some(&0) {
        pages.push(ledger.remove_key_packages(&client(BOB)).await.unwrap());
    }
    assert_eq!(pages, [limits::KEY_PACKAGES_SWEPT_AT_ONCE, 2, 1, 0]);
    assert_eq!(ledger.stock(&client(BOB), NOW).await.unwrap(), Stock::default());
    assert_eq!(claim(&ledger, BOB, 7).await, Handed::Exhausted);
    assert_eq!(ledger.stock(&client(phone), NOW).await.unwrap().key_packages, 2);
    assert!(shelve(&ledger, BOB, &[last]).await.is_err(), "it may have been handed out");
    shelve(&ledger, BOB, &maker.some(BOB, 1)).await.unwrap();
    place.close(ledger.into_backend()).await;
}

fn reference_of(offered: &Offered) -> KeyPackageRef {
    let read = maypole_mls::wire::KeyPackage::from_bytes(&offered.bytes).unwrap();
    KeyPackageRef::parse(read.reference(Suite::X25519Aes128).as_ref()).unwrap()
}

async fn a_store_that_was_voided_hands_out_last_resorts_alone(place: &impl Place) {
    let maker = Maker::new();
    let ledger = Ledger::new(place.open().await);
    let phone = "@bob:b.org/PHONE";
    let many = maker.some(BOB, limits::KEY_PACKAGES_SWEPT_AT_ONCE);
    let last = maker.last_resort(BOB);
    shelve(&ledger, BOB, &many).await.unwrap();
    shelve(&ledger, BOB, from_ref(&last)).await.unwrap();
    let few = maker.some(phone, 2);
    shelve(&ledger, phone, &few).await.unwrap();
    let mut pages = Vec::new();
    while pages.last() != Some(&0) {
        pages.push(ledger.void_key_packages().await.unwrap());
    }
    assert_eq!(pages, [limits::KEY_PACKAGES_SWEPT_AT_ONCE, 2, 0]);
    let handed = claim(&ledger, BOB, 7).await;
    assert!(matches!(handed, Handed::OnlyLastResort(_)) && bytes(&handed) == last.bytes);
    assert_eq!(claim(&ledger, phone, 7).await, Handed::Exhausted);
    for (name, offered) in [(BOB, &many[3]), (phone, &few[0])] {
        assert!(shelve(&ledger, name, from_ref(offered)).await.is_err(), "it was there before");
    }
    let new = maker.some(phone, 1);
    shelve(&ledger, phone, &new).await.unwrap();
    assert_eq!(bytes(&claim(&ledger, phone, 7).await), new[0].bytes);
    let store = ledger.into_backend();
    let standing = store.standing(&reference_of(&many[3])).await.unwrap();
    assert_eq!(standing, Some(Standing::Gone));
    place.close(store).await;
}
