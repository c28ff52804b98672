//! Who is to blame for a value that cannot be used: the flag, the variable, or the line of the file that gave it.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use toml::de::DeTable;

use crate::config::ConfigError;
use crate::config::keys::VARIABLES;

impl ConfigError {
    /// The error of a key, with the place that gave its value in place of the key. Any other error as it is.
    #[must_use]
    pub fn blame(self, matches: &ArgMatches, file: Option<&Path>) -> Self {
        let Self::Value { key, value, expected } = self else {
            return self;
        };
        let place = match source(matches, key) {
            Some(ValueSource::CommandLine) => Some(flag_of(key)),
            Some(ValueSource::EnvVariable) => variable_of(key).map(str::to_owned),
            _ => file.and_then(|file| line_of(file, key)),
        };
        Self::Given { place: place.unwrap_or_else(|| key.to_owned()), value, expected }
    }
}

/// Where clap has the value of a key from; `None` if the command has no such flag, or it was not given.
pub(super) fn source(matches: &ArgMatches, key: &str) -> Option<ValueSource> {
    matches.try_get_raw(key).is_ok().then(|| matches.value_source(key)).flatten()
}

/// The flag of a key.
fn flag_of(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

/// The variable of a key.
fn variable_of(key: &str) -> Option<&'static str> {
    VARIABLES.iter().find(|(name, _)| *name == key).map(|(_, variable)| *variable)
}

/// The file, the line and the key, if the file gives it.
fn line_of(file: &Path, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let table = DeTable::parse(&text).ok()?;
    let span = table.get_ref().keys().find(|name| name.get_ref() == key)?.span();
    let line = text.get(..span.start)?.matches('\n').count() + 1;
    Some(format!("config: {}, line {line}: {key}", file.display()))
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;
    use crate::config::Options;

    #[test]
    fn the_flag_or_the_line_of_the_file_that_gave_a_value_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# a comment\nmax_jobs = 7\n\nqueue_limit = 0\n").unwrap();
        let matches = Options::augment_args(clap::Command::new("reprompt")).get_matches_from([
            "reprompt",
            "--max-batch-rows",
            "1",
        ]);
        let place = |key: &'static str, file: Option<&Path>| {
            let error = ConfigError::Value { key, value: "0".to_owned(), expected: "expected more".to_owned() };
            error.blame(&matches, file).to_string()
        };
        let of_file = Some(file.path());
        let says = "unsupported value 0; expected more";
        assert_eq!(place("max_batch_rows", of_file), format!("--max-batch-rows: {says}"));
        let line = format!("config: {}, line 4: queue_limit: {says}", file.path().display());
        assert_eq!(place("queue_limit", of_file), line);
        assert_eq!(place("queue_limit", None), format!("queue_limit: {says}"));
        assert_eq!(place("threads", of_file), format!("threads: {says}"));
    }
}
