//! What a value is that was given as a model and is no folder.
//!
//! Contract: the text completes "unsupported value VALUE; …": what there is, and what to give or do.

use std::io;
use std::path::Path;

use crate::diffusion::weights::missing::{listed, names};
use crate::diffusion::weights::{convert, hub};
use crate::suggest::did_you_mean;

const EXPECTED: &str = "expected a model folder in the diffusers layout";

/// Why `path` is not the folder of a model; `None` where it is a folder.
pub(crate) fn reason(path: &Path) -> Option<String> {
    match path.metadata() {
        Ok(data) if data.is_dir() => None,
        Ok(_) if convert::is_checkpoint(path) => Some(convert::checkpoint(path)),
        Ok(_) => Some(format!("{EXPECTED}, got a file")),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Some(not_there(path))
        }
        Err(error) => Some(format!("{EXPECTED} that can be read: {error}")),
    }
}

fn not_there(path: &Path) -> String {
    let Some(text) = path.to_str() else {
        return format!("{EXPECTED}; the folder does not exist");
    };
    if text.is_empty() {
        return format!("{EXPECTED}, got an empty path");
    }
    if let Some(target) = path.read_link().ok().filter(|_| path.is_symlink()) {
        return format!("{EXPECTED}, got a link to {}, which does not exist", target.display());
    }
    // The first folder of a path is there, that of an id is not.
    let first_exists = path.parent().is_some_and(|parent| parent.is_dir() && parent != Path::new(""));
    if let Some(id) = hub::id_in(text).filter(|_| !first_exists) {
        return match hub::cached(&id) {
            Some(snapshot) => format!("models are given as folders; this one is in {}", snapshot.display()),
            None => format!("models are given as folders and not downloaded; download it: {}", hub::download(&id)),
        };
    }
    if text.contains("://") {
        return format!("{EXPECTED}, got a URL; download the model first");
    }
    if text.starts_with('~') {
        return format!("{EXPECTED}; write the home folder in full, ~ is for a shell to replace");
    }
    let Some((parent, missing)) = nearest(path) else {
        return format!("{EXPECTED}; the folder does not exist");
    };
    let shown = if parent == Path::new("") { Path::new(".") } else { parent };
    if shown.is_file() {
        return format!("{EXPECTED}; {} is a file", shown.display());
    }
    let there: Vec<String> = names(shown).into_iter().filter(|name| shown.join(name).is_dir()).collect();
    match did_you_mean(missing, there.iter().map(String::as_str)) {
        Some(similar) => format!("there is no such folder; did you mean {}?", parent.join(similar).display()),
        None if there.is_empty() => format!("there is no such folder; {} has no folders", shown.display()),
        None => format!("there is no such folder; {} has the folders {}", shown.display(), listed(&there)),
    }
}

/// The nearest parent of a path that exists, and the part below it that does not.
fn nearest(path: &Path) -> Option<(&Path, &str)> {
    let mut below = path;
    loop {
        let parent = below.parent()?;
        if parent == Path::new("") || parent.exists() {
            return Some((parent, below.file_name()?.to_str()?));
        }
        below = parent;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_given_in_place_of_a_folder_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("models/stable-diffusion-v1-5")).unwrap();
        for file in ["sd.safetensors", "sd.ckpt", "notes.txt"] {
            fs::write(at(file), "x").unwrap();
        }
        assert_eq!(reason(&at("models/stable-diffusion-v1-5")), None);
        let root = folder.path().display();
        for (given, wanted) in [
            ("models/stable-difusion-v1-5", format!("did you mean {root}/models/stable-diffusion-v1-5?")),
            ("models/sdxl/unet", format!("{root}/models has the folders stable-diffusion-v1-5")),
            ("sd.safetensors", format!("P.from_single_file('{root}/sd.safetensors').save_pretrained('{root}/sd')")),
            ("sd.ckpt", "from_single_file".to_owned()),
            ("notes.txt", "got a file".to_owned()),
            ("notes.txt/unet", format!("{root}/notes.txt is a file")),
        ] {
            let reason = reason(&at(given)).unwrap();
            assert!(reason.contains(&wanted), "{given}: {reason}");
        }
        for (given, wanted) in [
            ("owner-of-none/model-of-none", "hf download owner-of-none/model-of-none --local-dir model-of-none"),
            ("https://huggingface.co/owner-of-none/model-of-none", "hf download owner-of-none/model-of-none"),
            ("https://example.com/model.safetensors", "got a URL"),
            ("s3://bucket/model", "got a URL"),
            ("~/models/sd", "home folder in full"),
            ("", "an empty path"),
        ] {
            let reason = reason(Path::new(given)).unwrap();
            assert!(reason.contains(wanted), "{given}: {reason}");
        }
    }
}
