//! Flags and their typed requests.

use clap::{Args, Command, FromArgMatches};

use super::*;
use crate::api::operations::values::seed::Seed;
use crate::cli::edit::args::EditArgs;
use crate::cli::edit::scopes::scopes;
use crate::diffusion::samplers::SamplerName;
use crate::media::OutputFormat;

fn parsed(line: &str) -> (EditArgs, Vec<Scope>) {
    // `+` is a space within a word.
    let words = line.split(' ').map(|word| word.replace('+', " "));
    let command = EditArgs::augment_args(Command::new("edit"));
    let matches = command.get_matches_from(["edit".to_owned()].into_iter().chain(words));
    let args = EditArgs::from_arg_matches(&matches).unwrap();
    let scopes = scopes(&args.edits, &matches);
    (args, scopes)
}

/// The edits of a command line.
fn edits(line: &str) -> Result<Vec<EditFields>, String> {
    let (args, scopes) = parsed(line);
    let edits = scopes.iter().map(|scope| edit(&args.source.prompt, scope));
    edits.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn one(line: &str) -> Result<EditFields, String> {
    edits(&format!("--prompt a+cat --to a+dog,+3+hats {line}")).map(|mut edits| edits.remove(0))
}

fn text(word: &str) -> WordRef {
    WordRef::Text(word.to_owned())
}

fn window(lo: f64, hi: f64) -> Window {
    Window { lo, hi }
}

fn only(default: Window) -> CrossReplaceSteps {
    CrossReplaceSteps { default, words: Vec::new() }
}

#[test]
fn all_parameters_of_a_source_have_a_flag() {
    let line = "--prompt a+cat --negative-prompt fog --seed 7 --steps 9 --guidance-scale 3 --width 64 --height 96 \
                --scheduler DDIM --to a+dog --edit-type replace --output-format jpeg --output-compression 70";
    let (args, _) = parsed(line);
    let cat = || SourceFields::new(PromptText::new("a cat").unwrap());
    let wanted = SourceFields {
        negative_prompt: "fog".to_owned(),
        seed: Some(Seed(7)),
        num_inference_steps: Some(9),
        guidance_scale: Some(3.0),
        width: Some(64),
        height: Some(96),
        scheduler: Some(SamplerName::Ddim),
        ..cat()
    };
    assert_eq!(source(&args.source).unwrap(), wanted);
    let wanted = FileFields { output_format: OutputFormat::Jpeg, output_compression: Some(70) };
    assert_eq!(files(&args.output), wanted);
    let edit = &edits(line).unwrap()[0];
    let prompt = PromptText::new("a dog").unwrap();
    assert_eq!(*edit, EditFields { prompt: Some(prompt), edit_type: EditType::Replace, ..EditFields::default() });
    let (sized, _) = parsed("--prompt a+cat --size 64x96 --sampler-name ddimscheduler --to b");
    let size = Some("64x96".to_owned());
    assert_eq!(source(&sized.source).unwrap(), SourceFields { size, scheduler: Some(SamplerName::Ddim), ..cat() });
}

#[test]
fn windows_are_fractions_ranges_words_and_json() {
    let cross = |line: &str| one(line).map(|edit| edit.cross_replace_steps.unwrap());
    assert_eq!(cross("--cross-replace-steps 0.8"), Ok(only(window(0.0, 0.8))));
    assert_eq!(cross("--cross-replace-steps 0.2..0.6"), Ok(only(window(0.2, 0.6))));
    assert_eq!(cross("--cross-replace-steps [0.2,0.6]"), Ok(only(window(0.2, 0.6))));
    let words = |default, word: &str, own| CrossReplaceSteps { default, words: vec![(text(word), own)] };
    assert_eq!(cross("--cross-replace-steps dog=0.2"), Ok(words(window(0.0, 1.0), "dog", window(0.0, 0.2))));
    let both = "--cross-replace-steps 0.8 --cross-replace-steps 3+hats=0.1..0.2";
    assert_eq!(cross(both), Ok(words(window(0.0, 0.8), "3 hats", window(0.1, 0.2))));
    let json = "--cross-replace-steps {\"default_\":0.8,\"dog\":0}";
    assert_eq!(cross(json), Ok(words(window(0.0, 0.8), "dog", Window::OFF)));
    assert_eq!(one("--self-replace-steps 0.1..0.4").unwrap().self_replace_steps, Some(window(0.1, 0.4)));
    for wrong in ["soon", "0.2..", "dog=", "dog=now", "NaN", "true"] {
        let error = cross(&format!("--cross-replace-steps {wrong}")).unwrap_err();
        assert!(error.starts_with("--cross-replace-steps: ") && error.contains("0.2..0.6"), "{error}");
    }
    for wrong in ["1.5", "0.6..0.2", "[0.6,0.2]", "{\"dog\":2}"] {
        let error = cross(&format!("--cross-replace-steps {wrong}")).unwrap_err();
        assert!(error.starts_with("--cross-replace-steps: ") && error.contains("0 <= low <= high <= 1"), "{error}");
    }
    for twice in
        ["0.8 --cross-replace-steps 0.7", "dog=0.1 --cross-replace-steps {\"dog\":0.2}", "{\"dog\":0.1,\"dog\":0.2}"]
    {
        let error = cross(&format!("--cross-replace-steps {twice}")).unwrap_err();
        assert!(error.contains("given twice"), "{error}");
    }
}

#[test]
fn an_edits_own_windows_count_in_place_of_common_ones_and_the_others_stay() {
    let line = "--prompt a --cross-replace-steps 0.8 --cross-replace-steps dog=0.3 --to b --to c \
                --cross-replace-steps 0.5 --to d --cross-replace-steps dog=0.1";
    let windows: Vec<_> = edits(line).unwrap().into_iter().map(|edit| edit.cross_replace_steps.unwrap()).collect();
    let of = |default: f64, dog: f64| CrossReplaceSteps {
        default: window(0.0, default),
        words: vec![(text("dog"), window(0.0, dog))],
    };
    assert_eq!(windows, [of(0.8, 0.3), of(0.5, 0.3), of(0.8, 0.1)]);
}

#[test]
fn words_are_words_phrases_or_indices() {
    let line = "--equalizer dog=2 --equalizer 3=-1.5 --equalizer 1=0 --equalizer 3+hats=1e1";
    let entry = |word: WordRef, strength: f64| EqualizerEntry { word, strength };
    let wanted =
        [entry(text("dog"), 2.0), entry(text("3"), -1.5), entry(WordRef::Index(1), 0.0), entry(text("3 hats"), 10.0)];
    assert_eq!(one(line).unwrap().equalizer.unwrap(), wanted);
    for wrong in ["dog", "dog=", "=2", "dog=much", "dog=inf"] {
        let error = one(&format!("--equalizer {wrong}")).unwrap_err();
        assert_eq!(error, format!("--equalizer: expected a word and a strength, such as snow=2, got {wrong}"));
    }
}

#[test]
fn a_local_blend_is_a_flag_options_or_json() {
    let blend = |line: &str| one(line).map(|edit| edit.local_blend);
    assert_eq!(blend("--local-blend"), Ok(Some(LocalBlend::DifferingWords)));
    let with = |fields| Ok(Some(LocalBlend::With(fields)));
    let start = BlendFields { start: Some(0.1), ..BlendFields::default() };
    assert_eq!(blend("--local-blend {\"start\":0.1}"), with(start));
    let threshold = BlendFields { threshold: Some(0.5), ..BlendFields::default() };
    assert_eq!(blend("--local-blend --blend-threshold 0.5"), with(threshold));
    let line = "--blend-source cat --blend-source 0 --blend-target dog --blend-exclude 3 --blend-start 0";
    let wanted = BlendFields {
        source_words: Some(Words(vec![text("cat"), WordRef::Index(0)])),
        target_words: Some(Words(vec![text("dog")])),
        exclude_words: Some(Words(vec![text("3")])),
        start: Some(0.0),
        threshold: None,
    };
    assert_eq!(blend(line), with(wanted));
    for wrong in [
        "{\"start\":0.1} --blend-start 0.2",
        "false --blend-source cat",
        "yes",
        "3",
        "{\"tresh\":1}",
        "{\"start\":0,\"start\":0}",
    ] {
        let error = blend(&format!("--local-blend {wrong}")).unwrap_err();
        assert!(error.starts_with("--local-blend: "), "{error}");
    }
}

#[test]
fn a_common_local_blend_can_be_turned_off_for_one_edit() {
    let line = "--prompt a --local-blend --blend-threshold 0.5 --to b --to c --local-blend false";
    let edits = edits(line).unwrap();
    let threshold = BlendFields { threshold: Some(0.5), ..BlendFields::default() };
    assert_eq!(edits[0].local_blend, Some(LocalBlend::With(threshold)));
    assert_eq!(edits[1].local_blend, None);
}
