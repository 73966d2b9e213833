//! What tells the service to stop: SIGTERM, SIGINT, and, for a service that is another program's child, the end of its
//! standard input.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Orders to stop, one after the other.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    stdin_closed: mpsc::Receiver<()>,
    /// Keeps the channel open where nobody watches standard input.
    _never: Option<mpsc::Sender<()>>,
}

impl Signals {
    /// Listens from now on. Must be called within the runtime.
    pub fn listen(with_stdin: bool) -> io::Result<Self> {
        let (closed, stdin_closed) = mpsc::channel(1);
        let mut never = Some(closed);
        if with_stdin && let Some(closed) = never.take() {
            // A thread of its own: a read of standard input cannot be given up, and must not keep the runtime from ending.
            std::thread::Builder::new().name("stdin".to_owned()).spawn(move || watch_stdin(&closed))?;
        }
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, stdin_closed, _never: never })
    }

    /// The next order, by name.
    pub async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return "SIGTERM",
                Some(()) = self.interrupt.recv() => return "SIGINT",
                Some(()) = self.stdin_closed.recv() => return "end of standard input",
                else => std::future::pending().await,
            }
        }
    }
}

fn watch_stdin(closed: &mpsc::Sender<()>) {
    let mut stdin = io::stdin().lock();
    // Whatever is written there means nothing; the end does, and so does an error.
    let _ = io::copy(&mut stdin, &mut io::sink());
    let _ = closed.blocking_send(());
}
