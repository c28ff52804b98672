//! Models of the Hugging Face hub: their ids, their folders in its cache, and the command that downloads one.
//!
//! Contract: nothing is downloaded here. The cache has a folder `models--OWNER--NAME` for each model, with the files of
//! each revision in `snapshots/HASH`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The id of the model whose snapshot this is; `path` has no links.
pub(crate) fn id_of_snapshot(path: &Path) -> Option<String> {
    let snapshots = path.parent()?;
    if snapshots.file_name()? != "snapshots" {
        return None;
    }
    Some(snapshots.parent()?.file_name()?.to_str()?.strip_prefix("models--")?.replace("--", "/"))
}

/// The snapshot to use of a model's folder in the cache: the one of the main branch, or any other.
pub(crate) fn snapshot_of(folder: &Path) -> Option<PathBuf> {
    let snapshots = folder.join("snapshots");
    let main = fs::read_to_string(folder.join("refs/main")).ok();
    let main = main.map(|hash| snapshots.join(hash.trim())).filter(|path| path.is_dir());
    main.or_else(|| {
        let mut all: Vec<_> = fs::read_dir(&snapshots).ok()?.flatten().map(|entry| entry.path()).collect();
        all.retain(|path| path.is_dir());
        all.sort();
        all.pop()
    })
}

/// The snapshot of a model in the cache of this user, if it is there.
pub(crate) fn cached(id: &str) -> Option<PathBuf> {
    let folder = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = [
        folder("HF_HUB_CACHE"),
        folder("HF_HOME").map(|home| home.join("hub")),
        folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")),
        folder("HOME").map(|home| home.join(".cache/huggingface/hub")),
    ];
    let name = format!("models--{}", id.replace('/', "--"));
    caches.into_iter().flatten().find_map(|cache| snapshot_of(&cache.join(&name)))
}

/// The id in a text such as `owner/name`, `hf://owner/name` or `https://huggingface.co/owner/name/tree/main`.
pub(crate) fn id_in(text: &str) -> Option<String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let plain = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let hosts = ["huggingface.co/", "www.huggingface.co/", "hf.co/", "hf://"];
    let in_hub = hosts.iter().find_map(|host| plain.strip_prefix(host));
    let mut parts = in_hub.unwrap_or(text).split(['/', '?', '#']);
    let (owner, name) = (parts.next()?, parts.next()?);
    // A path has more parts than an id, a link may have.
    let is_id = is_name(owner) && is_name(name) && (in_hub.is_some() || parts.next().is_none());
    is_id.then(|| format!("{owner}/{name}"))
}

/// The command that downloads what this program reads of a model.
pub(crate) fn download(id: &str) -> String {
    let name = id.rsplit('/').next().unwrap_or(id);
    format!(
        "hf download {id} --local-dir {name} --include \"*.json\" --include \"tokenizer/*\" --include \
         \"text_encoder/model.safetensors\" --include \"*/diffusion_pytorch_model.safetensors\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_what_people_copy() {
        let id = Some("runwayml/stable-diffusion-v1-5".to_owned());
        for text in [
            "runwayml/stable-diffusion-v1-5",
            "https://huggingface.co/runwayml/stable-diffusion-v1-5",
            "https://huggingface.co/runwayml/stable-diffusion-v1-5/tree/main?x=1",
            "huggingface.co/runwayml/stable-diffusion-v1-5/blob/main/unet/config.json",
            "hf://runwayml/stable-diffusion-v1-5",
        ] {
            assert_eq!(id_in(text), id, "{text}");
        }
        for text in
            ["/models/sd", "models", "../models/sd", "./sd", "a/b/c", "https://example.com/a/b", "my models/sd", ""]
        {
            assert_eq!(id_in(text), None, "{text}");
        }
    }

    #[test]
    fn a_snapshot_has_the_name_of_its_model() {
        let id = |path: &str| id_of_snapshot(Path::new(path));
        assert_eq!(id("/hub/models--stabilityai--sd-turbo/snapshots/0123abc"), Some("stabilityai/sd-turbo".to_owned()));
        assert_eq!(id("/hub/models--sd/snapshots/0123abc"), Some("sd".to_owned()));
        assert_eq!(id("/hub/datasets--a--b/snapshots/0123abc"), None);
        assert_eq!(id("/models/stable-diffusion"), None);
    }

    #[test]
    fn the_snapshot_of_the_main_branch_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(snapshot_of(folder.path()), None);
        for hash in ["aaa", "bbb"] {
            fs::create_dir_all(folder.path().join("snapshots").join(hash)).unwrap();
        }
        assert_eq!(snapshot_of(folder.path()), Some(folder.path().join("snapshots/bbb")));
        fs::create_dir_all(folder.path().join("refs")).unwrap();
        fs::write(folder.path().join("refs/main"), "aaa\n").unwrap();
        assert_eq!(snapshot_of(folder.path()), Some(folder.path().join("snapshots/aaa")));
    }
}
