//! Keys of the file and variables of the environment that are none: a slip of the pen must not go unnoticed.
//!
//! An unknown key is an error. An unknown variable is a warning: others name theirs as they like, and for a service
//! called `reprompt` container platforms set `REPROMPT_PORT` and more like it.

use std::fmt;

use crate::config::keys::VARIABLES;
use crate::suggest::nearest;

const PREFIX: &str = "REPROMPT_";
/// Variables that are no keys.
const OTHERS: [&str; 1] = ["REPROMPT_CONFIG"];
/// Variables of the tests, and those that container platforms set for a service of this name.
const FOREIGN: [&str; 3] = ["REPROMPT_TEST_", "REPROMPT_SERVICE_", "REPROMPT_PORT"];

/// A variable that looks like one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The one that may have been meant.
    pub meant: Option<&'static str>,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the variable {} means nothing here", self.name)?;
        self.meant.map_or(Ok(()), |meant| write!(f, ", did you mean {meant}?"))
    }
}

/// The variables of this process that have our prefix and are none of ours.
pub fn unknown_variables() -> Vec<UnknownVariable> {
    unknown_among(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

fn unknown_among(names: impl Iterator<Item = String>) -> Vec<UnknownVariable> {
    let is_ours = |name: &str| OTHERS.contains(&name) || VARIABLES.iter().any(|(_, variable)| *variable == name);
    let is_foreign = |name: &str| FOREIGN.iter().any(|prefix| name.starts_with(prefix));
    let unknown = names.filter(|name| name.starts_with(PREFIX) && !is_ours(name) && !is_foreign(name));
    let known = || VARIABLES.iter().map(|(_, variable)| *variable).chain(OTHERS);
    // What all have in common says nothing.
    let own = |name: &'static str| name.trim_start_matches(PREFIX);
    let meant = |name: &str| {
        let meant = nearest(name.trim_start_matches(PREFIX), known().map(own))?;
        known().find(|variable| own(variable) == meant)
    };
    unknown.map(|name| UnknownVariable { meant: meant(&name), name }).collect()
}

/// The key that serde says is unknown.
pub(crate) fn key_of(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

/// What is said of an unknown key.
pub(crate) fn told(key: &str) -> String {
    match nearest(key, VARIABLES.iter().map(|(key, _)| *key)) {
        Some(meant) => format!("there is no key {key}, did you mean {meant}?"),
        None => format!("there is no key {key}; --print-config shows all that there are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_told_with_what_was_meant() {
        for (key, meant) in [
            ("quue_limit", Some("queue_limit")),
            ("api-keys-file", Some("api_keys_file")),
            ("api_key_file", Some("api_keys_file")),
            ("cors_origins", Some("cors_origin")),
            ("max_conections", Some("max_connections")),
            ("server", None),
            ("x", None),
        ] {
            let told = told(key);
            assert_eq!(
                told.split_once("did you mean ").map(|(_, meant)| meant),
                meant.map(|meant| format!("{meant}?")).as_deref(),
                "{told}"
            );
        }
        assert_eq!(key_of("unknown field `a`, expected one of `b`, `c`"), Some("a"));
        assert_eq!(key_of("invalid type: string"), None);
    }

    #[test]
    fn variables_that_are_not_ours_are_told_of_and_those_of_platforms_are_not() {
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
        let told: Vec<_> = unknown.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "the variable REPROMPT_QUEUELIMIT means nothing here, did you mean REPROMPT_QUEUE_LIMIT?",
                "the variable REPROMPT_COLOUR means nothing here",
            ]
        );
    }
}
