//! The windows of an edit, as they are in answers.

use serde_json::{Map, json};

use crate::api::operations::bodies::{WindowsBody, WindowsFrom};
use crate::p2p::{Windows, WordRef};

/// The windows of an edit for an answer.
pub fn body(windows: &Windows) -> WindowsBody {
    let cross = &windows.cross;
    let mut per_word = Map::new();
    if !cross.words.is_empty() {
        per_word.insert("default_".to_owned(), json!(cross.default));
    }
    for (word, window) in &cross.words {
        let key = match word {
            WordRef::Text(text) => text.clone(),
            WordRef::Index(index) => index.to_string(),
        };
        per_word.insert(key, json!(window));
    }
    WindowsBody {
        cross_replace_steps: if per_word.is_empty() { json!(cross.default) } else { per_word.into() },
        self_replace_steps: [windows.self_attention.lo, windows.self_attention.hi],
        from: WindowsFrom {
            cross_replace_steps: windows.cross_origin.as_str(),
            self_replace_steps: windows.self_origin.as_str(),
        },
        presets: windows.presets.clone(),
    }
}
