//! Bytes from the network that no honest client sends.

use super::client::{Client, ask, request};
use super::stage::{Intake, bearer, limits, stage};

const TRANSACTION: &str = "/_matrix/app/v1/transactions/1";

#[tokio::test]
async fn http_2_is_told_to_go_at_once() {
    let stage = stage(limits(), Intake::open()).await;
    let mut client = Client::connect(stage.matrix).await;
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await;
    client.answer().await.unwrap().assert_refusal(505, "M_UNKNOWN");
    client.closed().await;
    // An upgrade is not offered either: the request is answered as it stands.
    let headers = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"];
    let answer = ask(stage.operations, request("GET", "/live", &headers, b"")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn what_is_not_http_gets_400_and_the_door() {
    let stage = stage(limits(), Intake::open()).await;
    let lines: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 is how TLS begins\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: \x00\r\n\r\n",
        b"G\xffT / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    ];
    for bytes in lines {
        let mut client = Client::connect(stage.matrix).await;
        client.send(bytes).await;
        let answer = client.answer().await.unwrap_or_else(|| panic!("no answer to {}", bytes.escape_ascii()));
        assert_eq!(answer.status, 400, "{}", bytes.escape_ascii());
        client.closed().await;
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_gets_431() {
    let stage = stage(limits(), Intake::open()).await;
    let long = format!("X-Long: {}", "x".repeat(8 * 1024));
    let many: Vec<String> = (0..200).map(|count| format!("X-{count}: x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let far = format!("/{}", "x".repeat(8 * 1024));
    let heads =
        [request("GET", "/", &[&long], b""), request("GET", "/", &many, b""), request("GET", &far, &[], b"")];
    for head in heads {
        let mut client = Client::connect(stage.matrix).await;
        client.send(head).await;
        assert_eq!(client.answer().await.unwrap().status, 431);
        client.closed().await;
    }
    // One that never ends is not kept in memory until its time is up.
    let mut client = Client::connect(stage.matrix).await;
    client.send(b"GET / HTTP/1.1\r\nX-Endless: ").await;
    assert_eq!(client.drip(&[b'x'; 1_024]).await.status, 431);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_even_begun() {
    let stage = stage(limits(), Intake::open()).await;
    let head = format!(
        "PUT {TRANSACTION} HTTP/1.1\r\nHost: a.org\r\n{}\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n",
        bearer()
    );
    ask(stage.matrix, head).await.assert_refusal(413, "M_TOO_LARGE");
    // The largest numbers are none to hyper, which takes them for a fault of the head.
    for (size, status) in
        [("18446744073709550000", 413), ("18446744073709551615", 431), ("18446744073709551616", 400)]
    {
        let head = format!("PUT {TRANSACTION} HTTP/1.1\r\n{}\r\nContent-Length: {size}\r\n\r\n", bearer());
        assert_eq!(ask(stage.matrix, head).await.status, status, "{size}");
    }
    let body = vec![b'x'; 65_537];
    ask(stage.matrix, request("PUT", TRANSACTION, &[&bearer()], &body))
        .await
        .assert_refusal(413, "M_TOO_LARGE");
    assert!(stage.intake.transactions().is_empty());
    let answer = ask(stage.matrix, request("PUT", TRANSACTION, &[&bearer()], &body[1..])).await;
    assert_eq!(answer.status, 200);
    assert_eq!(stage.intake.transactions()[0].1, body[1..]);
}

#[tokio::test]
async fn a_refusal_arrives_while_the_body_is_still_being_sent() {
    let stage = stage(limits(), Intake::open()).await;
    // More than the system keeps in its buffers: a plain close would reset the connection, and the answer with it.
    let body = vec![b'x'; 16 * 1024 * 1024];
    for _ in 0..5 {
        let mut client = Client::connect(stage.matrix).await;
        assert!(
            client.send(request("PUT", TRANSACTION, &[&bearer()], &body)).await,
            "the connection was reset"
        );
        client.answer().await.unwrap().assert_refusal(413, "M_TOO_LARGE");
        client.closed().await;
    }
}

#[tokio::test]
async fn an_endless_chunked_body_ends_at_the_limit() {
    let stage = stage(limits(), Intake::open()).await;
    let mut client = Client::connect(stage.matrix).await;
    let head = format!(
        "PUT {TRANSACTION} HTTP/1.1\r\nHost: a.org\r\n{}\r\nTransfer-Encoding: chunked\r\n\r\n",
        bearer()
    );
    client.send(head).await;
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1_024));
    client.drip(chunk.as_bytes()).await.assert_refusal(413, "M_TOO_LARGE");
    assert!(stage.intake.transactions().is_empty());
}

#[tokio::test]
async fn tiny_chunks_make_one_body() {
    let stage = stage(limits(), Intake::open()).await;
    let mut request = format!(
        "PUT {TRANSACTION} HTTP/1.1\r\nHost: a.org\r\n{}\r\nTransfer-Encoding: chunked\r\n\r\n",
        bearer()
    );
    request.push_str(&"1\r\nx\r\n".repeat(20_000));
    request.push_str("0\r\nX-Trailer: ignored\r\n\r\n");
    assert_eq!(ask(stage.matrix, request).await.status, 200);
    assert_eq!(stage.intake.transactions()[0].1, "x".repeat(20_000));
}

#[tokio::test]
async fn a_chunk_that_lies_about_its_size_is_refused() {
    let stage = stage(limits(), Intake::open()).await;
    for chunks in ["zz\r\n", "1\r\nxx", "fffffffffffffffff\r\n", "-1\r\n"] {
        let head = format!(
            "PUT {TRANSACTION} HTTP/1.1\r\nHost: a.org\r\n{}\r\nTransfer-Encoding: chunked\r\n\r\n",
            bearer()
        );
        ask(stage.matrix, head + chunks).await.assert_refusal(400, "M_UNKNOWN");
    }
    assert!(stage.intake.transactions().is_empty());
}

#[tokio::test]
async fn a_compressed_body_is_refused_unread() {
    let stage = stage(limits(), Intake::open()).await;
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00";
    for coding in ["gzip", "br", "identity, gzip", "deflate", ""] {
        let header = format!("Content-Encoding: {coding}");
        let answer = ask(stage.matrix, request("PUT", TRANSACTION, &[&bearer(), &header], gzip)).await;
        answer.assert_refusal(415, "M_NOT_JSON");
    }
    let head = format!(
        "PUT {TRANSACTION} HTTP/1.1\r\n{}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        bearer()
    );
    ask(stage.matrix, head).await.assert_refusal(415, "M_NOT_JSON");
    assert!(stage.intake.transactions().is_empty());
    let plain = ["Content-Encoding: identity", &bearer()];
    assert_eq!(ask(stage.matrix, request("PUT", TRANSACTION, &plain, b"{}")).await.status, 200);
}

#[tokio::test]
async fn a_million_brackets_arrive_whole() {
    let mut limits = limits();
    limits.body_bytes = 2_000_000;
    let stage = stage(limits, Intake::open()).await;
    let body = ["[".repeat(1_000_000), "]".repeat(1_000_000)].concat();
    assert_eq!(
        ask(stage.matrix, request("PUT", TRANSACTION, &[&bearer()], body.as_bytes())).await.status,
        200
    );
    assert_eq!(stage.intake.transactions()[0].1, body);
}

#[tokio::test]
async fn whoever_hangs_up_in_the_middle_leaves_nothing_behind() {
    let mut limits = limits();
    limits.connections = 1;
    limits.linger = std::time::Duration::from_millis(20);
    let stage = stage(limits, Intake::closed()).await;
    let whole = request("PUT", TRANSACTION, &[&bearer()], b"{}");
    // At every byte of the request. With one place, the next one is answered only when the last has left.
    for cut in 0..whole.len() {
        let mut client = Client::connect(stage.matrix).await;
        client.send(&whole[..cut]).await;
    }
    stage.intake.until_inside(0).await;
    // While the transaction is being taken in.
    let mut client = Client::connect(stage.matrix).await;
    client.send(&whole).await;
    stage.intake.until_inside(1).await;
    drop(client);
    stage.intake.until_inside(0).await;
    assert!(stage.intake.transactions().is_empty());

    stage.intake.gate.add_permits(1);
    assert_eq!(ask(stage.matrix, &whole).await.status, 200);
    assert_eq!(stage.intake.transactions().len(), 1);
}
