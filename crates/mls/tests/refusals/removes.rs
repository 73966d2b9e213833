//! Remove proposals of the service's own (RFC 9420 §12.1.8): what they say, and what is signed.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use maypole_mls::{Place, Rule, reader::Reader, service::propose_remove};
use maypole_testkit::forge::{Proposal, Sender, Suite};

use crate::trial::{Docket, worlds};

cases![as_another_external_sender_writes_them, of_nobody, by_nobody];

/// The signature at the end of a message, of which everything before it is known.
fn signature_after<'m>(message: &'m [u8], unsigned: &[u8]) -> &'m [u8] {
    Reader::new(&message[unsigned.len()..]).opaque("signature").unwrap()
}

fn as_another_external_sender_writes_them(docket: &Docket) {
    for trial in worlds(docket) {
        let algorithm: &dyn VerificationAlgorithm = match trial.forge.suite() {
            Suite::Two => &ECDSA_P256_SHA256_ASN1,
            Suite::Seven => &ECDSA_P384_SHA384_ASN1,
            _ => &ED25519,
        };
        for leaf in [3, 7] {
            let forged = trial.forge.propose(Sender::External(0), Proposal::Remove(leaf)).unwrap().message;
            let ours = propose_remove(&trial.group, 0, leaf).unwrap();
            let mut unsigned = ours.clone().signed(&[]);
            assert_eq!(unsigned.pop(), Some(0), "an empty signature");
            let signature = signature_after(&forged, &unsigned);
            let key = UnparsedPublicKey::new(algorithm, trial.forge.external_key(0).unwrap().public());
            key.verify(ours.content(), signature).unwrap();
            assert_eq!(ours.signed(signature), forged);
            trial.takes("a Remove", &forged);
        }
    }
}

fn of_nobody(docket: &Docket) {
    for mut trial in worlds(docket) {
        trial.play("a gap", &trial.forge.draft_remove(0, &[5]));
        propose_remove(&trial.group, 0, 4).unwrap();
        for leaf in [5, 8, u32::MAX] {
            let expected = (Rule::RemoveBlank, Place::Leaf(leaf));
            docket.refused("nobody", propose_remove(&trial.group, 0, leaf), expected);
        }
    }
}

fn by_nobody(docket: &Docket) {
    for trial in worlds(docket) {
        for place in [1, 2, u32::MAX] {
            let verdict = propose_remove(&trial.group, place, 4);
            docket.refused("no such sender", verdict, (Rule::SenderUnknown, Place::Whole));
        }
    }
}
