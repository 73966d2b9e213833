//! What the documents name exists, and what they show is what the code reads.

use std::path::{Path, PathBuf};

use maypole_core::ids::{Epoch, GroupId, Sha256};
use maypole_core::rejection::Rejection;
use maypole_room::accepted::Accepted;
use maypole_room::bytes::decode;
use maypole_room::commit_event::CommitEvent;
use maypole_room::delivery_service::DeliveryService;
use maypole_room::description::Description;
use maypole_room::member_event;
use maypole_room::message::Message;
use maypole_room::permit::AuthenticatedData;
use maypole_room::receipt::RoomReceipt;
use maypole_room::request::Request;
use maypole_room::response::{Answer, Refused, Response};
use maypole_room::welcome_event::WelcomeEvent;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_the_hitlist_names_exists() {
    let hitlist = std::fs::read_to_string(Path::new(ROOT).join("docs/hitlist.md")).unwrap();
    let mut files = Vec::new();
    for folder in ["src", "crates", "tests"] {
        sources(&Path::new(ROOT).join(folder), &mut files);
    }
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names: Vec<&str> = hitlist
        .split(|c: char| !is_part(c))
        .filter(|word| word.matches('_').count() >= 3 && !word.ends_with('_'))
        .collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        let is_file = files.iter().any(|file| file.file_stem().is_some_and(|stem| stem == name));
        assert!(is_file || text.contains(&format!("fn {name}(")), "docs/hitlist.md names {name}");
    }
}

/// The examples of a document: what each is called after its fence, and its JSON. Values that are cut are whole without
/// their ellipsis.
fn examples(document: &str) -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(Path::new(ROOT).join(document)).unwrap();
    let mut examples = Vec::new();
    for block in text.split("```json").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let (json, _) = rest.split_once("```").unwrap();
        if name != "c" {
            let value = serde_json::from_str(&json.replace('…', ""));
            examples.push((
                name.trim().to_owned(),
                value.unwrap_or_else(|error| panic!("{name}: {error}: {json}")),
            ));
        }
    }
    examples
}

/// Whether the code reads an example, with the receipts in it.
fn reads(name: &str, value: &Value) {
    let bytes = value.to_string().into_bytes();
    let receipt = |receipt: Option<&Value>| RoomReceipt::read(receipt.unwrap()).unwrap();
    match name {
        "" => {}
        "delivery_service" => drop(serde_json::from_value::<Description>(value.clone()).unwrap()),
        "m.mls.delivery_service" => drop(DeliveryService::read(value).unwrap()),
        "authenticated_data" => drop(AuthenticatedData::read(&bytes).unwrap()),
        "receipt" => drop(receipt(Some(value))),
        // The MLS inside is cut.
        "m.mls.message" => assert!(matches!(Message::read(&bytes).asked, Err(Rejection::Malformed { .. }))),
        "m.mls.request" => drop(Request::read(&bytes).asked.unwrap()),
        "m.mls.accepted" => drop(receipt(Accepted::read(value).unwrap().receipt.as_ref())),
        "m.mls.commit" => drop(receipt(Some(&CommitEvent::read(value).unwrap().receipt))),
        "m.mls.welcome" => drop(receipt(Some(&WelcomeEvent::read(value).unwrap().receipt))),
        "m.room.member" => {
            let text = |key: &str| decode(value["mls_commit"][key].as_str().unwrap()).unwrap();
            let (group, commit) = (GroupId::parse(text("group_id")).unwrap(), Sha256::of(&text("commit")));
            assert!(member_event::is_ours(value, &group, Epoch::new(1).unwrap(), commit));
        }
        "m.mls.rejected" => {
            let refused = Refused::read(value).unwrap();
            assert!(refused.particulars["advice"].is_string() && refused.particulars["txn_id"].is_string());
            for commit in refused.particulars.get("commits").and_then(Value::as_array).into_iter().flatten() {
                reads("m.mls.commit", commit);
            }
        }
        "m.mls.response" => match Response::read(value).unwrap().answer {
            Answer::GroupInfo(current) => drop(receipt(Some(&current.receipt))),
            Answer::RatchetTree(_) => {}
            other => panic!("{other:?}"),
        },
        other => panic!("docs/protocol.md has an example of {other}, which is not held against anything"),
    }
}

#[test]
fn every_example_of_the_protocol_is_what_the_code_reads() {
    let examples = examples("docs/protocol.md");
    for (name, value) in &examples {
        reads(name, value);
    }
    for name in [
        "delivery_service",
        "m.mls.delivery_service",
        "authenticated_data",
        "m.mls.message",
        "m.mls.accepted",
        "m.mls.commit",
        "m.mls.welcome",
        "m.mls.rejected",
        "m.mls.request",
        "m.mls.response",
        "m.room.member",
        "receipt",
    ] {
        assert!(examples.iter().any(|(known, _)| known == name), "docs/protocol.md has no example of {name}");
    }
}

#[test]
fn every_refusal_is_in_the_protocol() {
    let protocol = std::fs::read_to_string(Path::new(ROOT).join("docs/protocol.md")).unwrap();
    for code in maypole_core::rejection::Code::ALL {
        let errcode = code.facts().errcode;
        // Proposals are not taken by themselves, so none is refused as such; and no route takes KeyPackages.
        let unused = ["M_MLS_INVALID_PROPOSAL", "M_MLS_INVALID_KEY_PACKAGE"].contains(&errcode);
        assert_eq!(protocol.contains(&format!("`{errcode}`")), !unused, "{errcode}");
    }
}
