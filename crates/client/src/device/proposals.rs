//! Proposals of the delivery service: it removes, and proposes nothing else.

use maypole_room::bytes::Bytes;
use maypole_room::proposals::Proposals;
use openmls::prelude::{
    ContentType, MlsGroup, OpenMlsProvider as _, ProcessedMessageContent, Proposal, Sender,
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use serde_json::Value;

use crate::mls;

/// Keeps a Remove of the service for the next commit. One that is kept already changes nothing.
pub(super) fn hear_proposal(
    provider: &OpenMlsRustCrypto,
    group: &mut MlsGroup,
    bytes: &[u8],
) -> Result<(), String> {
    let (message, public) = mls::message(bytes).ok_or("it is no message to a group")?;
    let fits = public
        && message.content_type() == ContentType::Proposal
        && message.epoch() == group.epoch()
        && message.group_id() == group.group_id();
    if !fits {
        return Err("it is no public proposal of this epoch".into());
    }
    let processed = group.process_message(provider, message).map_err(|error| error.to_string())?;
    let ProcessedMessageContent::ProposalMessage(queued) = processed.into_content() else {
        return Err("it is no proposal".into());
    };
    let (Sender::External(_), Proposal::Remove(_)) = (queued.sender(), queued.proposal()) else {
        return Err("it is no Remove of the service".into());
    };
    let reference = queued.proposal_reference_ref();
    if group.pending_proposals().any(|known| known.proposal_reference_ref() == reference) {
        return Ok(());
    }
    group.store_pending_proposal(provider.storage(), *queued).map_err(|error| error.to_string())
}

/// Keeps the Removes that came with what began an epoch; says what is wrong with each that is none.
pub(super) fn hear_stapled(
    provider: &OpenMlsRustCrypto,
    group: &mut MlsGroup,
    proposals: &Proposals,
) -> Vec<String> {
    let hear = |proposal: &Bytes| match proposal {
        Bytes::Inline(bytes) => hear_proposal(provider, group, bytes).err(),
        Bytes::Blob(_) => Some("its bytes are missing".to_owned()),
    };
    let Proposals::Inline(all) = proposals else { return vec!["the service's proposals are missing".into()] };
    let problems = all.iter().filter_map(hear);
    problems.map(|problem| format!("a proposal of the service: {problem}")).collect()
}

/// Keeps the Removes that a refusal carries, because a commit must carry them. Whether one of them was new.
pub(super) fn hear_missing(
    provider: &OpenMlsRustCrypto,
    group: &mut MlsGroup,
    proposals: Option<&Value>,
) -> bool {
    let known = group.pending_proposals().count();
    for value in proposals.and_then(Value::as_array).into_iter().flatten() {
        if let Ok(Bytes::Inline(bytes)) = Bytes::read("proposals", value) {
            // One that cannot be used leaves the commit without it, and the service says so again.
            let _unusable = hear_proposal(provider, group, &bytes).is_err();
        }
    }
    group.pending_proposals().count() > known
}
