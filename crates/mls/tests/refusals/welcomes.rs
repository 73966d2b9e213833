//! Welcomes (RFC 9420 §12.4.3.1): their readers are those whom the commit adds.

use maypole_mls::service::Welcome;
use maypole_mls::{Place, Rule, writer::Write as _};
use maypole_testkit::forge::{Forge, KeyPackageDraft};

use crate::trial::{Docket, worlds};

cases![readers, cut_to_one_reader];

/// A Welcome for these readers, its secrets made up.
fn welcome(forge: &Forge, suite: u16, readers: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 3];
    bytes.put_u16(suite);
    bytes.put_vector(|inside| {
        for reader in readers {
            inside.put_opaque(reader);
            inside.put_opaque(&forge.bytes(32));
            inside.put_opaque(&forge.bytes(90));
        }
    });
    bytes.put_opaque(&forge.bytes(300));
    bytes
}

fn readers(docket: &Docket) {
    for trial in worlds(docket) {
        let forge = &trial.forge;
        let package = |name: &str| forge.key_package(&KeyPackageDraft::of(name)).unwrap();
        let added = [package("@one:a.org/D"), package("@two:a.org/D")];
        let delta = trial.takes("two Adds", &forge.commit(&forge.draft_add(0, &added)).unwrap().message);
        let committed = delta.committed().unwrap();
        let [one, two] = added.map(|package| package.reference());
        let third = package("@three:a.org/D").reference();
        let number = forge.suite().number();
        let check = |suite, readers: &[Vec<u8>]| {
            let bytes = welcome(forge, suite, readers);
            let suite = trial.group.suite();
            [&bytes[..], &bytes[4..]]
                .map(|bytes| Welcome::read(bytes).unwrap().check_readers(suite, committed))
        };
        for readers in [[one.clone(), two.clone()], [two.clone(), one.clone()]] {
            check(number, &readers).into_iter().for_each(Result::unwrap);
        }
        let wrong = [
            vec![],
            vec![one.clone()],
            vec![two.clone()],
            vec![one.clone(), one.clone()],
            vec![one.clone(), third.clone()],
            vec![one.clone(), two.clone(), two.clone()],
            vec![one.clone(), two.clone(), third],
            vec![one.clone(), two[1..].to_vec()],
        ];
        let expected = || (Rule::WelcomeRecipients, Place::Whole);
        for readers in wrong {
            for verdict in check(number, &readers) {
                docket.refused("other readers", verdict, expected());
            }
        }
        let other = if number == 1 { 3 } else { 1 };
        for verdict in check(other, &[one, two]) {
            docket.refused("another suite", verdict, expected());
        }
        let update = trial.takes("an update", &forge.commit(&forge.draft_update(0)).unwrap().message);
        let nobody = welcome(forge, number, &[]);
        let nobody = Welcome::read(&nobody).unwrap();
        nobody.check_readers(trial.group.suite(), update.committed().unwrap()).unwrap();
    }
}

fn cut_to_one_reader(docket: &Docket) {
    for trial in worlds(docket) {
        let readers = [vec![1; 32], vec![2; 32]];
        let bytes = welcome(&trial.forge, 1, &readers);
        let whole = Welcome::read(&bytes).unwrap();
        for (entry, reader) in whole.secrets.iter().zip(&readers) {
            let cut = whole.cut_to(reader).unwrap();
            let cut = Welcome::read(&cut).unwrap();
            assert_eq!(cut.secrets, [*entry]);
            assert_eq!(cut.encrypted_group_info, whole.encrypted_group_info);
        }
        assert_eq!(whole.cut_to(&[3; 32]), None);
        for length in (0..bytes.len()).filter(|length| *length != 4) {
            let verdict = Welcome::read(&bytes[..length]).map_err(Into::into);
            docket.refused("cut short", verdict, Rule::Malformed);
        }
        let longer = [&bytes[..], &[0]].concat();
        let verdict = Welcome::read(&longer).map_err(Into::into);
        docket.refused("a byte too many", verdict, Rule::Malformed);
    }
}
