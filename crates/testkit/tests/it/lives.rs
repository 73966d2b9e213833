//! Synapses that are stopped, killed, paused, orphaned, and come back or go away.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::bail;
use maypole_testkit::synapse::Synapse;
use maypole_testkit::wait::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

const BOUND: Duration = Duration::from_secs(30);

#[tokio::test]
async fn killed_or_stopped_it_keeps_its_data_and_its_address() {
    let mut synapse = Synapse::builder().server_name("maypole.test").start().await.unwrap();
    let (address, folder) = (synapse.base_url(), synapse.folder().to_owned());
    let alice = synapse.register("alice", "ALICE1").await.unwrap();
    let bob = synapse.register("bob", "BOB1").await.unwrap();
    let mut expected = Vec::new();
    for round in 0..3 {
        let messages = json!({"@bob:maypole.test": {"BOB1": {"round": round}}});
        alice.send_to_device("m.test", &format!("t{round}"), &messages).await.unwrap();
        expected.push(json!(round));
        match round {
            0 => synapse.kill().unwrap(),
            1 => synapse.stop().await.unwrap(),
            _ => synapse.restart().await.unwrap(),
        }
        if round < 2 {
            assert_eq!(synapse.pid(), None);
            assert!(alice.whoami().await.is_err(), "nobody answers");
            assert!(
                synapse.stop().await.is_err() && synapse.kill().is_err() && synapse.pause().await.is_err()
            );
            synapse.boot().await.unwrap();
        }
        assert!(synapse.boot().await.is_err(), "it runs already");
        assert_eq!(synapse.base_url(), address);
        assert_eq!(alice.whoami().await.unwrap()["user_id"], "@alice:maypole.test");
    }
    let mut got = Vec::new();
    for message in bob.all_to_device().await.unwrap() {
        got.push(message["content"]["round"].clone());
    }
    assert_eq!(got, expected);
    drop(synapse);
    assert!(!folder.exists(), "its folder goes with it");
}

#[tokio::test]
async fn paused_it_answers_nobody_until_it_is_resumed() {
    let mut synapse = Synapse::start().await.unwrap();
    let alice = synapse.register("alice", "ALICE1").await.unwrap();
    synapse.pause().await.unwrap();
    let asked = tokio::spawn({
        let alice = alice.clone();
        async move { alice.whoami().await }
    });
    let early = tokio::time::timeout(Duration::from_millis(300), alice.whoami()).await;
    assert!(early.is_err() && !asked.is_finished(), "a paused Synapse answered");
    synapse.resume().unwrap();
    assert_eq!(asked.await.unwrap().unwrap()["device_id"], "ALICE1");
    // Paused, it can still be stopped, and still be dropped.
    synapse.pause().await.unwrap();
    synapse.stop().await.unwrap();
    synapse.boot().await.unwrap();
    synapse.pause().await.unwrap();
    let pid = synapse.pid().unwrap();
    drop(synapse);
    assert!(!lives(pid));
}

#[tokio::test]
async fn one_that_cannot_start_shows_why() {
    let error = Synapse::builder().config("database", json!({"name": "nonsense"})).start().await.unwrap_err();
    let shown = format!("{error:#}");
    assert!(shown.contains("ended before it answered") && shown.contains("nonsense"), "{shown}");
    let error = Synapse::builder().registration_file("/nowhere/registration.yaml").start().await.unwrap_err();
    assert!(format!("{error:#}").contains("no registration in /nowhere/registration.yaml"), "{error:#}");
}

#[tokio::test]
async fn a_kept_folder_and_that_of_a_failed_test_stay() {
    let kept = Synapse::builder().keep_folder(true).start().await.unwrap();
    let (folder, pid) = (kept.folder().to_owned(), kept.pid().unwrap());
    drop(kept);
    assert!(folder.join("homeserver.log").is_file() && !lives(pid));
    std::fs::remove_dir_all(&folder).unwrap();

    let failing = tokio::spawn(async {
        let synapse = Synapse::start().await.unwrap();
        std::panic::panic_any((synapse.folder().to_owned(), synapse.pid().unwrap()));
    });
    let failed = failing.await.unwrap_err().into_panic();
    let (folder, pid) = failed.downcast_ref::<(std::path::PathBuf, u32)>().unwrap();
    assert!(folder.join("homeserver.log").is_file() && !lives(*pid));
    std::fs::remove_dir_all(folder).unwrap();
}

/// A test process that is killed with -9 runs no destructor. Its Synapse goes all the same, even while paused.
#[tokio::test]
async fn no_synapse_outlives_the_process_that_started_it() {
    for paused in ["running", "paused"] {
        let mut parent = Command::new(env!("CARGO_BIN_EXE_lone-synapse"))
            .arg(paused)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        let pid: u32 = lines.next().unwrap().unwrap().parse().unwrap();
        let folder = lines.next().unwrap().unwrap();
        assert!(lives(pid));
        parent.kill().unwrap();
        parent.wait().unwrap();
        eventually(BOUND, "an orphaned Synapse to go away", || async { Ok((!lives(pid)).then_some(())) })
            .await
            .unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[tokio::test]
async fn one_that_died_by_itself_is_noticed() {
    let synapse = Synapse::start().await.unwrap();
    kill(Pid::from_raw(i32::try_from(synapse.pid().unwrap()).unwrap()), Signal::SIGKILL).unwrap();
    let noticed = eventually(BOUND, "its end to be seen", || async {
        match synapse.resume() {
            Ok(()) => Ok(None),
            Err(error) if error.to_string().contains("ended by itself") => Ok(Some(())),
            Err(error) => bail!("{error:#}"),
        }
    });
    noticed.await.unwrap();
}

/// Whether a process with this id is there. One that ended and waits for its parent counts as gone.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|state| state.starts_with('Z')))
}
