//! A folder with a configuration, and the store of a service that does not run.

use std::fs;
use std::path::PathBuf;

use maypole_core::batch::{Backend as _, Op};
use maypole_core::group::{Entry, Head, Snapshot};
use maypole_core::ids::{Epoch, GroupId, UserId};
use maypole_core::receipt::Receipt;
use maypole_core::time::Timestamp;
use maypole_mls::{Strict, UnixSeconds};
use maypole_room::receipt::RoomReceipt;
use maypole_testkit::forge::{Forge, Founding, GroupInfoDraft, Shape, Suite};
use tempfile::TempDir;

use super::{Ran, maypole, text};
use crate::admin::tests::receipts::{USER, chain, message, of_room, receipt};
use crate::dialects::matrix::terms::MatrixTerms;
use crate::keys::Keys;
use crate::storage::conformance::samples::{batch, client};
use crate::storage::sled::Store;

/// The room of the one group that there is.
pub(crate) const ROOM: &str = "!room:a.org";

pub(crate) struct Place(pub(crate) TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("c.yaml"), crate::config::example()).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command with this configuration.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let config = self.path("c.yaml");
        maypole(&[arguments, &["--config", text(&config)]].concat())
    }

    /// The keys of the service, made if they are not there.
    pub(crate) fn keys(&self) -> Keys {
        Keys::open_or_create(&self.path("data/keys"), false).unwrap()
    }

    /// Does this to the store, which is made if it is not there.
    pub(crate) fn apply(&self, ops: Vec<Op>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::open(&self.path("data/sled")).unwrap();
            store.apply(batch(Vec::new(), ops)).await.unwrap();
            store.close().await;
        });
    }

    /// Damages what lies in files of their own: the entries of these epochs and, if that is wanted, the tree.
    pub(crate) fn damage(&self, epochs: &[u64], tree: bool) {
        let is_entry = |bytes: &[u8], epoch: u64| bytes.windows(9_000).any(|part| part == group_info(epoch));
        let mut damaged = 0;
        let mut folders = vec![self.path("data/sled/bulk")];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let bytes = fs::read(&path).unwrap();
                let is_tree = bytes.windows(9).any(|part| part == b"@user39:a");
                if (tree && is_tree) || epochs.iter().any(|epoch| is_entry(&bytes, *epoch)) {
                    fs::write(path, "something else").unwrap();
                    damaged += 1;
                }
            }
        }
        assert_eq!(damaged, epochs.len() + usize::from(tree));
    }

    /// The log of the group.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::open(&self.path("data/sled")).unwrap();
            let entries = store.log(&GroupId::parse(ROOM).unwrap(), Epoch::ZERO, 1_000).await.unwrap();
            store.close().await;
            entries
        })
    }

    /// The store of a service with one group, whose log has the epochs from 0 to `last`, all signed.
    pub(crate) fn with_group(last: u64) -> Self {
        let place = Self::new();
        let keys = place.keys();
        let user = UserId::parse(USER).unwrap();
        let mut ops = vec![Op::Bind(user.clone()), Op::BindKeys(MatrixTerms::new(&user, &keys).known_by())];
        ops.extend(group(&keys, last));
        place.apply(ops);
        place
    }
}

/// Members of the group: enough for its tree to lie in a file of its own.
pub(crate) const MEMBERS: u32 = 40;

/// The GroupInfo of an epoch, which nobody looks into.
fn group_info(epoch: u64) -> Vec<u8> {
    vec![u8::try_from(epoch).unwrap(); 9_000]
}

/// The group as MLS knows it, in an epoch; the log that [`group`] makes leads from none to another.
pub(crate) fn tree_of(epoch: u64) -> maypole_mls::Group {
    let founding = Founding {
        group_id: ROOM.as_bytes().to_vec(),
        epoch,
        ..Founding::of(Suite::One, MEMBERS, Shape::Bare, 1)
    };
    let info = Forge::new(&founding).unwrap().group_info(&GroupInfoDraft::by(0).with_tree()).unwrap();
    maypole_mls::Group::import(&info, None, &Strict, UnixSeconds(1_700_000_000)).unwrap()
}

/// What puts the group into a store.
pub(crate) fn group(keys: &Keys, last: u64) -> Vec<Op> {
    let (id, at) = (GroupId::parse(ROOM).unwrap(), Epoch::new(last).unwrap());
    let mls = tree_of(last);
    let snapshot = Snapshot { epoch: at, bytes: mls.snapshot() };
    let mut receipts = chain(last);
    let prev = receipts.last().map(RoomReceipt::hash);
    let tree_hash = mls.tree_hash().to_vec();
    receipts.push(of_room(Receipt { tree_hash, ..receipt(last, prev) }));
    let head = Head {
        group: id.clone(),
        epoch: at,
        term: 1,
        generation: 0,
        receipt: receipts.last().unwrap().hash(),
        snapshot_epoch: at,
        snapshot_bytes: 7,
        delta_bytes: 0,
        notes: Vec::new(),
    };
    let mut ops = vec![Op::SetHead(head), Op::PutSnapshot(id.clone(), snapshot)];
    for receipt in &receipts {
        let signature = keys.receipt_key().sign(&receipt.signable());
        let signed = receipt.signed(USER, keys.receipt_key().id(), &signature);
        let epoch = receipt.receipt().epoch;
        let entry = Entry {
            epoch,
            sender: client("alice"),
            accepted_at: Timestamp::from_millis(epoch.get()),
            joined: vec![client("bob")],
            left: Vec::new(),
            message: message(epoch.get()),
            delta: Vec::new(),
            // More than stands in a record: it lies beside, in a file.
            group_info: group_info(epoch.get()),
            cited: Vec::new(),
            receipt: signed.to_string().into_bytes(),
            notes: Vec::new(),
        };
        ops.push(Op::Append(id.clone(), entry));
    }
    ops
}
