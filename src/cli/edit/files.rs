//! Files: what they are called, and that none is lost.
//!
//! Contract: of a file that is there with another content, the next free number is taken (`edited.png`, `edited-2.png`),
//! unless it may be overwritten; the same content again is the same file. Two images of one call never share a name.
//! What was named by the user, the grid, is written where it was named.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::api::operations::output::Output;
use crate::cli::CliError;
use crate::media::{Image, OutputFormat, Text};

/// The folder that images are written to.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    output: Output,
    overwrite: bool,
    /// What was written in this call.
    written: Vec<PathBuf>,
}

impl Folder {
    /// The folder, made if need be, and found to take files.
    pub fn open(path: &Path, output: Output, overwrite: bool) -> Result<Self, CliError> {
        let cannot = |what: &str| CliError::io(format!("--output: cannot {what} {}", path.display()));
        if !path.is_dir() && format_of(path).is_some() {
            let name = path.display();
            let detail = format!(
                "--output: expected a folder, got {name}, which looks like a file; for one image: -o - > {name}"
            );
            return Err(CliError::Request(detail));
        }
        fs::create_dir_all(path).map_err(cannot("make the folder"))?;
        tempfile::tempfile_in(path).map_err(cannot("write into"))?;
        Ok(Self { path: path.to_owned(), output, overwrite, written: Vec::new() })
    }

    /// Writes an image under a name, and a number from `number` on; 1 is left out. Texts are for PNG.
    pub fn write(&mut self, name: &str, number: usize, image: &Image, texts: &[Text]) -> Result<PathBuf, CliError> {
        let bytes = encode(image, self.output, texts, name)?;
        let mut number = number;
        loop {
            let name = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
            let path = self.path.join(format!("{name}.{}", self.output.format.as_str()));
            if self.put(&path, &bytes).map_err(CliError::io(format!("--output: cannot write {}", path.display())))? {
                self.written.push(path.clone());
                return Ok(path);
            }
            number += 1;
        }
    }

    /// Whether the bytes are there now; they are not where another file is.
    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<bool> {
        let is_ours = self.written.iter().any(|written| written == path);
        if self.overwrite && !is_ours {
            return fs::write(path, bytes).map(|()| true);
        }
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(mut file) => file.write_all(bytes).map(|()| true).inspect_err(|_| {
                // Half an image is of no use; that it could not be written is reported anyway.
                let _ = fs::remove_file(path);
            }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Ok(fs::read(path).is_ok_and(|there| there == bytes))
            }
            Err(error) => Err(error),
        }
    }
}

/// A file that the user has named, and its format.
#[derive(Debug)]
pub struct NamedFile {
    path: PathBuf,
    output: Output,
}

impl NamedFile {
    /// The file of the flag `--grid`, whose folder is made if need be.
    pub fn grid(path: &Path, quality: Option<u8>) -> Result<Self, CliError> {
        let format = format_of(path).filter(|_| !path.is_dir()).ok_or_else(|| {
            let expected = "expected a file name that ends in .png, .jpg, .jpeg or .webp";
            CliError::Request(format!("--grid: {expected}, got {}", path.display()))
        })?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let cannot = |what: &str| CliError::io(format!("--grid: cannot {what} {}", folder.display()));
            fs::create_dir_all(folder).map_err(cannot("make the folder"))?;
            tempfile::tempfile_in(folder).map_err(cannot("write into"))?;
        }
        Ok(Self { path: path.to_owned(), output: Output { format, quality } })
    }

    /// Writes the image; what was there is replaced.
    pub fn write(&self, image: &Image) -> Result<&Path, CliError> {
        let bytes = encode(image, self.output, &[], "the grid")?;
        fs::write(&self.path, bytes).map_err(CliError::io(format!("--grid: cannot write {}", self.path.display())))?;
        Ok(&self.path)
    }
}

/// An image as a file's bytes.
pub fn encode(image: &Image, output: Output, texts: &[Text], name: &str) -> Result<Vec<u8>, CliError> {
    image
        .encode(output.format, output.quality, texts)
        .map_err(|error| CliError::io(format!("{name} cannot be encoded"))(io::Error::other(error)))
}

/// The format that a file's name asks for.
fn format_of(path: &Path) -> Option<OutputFormat> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "png" => Some(OutputFormat::Png),
        "jpg" | "jpeg" => Some(OutputFormat::Jpeg),
        "webp" => Some(OutputFormat::Webp),
        _ => None,
    }
}

/// A word as a part of a file's name.
pub fn slug(word: &str) -> String {
    let parts: Vec<String> = word
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| !part.is_empty())
        .map(|part| part.chars().take(24).flat_map(char::to_lowercase).collect())
        .collect();
    if parts.is_empty() { "word".to_owned() } else { parts.join("-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(value: u8) -> Image {
        Image { width: 2, height: 1, rgb: vec![value; 6] }
    }

    fn name(path: &Path) -> String {
        path.file_name().unwrap().to_string_lossy().into_owned()
    }

    #[test]
    fn another_content_takes_the_next_number_and_the_same_none() {
        let folder = tempfile::tempdir().unwrap();
        let open = |overwrite| Folder::open(folder.path(), Output::default(), overwrite).unwrap();
        let written =
            |files: &mut Folder, number, value| name(&files.write("edited", number, &grey(value), &[]).unwrap());
        let mut first = open(false);
        assert_eq!(written(&mut first, 1, 10), "edited.png");
        assert_eq!(written(&mut first, 2, 20), "edited-2.png");
        let mut again = open(false);
        assert_eq!(written(&mut again, 1, 10), "edited.png");
        assert_eq!(written(&mut again, 1, 30), "edited-3.png");
        let mut over = open(true);
        assert_eq!(written(&mut over, 1, 40), "edited.png");
        assert_eq!(written(&mut over, 1, 50), "edited-2.png", "not over what this call has written");
        let now = fs::read(folder.path().join("edited.png")).unwrap();
        assert_eq!(crate::media::decode(&now).unwrap(), grey(40));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn what_cannot_be_written_names_the_flag() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let below = file.join("out");
        let error = Folder::open(&below, Output::default(), false).unwrap_err();
        assert!(error.to_string().starts_with("--output: cannot make the folder "), "{error}");
        assert_eq!(error.exit_code(), 1);
        let error = NamedFile::grid(&below.join("a.png"), None).unwrap_err();
        assert!(error.to_string().starts_with("--grid: cannot make the folder "), "{error}");
        let error = Folder::open(&folder.path().join("cat.png"), Output::default(), false).unwrap_err();
        assert!(error.to_string().contains("-o - > "), "{error}");
        for wrong in ["sheet.gif", "sheet", "-"] {
            let error = NamedFile::grid(Path::new(wrong), None).unwrap_err();
            assert!(error.to_string().starts_with("--grid: expected a file name that ends in"), "{error}");
        }
    }

    #[test]
    fn words_become_parts_of_names() {
        assert_eq!(slug("Polar Bear!"), "polar-bear");
        assert_eq!(slug("../b\u{e9}b\u{e9}"), "b\u{e9}b\u{e9}");
        assert_eq!(slug("?"), "word");
    }
}
