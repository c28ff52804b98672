//! Writes outcomes to files: images, heat maps, the contact sheet.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::operations::attention::NO_MAPS;
use crate::cli::CliError;
use crate::cli::edit::files::{Folder, NamedFile, slug};
use crate::cli::edit::plan::Plan;
use crate::engine::Outcome;
use crate::media::{Captioned, Image, Text, contact_sheet, heat_overlay};
use crate::p2p::{NamedWord, heat_map, sum_steps};
use crate::recordings::AttentionMaps;

/// A file that was written, and what it shows.
#[derive(Debug, Clone)]
pub struct Written {
    /// `source`, `edit`, `source_attention`, `edit_attention` or `grid`.
    pub role: &'static str,
    /// The word, of attention.
    pub word: Option<String>,
    /// Where it is.
    pub path: PathBuf,
}

impl Written {
    /// Its entry in the `data` of an answer.
    pub fn json(&self) -> Value {
        let mut json = json!({"role": self.role});
        if let Some(word) = &self.word {
            json["word"] = json!(word);
        }
        json["path"] = json!(self.path.display().to_string());
        json
    }
}

/// Writes the source, and where it attends to words.
pub fn source(folder: &mut Folder, plan: &Plan, outcome: &Outcome) -> Result<Vec<Written>, CliError> {
    let roles = ["source", "source_attention"];
    picture(folder, roles, ("source", 1), (&outcome.source_image, &plan.texts), (&plan.heat, &outcome.source_maps))
}

/// Writes the edit at this place among all, and where it attends to words.
pub fn edit(folder: &mut Folder, plan: &Plan, at: usize, outcome: &Outcome) -> Result<Vec<Written>, CliError> {
    let edit = plan.edits.get(at);
    let heat = edit.map_or(&[][..], |edit| &edit.heat);
    let texts = edit.map_or(&[][..], |edit| &edit.texts);
    // An edit without maps of its own equals its source.
    let maps = outcome.edited_maps.as_ref().unwrap_or(&outcome.source_maps);
    picture(folder, ["edit", "edit_attention"], ("edited", at + 1), (outcome.image(), texts), (heat, maps))
}

fn picture(
    folder: &mut Folder,
    [role, heat_role]: [&'static str; 2],
    (name, number): (&str, usize),
    (image, texts): (&Image, &[Text]),
    (words, maps): (&[NamedWord], &AttentionMaps),
) -> Result<Vec<Written>, CliError> {
    let path = folder.write(name, number, image, texts)?;
    // Heat maps are called after the image as it is called in the end.
    let name = path.file_stem().map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned());
    let mut all = vec![Written { role, word: None, path }];
    for word in words {
        let path =
            folder.write(&format!("{name}-heatmap-{}", slug(&word.word)), 1, &overlay(image, maps, word)?, &[])?;
        all.push(Written { role: heat_role, word: Some(word.word.clone()), path });
    }
    Ok(all)
}

fn overlay(image: &Image, maps: &AttentionMaps, word: &NamedWord) -> Result<Image, CliError> {
    let heat = heat_map(&sum_steps(maps.steps.iter().map(AsRef::as_ref)), maps.tokens, &word.tokens);
    let overlay = heat_overlay(image, &heat.values, maps.width, maps.height);
    overlay.ok_or_else(|| CliError::Request(format!("--heatmap: {NO_MAPS}")))
}

/// Writes the contact sheet: the source, then the edits that were made.
pub fn grid(file: &NamedFile, plan: &Plan, source: &Image, edits: &[(usize, Outcome)]) -> Result<Written, CliError> {
    let of_edit = |(at, outcome): &'_ (usize, Outcome)| {
        let caption = plan.edits.get(*at).map_or("", |edit| &edit.caption);
        (caption.to_owned(), Image::clone(outcome.image()))
    };
    let edits: Vec<(String, Image)> = edits.iter().map(of_edit).collect();
    let mut pictures = vec![Captioned { image: source, caption: &plan.source.prompt }];
    pictures.extend(edits.iter().map(|(caption, image)| Captioned { image, caption }));
    let path: &Path = file.write(&contact_sheet(&pictures))?;
    Ok(Written { role: "grid", word: None, path: path.to_owned() })
}
