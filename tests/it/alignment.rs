//! The attention maps of an edit obey the alignment in its answer, on a model with CLIP's vocabulary: maps are compared,
//! not tables.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, header};
use rand_mt::Mt;
use serde_json::{Value, json};

use crate::support::{Service, config, fixture_model};

/// Words of one to five tokens in CLIP's vocabulary.
const WORDS: &[&str] = &[
    "cat",
    "dog",
    "steak",
    "schnitzel",
    "chinchilla",
    "capybara",
    "rhododendron",
    "croquembouche",
    "vermilion",
    "red",
    "wrought-iron",
    "a",
    "the",
    "on",
    "beside",
    "window,",
    "(lamp)",
    "hippogriff.",
    "snow",
    "bougainvillea",
];

/// Pairs that people write, beside those that are made of the words above.
const PAIRS: &[(&str, &str)] = &[
    ("a steak on a table next to a window", "a schnitzel on a table next to a window"),
    ("a photo of a chinchilla beside a sleeping child", "a photo of a cat beside a sleeping child"),
    ("the cake under a bridge, at dusk, oil painting", "the croquembouche under a bridge, at dusk, oil painting"),
    ("an old coat and a blue vase", "an old kimono and a vermilion vase"),
    ("a car on a red road by the sea", "a red car on a road by the sea"),
    ("a cat and a chinchilla", "a chinchilla and a cat"),
    ("a cat on snow", "a rhododendron on snow at dusk"),
];

/// What a map looks like: numbers between 0 and 1.
type Maps = BTreeMap<Vec<u64>, Vec<f64>>;

fn tokens(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|token| token.as_u64().unwrap()).collect()
}

/// The maps of all words by their tokens, punctuation aside.
fn maps(words: &Value) -> Maps {
    let numbers = |word: &Value| -> Vec<f64> {
        let rows = word["values"].as_array().unwrap().iter();
        rows.flat_map(|row| row.as_array().unwrap()).map(|number| number.as_f64().unwrap()).collect()
    };
    words.as_array().unwrap().iter().map(|word| (tokens(&word["tokens"]), numbers(word))).collect()
}

/// The map of the one word whose tokens are among these; `None` for several words.
fn map_of<'a>(maps: &'a Maps, entry: &Value) -> Option<&'a Vec<f64>> {
    let all = tokens(entry);
    let mut of_entry = maps.iter().filter(|(tokens, _)| tokens.iter().all(|token| all.contains(token)));
    let first = of_entry.next()?.1;
    of_entry.next().is_none().then_some(first)
}

fn made_up(random: &mut Mt) -> (String, String) {
    let mut pick = |count: usize| random.next_u32() as usize % count;
    let source: Vec<&str> = (0..3 + pick(5)).map(|_| WORDS[pick(WORDS.len())]).collect();
    let mut target = source.clone();
    for _ in 0..1 + pick(2) {
        let (at, word) = (pick(target.len()), WORDS[pick(WORDS.len())]);
        match pick(4) {
            0 => target.insert(at, word),
            1 if target.len() > 2 => drop(target.remove(at)),
            _ => target[at] = word,
        }
    }
    (source.join(" "), target.join(" "))
}

/// Runs an edit with the source's maps in every step, and compares. How many words were compared.
async fn compare(service: &Service, (source, target): (&str, &str), edit_type: &str) -> usize {
    let of_source = json!({"prompt": source, "seed": 1, "num_inference_steps": 2, "size": "64x64"});
    let session = service.post("/v1/sessions", &json!({"source": &of_source})).await.json();
    let path = format!("/v1/sessions/{}/attention", session["id"].as_str().unwrap());
    let request = Request::get(path).header(header::ACCEPT, "application/json").body(Body::empty()).unwrap();
    let of_words = service.send(request).await.json();
    let edit = json!({
        "source": of_source, "prompt": target, "edit_type": edit_type, "attention": true,
        "cross_replace_steps": 1, "self_replace_steps": 0,
    });
    let answer = service.post("/v1/edits", &edit).await;
    assert_eq!(answer.status, 200, "{source} -> {target}: {}", answer.json());
    let answer = answer.json();
    let (given, taken) = (maps(&of_words["data"]), maps(&answer["attention"]));
    let mut compared = 0;
    for entry in answer["alignment"].as_array().unwrap() {
        // A shifted word may take the maps of parts of words.
        let relations: &[&str] = if edit_type == "auto" { &["kept", "replaced"] } else { &["kept"] };
        if !relations.contains(&entry["relation"].as_str().unwrap()) {
            continue;
        }
        // A word's map includes its punctuation, which keeps a map of its own where the words differ.
        let is_bare = |word: &Value| {
            word.as_str().is_some_and(|word| word.ends_with(char::is_alphanumeric) && !word.starts_with('('))
        };
        if entry["source"] != entry["target"] && !(is_bare(&entry["source"]) && is_bare(&entry["target"])) {
            continue;
        }
        let words = (map_of(&given, &entry["source_tokens"]), map_of(&taken, &entry["target_tokens"]));
        let (Some(given), Some(taken)) = words else { continue };
        let furthest = given.iter().zip(taken).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        assert!(furthest < 1e-3, "{edit_type}, {source} -> {target}: {entry} is off by {furthest}");
        compared += 1;
    }
    compared
}

#[tokio::test]
async fn every_word_has_the_map_that_the_answer_says() {
    let service = Service::start(fixture_model("tiny-sd1"), config()).await;
    let mut random = Mt::new(7);
    let made_up: Vec<_> = (0..40).map(|_| made_up(&mut random)).collect();
    let made_up = made_up.iter().map(|(source, target)| (source.as_str(), target.as_str()));
    let mut compared = 0;
    for pair in PAIRS.iter().copied().chain(made_up) {
        compared += compare(&service, pair, "auto").await;
        let words = |prompt: &str| prompt.split_whitespace().count();
        if words(pair.0) == words(pair.1) {
            compared += compare(&service, pair, "replace").await;
        }
    }
    assert!(compared > 300, "{compared} words were compared");
}

#[tokio::test]
async fn the_published_replace_says_that_it_shifts_words_and_auto_does_not_shift_them() {
    let service = Service::start(fixture_model("tiny-sd1"), config()).await;
    let body = |edit_type: &str| json!({"source_prompt": "a steak with a leaf", "prompt": "a schnitzel with a leaf", "edit_type": edit_type});
    let words = |answer: &Value| -> Vec<Value> {
        let entries = answer["alignment"].as_array().unwrap().iter();
        entries.map(|entry| json!([entry["target"], entry["source"], entry["relation"]])).collect()
    };
    let replace = service.post("/v1/align", &body("replace")).await.json();
    let shifted = [
        json!(["a", "a", "kept"]),
        json!(["schnitzel", "steak", "replaced"]),
        json!([null, "with", "removed"]),
        json!(["with", "a", "replaced"]),
        json!(["a", "leaf", "replaced"]),
        json!(["leaf", null, "replaced"]),
    ];
    assert_eq!(words(&replace), shifted);
    assert_eq!(
        (&replace["warnings"][0]["code"], &replace["warnings"][0]["param"]),
        (&json!("shifted_words"), &json!("edit_type"))
    );
    let detail = replace["warnings"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("\"with\" takes the map of \"a\"") && detail.contains("\"leaf\" takes the map of no word"));

    let auto = service.post("/v1/align", &body("auto")).await.json();
    assert_eq!((&auto["edit_type"], &auto["warnings"]), (&json!("auto"), &json!([])));
    let kept = words(&auto).into_iter().filter(|entry| entry[2] == "kept" && entry[0] == entry[1]).count();
    assert_eq!(kept, 4);
}
