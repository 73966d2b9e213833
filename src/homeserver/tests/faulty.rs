//! A homeserver that answers what it is told to, byte for byte, whatever it is asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What to do with one connection, once the request is read.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Write these bytes and close.
    Raw(Vec<u8>),
    /// Write these bytes, which may be none, and then neither go on nor close.
    Stall(Vec<u8>),
    /// Write the head, then the piece again and again until the other side has had enough.
    Endless { head: Vec<u8>, piece: Vec<u8> },
    /// Close at once, without reading.
    Reset,
}

impl Reply {
    /// An answer with a status and a JSON body.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::full(status, "Content-Type: application/json\r\n", body.as_bytes())
    }

    /// An answer with a status, more header lines, and a body.
    pub(crate) fn full(status: u16, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
        Self::Raw([head.as_bytes(), body].concat())
    }

    /// Bytes as they are.
    pub(crate) fn raw(bytes: &[u8]) -> Self {
        Self::Raw(bytes.to_vec())
    }
}

/// Runs until it is dropped.
pub(crate) struct Faulty {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Faulty {
    /// Answers the first connection with the first reply, and so on; the last reply is for all that follow.
    pub(crate) async fn serve(replies: Vec<Reply>) -> Self {
        Self::run(move |turn, stream, seen| {
            answer(stream, replies.get(turn).or(replies.last()).unwrap().clone(), seen)
        })
        .await
    }

    /// Answers each request, head and body, with what `decide` says about it.
    pub(crate) async fn deciding(decide: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let decide = Arc::new(decide);
        Self::run(move |_, mut stream, seen| {
            let decide = decide.clone();
            async move {
                let request = read_request(&mut stream).await;
                let reply = decide(&request);
                seen.lock().unwrap().push(request);
                give(stream, reply).await;
            }
        })
        .await
    }

    async fn run<Answering>(
        mut answer: impl FnMut(usize, TcpStream, Arc<Mutex<Vec<String>>>) -> Answering + Send + 'static,
    ) -> Self
    where
        Answering: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for turn in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(answer(turn, stream, seen.clone()));
            }
        });
        Self { port, requests, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All requests so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The first lines of all requests so far. Who hangs up at once has said none.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests().iter().filter_map(|request| request.lines().next().map(str::to_owned)).collect()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, reply: Reply, seen: Arc<Mutex<Vec<String>>>) {
    if let Reply::Reset = reply {
        return;
    }
    let request = read_request(&mut stream).await;
    seen.lock().unwrap().push(request);
    give(stream, reply).await;
}

async fn give(mut stream: TcpStream, reply: Reply) {
    match reply {
        Reply::Raw(bytes) => {
            // The other side may hang up in the middle: that is what some of the tests are about.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Reply::Stall(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending().await
        }
        Reply::Endless { head, piece } => {
            let mut alive = stream.write_all(&head).await.is_ok();
            while alive {
                alive = stream.write_all(&piece).await.is_ok();
            }
        }
        Reply::Reset => {}
    }
}

/// Reads a head and as much body as it announces.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= announced.unwrap_or(0) {
                return text.into_owned();
            }
        }
        let mut chunk = [0; 4_096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return text.into_owned(),
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}
