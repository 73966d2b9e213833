//! A room and its group, an invitation by a commit, and the first words.

use maypole_client::device::Event;
use maypole_client::matrix::RoomVersion;
use maypole_core::ids::RoomId;
use maypole_room::names::Name;
use maypole_testkit::service::SERVER_NAME;
use maypole_testkit::wait::eventually;
use serde_json::Value;

use super::Story;
use super::cast::{Cast, PATIENCE, hear, within};
use super::shown::{arrived, delivery_service, newest_event, state_event, text};

impl Story<'_> {
    /// A room that names the service, and the group that is registered for it.
    pub(super) async fn a_room_begins(&mut self, cast: &mut Cast) -> anyhow::Result<RoomId> {
        let alice = &mut cast.alice;
        self.step("alice makes an MLS room, and registers its group with the service")?;
        let room = alice.create_room(RoomVersion::V12, "hall").await?;
        self.say(&format!("  {room}, room version 12; its create event names the service:"))?;
        let create = state_event(alice, &room, "m.room.create", "").await?;
        let content = create.get("content").cloned().unwrap_or_default();
        self.show(&content, &["encryption_algorithm", "m.mls.delivery_service", "additional_creators"])?;
        let service = format!("@:{SERVER_NAME}");
        eventually(PATIENCE, "the service to join", || async {
            let member = state_event(alice, &room, "m.room.member", &service).await?;
            let membership = member.pointer("/content/membership").and_then(Value::as_str);
            Ok((membership == Some("join")).then_some(()))
        })
        .await?;
        self.say("  Maypole is invited, finds that the room is one of its own, and joins.")?;
        within("the group", alice.register_group(&room)).await?;
        self.say("  alice's phone makes the group, alone in it, and sends its GroupInfo (m.mls.message).")?;
        let state = delivery_service(alice, &room).await?;
        self.say("  Maypole: m.mls.accepted. It also writes into the room which group this is:")?;
        let content = state.get("content").cloned().unwrap_or_default();
        self.show(&content, &["group_id", "ciphersuite", "receipt_key"])?;
        Ok(room)
    }

    /// An invitation: a commit that Maypole checks, carries out in the room, and tells.
    pub(super) async fn bob_is_invited(&mut self, cast: &mut Cast, room: &RoomId) -> anyhow::Result<()> {
        let Cast { alice, bob, .. } = cast;
        self.step("alice invites bob, by a commit that adds his laptop")?;
        self.say(
            "  She claims a KeyPackage of his, holds it against the key that he publishes, and commits.",
        )?;
        let bob_id = bob.device().me().user.to_string();
        within("the invitation", alice.invite(room, &bob_id)).await?;
        let told = arrived(alice, Name::Commit, Some(1)).await?;
        self.say("  Maypole checks it by RFC 9420 and by the room's own rules. Then, in this order:")?;
        let member = state_event(alice, room, "m.room.member", &bob_id).await?;
        self.say(&format!(
            "  1. it invites him itself: m.room.member of {bob_id}, sent by {}",
            text(&member, "sender")
        ))?;
        let content = member.get("content").cloned().unwrap_or_default();
        self.show(&content, &["membership", "mls_commit"])?;
        self.say("  2. it accepts the commit, and tells every device that was in the group (m.mls.commit), with a receipt:")?;
        let receipt = told.get("receipt").cloned().unwrap_or_default();
        self.show(&receipt, &["epoch", "commit", "tree_hash", "prev", "signatures"])?;
        self.say("  3. it hands his laptop what it needs to join (m.mls.welcome):")?;
        let welcome = arrived(bob, Name::Welcome, Some(1)).await?;
        self.show(&welcome, &["epoch", "welcome", "ratchet_tree"])?;
        within("the commit", alice.settle(room)).await?;
        let invited_to = within("bob's invitation", bob.next_invite()).await?;
        within("bob in the room", bob.join_room(&invited_to)).await?;
        within("bob in the group", bob.next_matching(|event| matches!(event, Event::Joined { .. }))).await?;
        self.say("  bob accepts the invitation as any other, and his laptop is in the group, in epoch 1.")
    }

    /// Texts are room events that Maypole never sees.
    pub(super) async fn they_talk(&mut self, cast: &mut Cast, room: &RoomId) -> anyhow::Result<()> {
        let Cast { alice, bob, .. } = cast;
        self.step("They talk. Maypole has no part in that, and no key: this is what the room sees")?;
        within("a text", alice.say(room, "shall we dance?")).await?;
        let event = newest_event(alice, room).await?;
        self.show(&event, &["type", "sender", "content"])?;
        hear(bob, "shall we dance?").await?;
        self.say("  bob reads:   \"shall we dance?\"")?;
        within("a text", bob.say(room, "around the maypole!")).await?;
        hear(alice, "around the maypole!").await?;
        self.say("  alice reads: \"around the maypole!\"")
    }
}
