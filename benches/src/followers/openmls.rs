//! OpenMLS' `PublicGroup`, with and without a store.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use anyhow::{Context as _, Result, anyhow, bail};
use maypole_testkit::wait::Stopwatch;
use openmls::{
    group::GroupId,
    prelude::{
        MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, ProcessedMessageContent, ProposalStore,
        PublicGroup, RatchetTreeIn, tls_codec::Deserialize as _,
    },
    storage::PublicStorageProvider,
};
use openmls_rust_crypto::{MemoryStorage, OpenMlsRustCrypto};

use super::{Base, Follower, Taken, nothing::Nothing};
use crate::scene::Start;

type Values = HashMap<Vec<u8>, Vec<u8>>;

/// A `PublicGroup` cannot be copied, but loaded again from what it has stored.
struct Stored {
    values: Values,
    group_id: GroupId,
    keeps_storing: bool,
}

struct OpenMls {
    provider: OpenMlsRustCrypto,
    group: PublicGroup,
    storage: Option<MemoryStorage>,
}

/// Imports a group without a store.
pub(super) fn import(start: &Start) -> Result<PublicGroup> {
    import_into(&Nothing, start)
}

/// Imports a group to be followed.
pub(super) fn base(start: &Start, keeps_storing: bool) -> Result<Box<dyn Base>> {
    let storage = MemoryStorage::default();
    let group_id = import_into(&storage, start)?.group_id().clone();
    let values = storage.values.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Box::new(Stored { values, group_id, keeps_storing }))
}

fn import_into<S: PublicStorageProvider>(storage: &S, start: &Start) -> Result<PublicGroup> {
    let provider = OpenMlsRustCrypto::default();
    let message = MlsMessageIn::tls_deserialize_exact(&start.group_info)?;
    let MlsMessageBodyIn::GroupInfo(group_info) = message.extract() else { bail!("no GroupInfo") };
    let tree = RatchetTreeIn::tls_deserialize_exact(&start.tree)?;
    let waiting = ProposalStore::new();
    let imported = PublicGroup::from_external(provider.crypto(), storage, tree, group_info, waiting);
    Ok(imported.map_err(|error| anyhow!("{error:?}"))?.0)
}

impl Base for Stored {
    fn copy(&self) -> Result<Box<dyn Follower>> {
        let storage = MemoryStorage { values: RwLock::new(self.values.clone()) };
        let group = PublicGroup::load(&storage, &self.group_id)?.context("nothing was stored")?;
        let provider = OpenMlsRustCrypto::default();
        Ok(Box::new(OpenMls { provider, group, storage: self.keeps_storing.then_some(storage) }))
    }
}

impl Follower for OpenMls {
    fn hear(&mut self, message: &[u8]) -> Result<Taken> {
        let watch = Stopwatch::start();
        let message = MlsMessageIn::tls_deserialize_exact(message)?.try_into_protocol_message()?;
        let processed = self.group.process_message(self.provider.crypto(), message)?;
        let ProcessedMessageContent::StagedCommitMessage(commit) = processed.into_content() else {
            bail!("not a commit")
        };
        let verdict = watch.elapsed();
        match &self.storage {
            Some(storage) => self.group.merge_commit(storage, *commit)?,
            None => self.group.merge_commit(&Nothing, *commit)?,
        }
        Ok(Taken { verdict, effect: watch.elapsed().saturating_sub(verdict) })
    }

    fn hashes(&self) -> (Vec<u8>, Vec<u8>) {
        let context = self.group.group_context();
        (context.tree_hash().to_vec(), context.confirmed_transcript_hash().to_vec())
    }
}
