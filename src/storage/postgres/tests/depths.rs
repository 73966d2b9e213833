//! How much there is is asked every few seconds, and never costs more than a look at a few thousand rows.

use maypole_core::batch::{Backend as _, Op};
use maypole_core::limits;

use super::Server;
use crate::storage::conformance::Place as _;
use crate::storage::conformance::samples::{batch, head, message};

#[tokio::test]
async fn what_is_very_much_is_not_counted_each_time() {
    let server = Server::start().await;
    let place = server.schema();
    let store = place.open().await;
    let remember = async |first: usize, last: usize| {
        let fill = format!(
            "INSERT INTO answers SELECT int8send(number), 0, '' FROM generate_series({first}::bigint, {last}) AS number"
        );
        place.run(&fill).await;
        store.depths().await.unwrap()
    };
    let most = limits::POSTGRES_COUNTED_ROWS;
    assert_eq!(remember(1, most).await.answers, most as u64);
    assert_eq!(remember(most + 1, most + 50).await.answers, most as u64 + 50);
    let ops = vec![Op::SetHead(head(1, 0, 9)), Op::Receive(message(1, 9))];
    store.apply(batch(Vec::new(), ops)).await.unwrap();
    let depths = remember(most + 51, most + 60).await;
    assert_eq!(depths.answers, most as u64 + 50, "as it was when all were counted");
    assert_eq!((depths.groups, depths.inbox), (1, 1), "what is little is counted");
    // Few again are counted again.
    place.run("DELETE FROM answers WHERE key > int8send(7)").await;
    assert_eq!(store.depths().await.unwrap().answers, 7);
    place.close(store).await;
}
