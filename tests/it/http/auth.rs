//! Walks the route tables: every route refuses or admits whom its row says.

use std::io::Seek as _;
use std::sync::Arc;

use maypole::http::table::{Auth, Route};
use maypole::http::{operations, routes};

use super::client::{Client, ask, request};
use super::stage::{Intake, TOKEN, bearer, limits, stage};

/// A path that the route's pattern matches.
fn example<H>(route: &Route<H>) -> String {
    route
        .path
        .replace("{txnId}", "1")
        .replace("{userId}", "%40_mls_ds%3Aa.org")
        .replace("{roomAlias}", "%23x%3Aa.org")
}

struct Attempt {
    what: &'static str,
    query: String,
    headers: Vec<String>,
    status: u16,
}

fn attempts() -> Vec<Attempt> {
    let attempt = |what, query: &str, headers: &[&str], status| Attempt {
        what,
        query: query.to_owned(),
        headers: headers.iter().map(|header| (*header).to_owned()).collect(),
        status,
    };
    let right = bearer();
    let in_query = format!("?access_token={TOKEN}");
    vec![
        attempt("no token", "", &[], 401),
        attempt("in the query only", &in_query, &[], 401),
        attempt("empty", "", &["Authorization: Bearer "], 401),
        attempt("another scheme", "", &[&right.replace("Bearer", "Basic")], 401),
        attempt("another header", "", &[&right.replace("Authorization", "X-Authorization")], 401),
        attempt("wrong", "", &["Authorization: Bearer wrong"], 403),
        attempt("prefix", "", &[&right[..right.len() - 1]], 403),
        attempt("longer", "", &[&format!("{right}0")], 403),
        attempt("twice", "", &[&right, &right], 403),
        attempt("twice, once wrong", "", &[&right, "Authorization: Bearer wrong"], 403),
        attempt("wrong, and right in the query", &in_query, &["Authorization: Bearer wrong"], 403),
        attempt("right, and wrong in the query", "?access_token=wrong", &[&right], 403),
    ]
}

#[tokio::test]
async fn every_route_of_the_homeserver_refuses_everybody_else() {
    let stage = stage(limits(), Intake::open()).await;
    let mut walked = 0;
    for route in routes::ROUTES.iter().filter(|route| route.auth == Auth::Homeserver) {
        walked += 1;
        for Attempt { what, query, headers, status } in attempts() {
            let mut lines: Vec<&str> = headers.iter().map(String::as_str).collect();
            // Whoever is refused is not asked for a body, either.
            lines.extend(["Content-Length: 2", "Expect: 100-continue"]);
            let path = example(route) + &query;
            let answer = ask(stage.matrix, request(route.method.name(), &path, &lines, b"")).await;
            assert_eq!(answer.status, status, "{}, {what}: {answer:?}", route.path);
            answer.assert_refusal(status, if status == 401 { "M_UNAUTHORIZED" } else { "M_FORBIDDEN" });
            assert_eq!(answer.header("www-authenticate"), (status == 401).then_some("Bearer"), "{what}");
        }
    }
    assert!(walked >= 4, "the table was not walked");
    assert!(stage.intake.transactions().is_empty());
}

#[tokio::test]
async fn every_route_of_the_homeserver_admits_the_homeserver() {
    let stage = stage(limits(), Intake::open()).await;
    for route in routes::ROUTES.iter().filter(|route| route.auth == Auth::Homeserver) {
        for query in ["", &format!("?access_token={TOKEN}")] {
            let path = example(route) + query;
            let answer = ask(stage.matrix, request(route.method.name(), &path, &[&bearer()], b"{}")).await;
            let no_such_room = route.path.contains("{roomAlias}");
            assert_eq!(answer.status, if no_such_room { 404 } else { 200 }, "{}: {answer:?}", route.path);
        }
    }
}

#[tokio::test]
async fn every_route_of_nobody_asks_for_nothing() {
    let stage = stage(limits(), Intake::open()).await;
    let open = |auth| auth == Auth::Nobody;
    let matrix =
        routes::ROUTES.iter().filter(|route| open(route.auth)).map(|r| (stage.matrix, r.method, example(r)));
    let operators = operations::ROUTES
        .iter()
        .filter(|route| open(route.auth))
        .map(|r| (stage.operations, r.method, example(r)));
    let mut walked = 0;
    for (address, method, path) in matrix.chain(operators) {
        walked += 1;
        for headers in [vec![], vec!["Authorization: Bearer wrong"]] {
            let answer = ask(address, request(method.name(), &path, &headers, b"")).await;
            // Readiness itself is 503 here, and says so.
            assert_eq!(answer.status, if path == "/ready" { 503 } else { 200 }, "{path}: {answer:?}");
        }
    }
    assert!(walked >= 5, "the tables were not walked");
}

#[tokio::test]
async fn no_token_and_no_query_is_ever_logged() {
    let page = Arc::new(tempfile::tempfile().unwrap());
    let lines =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(Arc::clone(&page));
    let log = tracing::Dispatch::new(lines.finish());
    // While there is only one subscriber, tracing asks the thread that comes by first whether a line is wanted at all, and
    // other tests' threads want none. With a second one it asks all subscribers.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::dispatcher::set_default(&log);

    let stage = stage(limits(), Intake::open()).await;
    let (secret, path) = ("another-secret-token", "/_matrix/app/v1/transactions/7");
    let query = format!("{path}?access_token={secret}&user_id=@alice:a.org");
    ask(stage.matrix, request("PUT", path, &[&bearer()], b"{}")).await;
    ask(stage.matrix, request("PUT", &query, &[&bearer()], b"{}")).await;
    ask(stage.matrix, request("PUT", &query, &[&format!("Authorization: Bearer {secret}")], b"{}")).await;
    ask(stage.matrix, request("GET", &format!("/nowhere?access_token={secret}"), &[], b"")).await;
    let mut client = Client::connect(stage.matrix).await;
    client.send(format!("GET /{secret} HTTP/9.9\r\nAuthorization: Bearer {secret}\r\n\r\n")).await;
    client.answer().await;

    (&*page).rewind().unwrap();
    let log = std::io::read_to_string(&*page).unwrap();
    assert!(log.contains("/_matrix/app/v1/transactions/{txnId}"), "nothing was logged: {log}");
    for word in [TOKEN, secret, "alice", "access_token", "/nowhere"] {
        assert!(!log.contains(word), "{word} is in the log: {log}");
    }
}
