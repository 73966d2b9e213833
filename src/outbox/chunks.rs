//! Cuts one message to many devices into requests of bounded size, each with a transaction ID that follows from what it
//! carries: the same row always makes the same requests, and other bytes never go by the same name.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maypole_core::ids::{Sha256, TxnId};
use maypole_core::limits;
use maypole_core::records::{OwedRow, Recipient};

/// One request: who gets the message, and under which transaction ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    /// The transaction ID.
    pub(super) txn_id: TxnId,
    /// The recipients.
    pub(super) recipients: &'a [Recipient],
}

/// Cuts a message into requests.
pub(super) fn chunks<'a>(
    row: &OwedRow,
    kind: &str,
    content: &[u8],
    recipients: &'a [Recipient],
) -> Vec<Chunk<'a>> {
    let each = content.len().saturating_add(limits::TO_DEVICE_ADDRESS_BYTES);
    let count = limits::TO_DEVICE_REQUEST_BYTES.checked_div(each).unwrap_or(1).max(1);
    let chunk = |recipients: &'a [Recipient]| {
        Some(Chunk { txn_id: txn_id(row, kind, content, recipients)?, recipients })
    };
    recipients.chunks(count).filter_map(chunk).collect()
}

fn txn_id(row: &OwedRow, kind: &str, content: &[u8], recipients: &[Recipient]) -> Option<TxnId> {
    let mut named = Vec::new();
    for part in recipients.iter().flat_map(|recipient| [recipient.user.as_str(), device_or_all(recipient)]) {
        named.extend_from_slice(&(part.len() as u64).to_be_bytes());
        named.extend_from_slice(part.as_bytes());
    }
    let hash = Sha256::of_parts(&[
        b"maypole to-device transaction 1",
        &row.id.get().to_be_bytes(),
        &row.owed.owed_at.as_millis().to_be_bytes(),
        Sha256::of(kind.as_bytes()).as_bytes(),
        Sha256::of(content).as_bytes(),
        Sha256::of(&named).as_bytes(),
    ]);
    TxnId::parse(format!("maypole-{}", URL_SAFE_NO_PAD.encode(hash.as_bytes())))
}

fn device_or_all(recipient: &Recipient) -> &str {
    recipient.device.as_ref().map_or("*", |device| device.as_str())
}

#[cfg(test)]
mod tests {
    use maypole_core::ids::{DeviceId, Lane, OwedId, UserId};
    use maypole_core::records::{Delivery, Owed};
    use maypole_core::time::Timestamp;

    use super::*;

    fn recipients(count: usize) -> Vec<Recipient> {
        let user = |n| UserId::parse(format!("@alice{n}:a.org")).unwrap();
        (0..count).map(|n| Recipient { user: user(n), device: DeviceId::parse("D") }).collect()
    }

    fn row(id: u64, content: Vec<u8>, recipients: Vec<Recipient>) -> OwedRow {
        let delivery = Delivery::ToDevice { kind: "m.mls.rejected".into(), content, recipients };
        let lane = Lane::of_user(&UserId::parse("@alice:a.org").unwrap());
        OwedRow { id: OwedId::new(id), owed: Owed { lane, delivery, owed_at: Timestamp::from_millis(5) } }
    }

    fn cut(row: &OwedRow) -> Vec<Chunk<'_>> {
        let Delivery::ToDevice { kind, content, recipients } = &row.owed.delivery;
        chunks(row, kind, content, recipients)
    }

    #[test]
    fn large_content_to_many_is_cut_and_nobody_is_left_out() {
        let row = row(1, vec![b' '; 60_000], recipients(100));
        let chunks = cut(&row);
        assert!(chunks.len() > 1);
        for chunk in &chunks {
            assert!(chunk.recipients.len() * 60_000 <= limits::TO_DEVICE_REQUEST_BYTES);
        }
        let all: Vec<_> = chunks.iter().flat_map(|chunk| chunk.recipients).cloned().collect();
        assert_eq!(all, recipients(100));
    }

    #[test]
    fn one_recipient_is_never_too_many() {
        let row = row(1, vec![b' '; limits::TO_DEVICE_REQUEST_BYTES * 2], recipients(2));
        assert_eq!(cut(&row).len(), 2);
    }

    #[test]
    fn names_are_stable_and_never_shared() {
        let one = row(1, b"{}".to_vec(), recipients(3));
        assert_eq!(cut(&one), cut(&one.clone()));
        let names: Vec<TxnId> = [
            cut(&one),
            cut(&row(2, b"{}".to_vec(), recipients(3))),
            cut(&row(1, b"{ }".to_vec(), recipients(3))),
            cut(&row(1, b"{}".to_vec(), recipients(4))),
        ]
        .iter()
        .map(|chunks| chunks[0].txn_id.clone())
        .collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
