//! What each route answers.

use maypole::http::ports::PushRefused;
use maypole::telemetry::readiness::Condition;
use serde_json::json;

use super::client::{Answer, Client, ask, request};
use super::stage::{Intake, OUR_USER, bearer, limits, stage};

const DESCRIBE: &str = "/_matrix/client/unstable/org.matrix.msc4244/delivery_service";

fn assert_cors(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, PUT, DELETE, OPTIONS"));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("X-Requested-With, Content-Type, Authorization")
    );
}

fn put(id: &str, body: &[u8]) -> Vec<u8> {
    request("PUT", &format!("/_matrix/app/v1/transactions/{id}"), &[&bearer()], body)
}

#[tokio::test]
async fn a_transaction_id_that_cannot_be_one_is_refused() {
    let stage = stage(limits(), Intake::open()).await;
    for id in ["x".repeat(256), "%ff".to_owned(), "%C3%28".to_owned()] {
        ask(stage.matrix, put(&id, b"{}")).await.assert_refusal(400, "M_INVALID_PARAM");
    }
    for id in ["", "a/b", "a/"] {
        ask(stage.matrix, put(id, b"{}")).await.assert_refusal(404, "M_UNRECOGNIZED");
    }
    assert!(stage.intake.transactions().is_empty());
}

#[tokio::test]
async fn what_the_intake_refuses_is_refused() {
    let bad = Intake::answering(Err(PushRefused::BadJson("There is no list of events.".to_owned())));
    let bad = stage(limits(), bad).await;
    let answer = ask(bad.matrix, put("1", b"[]")).await;
    answer.assert_refusal(400, "M_BAD_JSON");
    assert_eq!(answer.json()["error"], "There is no list of events.");

    let unavailable = stage(limits(), Intake::answering(Err(PushRefused::Unavailable))).await;
    ask(unavailable.matrix, put("1", b"{}")).await.assert_refusal(503, "M_UNKNOWN");
}

#[tokio::test]
async fn a_transaction_reaches_the_intake_as_it_came() {
    let stage = stage(limits(), Intake::open()).await;
    let body = b"{\"events\": [] , \"x\":\"\\u0000\xc3\xa4\"}\n";
    let answer = ask(stage.matrix, put("a%2Fb%20%C3%A4", body)).await;
    assert_eq!((answer.status, answer.json()), (200, json!({})), "{answer:?}");
    assert_eq!(stage.intake.transactions(), [("a/b ä".to_owned(), body.to_vec().into())]);
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let stage = stage(limits(), Intake::open()).await;
    let mut client = Client::connect(stage.matrix).await;
    for round in 0..20 {
        client.send(put(&round.to_string(), b"{}")).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    let ids: Vec<String> = stage.intake.transactions().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, (0..20).map(|round| round.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn only_the_services_own_account_exists() {
    let stage = stage(limits(), Intake::open()).await;
    let user = |user: &str| request("GET", &format!("/_matrix/app/v1/users/{user}"), &[&bearer()], b"");
    ask(stage.matrix, user("%40alice%3Aa.org")).await.assert_refusal(404, "M_NOT_FOUND");
    ask(stage.matrix, user("%40_mls_ds%3Aa.org%00")).await.assert_refusal(404, "M_NOT_FOUND");
    ask(stage.matrix, user("%ff")).await.assert_refusal(400, "M_INVALID_PARAM");
    for spelled in [OUR_USER, "%40_mls_ds%3Aa.org"] {
        assert_eq!(ask(stage.matrix, user(spelled)).await.json(), json!({}));
    }
    let alias = request("GET", "/_matrix/app/v1/rooms/%23mls%3Aa.org", &[&bearer()], b"");
    ask(stage.matrix, alias).await.assert_refusal(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_unrecognized() {
    let stage = stage(limits(), Intake::open()).await;
    for path in
        ["/", "/transactions/1", "/_matrix/app/v1/ping/", "/_MATRIX/app/v1/ping", "//_matrix/app/v1/ping"]
    {
        ask(stage.matrix, request("POST", path, &[&bearer()], b"{}"))
            .await
            .assert_refusal(404, "M_UNRECOGNIZED");
    }
    for path in ["/metrics", "/ready", "/live"] {
        ask(stage.matrix, request("GET", path, &[], b"")).await.assert_refusal(404, "M_UNRECOGNIZED");
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "TRACE", "ALICE"] {
        let answer = ask(stage.matrix, request(method, "/_matrix/app/v1/ping", &[&bearer()], b"{}")).await;
        answer.assert_refusal(405, "M_UNRECOGNIZED");
        assert_eq!(answer.header("allow"), Some("POST"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_method_cannot_be_overridden() {
    let stage = stage(limits(), Intake::open()).await;
    for header in ["X-HTTP-Method-Override: PUT", "X-HTTP-Method: PUT", "X-Method-Override: PUT"] {
        let path = "/_matrix/app/v1/transactions/1?_method=PUT";
        let answer = ask(stage.matrix, request("POST", path, &[&bearer(), header], b"{}")).await;
        answer.assert_refusal(405, "M_UNRECOGNIZED");
    }
    assert!(stage.intake.transactions().is_empty());
}

#[tokio::test]
async fn browsers_may_read_what_client_routes_answer_refusals_included() {
    let stage = stage(limits(), Intake::open()).await;
    let unknown = "/_matrix/client/unstable/org.matrix.msc4244/nothing";
    let origin = "Origin: https://client.b.org";

    let refused = ask(stage.matrix, request("GET", unknown, &[origin], b"")).await;
    refused.assert_refusal(404, "M_UNRECOGNIZED");
    assert_cors(&refused);
    let refused = ask(stage.matrix, request("DELETE", DESCRIBE, &[origin], b"")).await;
    refused.assert_refusal(405, "M_UNRECOGNIZED");
    assert_cors(&refused);

    for path in [DESCRIBE, unknown] {
        let asked = ["Access-Control-Request-Method: GET", origin];
        let preflight = ask(stage.matrix, request("OPTIONS", path, &asked, b"")).await;
        assert_eq!((preflight.status, preflight.json()), (200, json!({})));
        assert_cors(&preflight);
    }
    let described = ask(stage.matrix, request("GET", DESCRIBE, &[origin], b"")).await;
    assert_eq!((described.status, described.json()), (200, json!({ "user_id": OUR_USER })));
    assert_cors(&described);

    let ping = ask(stage.matrix, request("POST", "/_matrix/app/v1/ping", &[origin, &bearer()], b"{}")).await;
    assert_eq!(ping.header("access-control-allow-origin"), None, "{ping:?}");
    let elsewhere = ask(stage.matrix, request("OPTIONS", "/_matrix/app/v1/ping", &[origin], b"")).await;
    elsewhere.assert_refusal(405, "M_UNRECOGNIZED");
    assert_eq!(elsewhere.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn readiness_names_each_condition_and_says_what_is_wrong() {
    let stage = stage(limits(), Intake::open()).await;
    let ready = request("GET", "/ready", &[], b"");
    stage.readiness.set(Condition::Store, Ok(()));
    stage.readiness.set(Condition::Homeserver, Err("It refuses our token.".to_owned()));
    let answer = ask(stage.operations, &ready).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json(),
        json!({ "ready": false, "conditions": [
            { "name": "store", "ready": true },
            { "name": "homeserver", "ready": false, "reason": "It refuses our token." },
            { "name": "intake", "ready": false, "reason": "It has not started yet." },
        ] })
    );
    stage.readiness.set(Condition::Homeserver, Ok(()));
    stage.readiness.set(Condition::Intake, Ok(()));
    let answer = ask(stage.operations, &ready).await;
    assert_eq!((answer.status, &answer.json()["ready"]), (200, &json!(true)));
    assert_eq!(
        ask(stage.operations, request("GET", "/live", &[], b"")).await.json(),
        json!({ "live": true })
    );
}

#[tokio::test]
async fn metrics_carry_the_routes_pattern_and_nothing_of_the_request() {
    let stage = stage(limits(), Intake::open()).await;
    ask(stage.matrix, put("secret-transaction", b"{}")).await;
    ask(
        stage.matrix,
        request("GET", "/_matrix/app/v1/users/%40mallory%3Ab.org?who=mallory", &[&bearer()], b""),
    )
    .await;
    ask(stage.matrix, request("MALLORY", "/mallory", &[], b"")).await;
    let answer = ask(stage.operations, request("GET", "/metrics", &[], b"")).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(answer.body).unwrap();
    for line in [
        "maypole_http_requests_total{route=\"/_matrix/app/v1/transactions/{txnId}\",method=\"PUT\",status=\"2xx\"} ",
        "maypole_http_requests_total{route=\"/_matrix/app/v1/users/{userId}\",method=\"GET\",status=\"4xx\"} ",
        "maypole_http_requests_total{route=\"none\",method=\"other\",status=\"4xx\"} ",
        "maypole_http_connections{listener=\"matrix\"} ",
    ] {
        assert!(text.contains(line), "{line} is missing: {text}");
    }
    assert!(!text.to_lowercase().contains("mallory") && !text.contains("secret-transaction"), "{text}");
}
