//! The layers: the file, and the environment over it. What is no key is found here, in both.

use std::io;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use maypole_core::limits;

use super::error::{ConfigError, Origin, Problem};
use super::key_table::{self, Section};
use super::{DEFAULT_FILE, environment, suggestion, text_file, yaml};

/// The file and the environment, merged; each value still knows which of the two it is from.
pub(super) struct Layers {
    figment: Figment,
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    /// What relative paths are relative to.
    pub(super) folder: PathBuf,
    /// Every key that there is.
    pub(super) sections: Vec<Section>,
    /// What is no key, or no section.
    pub(super) problems: Vec<Problem>,
}

impl Layers {
    /// Reads both layers.
    pub(super) fn read(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let sections = key_table::sections();
        let overlay = environment::read(env, &sections);
        let named = path.map(Path::to_path_buf).or_else(|| overlay.file.as_ref().map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let unreadable = |source| ConfigError::Unreadable { file: path.clone(), source };

        let text = match text_file::read(&path, limits::CONFIG_FILE_BYTES) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let said = !overlay.values.is_empty() || !overlay.refused.is_empty();
                let only_environment = named.is_none() && said;
                if !only_environment {
                    return Err(ConfigError::Missing(path));
                }
                None
            }
            Err(error) => return Err(unreadable(error)),
        };
        let absolute = std::path::absolute(&path).map_err(unreadable)?;
        let folder = absolute.parent().unwrap_or(Path::new("/")).to_path_buf();

        let mut problems = Vec::new();
        let mut figment = Figment::new().merge(Layer::empty(&sections));
        if let Some(text) = &text {
            let mut values = parse(&path, text)?;
            problems.extend(take_unknown(&mut values, &sections, &path));
            figment = figment.merge(Layer::of_file(&path, values));
        }
        problems.extend(overlay.refused.into_iter().map(|(name, reason)| Problem {
            key: name.clone(),
            origin: Origin::Environment,
            reason,
        }));
        figment = figment.merge(Layer::of_environment(overlay.values));
        Ok(Self { figment, file: text.map(|_| path), folder, sections, problems })
    }

    /// The merged values.
    pub(super) fn figment(&self) -> &Figment {
        &self.figment
    }

    /// Where the value of a key came from; for a key that nobody set, where it would be written.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let from_environment =
            self.figment.find_metadata(key).is_some_and(|metadata| metadata.name == Layer::ENVIRONMENT);
        match (from_environment, key.split_once('.'), &self.file) {
            (true, Some((section, name)), _) => Origin::Variable(key_table::variable(section, name)),
            (_, _, Some(file)) => Origin::File(file.clone()),
            (_, _, None) => Origin::Environment,
        }
    }
}

/// The file's sections; one that holds nothing but comments is an empty one.
fn parse(path: &Path, text: &str) -> Result<Dict, ConfigError> {
    let fault = |line, column, reason: String| ConfigError::Yaml { file: path.into(), line, column, reason };
    let values: Option<Value> =
        yaml::parse(text).map_err(|wrong| fault(wrong.line, wrong.column, wrong.reason))?;
    match values {
        None | Some(Value::Empty(..)) => Ok(Dict::new()),
        Some(Value::Dict(_, mut dict)) => {
            dict.retain(|_, section| !matches!(section, Value::Empty(..)));
            Ok(dict)
        }
        Some(_) => Err(fault(1, 1, "expected sections with keys, such as `homeserver:`".to_owned())),
    }
}

/// Takes out of the values what is no section or no key, and says what was probably meant.
fn take_unknown(values: &mut Dict, sections: &[Section], path: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |key: String, reason: String| {
        problems.push(Problem { origin: Origin::File(path.to_path_buf()), key, reason });
    };
    values.retain(|name, value| {
        let Some(section) = sections.iter().find(|section| section.name == name) else {
            refuse(printable(name), unknown("section", name, sections.iter().map(|section| section.name)));
            return false;
        };
        let Value::Dict(_, keys) = value else {
            refuse(name.clone(), format!("expected a section with keys, found {}", kind_found(value)));
            return false;
        };
        keys.retain(|key, _| {
            let known = section.keys.iter().any(|known| known.name == *key);
            if !known {
                let names = section.keys.iter().map(|key| key.name.as_str());
                refuse(format!("{name}.{}", printable(key)), unknown("key", key, names));
            }
            known
        });
        true
    });
    problems
}

fn unknown<'n>(what: &str, written: &str, known: impl Iterator<Item = &'n str>) -> String {
    let known: Vec<&str> = known.collect();
    match suggestion::nearest(written, known.iter().copied()) {
        Some(meant) => format!("there is no such {what}; `{meant}` was probably meant"),
        None => format!("there is no such {what}; there are {}", known.join(", ")),
    }
}

/// A key as it was written, unless it is too long or too strange to be a name: then it might be a secret.
fn printable(key: &str) -> String {
    let name =
        key.len() <= 31 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if name { key.to_owned() } else { "(a key that is no name)".to_owned() }
}

/// The kind of a value, for messages that must not show it.
fn kind_found(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "a string",
        Value::Bool(..) => "true or false",
        Value::Num(..) => "a number",
        Value::Empty(..) => "nothing",
        Value::Dict(..) => "a mapping",
        Value::Array(..) => "a list",
    }
}

/// One layer, as figment takes it.
struct Layer {
    metadata: Metadata,
    values: Dict,
}

impl Layer {
    const ENVIRONMENT: &'static str = "environment";

    /// Every section, with nothing in it.
    fn empty(sections: &[Section]) -> Self {
        let values = sections.iter().map(|section| (section.name.to_owned(), Dict::new().into())).collect();
        Self { metadata: Metadata::named("defaults"), values }
    }

    fn of_file(path: &Path, values: Dict) -> Self {
        Self { metadata: Metadata::from("file", path), values }
    }

    fn of_environment(values: Dict) -> Self {
        Self { metadata: Metadata::named(Self::ENVIRONMENT), values }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}
