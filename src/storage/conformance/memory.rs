//! What real stores are held against is a store itself, and keeps the laws.

use maypole_core::memory::Memory;

use super::{Place, all};

impl Place for Memory {
    type Store = Self;

    async fn open(&self) -> Self {
        self.clone()
    }

    async fn close(&self, _: Self) {}
}

#[tokio::test]
async fn in_memory_the_laws_hold_as_well() {
    Box::pin(all(Memory::default)).await;
}

#[tokio::test]
async fn they_hold_where_others_come_between() {
    Box::pin(all(|| Memory::default().giving_way())).await;
}
