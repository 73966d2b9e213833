//! A gate in the proxy: requests that match are held back, the test is told that they came, and says what becomes of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// How long a request is waited for at a gate.
const BOUND: Duration = Duration::from_secs(60);

/// Holds requests back, until it is dropped.
pub(crate) struct Gate {
    held: mpsc::UnboundedReceiver<Held>,
}

impl Gate {
    /// The next request that came to the gate.
    pub(crate) async fn next(&mut self) -> Held {
        let next = tokio::time::timeout(BOUND, self.held.recv()).await;
        next.expect("a request comes to the gate").expect("the proxy runs")
    }
}

/// A request that is held back. When it is dropped its connection is closed, and the homeserver never hears of it.
pub(crate) struct Held {
    /// Its first line.
    pub(crate) line: String,
    verdict: oneshot::Sender<Verdict>,
}

/// What becomes of a request that was held back.
pub(super) struct Verdict {
    /// Whether the answer goes back.
    pub(super) answer: bool,
    /// Told when the homeserver's socket has it; where no answer goes back, when the homeserver has answered.
    pub(super) done: oneshot::Sender<()>,
}

impl Held {
    /// Passes it on. When this returns, the homeserver's socket has it.
    pub(crate) async fn pass(self) {
        self.go(true).await;
    }

    /// The homeserver carries it out and answers; the service never hears of that.
    pub(crate) async fn pass_without_answer(self) {
        self.go(false).await;
    }

    async fn go(self, answer: bool) {
        let (done, gone) = oneshot::channel();
        assert!(self.verdict.send(Verdict { answer, done }).is_ok(), "it is still held: {}", self.line);
        gone.await.expect("the homeserver takes what is passed on");
    }
}

/// Which requests are held back, by their first line, and who is told.
struct Holding {
    matching: Box<dyn Fn(&str) -> bool + Send>,
    tell: mpsc::UnboundedSender<Held>,
}

/// The place of a proxy's gate.
#[derive(Clone, Default)]
pub(super) struct Gateway(Arc<Mutex<Option<Holding>>>);

impl Gateway {
    /// Puts a gate there, in the place of an earlier one.
    pub(super) fn build(&self, matching: impl Fn(&str) -> bool + Send + 'static) -> Gate {
        let (tell, held) = mpsc::unbounded_channel();
        *self.0.lock().unwrap() = Some(Holding { matching: Box::new(matching), tell });
        Gate { held }
    }

    /// Tells the gate of a request, if it is to be held back; gives its verdict.
    pub(super) fn hold(&self, line: &str) -> Option<oneshot::Receiver<Verdict>> {
        let holding = self.0.lock().unwrap();
        let holding = holding.as_ref().filter(|holding| (holding.matching)(line))?;
        let (verdict, decided) = oneshot::channel();
        // A gate that is gone holds nothing back.
        holding.tell.send(Held { line: line.to_owned(), verdict }).ok().map(|()| decided)
    }
}
