//! `log`: what is logged, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::reading::Reading;

/// What is logged to standard error, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogSection {
    /// `pretty` for people, `json` for programs: one object per line.
    #[serde(default = "default_format")]
    format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`; or several, separated by commas, for single parts:
    /// `info,maypole::intake=debug`.
    #[serde(default = "default_level")]
    level: String,
}

fn default_format() -> LogFormat {
    LogFormat::Pretty
}

fn default_level() -> String {
    "info".to_owned()
}

// One line per variant would turn the schema's plain list of options into alternatives.
#[expect(missing_docs, reason = "the section says what they are")]
/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Json,
    Pretty,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
    /// A directive that `EnvFilter` takes; it was tried.
    pub level: String,
}

/// Reads the section.
pub(super) fn read(reading: &mut Reading) -> Option<Log> {
    let section: LogSection = reading.section("log")?;
    if !is_directive(&section.level) {
        reading.refuse(
            "log.level",
            "must be error, warn, info, debug, trace or off, or several such as `info,maypole::intake=debug`",
        );
        return None;
    }
    Some(Log { format: section.format, level: section.level })
}

/// Whether the filter means what was written: a level with a typing error would pass as the name of a part.
fn is_directive(level: &str) -> bool {
    let parts_are_meant = level.split(',').all(|part| {
        let bare = part.trim();
        !bare.is_empty() && (bare.contains(['=', '[']) || bare.parse::<LevelFilter>().is_ok())
    });
    parts_are_meant && EnvFilter::try_new(level).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_with_typing_errors_are_refused() {
        for wrong in ["", "inof", "info,,", "maypole=loud", "info;debug", "maypole::intake"] {
            assert!(!is_directive(wrong), "{wrong:?}");
        }
        for right in ["info", "WARN", "off", "info,maypole::intake=debug", "maypole[lane]=trace"] {
            assert!(is_directive(right), "{right:?}");
        }
    }
}
