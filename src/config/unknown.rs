//! Unknown keys of the file and unknown variables of the environment, with the one that may have been meant.
//!
//! Contract: an unknown key is an error. An unknown variable is a warning, because other programs may set variables
//! with this prefix: container platforms set `REPROMPT_PORT` and the like for a service named `reprompt`.

use std::fmt;

use crate::config::keys::VARIABLES;
use crate::suggest::did_you_mean;

const PREFIX: &str = "REPROMPT_";
/// Variables that do not set a key.
const OTHERS: [&str; 1] = ["REPROMPT_CONFIG"];
/// Variables of the tests, and those that container platforms set for a service of this name.
const FOREIGN: [&str; 3] = ["REPROMPT_TEST_", "REPROMPT_SERVICE_", "REPROMPT_PORT"];

/// A variable with our prefix that sets no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The one that may have been meant.
    pub meant: Option<&'static str>,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown environment variable {}", self.name)?;
        self.meant.map_or(Ok(()), |meant| write!(f, "; did you mean {meant}?"))
    }
}

/// The variables of this process that have our prefix and set no key.
pub fn unknown_variables() -> Vec<UnknownVariable> {
    unknown_among(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

fn unknown_among(names: impl Iterator<Item = String>) -> Vec<UnknownVariable> {
    let is_ours = |name: &str| OTHERS.contains(&name) || VARIABLES.iter().any(|(_, variable)| *variable == name);
    let is_foreign = |name: &str| FOREIGN.iter().any(|prefix| name.starts_with(prefix));
    let unknown = names.filter(|name| name.starts_with(PREFIX) && !is_ours(name) && !is_foreign(name));
    let known = || VARIABLES.iter().map(|(_, variable)| *variable).chain(OTHERS);
    // The common prefix would make all names alike.
    let own = |name: &'static str| name.trim_start_matches(PREFIX);
    let meant = |name: &str| {
        let meant = did_you_mean(name.trim_start_matches(PREFIX), known().map(own))?;
        known().find(|variable| own(variable) == meant)
    };
    unknown.map(|name| UnknownVariable { meant: meant(&name), name }).collect()
}

/// Whether there is such a key.
pub(crate) fn is_key(name: &str) -> bool {
    VARIABLES.iter().any(|(key, _)| *key == name)
}

/// The message about an unknown key.
pub(crate) fn unknown_key(name: &str) -> String {
    match did_you_mean(name, VARIABLES.iter().map(|(key, _)| *key)) {
        Some(meant) => format!("unknown key {name}; did you mean {meant}?"),
        None => format!("unknown key {name}; --print-config lists all keys"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_reported_with_what_was_meant() {
        for (key, meant) in [
            ("quue_limit", Some("queue_limit")),
            ("api-keys-file", Some("api_keys_file")),
            ("api_key_file", Some("api_keys_file")),
            ("cors_origins", Some("cors_origin")),
            ("max_conections", Some("max_connections")),
            ("server", None),
            ("x", None),
        ] {
            let message = unknown_key(key);
            assert_eq!(
                message.split_once("did you mean ").map(|(_, meant)| meant),
                meant.map(|meant| format!("{meant}?")).as_deref(),
                "{message}"
            );
        }
        assert!(is_key("queue_limit") && !is_key("quue_limit"));
    }

    #[test]
    fn unknown_variables_are_reported_unless_platforms_set_them() {
        let names = [
            "PATH",
            "REPROMPT_LISTEN",
            "REPROMPT_CONFIG",
            "REPROMPT_TEST_DEVICE",
            "REPROMPT_PORT_8080_TCP",
            "REPROMPT_SERVICE_HOST",
            "REPROMPT_QUEUELIMIT",
            "REPROMPT_COLOUR",
        ];
        let unknown = unknown_among(names.map(str::to_owned).into_iter());
        let messages: Vec<_> = unknown.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "unknown environment variable REPROMPT_QUEUELIMIT; did you mean REPROMPT_QUEUE_LIMIT?",
                "unknown environment variable REPROMPT_COLOUR",
            ]
        );
    }
}
