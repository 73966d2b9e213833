//! `maypole demo`: a private Synapse, the service, and a user who tries it; told in words.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use maypole_room::bytes::encode;
use maypole_testkit::mls::Member;
use maypole_testkit::service::{House, SERVER_NAME, Service};
use maypole_testkit::synapse::Synapse;
use maypole_testkit::user::User;
use maypole_testkit::wait::eventually;
use serde_json::{Value, json};

use super::{Exit, Failure, Surroundings};
use crate::signals::Signals;

/// How long the demo waits for any one thing.
const PATIENCE: Duration = Duration::from_mins(2);

/// MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519.
const CIPHER_SUITE: u16 = 1;

/// Arguments of `maypole demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Leave everything running until Ctrl-C, to try things by hand
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) fn run(self, surroundings: &mut Surroundings<'_>) -> Result<Exit, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut signals = Signals::listen(false)?;
            let story = Story { out: surroundings.out };
            // Whatever it started ends with it, also when it is interrupted.
            tokio::select! {
                told = story.tell(self.keep) => {
                    told.map_err(|error| Failure::new(Exit::Failed, format_args!("the demo failed: {error:#}")))
                }
                _ = signals.next() => Ok(Exit::Ok),
            }
        })
    }
}

struct Story<'s> {
    out: &'s mut dyn Write,
}

impl Story<'_> {
    async fn tell(mut self, keep: bool) -> anyhow::Result<Exit> {
        self.say("Maypole puts the commits of MLS rooms into one order. This demo runs it beside a Synapse of its own.")?;
        self.step(
            "Starting a private Synapse and the service (the first time, Synapse is installed from PyPI)",
        )?;
        let mut house = House::start(&std::env::current_exe()?).await?;
        self.say(&format!("  Synapse   {}  (server name {SERVER_NAME})", house.synapse.base_url()))?;
        self.say(&format!("  Maypole   {}  as @:{SERVER_NAME}, store: sled", house.service.url()))?;
        let alice = house.synapse.register("alice", "LAPTOP").await?;
        self.refusals(&alice).await?;
        self.survival(&alice, &mut house.service).await?;
        self.rooms(&alice).await?;
        self.next(&alice, &house.synapse, &house.service, keep)?;
        if keep {
            // The caller ends this when Ctrl-C comes.
            std::future::pending::<()>().await;
        }
        house.stop().await?;
        self.say("\nEverything that the demo started has been stopped.")?;
        Ok(Exit::Ok)
    }

    /// Messages that cannot be accepted, and how each is answered.
    async fn refusals(&mut self, alice: &User) -> anyhow::Result<()> {
        self.step("alice sends messages to the service; each is answered, with what to do next")?;
        let room = format!("!hall:{SERVER_NAME}");
        let mut member = Member::new(&format!("{}/LAPTOP", alice.user_id()), CIPHER_SUITE)?;
        member.create_group(room.as_bytes(), &[])?;
        let group_info = member.group_info(true)?;
        let commit = member.update()?.message;
        for (what, message) in [
            ("a commit, made by OpenMLS, for a group that the service does not know", json!(encode(&commit))),
            ("something that is not base64", json!("ribbons!")),
            (
                "a commit of which only the beginning arrived",
                json!(encode(commit.get(..20).unwrap_or(&commit))),
            ),
            ("the registration of a group, which this version cannot do yet", json!(encode(&group_info))),
        ] {
            self.say(&format!("\n  alice sends {what}"))?;
            let answer = ask(alice, what, &message).await?;
            self.show(&answer)?;
        }
        Ok(())
    }

    /// A message sent while the service is dead.
    async fn survival(&mut self, alice: &User, service: &mut Service) -> anyhow::Result<()> {
        self.step("The service is killed (kill -9), and alice sends a message while it is dead")?;
        service.kill()?;
        let message = json!("sent while nobody listened");
        send(alice, "while dead", &message).await?;
        self.say("  … it is started again")?;
        service.start()?;
        let first = answer_to(alice, "while dead").await?;
        self.show(&first)?;
        self.say("\n  alice sends the same message again, as a client does that is not sure")?;
        let again = ask(alice, "while dead", &message).await?;
        let verdict = if again == first { "the same answer, to the byte" } else { "another answer: a bug!" };
        self.say(&format!("  Maypole: {verdict}"))?;
        anyhow::ensure!(again == first, "the same message was answered in two ways");
        Ok(())
    }

    /// A room that the service serves, and one that it does not.
    async fn rooms(&mut self, alice: &User) -> anyhow::Result<()> {
        self.step("alice invites the service to two rooms")?;
        for (what, creation) in
            [("an MLS room", json!({"encryption_algorithm": "m.mls.10"})), ("an ordinary room", json!({}))]
        {
            let service = format!("@:{SERVER_NAME}");
            let body = json!({"room_version": "12", "creation_content": creation, "invite": [&service]});
            let room = alice.create_room(&body).await?;
            let member = eventually(PATIENCE, "the service to answer an invitation", async || {
                let member = alice.state_content(&room, "m.room.member", &service).await?;
                Ok((text(&member, "membership") != "invite").then_some(member))
            })
            .await?;
            let did = if text(&member, "membership") == "join" { "joins" } else { "leaves" };
            let reason = text(&member, "reason");
            let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            self.say(&format!("  {what}: Maypole {did}{because}"))?;
        }
        Ok(())
    }

    fn next(&mut self, alice: &User, synapse: &Synapse, service: &Service, keep: bool) -> anyhow::Result<()> {
        self.step("What to try next")?;
        if !keep {
            self.say(
                "  maypole demo --keep                  the same, and leave it running to try things by hand",
            )?;
            self.say("  maypole registration generate        a registration for a homeserver of your own")?;
            self.say("  maypole config example               a configuration to start from")?;
            self.say("  docs/protocol.md                     what clients send, and every answer")?;
            return Ok(());
        }
        let description = "/_matrix/client/unstable/org.matrix.msc4244/delivery_service";
        self.say(&format!("  curl {}{description}", service.url()))?;
        self.say(&format!("  curl {}/ready", service.operations_url()))?;
        self.say(&format!("  curl {}/metrics", service.operations_url()))?;
        self.say("  send something as alice, then fetch the answer:")?;
        let token = alice.access_token();
        let base = synapse.base_url();
        self.say(&format!(
            "    curl -X PUT -H 'Authorization: Bearer {token}' {base}/_matrix/client/v3/sendToDevice/m.mls.message/1 \\\n\
             \x20        -d '{{\"messages\": {{\"@:{SERVER_NAME}\": {{\"*\": {{\"device_id\": \"LAPTOP\", \"message\": \"AAE\"}}}}}}}}'"
        ))?;
        self.say(&format!("    curl -H 'Authorization: Bearer {token}' {base}/_matrix/client/v3/sync"))?;
        self.say("\n  Ctrl-C stops everything.")
    }

    fn step(&mut self, title: &str) -> anyhow::Result<()> {
        self.say(&format!("\n== {title}"))
    }

    fn show(&mut self, answer: &Value) -> anyhow::Result<()> {
        self.say(&format!("  Maypole: {}: {}", text(answer, "errcode"), text(answer, "error")))?;
        self.say(&format!("           {}", text(answer, "advice")))
    }

    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{line}")?;
        Ok(self.out.flush()?)
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

async fn send(alice: &User, txn_id: &str, message: &Value) -> anyhow::Result<()> {
    let content = json!({"device_id": alice.device_id(), "txn_id": txn_id, "message": message});
    let messages = json!({ format!("@:{SERVER_NAME}"): {"*": content} });
    // Each request goes by its own name, so that a repeated message is sent again and not dropped on the way.
    let name = format!("{txn_id}-{:x}", u64::from_le_bytes(crate::entropy::random()?));
    alice.send_to_device("m.mls.message", &name, &messages).await.map(drop)
}

async fn answer_to(alice: &User, txn_id: &str) -> anyhow::Result<Value> {
    let mine = |event: &Value| event.pointer("/content/txn_id").and_then(Value::as_str) == Some(txn_id);
    let event = alice.next_to_device(PATIENCE, mine).await?;
    Ok(event.get("content").cloned().unwrap_or_default())
}

async fn ask(alice: &User, txn_id: &str, message: &Value) -> anyhow::Result<Value> {
    send(alice, txn_id, message).await?;
    answer_to(alice, txn_id).await
}
