//! What a file really is, for errors about files that are not what their names promise.
//!
//! Contract: [`kind`] reads the first bytes only, and is asked only after a file could not be read as what it should
//! be. What it returns completes the sentence "it is …".

/// Bytes from the start of a file that [`kind`] looks at.
pub(crate) const START: usize = 512;

/// Longer texts are not quoted.
const LONGEST_QUOTE: usize = 80;

/// What a file with these first bytes is; `None` if it is not known.
pub(crate) fn kind(start: &[u8]) -> Option<String> {
    let known = |text: &str| Some(text.to_owned());
    match start {
        [] => return known("an empty file; download it again"),
        [b'P', b'K', 3, 4, ..] => return known("a zip archive, such as a PyTorch file (.bin, .pt, .ckpt) renamed"),
        [0x80, 2..=5, ..] => return known("a Python pickle, such as a PyTorch file (.bin, .pt, .ckpt) renamed"),
        [b'G', b'G', b'U', b'F', ..] => return known("a GGUF file"),
        [0x89, b'H', b'D', b'F', ..] => return known("an HDF5 file, such as TensorFlow weights"),
        [0x1f, 0x8b, ..] => return known("a gzip archive; unpack it"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return known("text in UTF-16; save it as UTF-8"),
        _ => {}
    }
    let start = &start[..start.len().min(START)];
    // The last character may be cut.
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    if text.starts_with("version https://git-lfs.github.com/spec/") || text.starts_with("version https://hawser") {
        return known("a Git LFS pointer, not the file itself; run `git lfs pull` in the model folder");
    }
    if text.starts_with('<') {
        return known("a web page (HTML or XML); download the file again, by the link that leads to the file itself");
    }
    if text.starts_with(['{', '[']) {
        return known("JSON");
    }
    let line = text.lines().next().unwrap_or_default();
    Some(match line.chars().count() <= LONGEST_QUOTE {
        true => format!("the text {line:?}"),
        false => "text".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn files_that_are_often_there_in_place_of_others_are_known() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3438167536\n";
        for (start, wanted) in [
            (&pointer[..], "a Git LFS pointer"),
            (b"", "an empty file"),
            (b"\n<!DOCTYPE html><html>", "a web page"),
            (b"<html>", "a web page"),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?>", "a web page"),
            (b"{\"error\": \"Repository not found\"}", "JSON"),
            (b"Entry not found", "the text \"Entry not found\""),
            (b"PK\x03\x04\x00\x00", "a zip archive"),
            (b"\x80\x02}q\x00", "a Python pickle"),
            (b"GGUF\x03", "a GGUF file"),
            (b"\xff\xfe{\x00", "text in UTF-16"),
        ] {
            let found = kind(start).unwrap();
            assert!(found.starts_with(wanted), "{found}, {wanted}");
        }
        assert_eq!(kind(b"\x00\x01\x02\x03"), None);
        assert_eq!(kind(b"\xe9\xff\x10"), None);
    }
}
