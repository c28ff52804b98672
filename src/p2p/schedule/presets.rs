//! Presets: the windows that suit kinds of edits on a model.
//!
//! Contract: a preset is named by a group of the model's vocabulary, or by one of `replaced`, `added` and `reweighted`.
//! Each word that decides ([`edit_kind`](crate::p2p::schedule::edit_kind)) brings the presets of its groups, or else that of its relation, or
//! else the published windows; what all of these windows share holds, for an edit of several kinds needs the freedom
//! of each. A model without presets has the published windows for all edits.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::p2p::align::alignment::AlignedWords;
use crate::p2p::prompt::Prompt;
use crate::p2p::schedule::edit_kind;
use crate::p2p::schedule::edit_kind::Says;
use crate::p2p::schedule::preset_error::PresetError;
use crate::p2p::schedule::relation_kind::RELATIONS;
use crate::p2p::schedule::vocabulary::Vocabulary;
use crate::p2p::schedule::window::Window;

/// The windows for a kind of edit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// When cross-attention is injected.
    pub cross_replace_steps: Window,
    /// When self-attention is injected.
    pub self_replace_steps: Window,
}

/// The presets of a model, and the vocabulary that they go by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Presets {
    presets: BTreeMap<String, Preset>,
    vocabulary: Vocabulary,
}

/// The windows that presets give an edit.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The windows.
    pub windows: Preset,
    /// The names of the presets that took part, in alphabetical order; none where the windows are the published ones.
    pub presets: Vec<String>,
}

impl Preset {
    /// What holds without a preset, as in most of the paper's examples: cross-attention during the first 0.8 of the
    /// steps, self-attention during the first 0.4.
    pub const PUBLISHED: Self =
        Self { cross_replace_steps: Window { lo: 0.0, hi: 0.8 }, self_replace_steps: Window { lo: 0.0, hi: 0.4 } };

    fn shared(self, other: Self) -> Self {
        Self {
            cross_replace_steps: self.cross_replace_steps.shared(other.cross_replace_steps),
            self_replace_steps: self.self_replace_steps.shared(other.self_replace_steps),
        }
    }
}

impl Presets {
    /// Presets by kind.
    ///
    /// # Errors
    /// [`PresetError::UnknownKind`] for a name that is neither a relation nor a group of the vocabulary.
    pub fn new(presets: BTreeMap<String, Preset>, vocabulary: Vocabulary) -> Result<Self, PresetError> {
        let is_unknown = |kind: &&String| !RELATIONS.contains(&kind.as_str()) && !vocabulary.has_group(kind);
        if let Some(kind) = presets.keys().find(is_unknown) {
            let kinds = RELATIONS.into_iter().chain(vocabulary.groups()).map(str::to_owned).collect();
            return Err(PresetError::UnknownKind { kind: kind.clone(), kinds });
        }
        Ok(Self { presets, vocabulary })
    }

    /// The presets by kind.
    #[must_use]
    pub fn presets(&self) -> &BTreeMap<String, Preset> {
        &self.presets
    }

    /// The vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The steps, of `steps`, at which cross- and self-attention are injected by edits that ask for no windows: of the
    /// published windows and of each preset.
    pub fn steps(&self, steps: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let presets = std::iter::once(&Preset::PUBLISHED).chain(self.presets.values());
        presets.map(move |preset| {
            let (cross, own) = (preset.cross_replace_steps, preset.self_replace_steps);
            (cross.used(steps + 1, steps), own.used(steps, steps))
        })
    }

    /// The windows for an edit whose words align as `alignment`.
    pub(crate) fn choose(&self, source: &Prompt, target: &Prompt, alignment: &[AlignedWords]) -> Choice {
        let mut names = BTreeSet::new();
        let mut windows: Option<Preset> = None;
        for says in edit_kind::says(source, target, alignment, &self.vocabulary) {
            let brought = self.brought(says);
            names.extend(brought.iter().map(|(name, _)| *name));
            let each = brought.into_iter().map(|(_, preset)| *preset).reduce(Preset::shared);
            let each = each.unwrap_or(Preset::PUBLISHED);
            windows = Some(windows.map_or(each, |so_far| so_far.shared(each)));
        }
        let presets = names.into_iter().cloned().collect();
        Choice { windows: windows.unwrap_or(Preset::PUBLISHED), presets }
    }

    /// The presets that a word brings, by name.
    fn brought(&self, says: Says<'_>) -> Vec<(&String, &Preset)> {
        let groups = says.groups.into_iter().flatten();
        let of_groups: Vec<_> = groups.filter_map(|group| self.presets.get_key_value(group)).collect();
        if of_groups.is_empty() { self.presets.get_key_value(says.relation).into_iter().collect() } else { of_groups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::align::auto::auto;
    use crate::p2p::testing::{presets, prompt, vocabulary};

    fn choice(presets: &Presets, source: &str, target: &str) -> (String, Window, Window) {
        let (source, target) = (prompt(source), prompt(target));
        let (_, alignment) = auto(&source, &target);
        let Choice { windows, presets } = presets.choose(&source, &target, &alignment.words);
        (presets.join(" "), windows.cross_replace_steps, windows.self_replace_steps)
    }

    fn first(cross: f64, own: f64) -> (Window, Window) {
        (Window { lo: 0.0, hi: cross }, Window { lo: 0.0, hi: own })
    }

    #[test]
    fn each_kind_has_its_preset() {
        let presets = presets(&[("objects", 0.5, 0.2), ("colours", 0.3, 0.9), ("reweighted", 1.0, 0.6)]);
        for (source, target, name, (cross, own)) in [
            ("a cat", "a dog", "objects", first(0.5, 0.2)),
            ("a cat", "a red cat", "colours", first(0.3, 0.9)),
            ("a cat", "a cat", "reweighted", first(1.0, 0.6)),
            ("a cat", "a cat in the snow", "", first(0.8, 0.4)),
        ] {
            assert_eq!(choice(&presets, source, target), (name.to_owned(), cross, own), "{source} -> {target}");
        }
    }

    #[test]
    fn several_kinds_take_what_their_windows_share() {
        let presets = presets(&[("objects", 0.5, 0.2), ("colours", 0.3, 0.9)]);
        let (cross, own) = first(0.3, 0.2);
        assert_eq!(choice(&presets, "a red car", "a blue bus"), ("colours objects".to_owned(), cross, own));
        // Places have no preset here: theirs are the published windows.
        let (cross, own) = first(0.3, 0.4);
        assert_eq!(choice(&presets, "a cat", "a red cat in the snow"), ("colours".to_owned(), cross, own));
    }

    #[test]
    fn a_group_without_a_preset_goes_by_its_relation() {
        let presets = presets(&[("objects", 0.5, 0.2), ("added", 0.7, 0.1), ("replaced", 0.6, 0.3)]);
        for (source, target, name, (cross, own)) in [
            ("a cat", "a cat in the snow", "added", first(0.7, 0.1)),
            ("a cat in the snow", "a cat", "replaced", first(0.6, 0.3)),
            ("a red cat", "a blue cat", "replaced", first(0.6, 0.3)),
            ("a cat", "a griffin", "objects replaced", first(0.5, 0.2)),
            ("a cat", "a cat", "", first(0.8, 0.4)),
        ] {
            assert_eq!(choice(&presets, source, target), (name.to_owned(), cross, own), "{source} -> {target}");
        }
    }

    #[test]
    fn relations_need_no_vocabulary() {
        let windows = Preset { cross_replace_steps: Window { lo: 0.1, hi: 0.6 }, ..Preset::PUBLISHED };
        let presets = BTreeMap::from([("added".to_owned(), windows)]);
        let presets = Presets::new(presets, Vocabulary::default()).expect("a relation");
        let (name, cross, _) = choice(&presets, "a cat", "a cat in the snow");
        assert_eq!((name.as_str(), cross), ("added", windows.cross_replace_steps));
        assert_eq!(choice(&presets, "a cat", "a dog").0, "");
    }

    #[test]
    fn a_word_in_several_groups_brings_the_presets_of_all() {
        let groups = [("colours", "orange"), ("fruits", "orange"), ("other", "a")];
        let groups = groups.map(|(group, word)| (group.to_owned(), vec![word.to_owned()]));
        let vocabulary = Vocabulary::new(&BTreeMap::from(groups)).expect("a vocabulary");
        let preset = |hi| Preset { cross_replace_steps: Window { lo: 0.0, hi }, ..Preset::PUBLISHED };
        let presets = BTreeMap::from([("colours".to_owned(), preset(0.3)), ("fruits".to_owned(), preset(0.5))]);
        let presets = Presets::new(presets, vocabulary).expect("groups");
        let (names, cross, _) = choice(&presets, "a cat", "an orange cat");
        assert_eq!((names.as_str(), cross.hi), ("colours fruits", 0.3));
    }

    #[test]
    fn an_unknown_kind_is_reported_with_the_valid_ones() {
        let animals = BTreeMap::from([("animals".to_owned(), Preset::PUBLISHED)]);
        let error = Presets::new(animals, vocabulary()).expect_err("no such group");
        assert_eq!(error.key(), "presets.animals");
        let kinds = "replaced, added, reweighted, accessories, colours, objects, other, places, styles, times";
        assert_eq!(error.to_string(), format!("unknown kind of edit; expected one of {kinds}"));
    }

    #[test]
    fn steps_has_the_published_windows_and_all_presets() {
        let presets = presets(&[("objects", 1.0, 0.2)]);
        assert_eq!(presets.steps(10).collect::<Vec<_>>(), [(0..8, 0..4), (0..10, 0..2)]);
    }
}
