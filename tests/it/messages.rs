//! Messages as clients make them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use maypole_testkit::mls::Member;
use maypole_testkit::service::SERVER_NAME;
use maypole_testkit::user::User;
use serde_json::{Value, json};

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// The beginning of a PublicMessage that holds a commit for a group in an epoch; what follows is made up.
pub(crate) fn commit_for(group: &[u8], epoch: u64) -> Vec<u8> {
    let length = u32::try_from(group.len()).unwrap();
    let prefix = match length {
        0..0x40 => vec![u8::try_from(length).unwrap()],
        0x40..0x4000 => (0x4000 | u16::try_from(length).unwrap()).to_be_bytes().to_vec(),
        _ => (0x8000_0000 | length).to_be_bytes().to_vec(),
    };
    let rest = [1, 0, 0, 0, 0, 0, 3, 0xaa];
    [&[0, 1, 0, 1][..], &prefix, group, &epoch.to_be_bytes(), &rest].concat()
}

/// The registration of a new group, made by OpenMLS, in which the service has no place: a GroupInfo with its tree.
pub(crate) fn registration_for(room: &str) -> Vec<u8> {
    let mut member = Member::new(&format!("@alice:{SERVER_NAME}/ALICE1"), 1).unwrap();
    member.create_group(room.as_bytes(), &[]).unwrap();
    member.group_info(true).unwrap()
}

/// Sends a to-device message to the service; until the homeserver has taken it.
pub(crate) async fn send(user: &User, txn_id: &str, kind: &str, content: &Value) {
    let service = format!("@:{SERVER_NAME}");
    user.send_to_device(kind, txn_id, &json!({ service: {"*": content} })).await.unwrap();
}
