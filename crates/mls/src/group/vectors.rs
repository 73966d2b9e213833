//! The public vectors of `transcript-hashes`: commits as members authenticate them, and what becomes of the hashes.

use aws_lc_rs::hmac;
use maypole_testkit::vectors::{self, bytes};

use super::{PUBLIC_MESSAGE, confirmed_transcript_hash, interim_transcript_hash};
use crate::{
    reader::Reader,
    suite::Suite,
    wire::{Content, PublicMessage},
};

#[test]
fn commits_lead_to_the_same_transcript_hashes() {
    let Some(vectors) = vectors::read("transcript-hashes") else { return };
    let mut followed = 0;
    for vector in vectors.as_array().unwrap() {
        let code = u16::try_from(vector["cipher_suite"].as_u64().unwrap()).unwrap();
        let Some(suite) = Suite::from_code(code) else { continue };
        let authenticated = bytes(&vector["authenticated_content"]);
        let mut reader = Reader::new(&authenticated);
        assert_eq!(reader.u16("wire format").unwrap(), PUBLIC_MESSAGE);
        let message = PublicMessage::read_authenticated(&mut reader, &|_| None).unwrap();
        reader.end().unwrap();
        assert!(matches!(message.content, Content::Commit(_)));

        let before = bytes(&vector["interim_transcript_hash_before"]);
        let confirmed = confirmed_transcript_hash(suite, &before, message.confirmed);
        assert_eq!(confirmed.as_ref(), bytes(&vector["confirmed_transcript_hash_after"]));
        let interim = interim_transcript_hash(suite, confirmed.as_ref(), message.confirmation_tag);
        assert_eq!(interim.as_ref(), bytes(&vector["interim_transcript_hash_after"]));

        let algorithm = match suite.hash_bytes() {
            48 => hmac::HMAC_SHA384,
            64 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let key = hmac::Key::new(algorithm, &bytes(&vector["confirmation_key"]));
        hmac::verify(&key, confirmed.as_ref(), message.confirmation_tag).unwrap();
        followed += 1;
    }
    assert_eq!(followed, Suite::ALL.len());
}
