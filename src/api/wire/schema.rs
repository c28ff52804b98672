//! What the fields that may be one thing or another are documented as, and those that have one of a few values.

use std::borrow::Cow;

use utoipa::openapi::schema::{AdditionalProperties, Object, SchemaType, Type};
use utoipa::openapi::{ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::api::delivery::sse::openai::{COMPLETED, PARTIAL_IMAGE};
use crate::api::wire::request::LocalBlendBody;

/// Words of a request at most: a prompt has fewer tokens.
const MAX_WORDS: usize = 256;

/// A schema by its name in the document.
macro_rules! schema {
    ($($name:ident as $schema:literal: $($doc:literal)+ => $make:expr;)*) => {
        $(
            #[doc = concat!($($doc),+)]
            #[derive(Debug)]
            pub struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let schema: Schema = $make(concat!($($doc),+));
                    schema.into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed($schema)
                }
            }
        )*
    };
}

schema! {
    EditTypeSchema as "EditType": "How the prompts are aligned." => one_of(&["auto", "replace", "refine", "reweight"]);
    SchedulerSchema as "Scheduler": "The schedulers there are." => one_of(&["ddim"]);
    SchedulerNameSchema as "SchedulerName": "The schedulers there are, in any case." => one_of(&["ddim", "DDIM"]);
    OutputFormatSchema as "OutputFormat": "PNG and WebP are lossless, unless WebP is given a quality."
        => one_of(&["png", "jpeg", "webp"]);
    ResponseFormatSchema as "ResponseFormat": "How images stand in an answer." => one_of(&["b64_json"]);
    ImagesResponseFormatSchema as "ImagesResponseFormat": "As base64, or as a data URL." => one_of(&["b64_json", "url"]);
    QualitySchema as "Quality": "Names of the OpenAI API." => one_of(&["auto", "standard", "hd", "low", "medium", "high"]);
    StyleSchema as "Style": "Names of the OpenAI API." => one_of(&["vivid", "natural"]);
    BackgroundSchema as "Background": "Images are opaque." => one_of(&["auto", "opaque"]);
    ModerationSchema as "Moderation": "Names of the OpenAI API." => one_of(&["auto", "low"]);
    RecordingSchema as "Recording":
        "`created`: it was recorded for this answer; `hit`: it was there; `replayed`: it was known, and was computed again."
        => one_of(&["created", "hit", "replayed"]);
    TierSchema as "Tier":
        "`device`, `memory` and `disk` hold attention; of `trajectory` it is computed again from the latents; of `source` "
        "everything is."
        => one_of(&["device", "memory", "disk", "trajectory", "source"]);
    RelationSchema as "Relation": "What became of a word." => one_of(&["kept", "replaced", "added", "removed"]);
    RoleSchema as "Role": "Whose image it is." => one_of(&["source", "edit"]);
    OriginSchema as "Origin": "The request's, the model's preset for this kind of edit, or the published one."
        => one_of(&["request", "preset", "default"]);
    WarningCodeSchema as "WarningCode":
        "`unknown_word`: the model does not know a word of a prompt; `no_effect`: a field was taken and changes nothing."
        => one_of(&["unknown_word", "no_effect"]);
    JobKindSchema as "JobKind": "What a job makes." => one_of(&["edit", "session", "images"]);
    JobStatusSchema as "JobStatus": "Where a job stands."
        => one_of(&["queued", "processing", "succeeded", "failed", "canceled"]);
    CancelReasonSchema as "CancelReason": "Why a job was cancelled."
        => one_of(&["disconnected", "deleted", "deadline", "draining"]);
    ErrorTypeSchema as "OpenAiErrorType": "The kinds of errors of the OpenAI API." => one_of(&[
        "invalid_request_error", "authentication_error", "permission_error", "rate_limit_error", "server_error",
    ]);
    ImageFileSchema as "ImageFile": "An image file." => |text: &str| {
        string().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).description(Some(text)).build().into()
    };
    StreamEventSchema as "StreamEvent":
        "One event of a stream: its name, and its data as JSON. That of `queued` is a `QueueBody`, of `started` a "
        "`StartedEvent`, of `step` a `StepEvent`, of `completed` the whole answer, of `error` a `ProblemBody`."
        => event(&["queued", "started", "step", "completed", "error"]);
    ImageStreamEventSchema as "ImageStreamEvent":
        "One event of a stream: its name, and its data as JSON. That of `image_generation.partial_image` is a "
        "`PartialImageEvent`, of `image_generation.completed` the answer with the image's fields beside the others and "
        "`created_at` in place of `created`, of `error` an `OpenAiError`."
        => event(&[PARTIAL_IMAGE, COMPLETED, "error"]);
    PromptSchema as "Prompt": "A prompt: it has a word, and fits into the model's tokens." => |text: &str| {
        string().min_length(Some(1)).max_length(Some(4096)).pattern(Some(r"\S")).description(Some(text)).build().into()
    };
    WindowSchema as "Window": "A part of the steps: its first one, or from one fraction to another." => |text: &str| {
        let window = list(fraction(), 2, 2).description(Some("From one fraction of the steps to another."));
        either(text, [fraction().description(Some("The first part of the steps.")).build().into(), window.build().into()])
    };
    CrossWindowsSchema as "CrossWindows": "Parts of the steps, by the words of the target prompt if need be." => |text: &str| {
        let per_word = ObjectBuilder::new()
            .additional_properties(Some(AdditionalProperties::RefOr(reference("Window"))))
            .max_properties(Some(MAX_WORDS))
            .description(Some("Windows of words; `default_` is that of all others."));
        let all = OneOfBuilder::new().item(reference("Window"));
        all.item(per_word.build()).description(Some(text)).build().into()
    };
    WordSchema as "Word": "A word of a prompt, or a phrase, punctuation and case aside; or a 0-based word index." => |text: &str| {
        let index = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).minimum(Some(0_usize));
        either(text, [string().build().into(), index.description(Some("A 0-based word index.")).build().into()])
    };
    WordsSchema as "Words": "One word of a prompt, or several." => |text: &str| {
        let many = ArrayBuilder::new().items(reference("Word")).max_items(Some(MAX_WORDS)).build();
        OneOfBuilder::new().item(reference("Word")).item(many).description(Some(text)).build().into()
    };
    LocalBlendSchema as "LocalBlend": "Where an edit may change the image." => |text: &str| {
        let differing = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Boolean));
        let differing = differing.description(Some("`true`: where the words that differ are; `false`: everywhere."));
        let words = reference(&LocalBlendBody::name());
        OneOfBuilder::new().item(differing.build()).item(words).description(Some(text)).build().into()
    };
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))
}

fn one_of<'a>(values: &'a [&'a str]) -> impl Fn(&str) -> Schema + 'a {
    move |text| string().enum_values(Some(values.iter().copied())).description(Some(text)).build().into()
}

fn event<'a>(names: &'a [&'a str]) -> impl Fn(&str) -> Schema + 'a {
    move |text| {
        let fields = ObjectBuilder::new()
            .property("event", string().enum_values(Some(names.iter().copied())))
            .property("data", string().content_media_type("application/json"));
        fields.required("event").required("data").description(Some(text)).build().into()
    }
}

fn fraction() -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Number));
    number.minimum(Some(0_usize)).maximum(Some(1_usize))
}

fn list(items: ObjectBuilder, min: usize, max: usize) -> ArrayBuilder {
    ArrayBuilder::new().items(Object::from(items)).min_items(Some(min)).max_items(Some(max))
}

fn reference(schema: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(schema))
}

fn either(text: &str, schemas: [Schema; 2]) -> Schema {
    let items = schemas.into_iter().fold(OneOfBuilder::new(), |one_of, schema| one_of.item(schema));
    items.description(Some(text)).build().into()
}
