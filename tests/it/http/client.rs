//! A client that says exactly what it is told to say.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing in these tests takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An answer, taken apart.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header that occurs once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        let first = values.next();
        assert!(values.next().is_none(), "{name} occurs twice: {}", self.head);
        first
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Holds if this is a refusal in Matrix' shape.
    pub fn assert_refusal(&self, status: u16, errcode: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert_eq!(json["errcode"], errcode, "{self:?}");
        assert!(json["error"].as_str().is_some_and(|sentence| sentence.ends_with('.')), "{self:?}");
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(2), "{self:?}");
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), unread: Vec::new() }
    }

    /// Sends bytes. Whether the other side still takes them is for the caller to find out from its answer.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await.expect("a write hangs").is_ok()
    }

    /// Reads one answer; `None` if the connection ends instead.
    pub async fn answer(&mut self) -> Option<Answer> {
        timeout(PATIENCE, self.read_answer()).await.expect("no answer")
    }

    /// Reads one answer if it comes within this time.
    pub async fn answer_within(&mut self, time: Duration) -> Option<Answer> {
        timeout(time, self.read_answer()).await.ok().flatten()
    }

    /// Sends the same again and again until an answer comes.
    pub async fn drip(&mut self, drop: &[u8]) -> Answer {
        // For how long each drop waits for an answer, and how many there are: far more than any bound in these tests.
        let (pause, drops) = (Duration::from_millis(5), 2_000);
        for _ in 0..drops {
            self.send(drop).await;
            if let Some(answer) = self.answer_within(pause).await {
                return answer;
            }
        }
        panic!("{drops} drops were taken, and no answer came");
    }

    /// Waits until the other side has closed.
    pub async fn closed(&mut self) {
        let ended = timeout(PATIENCE, async {
            let mut rest = Vec::new();
            let _ = self.stream.read_to_end(&mut rest).await;
            rest
        });
        let rest = ended.await.expect("the connection stays open");
        assert!(rest.is_empty(), "unexpected: {}", rest.escape_ascii());
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = self.take_answer() {
                return Some(answer);
            }
            let mut chunk = vec![0; 16_384];
            let count = self.stream.read(&mut chunk).await.unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.unread.extend_from_slice(&chunk[..count]);
        }
    }

    fn take_answer(&mut self) -> Option<Answer> {
        let end = self.unread.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.unread[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        if self.unread.len() < end + length {
            return None;
        }
        answer.body = self.unread[end..end + length].to_vec();
        self.unread.drain(..end + length);
        Some(answer)
    }
}

/// Sends one request on a connection of its own.
pub async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(request).await;
    client.answer().await.expect("the connection ended without an answer")
}

/// A request with these header lines and this body.
pub fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}
