//! The command line without a server: what `edit`, `align` and `models` print and write, and that it is what the API
//! answers.

use std::path::Path;
use std::process::{Output, Stdio};

use reprompt::media;
use reprompt::media::Image;
use serde_json::{Value, json};

use crate::process::reprompt;
use crate::support::Service;

/// A source that takes no time, and the folder for its images.
const SMALL: [&str; 8] = ["--prompt", "a red car", "--seed", "7", "--steps", "4", "--size", "64x64"];

fn run(arguments: &[&str]) -> Output {
    reprompt(arguments).stdout(Stdio::piped()).output().unwrap()
}

/// Runs `edit` on the small source.
fn edit(folder: &Path, arguments: &[&str]) -> Output {
    run(&[&["edit"], &SMALL[..], &["-o", folder.to_str().unwrap()], arguments].concat())
}

/// What a command that did its work has printed; on standard error there must be nothing.
fn printed(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&printed(output)).unwrap()
}

fn picture(path: &Path) -> Image {
    media::decode(&std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn data(answer: &Value, role: &str) -> Vec<Value> {
    answer["data"].as_array().unwrap().iter().filter(|file| file["role"] == role).cloned().collect()
}

#[test]
fn one_edit_writes_two_images_and_says_what_was_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/out");
    let text = printed(&edit(&out, &["--to", "a blue car", "--self-replace-steps", "0.5"]));
    for line in [
        "source: a red car (seed 7, 64x64, 4 steps)",
        "target: a blue car (replace)",
        "  replaced  red -> blue",
        "  self-attention  0 to 0.5 of the steps (as requested)",
        &format!("wrote {}", out.join("edited.png").display()),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert_eq!(names(&out), ["edited.png", "source.png"]);
    assert_ne!(picture(&out.join("edited.png")), picture(&out.join("source.png")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_made_and_reported_as_by_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--to",
        "a blue car",
        "--equalizer",
        "blue=2",
        "--cross-replace-steps",
        "0.8",
        "--cross-replace-steps",
        "blue=0.25..0.5",
        "--local-blend",
        "--blend-threshold",
        "0.4",
        "--json",
    ];
    let reported = json_of(&edit(folder.path(), &flags));
    let source = json!({"prompt": "a red car", "seed": 7, "steps": 4, "size": "64x64"});
    let body = json!({
        "source": source, "prompt": "a blue car", "equalizer": [{"word": "blue", "strength": 2}],
        "cross_replace_steps": {"default_": 0.8, "blue": [0.25, 0.5]}, "local_blend": {"threshold": 0.4},
        "include_source": true
    });
    let answer = Service::demo().await.post("/v1/edits", &body).await.json();
    for (key, value) in answer.as_object().unwrap() {
        match key.as_str() {
            "id" | "created" | "timings_ms" => assert!(!reported[key].is_null(), "{key}"),
            "data" => {
                for image in value.as_array().unwrap() {
                    let role = image["role"].as_str().unwrap();
                    let [file] = &data(&reported, role)[..] else { panic!("one {role}: {reported}") };
                    let file = picture(Path::new(file["path"].as_str().unwrap()));
                    let bytes = media::from_base64(image["b64_json"].as_str().unwrap()).unwrap();
                    assert_eq!(file, media::decode(&bytes).unwrap(), "{role}");
                }
            }
            _ => assert_eq!(reported[key], *value, "{key}"),
        }
    }
    assert_eq!((&reported["prompt"], &reported["source"]["num_inference_steps"]), (&json!("a blue car"), &json!(4)));
}

#[test]
fn several_edits_have_their_own_options_and_the_common_ones() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--self-replace-steps",
        "0.5",
        "--to",
        "a blue car",
        "--to",
        "a red bus at night",
        "--self-replace-steps",
        "0.25",
        "--edit-type",
        "refine",
        "--to",
        "a red car",
        "--equalizer",
        "car=3",
        "--json",
    ];
    let reported = json_of(&edit(folder.path(), &flags));
    assert_eq!(reported["object"], "list");
    let edits = reported["data"].as_array().unwrap();
    let of = |key: &str| edits.iter().map(|edit| edit[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("prompt"), ["a blue car", "a red bus at night", "a red car"]);
    assert_eq!(of("edit_type"), ["replace", "refine", "reweight"]);
    let own: Vec<_> = edits.iter().map(|edit| edit["windows"]["self_replace_steps"][1].as_f64().unwrap()).collect();
    assert_eq!(own, [0.5, 0.25, 0.5]);
    let recordings: Vec<_> = edits.iter().map(|edit| edit["session"]["recording"].as_str().unwrap()).collect();
    assert_eq!(recordings, ["created", "hit", "hit"], "the source is run once");
    assert_eq!(names(folder.path()), ["edited-2.png", "edited-3.png", "edited.png", "source.png"]);
    let alone = tempfile::tempdir().unwrap();
    edit(alone.path(), &["--to", "a red bus at night", "--self-replace-steps", "0.25", "--edit-type", "refine"]);
    assert_eq!(picture(&alone.path().join("edited.png")), picture(&folder.path().join("edited-2.png")));
}

#[test]
fn a_contact_sheet_shows_the_source_and_all_edits() {
    let folder = tempfile::tempdir().unwrap();
    let sheet = folder.path().join("sheets/cars.webp");
    let out = folder.path().join("out");
    let text = printed(&edit(&out, &["--to", "a blue car", "--to", "a red bus", "--grid", sheet.to_str().unwrap()]));
    assert!(text.ends_with(&format!("wrote {}\n", sheet.display())), "{text}");
    let sheet = picture(&sheet);
    // Three cells of 112 pixels in a line, 12 pixels around each; below the images 4 pixels and a line of 18.
    assert_eq!((sheet.width, sheet.height), (12 + 3 * (112 + 12), 12 + 64 + 4 + 18 + 12));
    for (at, name) in ["source.png", "edited.png", "edited-2.png"].into_iter().enumerate() {
        let image = picture(&out.join(name));
        for row in [0, 63] {
            let first = ((12 + row) * sheet.width + 12 + at * 124) * 3;
            assert_eq!(sheet.rgb[first..first + 64 * 3], image.rgb[row * 64 * 3..(row + 1) * 64 * 3], "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heat_maps_are_written_beside_the_images_whose_prompts_have_the_word() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--to", "a blue car", "--to", "a red bus", "--heatmap", "red", "--heatmap", "bus", "--json"];
    let reported = json_of(&edit(folder.path(), &flags));
    let heat: Vec<_> = names(folder.path()).into_iter().filter(|name| name.contains("heatmap")).collect();
    assert_eq!(heat, ["edited-2-heatmap-bus.png", "edited-2-heatmap-red.png", "source-heatmap-red.png"]);
    let words = |at: usize, role| {
        data(&reported["data"][at], role)
            .iter()
            .map(|file| file["word"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!((words(0, "source_attention"), words(0, "edit_attention")), (vec!["red".to_owned()], vec![]));
    assert_eq!(words(1, "edit_attention"), ["red", "bus"]);
    let service = Service::demo().await;
    let source = json!({"prompt": "a red car", "seed": 7, "steps": 4, "size": "64x64"});
    let session = service.post("/v1/sessions", &source).await.json();
    let path = format!("/v1/sessions/{}/attention?word=red", session["id"].as_str().unwrap());
    let shown = media::decode(&service.get(&path).await.body).unwrap();
    assert_eq!(picture(&folder.path().join("source-heatmap-red.png")), shown);
}

#[test]
fn files_that_are_there_are_kept_unless_they_may_be_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    printed(&edit(out, &["--to", "a blue car"]));
    let before = picture(&out.join("edited.png"));
    printed(&edit(out, &["--to", "a blue car"]));
    assert_eq!(names(out), ["edited.png", "source.png"], "the same again is no other file");
    let text = printed(&edit(out, &["--to", "a red bus"]));
    assert!(text.contains("edited-2.png") && text.contains("source.png"), "{text}");
    assert_eq!(names(out), ["edited-2.png", "edited.png", "source.png"]);
    assert_eq!(picture(&out.join("edited.png")), before);
    printed(&edit(out, &["--to", "a red bus", "--overwrite"]));
    assert_eq!(names(out), ["edited-2.png", "edited.png", "source.png"]);
    assert_ne!(picture(&out.join("edited.png")), before);
}

#[test]
fn one_edits_image_goes_to_standard_output_alone() {
    let folder = tempfile::tempdir().unwrap();
    printed(&edit(folder.path(), &["--to", "a blue car"]));
    let output = edit(Path::new("-"), &["--to", "a blue car"]);
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
    assert_eq!(media::decode(&output.stdout).unwrap(), picture(&folder.path().join("edited.png")));
    let webp = edit(Path::new("-"), &["--to", "a blue car", "--output-format", "webp"]);
    assert_eq!(&webp.stdout[..4], b"RIFF");
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_are_aligned_as_the_api_does_and_nothing_is_run() {
    let service = Service::demo().await;
    for (edit_type, flags) in [("auto", &[][..]), ("replace", &["--edit-type", "replace"])] {
        let reported = json_of(&run(&[&["align", "a red car", "a blue griffin", "--json"], flags].concat()));
        let body = json!({"source_prompt": "a red car", "prompt": "a blue griffin", "edit_type": edit_type});
        assert_eq!(reported, service.post("/v1/align", &body).await.json());
    }
    let output = run(&["align", "a red car", "a blue griffin"]);
    let (text, warnings) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for line in ["source: a red car (5 of 77 tokens)", "  kept      a", "  replaced  red -> blue"] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(text.contains("  cross-attention 0 to ") && text.contains("  self-attention  0 to "), "{text}");
    assert!(warnings.starts_with("reprompt: warning: TARGET: ") && warnings.contains("griffin"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_described_as_by_the_api_and_as_text() {
    let mut reported = json_of(&run(&["models", "--json"]));
    let mut answer = Service::demo().await.get("/v1/models").await.json();
    for list in [&mut reported, &mut answer] {
        assert!(list["data"][0]["created"].take().is_u64());
    }
    assert_eq!(reported, answer);
    let text = printed(&run(&["models"]));
    for part in ["reprompt-demo\n", "128x128", "penguin", "reprompt edit --prompt \"a car in the city\" --seed 7 --to "]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}
