//! Output of commands for people and programs.
//!
//! Contract: if standard output is closed, the command ends with an error, not with a panic; a closed standard error is
//! ignored.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde::Serialize;
use serde_json::Value;

use crate::api::operations::bodies::{AlignedWordsBody, WindowsBody};
use crate::cli::CliError;

/// Writes to standard output.
pub fn print(text: &str) -> Result<(), CliError> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to standard output.
pub fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(CliError::io("cannot write to standard output"))
}

/// Writes to standard output as one line of JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    let json = serde_json::to_string(value).map_err(io::Error::from);
    print(&format!("{}\n", json.map_err(CliError::io("cannot write JSON"))?))
}

/// Writes a line to standard error.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "reprompt: {line}");
}

/// Writes a warning about the value of a flag to standard error.
pub fn warn(flag: &str, detail: &str) {
    complain(&format!("warning: {flag}: {detail}"));
}

/// Aligned words, a line each; kept ones where they are wanted.
pub fn alignment(words: &[AlignedWordsBody], with_kept: bool) -> String {
    let mut text = String::new();
    for AlignedWordsBody { target, source, relation, .. } in words {
        let pair = match (source, target) {
            (Some(source), Some(target)) if *relation != "kept" => format!("{source} -> {target}"),
            (_, Some(word)) | (Some(word), None) => word.clone(),
            (None, None) => continue,
        };
        if with_kept || *relation != "kept" {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {relation:<9} {pair}");
        }
    }
    text
}

/// Windows, a line for each kind of attention.
pub fn windows(windows: &WindowsBody) -> String {
    let from = |origin: &str| match origin {
        "request" => "as requested".to_owned(),
        "preset" => format!("preset: {}", windows.presets.join(", ")),
        _ => "as published".to_owned(),
    };
    let cross = match &windows.cross_replace_steps {
        Value::Object(words) => {
            let others = words.get("default_").map(span);
            let named = words.iter().filter(|(word, _)| *word != "default_");
            let named = named.map(|(word, window)| format!("{word} {}", span(window)));
            others.into_iter().chain(named).collect::<Vec<_>>().join(", ")
        }
        window => span(window),
    };
    let own = span(&Value::from(windows.self_replace_steps.to_vec()));
    let rows = [
        ("cross-attention", cross, windows.from.cross_replace_steps),
        ("self-attention", own, windows.from.self_replace_steps),
    ];
    rows.map(|(kind, span, origin)| format!("  {kind:<15} {span} ({})\n", from(origin))).concat()
}

/// A window `[low, high]`.
fn span(window: &Value) -> String {
    let (lo, hi) = (window[0].as_f64().unwrap_or(0.0), window[1].as_f64().unwrap_or(0.0));
    if lo < hi { format!("{lo} to {hi} of the steps") } else { "off".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operations::bodies::WindowsFrom;
    use serde_json::json;

    fn words(target: Option<&str>, source: Option<&str>, relation: &'static str) -> AlignedWordsBody {
        let [target, source] = [target, source].map(|word| word.map(str::to_owned));
        AlignedWordsBody { target, source, relation, target_tokens: vec![], source_tokens: vec![] }
    }

    #[test]
    fn what_became_of_words_is_a_line_each() {
        let all = [
            words(Some("a"), Some("a"), "kept"),
            words(Some("dog"), Some("cat"), "replaced"),
            words(Some("red"), None, "added"),
            words(None, Some("old"), "removed"),
        ];
        let changed = "  replaced  cat -> dog\n  added     red\n  removed   old\n";
        assert_eq!(alignment(&all, false), changed);
        assert_eq!(alignment(&all, true), format!("  kept      a\n{changed}"));
    }

    #[test]
    fn windows_say_where_they_come_from() {
        let body = WindowsBody {
            cross_replace_steps: json!({"a": [0.0, 0.0], "default_": [0.0, 0.8]}),
            self_replace_steps: [0.1, 0.4],
            from: WindowsFrom { cross_replace_steps: "request", self_replace_steps: "preset" },
            presets: vec!["objects".to_owned(), "added".to_owned()],
        };
        let lines = "  cross-attention 0 to 0.8 of the steps, a off (as requested)\n  \
                     self-attention  0.1 to 0.4 of the steps (preset: objects, added)\n";
        assert_eq!(windows(&body), lines);
    }
}
