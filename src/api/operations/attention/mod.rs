//! `GET /v1/sessions/{id}/attention`: where a source attends to a word, as a heat map or as numbers; and the same
//! numbers of an edit, for its answer. The source's maps come from a job that records it, which is a hit if it is
//! recorded.

pub(crate) mod request;
pub(crate) mod response;

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use crate::api::delivery::encoded_image::EncodedImage;
use crate::api::delivery::image_headers::{ascii, put, put_json};
use crate::api::guard::Caller;
use crate::api::operations::attention::request::AttentionQuery;
use crate::api::operations::attention::response::{AttentionAnswer, AttentionList, AttentionResponse, WordAttention};
use crate::api::operations::output::Output;
use crate::api::operations::sessions::find_source;
use crate::api::problem::{Code, Problem};
use crate::api::state::AppState;
use crate::api::transport::blocking::blocking;
use crate::api::transport::content_negotiation;
use crate::api::transport::content_negotiation::Representation;
use crate::api::transport::path_id::IdPath;
use crate::api::transport::query::QueryObject;
use crate::api::wire::ImageFileSchema;
use crate::engine::{JobOptions, Outcome, PreparedEdit, PreparedSource, Work};
use crate::media;
use crate::media::Image;
use crate::p2p::{HeatMap, NamedWord, all_words, heat_map, named_word, sum_steps};
use crate::recordings::{AttentionMaps, SessionId};

/// Shows where a session's image attends to a word of its prompt.
///
/// As a heat map over the image, or as numbers with `Accept: application/json`; then also for all words at once. The
/// source is run again if its attention maps were evicted.
#[utoipa::path(
    get, path = "/v1/sessions/{id}/attention", operation_id = "get_session_attention", tag = "sessions",
    params(("id" = String, Path, description = "The session", pattern = "^ses_[0-9a-f]{32}$", example = "ses_8b1a9953c4611296a827abf8c47804d7"), AttentionQuery),
    responses(
        (status = 200, description = "The heat map over the image, as PNG or the accepted type; with `Accept: application/json` numbers", content(
            (AttentionAnswer = "application/json"), (ImageFileSchema = "image/png"), (ImageFileSchema = "image/jpeg"), (ImageFileSchema = "image/webp")
        )),
    )
)]
pub async fn show(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    IdPath(id): IdPath<SessionId>,
    headers: HeaderMap,
    QueryObject(query): QueryObject,
) -> Result<Response, Problem> {
    let representation = content_negotiation::representation_or(&headers, Representation::Image(None))?;
    let query = AttentionQuery::of_query(&query)?;
    let (engine, source) = find_source(&state, &id)?;
    let source = PreparedSource::new(engine.model()?, source)?;
    let prompt = Arc::clone(source.tokenized_prompt());
    let word = query.word.as_deref().map(|word| named_word(&prompt, word)).transpose()?;
    let step = query.step_of(source.steps)?;
    if word.is_none() && representation != Representation::Json {
        let detail = "a heat map shows one word: set `word`, or accept application/json for the numbers of all words";
        return Err(Problem::new(Code::MissingField, detail).at("word"));
    }
    let steps = source.steps;
    let permit = state.guard.permit_jobs(&caller, 1, engine.job_ends_in())?;
    let outcome = engine.submit(Work::Record { source }, JobOptions::default())?.outcome().await?;
    drop(permit);
    match (representation, word) {
        (Representation::Image(format), Some(word)) => {
            let mut headers = HeaderMap::new();
            put(&mut headers, "x-reprompt-session", id.as_str());
            put(&mut headers, "x-reprompt-word", &ascii(&word.word));
            put_json(&mut headers, "x-reprompt-tokens", &word.tokens);
            put_json(&mut headers, "x-reprompt-step", &step);
            put_json(&mut headers, "x-reprompt-steps", &steps);
            let (max, picture) = blocking(move || picture(&outcome, step, &word)).await?;
            put_json(&mut headers, "x-reprompt-max", &max);
            let output = Output::default().in_format(format);
            let image = EncodedImage::encode(Arc::new(picture), output, Vec::new()).await?;
            Ok((headers, image).into_response())
        }
        (_, word) => {
            let is_one = word.is_some();
            let words = word.map_or_else(|| all_words(&prompt), |word| vec![word]);
            let words = blocking(move || numbers(&outcome.source_maps, step, words)).await?;
            let session = id.as_str();
            let response =
                |word| AttentionResponse { object: "attention", session: session.to_owned(), step, steps, word };
            let mut data: Vec<_> = words.into_iter().map(response).collect();
            Ok(Json(match data.pop() {
                Some(word) if is_one => AttentionAnswer::One(word),
                last => {
                    data.extend(last);
                    AttentionAnswer::All(AttentionList { object: "list", data })
                }
            })
            .into_response())
        }
    }
}

/// The attention of an edit to every word of its prompt, all steps summed.
pub(crate) async fn of_edit(edit: &PreparedEdit, outcome: &Outcome) -> Result<Vec<WordAttention>, Problem> {
    let prompt = Arc::clone(&edit.prompt);
    // An edit without maps of its own equals its source.
    let maps = outcome.edited_maps.as_ref().unwrap_or(&outcome.source_maps).clone();
    blocking(move || numbers(&maps, None, all_words(&prompt))).await
}

/// The detail of `no_attention_maps`.
pub const NO_MAPS: &str = "the model has no cross-attention layers that heat maps are made from";

/// The maps of one step, or of all summed, `[positions, tokens]`.
fn maps_of(maps: &AttentionMaps, step: Option<usize>) -> Result<Vec<f32>, Problem> {
    let chosen = match step {
        Some(step) => maps.steps.get(step).map(|maps| maps.to_vec()).unwrap_or_default(),
        None => sum_steps(maps.steps.iter().map(AsRef::as_ref)),
    };
    if chosen.is_empty() {
        return Err(Problem::new(Code::NoAttentionMaps, NO_MAPS));
    }
    Ok(chosen)
}

fn numbers(maps: &AttentionMaps, step: Option<usize>, words: Vec<NamedWord>) -> Result<Vec<WordAttention>, Problem> {
    let chosen = maps_of(maps, step)?;
    let numbers = |NamedWord { word, index, tokens }: NamedWord| {
        let HeatMap { values, max } = heat_map(&chosen, maps.tokens, &tokens);
        let values = values.chunks(maps.width.max(1)).map(<[f32]>::to_vec).collect();
        WordAttention { word, index, tokens, height: maps.height, width: maps.width, max, values }
    };
    Ok(words.into_iter().map(numbers).collect())
}

/// The word's map over the source's image, and the attention at its maximum.
fn picture(outcome: &Outcome, step: Option<usize>, word: &NamedWord) -> Result<(f32, Image), Problem> {
    let maps = &outcome.source_maps;
    let HeatMap { values, max } = heat_map(&maps_of(maps, step)?, maps.tokens, &word.tokens);
    let picture = media::heat_overlay(&outcome.source_image, &values, maps.width, maps.height);
    picture.map(|picture| (max, picture)).ok_or_else(|| Problem::new(Code::Internal, "the heat map could not be drawn"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(steps: usize) -> AttentionMaps {
        // Two rows of one position, two tokens; the second token's attention is the step's number at the first.
        let step = |step: usize| [0.5, step as f32, 0.5, 1.0].as_slice().into();
        AttentionMaps { height: 2, width: 1, tokens: 2, steps: (0..steps).map(step).collect() }
    }

    fn word() -> NamedWord {
        NamedWord { word: "cat".to_owned(), index: Some(1), tokens: vec![1] }
    }

    #[test]
    fn a_step_is_its_own_and_without_one_all_are_summed() {
        let step = |step| numbers(&maps(3), step, vec![word()]).unwrap().pop().unwrap();
        assert_eq!((step(Some(2)).max, step(Some(2)).values), (2.0, vec![vec![1.0], vec![0.5]]));
        assert_eq!((step(Some(0)).max, step(Some(0)).values), (1.0, vec![vec![0.0], vec![1.0]]));
        assert_eq!(step(None).max, 3.0);
    }

    #[test]
    fn a_model_without_maps_says_so() {
        let none = AttentionMaps { height: 0, width: 0, tokens: 77, steps: vec![[].as_slice().into(); 3] };
        for step in [None, Some(1)] {
            assert_eq!(numbers(&none, step, vec![word()]).unwrap_err().code(), Code::NoAttentionMaps);
        }
    }
}
