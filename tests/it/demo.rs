//! `maypole demo` as somebody runs it who has just built it.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::ensure;
use maypole_testkit::wait::eventually;

use crate::answers::binary;

const BOUND: Duration = Duration::from_mins(4);

/// A demo, and what it has said so far.
struct Demo {
    child: Mutex<Child>,
    said: Arc<Mutex<String>>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.arg("demo").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        // It ends with the demo's output.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                *heard.lock().unwrap() += &format!("{line}\n");
            }
        });
        Self { child: Mutex::new(child), said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap()
    }

    async fn until_it_says(&self, words: &str) {
        let said = eventually(BOUND, words, async || {
            // In this order: what it said before it ended counts.
            let ended = self.child().try_wait()?;
            if self.said().contains(words) {
                return Ok(Some(()));
            }
            ensure!(ended.is_none_or(|ended| ended.success()), "it ended with {ended:?}");
            Ok(None)
        });
        said.await.unwrap_or_else(|error| panic!("{error}\n{}", self.said()));
    }

    /// Waits for its end; gives its exit code.
    async fn ended(&self) -> Option<i32> {
        let ended = eventually(BOUND, "the demo to end", async || Ok(self.child().try_wait()?)).await;
        ended.unwrap_or_else(|error| panic!("{error}\n{}", self.said())).code()
    }

    /// Every address that it has named.
    fn addresses(&self) -> Vec<SocketAddr> {
        let said = self.said();
        let mut addresses: Vec<SocketAddr> = said
            .split("http://")
            .skip(1)
            .filter_map(|rest| {
                let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
                rest[..end.unwrap_or(rest.len())].parse().ok()
            })
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is waited for. What it started ends with it.
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// What listened there has let go.
async fn until_nobody_listens(addresses: &[SocketAddr]) {
    for address in addresses {
        eventually(BOUND, "a listener to end", async || {
            Ok(TcpStream::connect_timeout(address, Duration::from_secs(5)).is_err().then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn the_demo_tells_its_story_and_leaves_nothing_behind() {
    let demo = Demo::start(&[]);
    demo.until_it_says("What to try next").await;
    demo.until_it_says("Everything that the demo started has been stopped.").await;
    assert_eq!(demo.ended().await, Some(0), "{}", demo.said());
    let said = demo.said();
    for words in [
        "Maypole is invited, finds that the room is one of its own, and joins.",
        "Maypole: m.mls.accepted.",
        "sent by @:maypole.test\n      membership: \"invite\"\n      mls_commit: {\"commit\":",
        "with a receipt:\n      epoch: 1\n",
        "(m.mls.welcome):\n      epoch: 1\n",
        "type: \"m.room.encrypted\"\n",
        "content: {\"algorithm\":\"m.mls.10\",\"ciphertext\":",
        "bob reads:   \"shall we dance?\"",
        "alice reads: \"around the maypole!\"",
        "M_MLS_STALE_EPOCH\n      somebody else was first: the group is in epoch 2\n      Apply `commits`",
        "tries again: epoch 3.",
        "bob reads:   \"from my laptop\"",
        "$ maypole explain '!",
        "    epoch        4, 5 in the log\n    last commit  made epoch 4, by @alice:maypole.test/LAPTOP",
        "      leaf 2      @alice:maypole.test/LAPTOP\n",
        "(kill -9)",
        "alice reads: \"did the music stop?\"",
        "carol is invited once, and the commit makes epoch 5.",
        "All four devices are in epoch 5, with the same secrets.",
        "M_FORBIDDEN\n      @bob:maypole.test may not kick @alice:maypole.test: ",
        "      Change the room's state first, or let somebody commit who may.",
    ] {
        assert!(said.contains(words), "it does not say `{words}`:\n{said}");
    }
    let addresses = demo.addresses();
    assert!(addresses.len() >= 2, "Synapse and service: {addresses:?}");
    for address in addresses {
        assert!(TcpStream::connect(address).is_err(), "{address} still answers");
    }
}

#[tokio::test]
async fn the_demo_stays_until_it_is_interrupted() {
    let demo = Demo::start(&["--keep"]);
    demo.until_it_says("Ctrl-C stops everything.").await;
    let said = demo.said();
    assert!(said.contains(" explain '!") && said.contains("m.mls.request/1"), "{said}");
    let addresses = demo.addresses();
    assert!(addresses.len() >= 3, "Synapse, service and operations: {addresses:?}");
    for address in &addresses {
        assert!(TcpStream::connect(address).is_ok(), "{address} is to be tried by hand");
    }
    assert!(demo.child().try_wait().unwrap().is_none());
    let interrupted = Command::new("kill").args(["-INT", &demo.child().id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(demo.ended().await, Some(0), "{}", demo.said());
    until_nobody_listens(&addresses).await;
}
