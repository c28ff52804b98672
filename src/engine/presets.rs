//! The presets and the vocabulary of a model, parsed from its profile file.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::diffusion::profile::PROFILE_FILE;
use crate::diffusion::{Hints, ModelError};
use crate::p2p::{Preset, PresetError, Presets, Vocabulary};

/// Parses presets and vocabulary.
///
/// # Errors
/// [`ModelError::Config`] with the key and what is wrong with its value.
pub fn presets(hints: &Hints) -> Result<Presets, ModelError> {
    let error = |error: PresetError| config(&error.key(), &error);
    let vocabulary = Vocabulary::new(&hints.vocabulary).map_err(error)?;
    Presets::new(windows(&hints.presets)?, vocabulary).map_err(error)
}

fn windows(presets: &Map<String, Value>) -> Result<BTreeMap<String, Preset>, ModelError> {
    serde_path_to_error::deserialize(Value::Object(presets.clone()))
        .map_err(|error| config(&format!("presets.{}", error.path()), error.inner()))
}

fn config(key: &str, error: &dyn std::error::Error) -> ModelError {
    ModelError::config(PROFILE_FILE, format!("`{key}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(presets: Value) -> Result<Presets, String> {
        let Value::Object(presets) = presets else { panic!("an object") };
        let vocabulary = BTreeMap::from([("objects".to_owned(), vec!["cat".to_owned()])]);
        super::presets(&Hints { vocabulary, presets, ..Hints::default() }).map_err(|error| error.to_string())
    }

    #[test]
    fn windows_are_written_as_in_a_request() {
        let windows = json!({"cross_replace_steps": 0.5, "self_replace_steps": [0.1, 0.3]});
        let read = read(json!({"objects": windows, "added": windows})).expect("presets");
        assert_eq!(
            json!(read.presets()["added"]),
            json!({"cross_replace_steps": [0.0, 0.5], "self_replace_steps": [0.1, 0.3]})
        );
    }

    #[test]
    fn errors_name_file_key_and_value() {
        let with = |cross: Value| json!({"objects": {"cross_replace_steps": cross, "self_replace_steps": 0.4}});
        let unknown = json!({"objects": {"cross_replace_steps": 0.5, "self_replace_steps": 0.4, "cross": 0.2}});
        for (presets, key, said) in [
            (with(json!(1.4)), "presets.objects.cross_replace_steps", "[0, 1.4]"),
            (with(json!([0.6, 0.2])), "presets.objects.cross_replace_steps", "[0.6, 0.2]"),
            (with(json!("0.8")), "presets.objects.cross_replace_steps", "\"0.8\""),
            (json!({"objects": {"cross_replace_steps": 0.5}}), "presets.objects", "`self_replace_steps`"),
            (json!({"objects": 0.5}), "presets.objects", "0.5"),
            (unknown, "presets.objects.cross", "unknown field `cross`"),
            (json!({"animals": {"cross_replace_steps": 0.5, "self_replace_steps": 0.4}}), "presets.animals", "objects"),
        ] {
            let error = read(presets.clone()).expect_err("refused");
            assert!(
                error.starts_with(&format!("reprompt.json: `{key}`: ")) && error.contains(said),
                "{presets}: {error}"
            );
        }
    }
}
