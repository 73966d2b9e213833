//! What to try after the demo.

use maypole_core::ids::RoomId;
use maypole_testkit::service::{House, SERVER_NAME};

use super::Story;

impl Story<'_> {
    pub(super) async fn next(&mut self, house: &House, room: &RoomId, keep: bool) -> anyhow::Result<()> {
        self.step("What to try next")?;
        if keep { self.by_hand(house, room).await } else { self.elsewhere() }
    }

    fn elsewhere(&mut self) -> anyhow::Result<()> {
        self.say(
            "  maypole demo --keep                  the same, and leave it running to try things by hand",
        )?;
        self.say("  maypole registration generate        a registration for a homeserver of your own")?;
        self.say("  maypole config example               a configuration to start from")?;
        self.say("  docs/protocol.md                     what clients send, and every answer")?;
        self.say("  cargo doc --open -p maypole-client   a client to build on")
    }

    async fn by_hand(&mut self, house: &House, room: &RoomId) -> anyhow::Result<()> {
        let House { synapse, service } = house;
        let description = "/_matrix/client/unstable/org.matrix.msc4244/delivery_service";
        self.say(&format!("  curl {}{description}", service.url()))?;
        self.say(&format!("  curl {}/ready", service.operations_url()))?;
        self.say(&format!("  curl {}/metrics", service.operations_url()))?;
        let (binary, config) = (std::env::current_exe()?, service.config());
        self.say(&format!("  {} explain '{room}' --config {}", binary.display(), config.display()))?;
        self.say("  ask the service as dave, who is in no room, then fetch the answer:")?;
        let dave = synapse.register("dave", "DESKTOP").await?;
        let (token, base) = (dave.access_token(), synapse.base_url());
        self.say(&format!(
            "    curl -X PUT -H 'Authorization: Bearer {token}' {base}/_matrix/client/v3/sendToDevice/m.mls.request/1 \\\n\
             \x20        -d '{{\"messages\": {{\"@:{SERVER_NAME}\": {{\"*\": {{\"device_id\": \"DESKTOP\", \"request_id\": \"1\", \
             \"room_id\": \"{room}\", \"want\": \"group_info\"}}}}}}}}'"
        ))?;
        self.say(&format!("    curl -H 'Authorization: Bearer {token}' {base}/_matrix/client/v3/sync"))?;
        self.say("\n  Ctrl-C stops everything.")
    }
}
