//! Commands that turn a model into a folder that can be loaded, for error messages.
//!
//! Contract: each is one line for a shell, runs with diffusers installed, and writes a new folder beside the old one.

use std::path::Path;

/// Loads a folder with diffusers and saves it, with further arguments of `from_pretrained` and `save_pretrained`.
pub(super) fn command(folder: &Path, load: &str, save: &str, name: &str) -> String {
    let folder = folder.display().to_string();
    let folder = folder.trim_end_matches('/');
    python(&format!(
        "P.from_pretrained({}{load}).save_pretrained({}{save})",
        text(folder),
        text(&format!("{folder}-{name}"))
    ))
}

/// What a single-file checkpoint is, and how it becomes a folder.
pub(super) fn checkpoint(file: &Path) -> String {
    let folder = file.with_extension("").display().to_string();
    let command = python(&format!(
        "P.from_single_file({}).save_pretrained({})",
        text(&file.display().to_string()),
        text(&folder)
    ));
    format!(
        "{} is a single file; expected a folder in the diffusers layout; convert a checkpoint: {command}",
        file.display()
    )
}

/// Whether a file has the name of a single-file checkpoint.
pub(super) fn is_checkpoint(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["safetensors", "ckpt", "pt", "pth", "bin"].contains(&extension))
}

fn python(statement: &str) -> String {
    format!("python -c \"from diffusers import StableDiffusionPipeline as P; {statement}\"")
}

/// A text in Python, inside double quotes of a shell.
fn text(text: &str) -> String {
    let escape = |c: char| match c {
        '\'' | '"' | '\\' | '$' | '`' | '!' => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("'{}'", text.chars().map(escape).collect::<String>())
}
