//! The same laws as for the embedded store.

use super::Server;
use crate::storage::conformance;

#[tokio::test(flavor = "multi_thread")]
async fn it_obeys_the_laws() {
    let server = Server::start().await;
    Box::pin(conformance::all(|| server.schema())).await;
}

#[test]
fn it_agrees_with_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    conformance::agrees_with_the_model(48, || server.schema());
}
