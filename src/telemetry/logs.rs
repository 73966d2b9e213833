//! Structured logs on standard error.

use std::io::IsTerminal;

use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, fmt};

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    Json,
    /// Text, for people.
    Pretty,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directive that says what is logged is not understood.
    #[error("the log directive {directive:?} is not understood: {reason}")]
    Directive {
        /// The directive.
        directive: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logging was started before.
    #[error("logging was already started in this process")]
    AlreadyStarted,
}

/// Starts logging to standard error. `directive` says what: `info`, or `info,maypole=debug`.
pub fn init(format: LogFormat, directive: &str) -> Result<(), LogError> {
    let colours = std::io::stderr().is_terminal();
    let dispatch = dispatch(format, directive, colours, std::io::stderr)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| LogError::AlreadyStarted)
}

fn dispatch<W>(format: LogFormat, directive: &str, colours: bool, to: W) -> Result<Dispatch, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(directive).map_err(|error| LogError::Directive {
        directive: directive.to_owned(),
        reason: error.to_string(),
    })?;
    let lines = fmt().with_env_filter(filter).with_writer(to);
    Ok(match format {
        LogFormat::Json => Dispatch::new(lines.json().flatten_event(true).with_current_span(true).finish()),
        LogFormat::Pretty => Dispatch::new(lines.with_ansi(colours).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{self, Seek as _};
    use std::sync::Arc;

    use super::*;

    fn written(format: LogFormat, directive: &str, log: impl FnOnce()) -> String {
        let page = Arc::new(tempfile::tempfile().unwrap());
        let dispatch = dispatch(format, directive, false, Arc::clone(&page)).unwrap();
        tracing::dispatcher::with_default(&dispatch, log);
        (&*page).rewind().unwrap();
        io::read_to_string(&*page).unwrap()
    }

    #[test]
    fn a_directive_that_makes_no_sense_is_refused_with_a_sentence() {
        let error = dispatch(LogFormat::Json, "info,maypole=loud", false, io::sink).unwrap_err();
        assert!(error.to_string().contains("\"info,maypole=loud\""), "{error}");
    }

    #[test]
    fn json_is_one_object_per_line_whatever_is_logged() {
        let text = written(LogFormat::Json, "info", || {
            tracing::info!(room = "!a:b.org", "two\nlines \"quoted\"");
            tracing::debug!("not asked for");
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(line["message"], "two\nlines \"quoted\"");
        assert_eq!(line["room"], "!a:b.org");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn pretty_lets_no_control_character_through() {
        let text = written(LogFormat::Pretty, "info", || tracing::info!("a\u{1b}[31mred"));
        assert!(text.contains("red") && !text.contains('\u{1b}'), "{text:?}");
    }
}
