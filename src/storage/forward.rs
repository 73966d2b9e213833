//! A back end that asks another: every question of [`maypole_core::batch::Backend`] passed on, once for all who do so.

/// What a back end says when it is asked.
pub(crate) type Told<T> = Result<T, maypole_core::batch::BackendError>;

/// All methods but `apply`, each asked by way of a macro `via!(self, store => …)` that says which store is meant.
macro_rules! forward_questions {
    ($via:ident) => {
        async fn owner(&self) -> $crate::storage::forward::Told<Option<maypole_core::ids::UserId>> {
            $via!(self, store => store.owner().await)
        }

        async fn keys(&self) -> $crate::storage::forward::Told<Option<maypole_core::ids::Sha256>> {
            $via!(self, store => store.keys().await)
        }

        async fn progress(&self) -> $crate::storage::forward::Told<maypole_core::records::Progress> {
            $via!(self, store => store.progress().await)
        }

        async fn cursor(&self) -> $crate::storage::forward::Told<Option<maypole_core::ids::SyncToken>> {
            $via!(self, store => store.cursor().await)
        }

        async fn inbox(
            &self,
            after: Option<maypole_core::ids::InboxSeq>,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::records::InboxRow>> {
            $via!(self, store => store.inbox(after, limit).await)
        }

        async fn answer(
            &self,
            key: maypole_core::records::AnswerKey,
        ) -> $crate::storage::forward::Told<Option<maypole_core::records::Answer>> {
            $via!(self, store => store.answer(key).await)
        }

        async fn expired_answers(
            &self,
            before: maypole_core::time::Timestamp,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::records::AnswerKey>> {
            $via!(self, store => store.expired_answers(before, limit).await)
        }

        async fn owed(
            &self,
            after: Option<maypole_core::ids::OwedId>,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::records::OwedRow>> {
            $via!(self, store => store.owed(after, limit).await)
        }

        async fn set_aside(
            &self,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::records::SetAside>> {
            $via!(self, store => store.set_aside(limit).await)
        }

        async fn head(
            &self,
            group: &maypole_core::ids::GroupId,
        ) -> $crate::storage::forward::Told<Option<maypole_core::group::Head>> {
            $via!(self, store => store.head(group).await)
        }

        async fn agenda(
            &self,
            group: &maypole_core::ids::GroupId,
        ) -> $crate::storage::forward::Told<Option<maypole_core::group::Agenda>> {
            $via!(self, store => store.agenda(group).await)
        }

        async fn snapshot(
            &self,
            group: &maypole_core::ids::GroupId,
            at_or_before: maypole_core::ids::Epoch,
        ) -> $crate::storage::forward::Told<Option<maypole_core::group::Snapshot>> {
            $via!(self, store => store.snapshot(group, at_or_before).await)
        }

        async fn snapshots(
            &self,
            group: &maypole_core::ids::GroupId,
            from: maypole_core::ids::Epoch,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::group::SnapshotAt>> {
            $via!(self, store => store.snapshots(group, from, limit).await)
        }

        async fn log(
            &self,
            group: &maypole_core::ids::GroupId,
            from: maypole_core::ids::Epoch,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::group::Entry>> {
            $via!(self, store => store.log(group, from, limit).await)
        }

        async fn staged(
            &self,
            group: &maypole_core::ids::GroupId,
        ) -> $crate::storage::forward::Told<Option<maypole_core::group::Staged>> {
            $via!(self, store => store.staged(group).await)
        }

        async fn staged_groups(
            &self,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<(maypole_core::ids::GroupId, maypole_core::ids::InboxSeq)>> {
            $via!(self, store => store.staged_groups(limit).await)
        }

        async fn log_begins(
            &self,
            group: &maypole_core::ids::GroupId,
        ) -> $crate::storage::forward::Told<Option<maypole_core::ids::Epoch>> {
            $via!(self, store => store.log_begins(group).await)
        }

        async fn groups(
            &self,
            after: Option<&maypole_core::ids::GroupId>,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::ids::GroupId>> {
            $via!(self, store => store.groups(after, limit).await)
        }

        async fn frozen(
            &self,
            group: &maypole_core::ids::GroupId,
        ) -> $crate::storage::forward::Told<Option<maypole_core::group::Frozen>> {
            $via!(self, store => store.frozen(group).await)
        }

        async fn unanswered(
            &self,
            of: maypole_core::shares::Shares,
            but_for: std::collections::BTreeSet<maypole_core::ids::InboxSeq>,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::records::InboxRow>> {
            $via!(self, store => store.unanswered(of, but_for, limit).await)
        }

        async fn undelivered(
            &self,
            of: maypole_core::shares::Shares,
            but_for: std::collections::BTreeSet<maypole_core::ids::OwedId>,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::records::OwedRow>> {
            $via!(self, store => store.undelivered(of, but_for, limit).await)
        }

        async fn renew(
            &self,
            process: maypole_core::ids::ProcessId,
            term: std::time::Duration,
        ) -> $crate::storage::forward::Told<maypole_core::shares::Held> {
            $via!(self, store => store.renew(process, term).await)
        }

        async fn give_up(
            &self,
            process: maypole_core::ids::ProcessId,
            shares: maypole_core::shares::Shares,
        ) -> $crate::storage::forward::Told<()> {
            $via!(self, store => store.give_up(process, shares).await)
        }

        async fn retire(&self, process: maypole_core::ids::ProcessId) -> $crate::storage::forward::Told<()> {
            $via!(self, store => store.retire(process).await)
        }

        async fn stocked(
            &self,
            client: &maypole_core::ids::ClientId,
            after: Option<maypole_core::ids::ShelfPlace>,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::directory::Shelved>> {
            $via!(self, store => store.stocked(client, after, limit).await)
        }

        async fn last_resorts(
            &self,
            client: &maypole_core::ids::ClientId,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::directory::LastResort>> {
            $via!(self, store => store.last_resorts(client).await)
        }

        async fn stock(
            &self,
            client: &maypole_core::ids::ClientId,
            now: maypole_core::time::Timestamp,
        ) -> $crate::storage::forward::Told<maypole_core::directory::Stock> {
            $via!(self, store => store.stock(client, now).await)
        }

        async fn standing(
            &self,
            reference: &maypole_core::ids::KeyPackageRef,
        ) -> $crate::storage::forward::Told<Option<maypole_core::directory::Standing>> {
            $via!(self, store => store.standing(reference).await)
        }

        async fn outlived_key_packages(
            &self,
            now: maypole_core::time::Timestamp,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::ids::KeyPackageRef>> {
            $via!(self, store => store.outlived_key_packages(now, limit).await)
        }

        async fn any_stocked(
            &self,
            limit: usize,
        ) -> $crate::storage::forward::Told<Vec<maypole_core::ids::KeyPackageRef>> {
            $via!(self, store => store.any_stocked(limit).await)
        }

        async fn queues(&self) -> $crate::storage::forward::Told<maypole_core::records::Queues> {
            $via!(self, store => store.queues().await)
        }

        async fn depths(&self) -> $crate::storage::forward::Told<maypole_core::records::Depths> {
            $via!(self, store => store.depths().await)
        }
    };
}

pub(crate) use forward_questions;
