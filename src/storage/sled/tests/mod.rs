//! The embedded store against the laws of all back ends, and against its own.

mod bits;
mod clock;
mod damage;
mod directory;
mod faults;
mod folder;
mod former;
mod forms;
mod housekeeping;
mod looks;
mod sizes;
mod view;

use std::path::PathBuf;

use super::{Store, generation};
use crate::storage::conformance::{self, Place};

/// A folder for a store.
struct Somewhere {
    folder: tempfile::TempDir,
}

impl Somewhere {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The log's folder.
    fn log(&self) -> PathBuf {
        generation::current(&self.path()).unwrap().expect("there is a store")
    }

    /// Takes the seal off, as if the store had not been left in order.
    fn unseal(&self) {
        let _ = std::fs::remove_file(self.log().join(super::seal::SEAL_FILE));
    }

    /// sled itself, to look at what is stored or to change it.
    fn raw(&self) -> ::sled::Db {
        self.unseal();
        let log = self.log();
        drop(generation::let_go(&log).unwrap());
        super::log::open_sled(&log).unwrap()
    }

    /// The bulk files.
    fn bulk_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().join("bulk")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }
}

impl Place for Somewhere {
    type Store = Store;

    async fn open(&self) -> Store {
        Store::open(&self.path()).unwrap()
    }

    async fn close(&self, store: Store) {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn obeys_the_laws() {
    conformance::all(Somewhere::new).await;
}

#[test]
fn agrees_with_the_model() {
    conformance::agrees_with_the_model(48, Somewhere::new);
}
