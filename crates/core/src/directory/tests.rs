//! Uploads that are made by hand, demands, and the limits of claimers: every refusal first.

use std::collections::{BTreeMap, BTreeSet};
use std::slice::from_ref;
use std::time::Duration;

use maypole_mls::wire::{LAST_RESORT, RequiredCapabilities};
use maypole_mls::writer::Write as _;
use maypole_mls::{Bounds, Lifetimes, Suite};
use maypole_testkit::forge::{
    Capabilities, Credential, Extension, Forge, Founding, KeyPackageDraft, LeafDraft, Seal, Shape, Source,
};

use super::*;
use crate::group::Terms;
use crate::ids::{Claimer, ClientId, DeviceId, UserId};
use crate::ledger::Durable;
use crate::limits;
use crate::rejection::{Code, Rejection};
use crate::time::Timestamp;

const NOW_S: u64 = 1_800_000_000;
const DAY_S: u64 = 24 * 60 * 60;
const BOB: &str = "@bob:b.org/LAPTOP";
/// A type that nobody knows.
const UNKNOWN: u16 = 0xf123;

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

fn client(name: &str) -> ClientId {
    Here.client(name.as_bytes()).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn forge() -> Forge {
    forge_of(maypole_testkit::forge::Suite::One)
}

fn forge_of(suite: maypole_testkit::forge::Suite) -> Forge {
    let lifetime = (NOW_S - 60, NOW_S + 30 * DAY_S);
    Forge::new(&Founding { lifetime, ..Founding::of(suite, 1, Shape::Bare, 7) }).unwrap()
}

fn bytes(forge: &Forge, draft: &KeyPackageDraft) -> Vec<u8> {
    forge.key_package(draft).unwrap().bytes
}

fn honest(forge: &Forge) -> Vec<u8> {
    bytes(forge, &KeyPackageDraft::of(BOB))
}

fn once(bytes: Vec<u8>) -> Offered {
    Offered { bytes, last_resort: false, notes: Vec::new() }
}

fn judged(offered: Vec<Offered>) -> Result<Upload, Refused> {
    judge(&client(BOB), offered, &Here, at(NOW_S))
}

/// What an upload has, past all judgement.
fn taken(offered: Vec<Offered>) -> Vec<KeyPackage> {
    let vouched = judged(offered).unwrap().vouched(Ok(())).unwrap();
    vouched.key_packages().iter().map(|(_, key_package)| key_package.clone()).collect()
}

fn lived(not_before: u64, not_after: u64) -> LeafDraft {
    LeafDraft { source: Some(Source::KeyPackage(not_before, not_after)), ..LeafDraft::default() }
}

fn can(extensions: &[u16], proposals: &[u16], credentials: &[u16]) -> LeafDraft {
    let capabilities = Capabilities {
        extensions: extensions.to_vec(),
        proposals: proposals.to_vec(),
        credentials: credentials.to_vec(),
        ..Capabilities::default()
    };
    LeafDraft { capabilities: Some(capabilities), ..LeafDraft::default() }
}

#[test]
fn an_upload_that_is_not_sound_is_refused_whole_and_says_which_one() {
    let forge = forge();
    let with = |leaf: LeafDraft| KeyPackageDraft { leaf, ..KeyPackageDraft::of(BOB) };
    let key = forge.new_hpke_key().unwrap();
    let invalid = Code::InvalidKeyPackage;
    let lies = [
        ("expired", with(lived(NOW_S - 9 * DAY_S, NOW_S - DAY_S)), invalid),
        ("not yet valid", with(lived(NOW_S + DAY_S, NOW_S + 9 * DAY_S)), invalid),
        ("good for a century", with(lived(NOW_S - 60, NOW_S + 36_525 * DAY_S)), invalid),
        ("another user's", KeyPackageDraft::of("@carol:b.org/LAPTOP"), Code::SenderMismatch),
        ("another device's", KeyPackageDraft::of("@bob:b.org/PHONE"), Code::SenderMismatch),
        ("nobody's", KeyPackageDraft::of("bob"), Code::SenderMismatch),
        (
            "certified",
            with(LeafDraft { credential: Some(Credential::X509(vec![vec![7]])), ..can(&[], &[], &[2]) }),
            Code::SenderMismatch,
        ),
        (
            "its init key is its leaf's key",
            KeyPackageDraft {
                init_key: Some(key.clone()),
                ..with(LeafDraft { encryption_key: Some(key), ..LeafDraft::default() })
            },
            invalid,
        ),
        (
            "an extension that its client does not list",
            KeyPackageDraft {
                extensions: vec![Extension::new(UNKNOWN, vec![1])],
                ..with(can(&[], &[], &[1]))
            },
            invalid,
        ),
        ("a turned bit", KeyPackageDraft { signature: Seal::Flipped, ..KeyPackageDraft::of(BOB) }, invalid),
        (
            "no suite of ours",
            KeyPackageDraft { suite: Some(4), ..KeyPackageDraft::of(BOB) },
            Code::Unsupported,
        ),
        ("another version", KeyPackageDraft { version: Some(2), ..KeyPackageDraft::of(BOB) }, invalid),
    ];
    for (what, lie, code) in lies {
        let refused = judged(vec![once(honest(&forge)), once(bytes(&forge, &lie))]).unwrap_err();
        assert_eq!((refused.nth, refused.rejection.code()), (Some(1), code), "{what}: {refused:?}");
    }
    let whole = honest(&forge);
    for length in 0..whole.len() {
        let refused = judged(vec![once(whole[..length].to_vec())]).unwrap_err();
        assert_eq!(refused.rejection.code(), Code::Malformed, "cut at {length}");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert_eq!(judged(vec![once(longer)]).unwrap_err().rejection.code(), Code::Malformed);
}

#[test]
fn an_upload_is_bounded_in_number_and_in_bytes() {
    let forge = forge();
    let one = once(honest(&forge));
    let refused = judged(vec![one.clone(); limits::KEY_PACKAGES_AT_ONCE + 1]).unwrap_err();
    assert!(matches!(refused, Refused { nth: None, rejection: Rejection::TooMany { limit: 100, .. } }));
    assert_eq!(judged(vec![one.clone(); 10_000]).unwrap_err(), refused);
    assert_eq!(taken(vec![one.clone(); limits::KEY_PACKAGES_AT_ONCE]).len(), 1, "all are the same");
    let large = Extension::new(UNKNOWN, vec![0; limits::KEY_PACKAGE_BYTES]);
    let large = KeyPackageDraft {
        extensions: vec![large],
        leaf: can(&[UNKNOWN], &[], &[1]),
        ..KeyPackageDraft::of(BOB)
    };
    let talkative = Offered { notes: vec![0; limits::KEY_PACKAGE_NOTES_BYTES + 1], ..one.clone() };
    for offered in [once(bytes(&forge, &large)), talkative] {
        let refused = judged(vec![one.clone(), offered]).unwrap_err();
        assert_eq!((refused.nth, refused.rejection.code()), (Some(1), Code::TooLarge));
    }
    let noted = Offered { notes: vec![0; limits::KEY_PACKAGE_NOTES_BYTES], ..one };
    assert_eq!(taken(vec![noted]).len(), 1);
}

#[test]
fn there_is_one_last_resort_for_each_suite_of_an_upload() {
    let (forge, other) = (forge(), forge_of(maypole_testkit::forge::Suite::Two));
    let last = |bytes| Offered { last_resort: true, ..once(bytes) };
    let marked = KeyPackageDraft {
        extensions: vec![Extension::new(LAST_RESORT, Vec::new())],
        leaf: can(&[LAST_RESORT], &[], &[1]),
        ..KeyPackageDraft::of(BOB)
    };
    let marked = bytes(&forge, &marked);
    // By what it says itself, and by what is said of it.
    let refused = judged(vec![once(marked.clone()), last(honest(&forge))]).unwrap_err();
    assert_eq!((refused.nth, refused.rejection.code()), (Some(1), Code::InvalidKeyPackage));
    let twice = honest(&forge);
    for offered in [[once(twice.clone()), last(twice.clone())], [last(twice.clone()), once(twice.clone())]] {
        let refused = judged(offered.into()).unwrap_err();
        assert_eq!((refused.nth, refused.rejection.code()), (Some(1), Code::InvalidKeyPackage));
    }
    let all = taken(
        vec![once(marked), last(honest(&other)), once(honest(&forge)), last(honest(&other))][..3].to_vec(),
    );
    let found: Vec<_> = all.iter().map(|one| (one.suite, one.last_resort)).collect();
    let (first, second) = (Suite::X25519Aes128, Suite::P256Aes128);
    assert_eq!(found, [(first, true), (second, true), (first, false)]);
}

#[test]
fn what_is_kept_is_what_the_key_package_says() {
    let forge = forge();
    let package = forge.key_package(&KeyPackageDraft::of(BOB)).unwrap();
    let offered = Offered { notes: vec![1, 2], ..once(package.message()) };
    let [kept] = taken(vec![offered, once(package.bytes.clone())]).try_into().unwrap();
    assert_eq!(kept.bytes, package.bytes, "without the message around it");
    assert_eq!(kept.reference.as_bytes(), package.reference());
    assert_eq!((kept.client.clone(), kept.suite), (client(BOB), Suite::X25519Aes128));
    assert_eq!((kept.notes.as_slice(), kept.uploaded_at), (&[1, 2][..], at(NOW_S)));
    assert_eq!(kept.begins, at(NOW_S - 60));
    assert_eq!(kept.ends.as_millis(), (NOW_S + 30 * DAY_S) * 1_000 + 999);
    let before = Timestamp::from_millis(kept.begins.as_millis() - 1);
    let after = Timestamp::from_millis(kept.ends.as_millis() + 1);
    assert!([before, after].iter().all(|time| !kept.is_good_at(*time)));
    assert!([kept.begins, kept.ends].iter().all(|time| kept.is_good_at(*time)));
    // As long as an upload of it is taken, it is known; and so with a clock that is days off.
    let last = kept.known_until().as_millis() / 1_000;
    let late = judge(&client(BOB), vec![once(package.bytes)], &Here, at(last - 6 * DAY_S));
    assert_eq!(late.unwrap_err().rejection.code(), Code::InvalidKeyPackage);
}

#[test]
fn lifetimes_are_those_of_groups() {
    assert_eq!(limits::KEY_PACKAGE_LIFETIME.as_secs(), Lifetimes::default().longest_s);
    assert_eq!(limits::KEY_PACKAGE_LEEWAY.as_secs(), Lifetimes::default().leeway_s);
    assert!(limits::KEY_PACKAGE_BYTES <= Bounds::default().proposal_bytes);
    assert!(limits::KEY_PACKAGE_BYTES <= Bounds::default().leaf_bytes);
}

#[test]
fn each_signature_key_of_an_upload_is_asked_for_once() {
    let forge = forge();
    let key = forge.new_key().unwrap();
    let of = |key: Option<_>| {
        let leaf = LeafDraft { key, ..LeafDraft::default() };
        once(bytes(&forge, &KeyPackageDraft { leaf, ..KeyPackageDraft::of(BOB) }))
    };
    let upload = judged(vec![of(Some(key.clone())), of(Some(key.clone())), of(None)]).unwrap();
    let [first, second] = upload.keys() else { panic!("{:?}", upload.keys()) };
    assert_eq!((first.leaf, &first.key[..], &first.client), (Some(0), key.public(), &client(BOB)));
    assert_eq!((second.leaf, second.suite), (Some(2), Suite::X25519Aes128));
    let unknown =
        Rejection::Identity { leaf: Some(2), identity: BOB.to_owned(), problem: "is not published" };
    let refused = upload.clone().vouched(Err(unknown.clone())).unwrap_err();
    assert_eq!(refused, Refused { nth: Some(2), rejection: unknown });
    let silent = Rejection::Unavailable { users: Vec::new(), problem: "silence" };
    let refused = upload.clone().vouched(Err(silent.clone())).unwrap_err();
    assert_eq!(refused, Refused { nth: None, rejection: silent });
    assert_eq!(upload.vouched(Ok(())).unwrap().client(), &client(BOB));
}

/// What a claim by one demand finds among some KeyPackages.
fn found(demand: &Demand, stock: &[KeyPackage], last_resorts: &[KeyPackage], now: Timestamp) -> Pick {
    let mut search = Search::new(demand, 1, now);
    for key_package in stock {
        if search.is_over() {
            break;
        }
        search.see(key_package.clone());
    }
    let last = |key_package: &KeyPackage| LastResort { key_package: key_package.clone(), used: false };
    search.pick(last_resorts.iter().map(last).collect(), 7)
}

/// `required_capabilities` as a claim brings them.
fn written(extensions: &[u16], proposals: &[u16], credentials: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for types in [extensions, proposals, credentials] {
        bytes.put_opaque(&types.iter().flat_map(|kind| kind.to_be_bytes()).collect::<Vec<_>>());
    }
    bytes
}

fn requiring(required: &[u8]) -> Demand {
    let demand = Demand::of(vec![Suite::X25519Aes128]).unwrap();
    demand.require(&RequiredCapabilities::from_bytes(required).unwrap()).unwrap()
}

#[test]
fn the_oldest_that_serves_of_the_first_suite_that_has_any_is_found() {
    let (forge, other) = (forge(), forge_of(maypole_testkit::forge::Suite::Two));
    let one = |forge: &Forge| taken(vec![once(honest(forge))]).remove(0);
    let (a1, a2, b1, b2) = (one(&forge), one(&forge), one(&other), one(&other));
    let now = at(NOW_S);
    let (first, second) = (Suite::X25519Aes128, Suite::P256Aes128);
    let by = |suites: &[Suite]| Demand::of(suites.to_vec()).unwrap();
    let stock = [b1.clone(), a1.clone(), a2.clone(), b2];
    assert_eq!(found(&by(&[first, second]), &stock, &[], now), Pick::Once(a1.clone()));
    assert_eq!(found(&by(&[second, first]), &stock, &[], now), Pick::Once(b1.clone()));
    let third = Suite::X25519ChaCha20;
    assert_eq!(found(&by(&[third, first]), &stock, &[], now), Pick::Once(a1.clone()));
    assert_eq!(found(&by(&[third, second, first]), &stock, &[], now), Pick::Once(b1.clone()));
    assert_eq!(found(&by(&[third]), &stock, &[], now), Pick::NothingCompatible);
    assert_eq!(found(&by(&[]), &stock, from_ref(&a2), now), Pick::NothingCompatible);
    // What is used once goes before a last resort, even of a better suite; and of these the better suite.
    let last = |key_package: &KeyPackage| {
        Pick::LastResort(LastResort { key_package: key_package.clone(), used: false })
    };
    assert_eq!(found(&by(&[second, first]), from_ref(&a1), from_ref(&b1), now), Pick::Once(a1.clone()));
    assert_eq!(found(&by(&[second, first]), &[], &[a1.clone(), b1.clone()], now), last(&b1));
    assert_eq!(found(&by(&[third, first]), from_ref(&b1), &[a1.clone(), b1.clone()], now), last(&a1));
    assert_eq!(found(&by(&[first]), &[], from_ref(&b1), now), Pick::NothingCompatible);
    assert_eq!(found(&by(&[first]), &[], &[], now), Pick::Exhausted);
    // Neither what has ended nor what has not begun.
    for now in [at(NOW_S - 61), at(NOW_S + 30 * DAY_S + 1)] {
        assert_eq!(found(&by(&[first, second]), &stock, from_ref(&b1), now), Pick::Exhausted);
    }
    let later = KeyPackage { begins: at(NOW_S + 1), ..a1 };
    assert_eq!(found(&by(&[first]), &[later, a2.clone()], &[], now), Pick::Once(a2));
}

#[test]
fn what_a_group_requires_its_client_must_be_able_to() {
    let forge = forge();
    let of = |leaf| {
        let draft = KeyPackageDraft { leaf, ..KeyPackageDraft::of(BOB) };
        taken(vec![once(bytes(&forge, &draft))]).remove(0)
    };
    let (plain, able) = (of(can(&[], &[], &[1])), of(can(&[10, 11], &[10], &[1, 3])));
    let stock = [plain.clone(), able.clone()];
    let now = at(NOW_S);
    // Those that every client has are not listed, and nobody is asked for them.
    let default = written(&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5, 6, 7], &[1]);
    assert_eq!(found(&requiring(&default), &stock, &[], now), Pick::Once(plain));
    for special in [written(&[11], &[], &[]), written(&[], &[10], &[]), written(&[], &[], &[3])] {
        assert_eq!(found(&requiring(&special), &stock, &[], now), Pick::Once(able.clone()));
    }
    assert_eq!(found(&requiring(&written(&[10, 11], &[10], &[1, 3])), &stock, &[], now), Pick::Once(able));
    for beyond in [written(&[12], &[], &[]), written(&[], &[11], &[]), written(&[], &[], &[2])] {
        assert_eq!(found(&requiring(&beyond), &stock, &[], now), Pick::NothingCompatible);
        assert_eq!(found(&requiring(&beyond), &[], &stock, now), Pick::NothingCompatible);
    }
}

#[test]
fn a_demand_is_bounded() {
    let suites = vec![Suite::P256Aes128; limits::CLAIM_SUITES];
    assert!(Demand::of(suites.clone()).is_ok());
    let refused = Demand::of([suites, vec![Suite::P256Aes128]].concat()).unwrap_err();
    assert_eq!(refused.code(), Code::TooLarge);
    let require = |count| {
        let bytes = written(&vec![UNKNOWN; count], &[], &[]);
        let read = RequiredCapabilities::from_bytes(&bytes).unwrap();
        Demand::of(vec![Suite::P256Aes128]).unwrap().require(&read)
    };
    assert!(require(limits::CLAIM_TYPES).is_ok());
    for count in [limits::CLAIM_TYPES + 1, 20_000] {
        assert_eq!(require(count).unwrap_err().code(), Code::TooLarge);
    }
}

fn asked(claims: &mut ClaimLimits, claimer: &str, clients: &[ClientId], now: Timestamp) -> Asked {
    let claimer = Claimer::parse(claimer).unwrap();
    claims.ask(&claimer, clients.iter().cloned().collect(), now).unwrap()
}

fn devices(count: usize) -> Vec<ClientId> {
    (0..count).map(|number| client(&format!("@bob:b.org/D{number}"))).collect()
}

#[test]
fn of_one_device_a_claimer_gets_some_and_then_the_last_resort() {
    let mut claims = ClaimLimits::default();
    let now = at(NOW_S);
    let bob = [client(BOB)];
    for _ in 0..limits::CLAIMER_BURST_OF_TARGET {
        let asked = asked(&mut claims, "@mallory:a.org", &bob, now);
        assert!(asked.asks[0].once && asked.retry_after.is_none());
    }
    let late = asked(&mut claims, "@mallory:a.org", &bob, now);
    assert!(!late.asks[0].once && late.retry_after == Some(limits::CLAIMER_EVERY_OF_TARGET), "{late:?}");
    assert!(asked(&mut claims, "@mallory:a.org", &devices(1), now).asks[0].once, "others' are free");
    assert!(asked(&mut claims, "@alice:a.org", &bob, now).asks[0].once, "for others it is free");
    let later = now.plus(limits::CLAIMER_EVERY_OF_TARGET);
    assert!(asked(&mut claims, "@mallory:a.org", &bob, later).asks[0].once);
    assert!(!asked(&mut claims, "@mallory:a.org", &bob, later).asks[0].once);
}

#[test]
fn over_all_devices_a_claimer_gets_many_and_then_last_resorts() {
    let mut claims = ClaimLimits::default();
    let now = at(NOW_S);
    let burst = usize::try_from(limits::CLAIMER_BURST).unwrap();
    let all = devices(burst + 10);
    for some in all[..burst].chunks(limits::CLAIM_CLIENTS) {
        assert!(asked(&mut claims, "@mallory:a.org", some, now).asks.iter().all(|ask| ask.once));
    }
    let late = asked(&mut claims, "@mallory:a.org", &all[burst..], now);
    assert!(late.asks.iter().all(|ask| !ask.once));
    assert!(late.retry_after.is_some_and(|wait| wait > Duration::ZERO && wait <= limits::CLAIMER_EVERY));
    assert!(asked(&mut claims, "@alice:a.org", &all[..1], now).asks[0].once);
    let later = now.plus(limits::CLAIMER_EVERY * 3);
    let some = asked(&mut claims, "@mallory:a.org", &all[burst..], later);
    assert_eq!(some.asks.iter().filter(|ask| ask.once).count(), 3);
}

#[test]
fn a_claim_of_too_many_devices_is_refused() {
    let mut claims = ClaimLimits::default();
    let claimer = Claimer::parse("@mallory:a.org").unwrap();
    let all = devices(limits::CLAIM_CLIENTS + 1);
    let refused = claims.ask(&claimer, all.iter().cloned().collect(), at(NOW_S)).unwrap_err();
    assert_eq!(refused.code(), Code::TooLarge);
    assert!(claims.ask(&claimer, all.into_iter().skip(1).collect(), at(NOW_S)).is_ok());
}

#[test]
fn only_what_is_used_once_is_taken_off_a_claimers_allowance() {
    let mut claims = ClaimLimits::default();
    let (now, claimer) = (at(NOW_S), Claimer::parse("@alice:a.org").unwrap());
    let key_package = taken(vec![once(honest(&forge()))]).remove(0);
    let bob = client(BOB);
    let nothing = [
        BTreeMap::new(),
        BTreeMap::from([(bob.clone(), Handed::Exhausted)]),
        BTreeMap::from([(bob.clone(), Handed::NothingCompatible)]),
        BTreeMap::from([(bob.clone(), Handed::OnlyLastResort(Durable(key_package.clone())))]),
    ];
    for _ in 0..limits::CLAIMER_BURST_OF_TARGET {
        for handed in &nothing {
            let asked = claims.ask(&claimer, BTreeSet::from([bob.clone()]), now).unwrap();
            assert!(asked.asks[0].once);
            claims.settle(&claimer, asked, handed);
        }
    }
    let success = BTreeMap::from([(bob.clone(), Handed::Success(Durable(key_package)))]);
    for _ in 0..limits::CLAIMER_BURST_OF_TARGET {
        let asked = claims.ask(&claimer, BTreeSet::from([bob.clone()]), now).unwrap();
        assert!(asked.asks[0].once);
        claims.settle(&claimer, asked, &success);
    }
    let asked = claims.ask(&claimer, BTreeSet::from([bob]), now).unwrap();
    assert!(!asked.asks[0].once);
    claims.settle(&claimer, asked, &BTreeMap::new());
}
