//! A death in the middle of an invitation, and a commit that the room forbids.

use anyhow::{bail, ensure};
use maypole_client::device::{Event, Leaving};
use maypole_client::matrix::MatrixError;
use maypole_core::ids::RoomId;
use maypole_testkit::service::House;

use super::Story;
use super::cast::{Cast, hear, newcomer, reach, within};
use super::shown::invitations;

impl Story<'_> {
    /// `kill -9` between a commit and its answer.
    pub(super) async fn killed_in_the_middle(
        &mut self,
        house: &mut House,
        cast: &mut Cast,
        room: &RoomId,
    ) -> anyhow::Result<()> {
        self.step("alice invites carol, and in that moment the service is killed (kill -9)")?;
        let mut carol = newcomer(house, "carol", "TABLET").await?;
        let carol_id = carol.device().me().user.to_string();
        within("the invitation", cast.alice.invite(room, &carol_id)).await?;
        house.service.kill()?;
        self.say("  The commit is out, and nobody answers. Who is in the group can talk all the same:")?;
        within("a text", cast.bob.say(room, "did the music stop?")).await?;
        hear(&mut cast.alice, "did the music stop?").await?;
        self.say("  alice reads: \"did the music stop?\"")?;
        self.say("  … the service is started again")?;
        house.service.start()?;
        house.service.ready().await?;
        within("the commit", cast.alice.settle(room)).await?;
        let invited_to = within("carol's invitation", carol.next_invite()).await?;
        within("carol in the room", carol.join_room(&invited_to)).await?;
        reach(&mut carol, room, 5).await?;
        ensure!(invitations(&carol, room, &carol_id).await? == 1, "carol was invited more than once");
        self.say(
            "  Maypole takes up what it had begun: carol is invited once, and the commit makes epoch 5.",
        )?;
        within("a text", carol.say(room, "here I am")).await?;
        hear(&mut cast.bob, "here I am").await?;
        self.say("  bob reads:   \"here I am\"")?;
        cast.others.push(carol);
        cast.all_reach(room, 5).await?;
        self.say("  All four devices are in epoch 5, with the same secrets.")
    }

    /// A commit that is right by MLS and that the room does not permit.
    pub(super) async fn what_the_room_forbids(
        &mut self,
        cast: &mut Cast,
        room: &RoomId,
    ) -> anyhow::Result<()> {
        self.step("bob commits the removal of alice, whose room it is")?;
        let alice_id = cast.alice.device().me().user.to_string();
        let leaving = Leaving { ban: false, reason: Some("tired".to_owned()) };
        within("bob's commit", cast.bob.remove(room, &alice_id, leaving)).await?;
        let Err(error) = within("an answer", cast.bob.settle(room)).await else {
            bail!("a commit that the room forbids was accepted");
        };
        let refusal = match error.downcast_ref() {
            Some(MatrixError::Undone(event)) => match &**event {
                Event::Refused { content, .. } => content.clone(),
                _ => return Err(error),
            },
            _ => return Err(error),
        };
        self.show_refusal("bob", &refusal)?;
        cast.all_reach(room, 5).await?;
        self.say("  bob's client drops the commit. Nobody else has heard of it; the group is as it was.")
    }
}
