//! The configuration's JSON Schema, made from the sections, for editors and for everything here that lists keys.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::admin::AdminSection;
use super::appservice::AppserviceSection;
use super::homeserver::HomeserverSection;
use super::keys::KeysSection;
use super::listener::ListenerSection;
use super::log::LogSection;
use super::operations::OperationsSection;
use super::protocol::ProtocolSection;
use super::store::StoreSection;

/// The configuration of Maypole, an MLS Delivery Service for Matrix.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "only its schema is used: each section is read by itself, so that all faults are found"
)]
struct MaypoleConfiguration {
    homeserver: HomeserverSection,
    appservice: AppserviceSection,
    #[schemars(default)]
    listener: Option<ListenerSection>,
    #[schemars(default)]
    operations: Option<OperationsSection>,
    #[schemars(default)]
    admin: Option<AdminSection>,
    #[schemars(default)]
    store: Option<StoreSection>,
    #[schemars(default)]
    keys: Option<KeysSection>,
    #[schemars(default)]
    log: Option<LogSection>,
    #[schemars(default)]
    protocol: Option<ProtocolSection>,
}

/// The JSON Schema (2020-12), its members in a fixed order.
pub fn json_schema() -> Value {
    let generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    sorted(generator.into_root_schema_for::<MaypoleConfiguration>().to_value())
}

/// The same value with the members of each object in alphabetical order, however the map was built.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(members.into_iter().map(|(k, v)| (k, sorted(v))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
