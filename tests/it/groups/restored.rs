//! The store is copied while the service runs, moved from one kind to the other, and replaced by an older copy of itself.

use std::path::PathBuf;

use maypole_testkit::postgres::Postgres;

use super::hall::Hall;
use super::outlaw::refuses;

impl Hall {
    fn path(&self, name: &str) -> PathBuf {
        self.house.service.folder().join(name)
    }

    async fn stop_service(&mut self) {
        let ended = self.house.service.stop().await.unwrap();
        assert!(ended.success(), "{}", self.house.service.log());
    }

    async fn start_service(&mut self) {
        self.house.service.start().unwrap();
        self.house.service.ready().await.unwrap();
    }
}

#[tokio::test]
async fn an_older_copy_is_noticed_and_no_second_story_is_told() {
    let mut hall = Hall::open().await;
    let (backups, own) = (hall.path("backups"), hall.path("own"));
    std::fs::create_dir(&backups).unwrap();
    assert!(
        hall.run(&["db", "check"]).unwrap().contains("1 groups with 2 epochs looked at, 0 of them damaged")
    );
    let said = hall.run(&["db", "backup", backups.to_str().unwrap()]).unwrap();
    assert!(said.contains("1 groups with 2 epochs"), "{said}");
    let backup = std::fs::read_dir(&backups).unwrap().next().unwrap().unwrap().path();

    // alice goes on to epoch 2; then all that was written since the backup is lost.
    hall.alice_updates().await;
    hall.stop_service().await;
    std::fs::rename(hall.path("data/sled"), &own).unwrap();
    let said = hall.run(&["db", "import", backup.to_str().unwrap()]).unwrap();
    assert!(said.contains("all groups are frozen until"), "{said}");
    hall.start_service().await;
    let log = hall.house.service.log();
    assert!(log.contains("the store is an older copy of itself"), "{log}");
    let before = hall.explained();
    assert_eq!(before["epoch"], 1);
    let reason = before["frozen"]["reason"].as_str().unwrap();
    assert!(reason.contains("restored from a backup"), "{reason}");

    // bob has not heard of epoch 2, and his commit would be a second one for it.
    let commit = hall.bob.member.update().unwrap();
    let answer = hall.bob.commit(&commit).await;
    refuses(&hall.house, &before, &answer, "M_MLS_FROZEN");
    assert_eq!(hall.explained(), before);

    // A restart changes nothing; the operator who knows better does.
    hall.stop_service().await;
    hall.start_service().await;
    assert_eq!(hall.explained(), before);
    let said = hall.run(&["unfreeze", "--after-restore"]).unwrap();
    assert_eq!(said, format!("{}: unfrozen\n", hall.room));
    assert_eq!(hall.bob.commit(&commit).await["content"]["epoch"], 2);
    hall.house.stop().await.unwrap();
}

#[tokio::test]
async fn a_store_moves_to_a_database_and_back_and_the_group_goes_on() {
    let postgres = Postgres::start().await.unwrap();
    let mut hall = Hall::open().await;
    hall.alice_updates().await;
    hall.stop_service().await;
    let (there, back) = (hall.path("there"), hall.path("back"));
    hall.run(&["db", "export", there.to_str().unwrap()]).unwrap();
    let url = hall.house.synapse.base_url();

    hall.house.service.use_database(Some(&postgres.url()));
    hall.house.service.configure(&url, "").unwrap();
    hall.run(&["db", "import", there.to_str().unwrap()]).unwrap();
    hall.start_service().await;
    hall.alice_updates().await;
    // Once more, of the running service; nothing is decided between this and its end.
    hall.run(&["db", "export", back.to_str().unwrap()]).unwrap();
    assert!(
        hall.run(&["db", "check"]).unwrap().contains("1 groups with 4 epochs looked at, 0 of them damaged")
    );
    hall.stop_service().await;

    std::fs::remove_dir_all(hall.path("data/sled")).unwrap();
    hall.house.service.use_database(None);
    hall.house.service.configure(&url, "").unwrap();
    hall.run(&["db", "import", back.to_str().unwrap()]).unwrap();
    hall.start_service().await;
    hall.alice_updates().await;
    let explained = hall.explained();
    assert_eq!((&explained["epoch"], &explained["frozen"]), (&4.into(), &serde_json::Value::Null));
    let verified = hall.run(&["log", "verify", &hall.room]).unwrap();
    assert!(verified.contains("5 receipts, one chain from epoch 0 to 4"), "{verified}");
    assert!(!hall.house.service.log().contains("older copy of itself"));
    hall.house.stop().await.unwrap();
}
