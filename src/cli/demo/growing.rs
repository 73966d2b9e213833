//! Commits that race, a device that joins from outside, and what the operator sees of it.

use anyhow::ensure;
use maypole_core::ids::RoomId;
use maypole_room::names::Name;
use maypole_testkit::service::House;
use maypole_testkit::wait::eventually;

use super::Story;
use super::cast::{Cast, PATIENCE, another_device, hear, within};
use super::shown::lying;

impl Story<'_> {
    /// Two commits for one epoch: one counts.
    pub(super) async fn both_at_once(&mut self, cast: &mut Cast, room: &RoomId) -> anyhow::Result<()> {
        self.step(
            "Both renew their keys at the same moment: two commits for epoch 1, and only one can count",
        )?;
        let Cast { alice, bob, .. } = cast;
        tokio::try_join!(
            within("alice's update", alice.update(room)),
            within("bob's update", bob.update(room))
        )?;
        let mut looks = 0;
        let (late, refusal) = eventually(PATIENCE, "one of them to be refused", || {
            looks += 1;
            let look = looks;
            let (alice, bob) = (&*alice, &*bob);
            async move {
                for (name, client) in [("alice", alice), ("bob", bob)] {
                    if let Some(refusal) = lying(client, Name::Rejected, None, look).await? {
                        return Ok(Some((name, refusal)));
                    }
                }
                Ok(None)
            }
        })
        .await?;
        let first = if late == "alice" { "bob" } else { "alice" };
        self.say(&format!("  {first} was first: that commit makes epoch 2."))?;
        self.show_refusal(late, &refusal)?;
        tokio::try_join!(
            within("alice's update", alice.settle(room)),
            within("bob's update", bob.settle(room))
        )?;
        cast.all_reach(room, 3).await?;
        self.say(&format!(
            "  {first}'s commit came with the refusal. {late}'s client applies it and tries again: epoch 3."
        ))?;
        self.say("  Both have the same secrets again.")
    }

    /// A device that nobody has to let in.
    pub(super) async fn a_device_from_outside(
        &mut self,
        house: &House,
        cast: &mut Cast,
        room: &RoomId,
    ) -> anyhow::Result<()> {
        self.step("alice's second device joins from outside: nobody else has to be online")?;
        let mut laptop = another_device(house, "alice", "LAPTOP").await?;
        within("the laptop in the group", laptop.join_from_outside(room)).await?;
        self.say("  It asks Maypole for the epoch's GroupInfo and tree (m.mls.request), and makes an external commit.")?;
        self.say("  Maypole finds that alice is in the room and that the device is hers: epoch 4.")?;
        within("a text", laptop.say(room, "from my laptop")).await?;
        hear(&mut cast.bob, "from my laptop").await?;
        self.say("  bob reads:   \"from my laptop\"")?;
        cast.others.push(laptop);
        cast.all_reach(room, 4).await
    }

    /// `maypole explain`, as it is run beside a running service.
    pub(super) fn the_operator_looks(&mut self, house: &House, room: &RoomId) -> anyhow::Result<()> {
        self.step("The operator asks the running service about the room")?;
        self.say(&format!("  $ maypole explain '{room}'"))?;
        let config = house.service.config();
        let told = house.service.run(&["explain", room.as_str(), "--config", &config.to_string_lossy()])?;
        ensure!(!told.is_empty(), "maypole explain says nothing");
        told.lines().try_for_each(|line| self.say(&format!("  {line}")))
    }
}
