//! Groups of a given size, without anybody who made them.

use maypole_core::group::{Group, Head, Restoring, Snapshot};
use maypole_core::ids::GroupId;
use maypole_mls::{Policy, UnixSeconds};
use maypole_testkit::forge::{Forge, Founding, GroupInfoDraft, Shape, Suite};

use crate::groups::inspecting::AnyTerms;
use crate::storage::conformance::samples::{epoch, head};

pub(super) struct Anybody;

impl Policy for Anybody {}

/// The tree of a group in epoch 1.
pub(in crate::groups) fn snapshot(name: &str, members: u32) -> Snapshot {
    snapshot_of(name, members, 1)
}

/// The tree of a group in an epoch.
pub(in crate::groups) fn snapshot_of(name: &str, members: u32, at: u64) -> Snapshot {
    let founding =
        Founding { group_id: name.into(), epoch: at, ..Founding::of(Suite::One, members, Shape::Bare, 7) };
    let info = Forge::new(&founding).unwrap().group_info(&GroupInfoDraft::by(0).with_tree()).unwrap();
    let group = maypole_mls::Group::import(&info, None, &Anybody, UnixSeconds(1)).unwrap();
    Snapshot { epoch: epoch(at), bytes: group.snapshot() }
}

/// The group, brought back from it.
pub(in crate::groups) fn group(name: &str, members: u32) -> Group {
    let head = Head { group: GroupId::parse(name).unwrap(), ..head(1, 1, 10) };
    Restoring::begin(&snapshot(name, members)).unwrap().finish(head, None, &AnyTerms).unwrap()
}
