//! Flags and the bodies that they come to.

use clap::{Args, Command, FromArgMatches};

use super::*;
use crate::cli::edit::args::EditArgs;
use crate::cli::edit::scopes::scopes;

/// The bodies of the edits of a command line; `+` is a space within a word.
fn bodies(line: &str) -> Result<Vec<Value>, String> {
    let words = line.split(' ').map(|word| word.replace('+', " "));
    let command = EditArgs::augment_args(Command::new("edit"));
    let matches = command.get_matches_from(["edit".to_owned()].into_iter().chain(words));
    let args = EditArgs::from_arg_matches(&matches).unwrap();
    let bodies = scopes(&args.edits, &matches).into_iter().map(|edit| body(&args.source, &edit, &args.output));
    bodies.map(|body| body.map(Value::Object)).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn one(line: &str) -> Result<Value, String> {
    bodies(&format!("--prompt a+cat --to a+dog,+3+hats {line}")).map(|mut bodies| bodies.remove(0))
}

#[test]
fn all_parameters_of_a_source_have_a_flag() {
    let line = "--prompt a+cat --negative-prompt fog --seed 7 --steps 9 --guidance-scale 3 --width 64 --height 96 \
                --scheduler DDIM --to a+dog --edit-type replace --output-format jpeg --output-compression 70";
    let source = json!({
        "prompt": "a cat", "negative_prompt": "fog", "seed": 7, "num_inference_steps": 9, "guidance_scale": 3.0,
        "width": 64, "height": 96, "scheduler": "DDIM"
    });
    let wanted = json!({
        "source": source, "prompt": "a dog", "edit_type": "replace", "output_format": "jpeg", "output_compression": 70
    });
    assert_eq!(bodies(line).unwrap(), [wanted]);
    assert_eq!(bodies("--prompt a --size 64x96 --to b").unwrap()[0]["source"], json!({"prompt": "a", "size": "64x96"}));
}

#[test]
fn windows_are_fractions_ranges_words_and_json() {
    let cross = |line: &str| one(line).map(|body| body["cross_replace_steps"].clone());
    assert_eq!(cross("--cross-replace-steps 0.8"), Ok(json!(0.8)));
    assert_eq!(cross("--cross-replace-steps 0.2..0.6"), Ok(json!([0.2, 0.6])));
    assert_eq!(cross("--cross-replace-steps [0.2,0.6]"), Ok(json!([0.2, 0.6])));
    assert_eq!(cross("--cross-replace-steps dog=0.2"), Ok(json!({"dog": 0.2})));
    let both = "--cross-replace-steps 0.8 --cross-replace-steps 3+hats=0.1..0.2";
    assert_eq!(cross(both), Ok(json!({"default_": 0.8, "3 hats": [0.1, 0.2]})));
    assert_eq!(cross("--cross-replace-steps {\"default_\":0.8,\"dog\":0}"), Ok(json!({"default_": 0.8, "dog": 0})));
    assert_eq!(one("--self-replace-steps 0.1..0.4").unwrap()["self_replace_steps"], json!([0.1, 0.4]));
    for wrong in ["soon", "0.2..", "dog=", "dog=now", "NaN", "true"] {
        let error = cross(&format!("--cross-replace-steps {wrong}")).unwrap_err();
        assert!(error.starts_with("--cross-replace-steps: ") && error.contains("0.2..0.6"), "{error}");
    }
    for twice in ["0.8 --cross-replace-steps 0.7", "dog=0.1 --cross-replace-steps {\"dog\":0.2}"] {
        let error = cross(&format!("--cross-replace-steps {twice}")).unwrap_err();
        assert!(error.contains("given twice"), "{error}");
    }
}

#[test]
fn an_edits_own_windows_count_in_place_of_common_ones_and_the_others_stay() {
    let line = "--prompt a --cross-replace-steps 0.8 --cross-replace-steps dog=0.3 --to b --to c \
                --cross-replace-steps 0.5 --to d --cross-replace-steps dog=0.1";
    let windows: Vec<Value> = bodies(line).unwrap().iter().map(|body| body["cross_replace_steps"].clone()).collect();
    let of = |default: f64, dog: f64| json!({"default_": default, "dog": dog});
    assert_eq!(windows, [of(0.8, 0.3), of(0.5, 0.3), of(0.8, 0.1)]);
}

#[test]
fn words_are_words_phrases_or_indices() {
    let line = "--equalizer dog=2 --equalizer 3=-1.5 --equalizer 1=0 --equalizer 3+hats=1e1";
    let entry = |word: Value, strength: f64| json!({"word": word, "strength": strength});
    let wanted =
        [entry(json!("dog"), 2.0), entry(json!("3"), -1.5), entry(json!(1), 0.0), entry(json!("3 hats"), 10.0)];
    assert_eq!(one(line).unwrap()["equalizer"], json!(wanted));
    for wrong in ["dog", "dog=", "=2", "dog=much", "dog=inf"] {
        let error = one(&format!("--equalizer {wrong}")).unwrap_err();
        assert_eq!(error, format!("--equalizer: {wrong} is not a word and a strength, such as snow=2"));
    }
}

#[test]
fn a_local_blend_is_a_flag_options_or_json() {
    let blend = |line: &str| one(line).map(|body| body["local_blend"].clone());
    assert_eq!(blend("--local-blend"), Ok(json!(true)));
    assert_eq!(blend("--local-blend {\"start\":0.1}"), Ok(json!({"start": 0.1})));
    assert_eq!(blend("--local-blend --blend-threshold 0.5"), Ok(json!({"threshold": 0.5})));
    let line = "--blend-source cat --blend-source 0 --blend-target dog --blend-exclude 3 --blend-start 0";
    let wanted = json!({"source_words": ["cat", 0], "target_words": ["dog"], "exclude_words": ["3"], "start": 0.0});
    assert_eq!(blend(line), Ok(wanted));
    for wrong in ["{\"start\":0.1} --blend-start 0.2", "false --blend-source cat", "yes", "3"] {
        let error = blend(&format!("--local-blend {wrong}")).unwrap_err();
        assert!(error.starts_with("--local-blend: "), "{error}");
    }
}

#[test]
fn a_common_local_blend_can_be_turned_off_for_one_edit() {
    let line = "--prompt a --local-blend --blend-threshold 0.5 --to b --to c --local-blend false";
    let bodies = bodies(line).unwrap();
    assert_eq!(bodies[0]["local_blend"], json!({"threshold": 0.5}));
    assert_eq!(bodies[1].get("local_blend"), None);
}

#[test]
fn a_field_is_named_by_its_flag() {
    for (param, wanted) in [
        ("source.prompt", "--prompt"),
        ("source.num_inference_steps", "--steps"),
        ("source.guidance_scale", "--guidance-scale"),
        ("source.size", "--size"),
        ("prompt", "--to"),
        ("equalizer[0].word", "--equalizer"),
        ("cross_replace_steps.dog", "--cross-replace-steps"),
        ("self_replace_steps", "--self-replace-steps"),
        ("local_blend", "--local-blend"),
        ("local_blend.source_words[1]", "--blend-source"),
        ("local_blend.threshold", "--blend-threshold"),
        ("local_blend.tresh", "--local-blend"),
        ("output_compression", "--output-compression"),
    ] {
        assert_eq!(flag(param), wanted);
    }
}
