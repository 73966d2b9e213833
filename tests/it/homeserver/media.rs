//! The media repository of a real Synapse.

use maypole::homeserver::{DownloadError, Mxc};

use super::{Registration, SERVER, adapter, synapse};

#[tokio::test]
async fn bytes_come_back_as_they_were_put_in() {
    let synapse = synapse(Registration::default()).await;
    let homeserver = adapter(&synapse);
    homeserver.probe().await.unwrap();
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let size_bytes = bytes.len() as u64;
    let mxc = homeserver.upload(bytes.clone()).await.unwrap();
    assert_eq!(mxc.server(), SERVER);
    assert_ne!(homeserver.upload(bytes.clone()).await.unwrap(), mxc);
    assert!(homeserver.download(&mxc, size_bytes).await.unwrap() == bytes);
    let shorter = homeserver.download(&mxc, size_bytes - 1).await;
    assert_eq!(shorter, Err(DownloadError::TooLong { limit_bytes: size_bytes - 1 }));
    let longer = homeserver.download(&mxc, size_bytes + 1).await;
    let too_short = DownloadError::TooShort { size_bytes: size_bytes + 1, got_bytes: size_bytes };
    assert_eq!(longer, Err(too_short));
    let nothing = Mxc::parse("mxc://maypole.test/nothing").unwrap();
    let error = homeserver.download(&nothing, 1).await.unwrap_err();
    assert!(matches!(error, DownloadError::Gone(_)), "{error:?}");
}
