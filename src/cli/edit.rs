//! `reprompt edit`: one edit without a server.
//!
//! The flags are put into the body that the HTTP call takes and go through the same reading, so that both know the
//! same parameters, the same defaults and the same mistakes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::{CliError, engine_config, model_files, prepare};
use crate::api::edit_params::{EditSpec, Output};
use crate::api::problem::Problem;
use crate::api::wire::WarningBody;
use crate::api::{recipe, source, warnings};
use crate::config::{DeviceChoice, DtypeChoice, LogFormat, Options, Settings};
use crate::engine::{Engine, EngineError, JobOptions, Outcome, PreparedEdit, Work};
use crate::media::{Image, Text};
use crate::p2p::{AlignedWords, Origin, Relation, Window, Windows, WordRef};
use crate::session::Source;
use crate::telemetry;

pub const EXAMPLES: &str = "\
Examples:
  reprompt edit --prompt \"a cat on the beach\" --to \"a dog on the beach\" --seed 3
  reprompt edit --prompt \"a house in the forest\" --to \"a castle in the forest\" --local-blend
  reprompt edit --prompt \"a cat in the snow\" --edit-type reweight --equalizer snow=-2
  reprompt edit --prompt \"a red car\" --to \"a blue car\" --cross-replace-steps '{\"default_\": 0.8, \"blue\": 0.2}'";

/// What one edit takes: the parameters of `POST /v1/edits`.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// The source's prompt.
    #[arg(long)]
    prompt: String,
    /// The target prompt; may be left out for a reweighting.
    #[arg(long)]
    to: Option<String>,
    /// Folder for the two images; it is made if need be.
    #[arg(short, long, default_value = "out", value_name = "FOLDER")]
    output: PathBuf,
    /// What guidance leads away from.
    #[arg(long)]
    negative_prompt: Option<String>,
    /// Seed of the noise; a random one without it.
    #[arg(long)]
    seed: Option<u64>,
    /// Denoising steps.
    #[arg(long, visible_alias = "num-inference-steps")]
    steps: Option<usize>,
    /// Scale of classifier-free guidance.
    #[arg(long, visible_alias = "cfg-scale")]
    guidance_scale: Option<f64>,
    /// Width and height, such as 512x512.
    #[arg(long)]
    size: Option<String>,
    /// Width in pixels.
    #[arg(long, conflicts_with = "size")]
    width: Option<usize>,
    /// Height in pixels.
    #[arg(long, conflicts_with = "size")]
    height: Option<usize>,
    /// ddim is the one there is.
    #[arg(long, visible_alias = "sampler-name")]
    scheduler: Option<String>,
    /// auto, replace, refine or reweight.
    #[arg(long)]
    edit_type: Option<String>,
    /// When cross-attention is the source's: 0.8, [0.0,0.8], or windows per word as JSON; without it,
    /// the model's preset for this kind of edit, or 0.8.
    #[arg(long, value_name = "WINDOW")]
    cross_replace_steps: Option<String>,
    /// When self-attention is the source's: 0.4 or [0.0,0.4]; without it, the preset, or 0.4.
    #[arg(long, value_name = "WINDOW")]
    self_replace_steps: Option<String>,
    /// A word of the target prompt and a factor on its attention; may be repeated.
    #[arg(long, value_name = "WORD=STRENGTH", allow_hyphen_values = true)]
    equalizer: Vec<String>,
    /// Changes only the parts of the image of the words that differ, or as the JSON of the API says.
    #[arg(long, value_name = "JSON", num_args = 0..=1, default_missing_value = "true")]
    local_blend: Option<String>,
    /// png, jpeg or webp.
    #[arg(long)]
    output_format: Option<String>,
    /// Quality of a JPEG, or of a lossy WebP; a WebP without it is lossless.
    #[arg(long)]
    output_compression: Option<u64>,
    /// A folder in the diffusers layout; without it, the embedded model.
    #[arg(long, env = "REPROMPT_MODEL", value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, env = "REPROMPT_DEVICE")]
    device: Option<DeviceChoice>,
    /// What to compute in.
    #[arg(long, env = "REPROMPT_DTYPE")]
    dtype: Option<DtypeChoice>,
    /// Threads that an image is computed with; one a core without it.
    #[arg(long, env = "REPROMPT_THREADS")]
    threads: Option<usize>,
}

impl EditArgs {
    /// The body of the HTTP call that asks for the same.
    fn body(&self) -> Result<Map<String, Value>, CliError> {
        let json = |flag: &str, text: &Option<String>| -> Result<Option<Value>, CliError> {
            let parse =
                |text| serde_json::from_str(text).map_err(|error| format!("--{flag}: {text} is not JSON: {error}"));
            text.as_deref().map(parse).transpose().map_err(CliError::Request)
        };
        let equalizer: Vec<Value> = self.equalizer.iter().map(|entry| equalizer(entry)).collect::<Result<_, _>>()?;
        let source = [
            ("prompt", Some(json!(self.prompt))),
            ("negative_prompt", self.negative_prompt.clone().map(Value::from)),
            ("seed", self.seed.map(Value::from)),
            ("num_inference_steps", self.steps.map(Value::from)),
            ("guidance_scale", self.guidance_scale.map(Value::from)),
            ("size", self.size.clone().map(Value::from)),
            ("width", self.width.map(Value::from)),
            ("height", self.height.map(Value::from)),
            ("scheduler", self.scheduler.clone().map(Value::from)),
        ];
        let edit = [
            ("source", Some(Value::Object(given(source)))),
            ("prompt", self.to.clone().map(Value::from)),
            ("edit_type", self.edit_type.clone().map(Value::from)),
            ("cross_replace_steps", json("cross-replace-steps", &self.cross_replace_steps)?),
            ("self_replace_steps", json("self-replace-steps", &self.self_replace_steps)?),
            ("equalizer", (!equalizer.is_empty()).then_some(Value::Array(equalizer))),
            ("local_blend", json("local-blend", &self.local_blend)?),
            ("output_format", self.output_format.clone().map(Value::from)),
            ("output_compression", self.output_compression.map(Value::from)),
        ];
        Ok(given(edit))
    }
}

fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn equalizer(entry: &str) -> Result<Value, CliError> {
    let pair = entry.rsplit_once('=').and_then(|(word, strength)| {
        Some((word, strength.parse::<f64>().ok().filter(|strength| strength.is_finite())?))
    });
    let (word, strength) = pair.ok_or_else(|| {
        CliError::Request(format!("--equalizer: {entry} is not a word and a strength, such as snow=2"))
    })?;
    Ok(json!({"word": word, "strength": strength}))
}

/// Makes the edit, with a progress bar, and writes the images.
pub fn run(args: EditArgs) -> Result<(), CliError> {
    telemetry::start(LogFormat::Pretty, "warn");
    if args.to.is_none() && args.edit_type.as_deref() != Some("reweight") {
        let detail = "--to: a target prompt is wanted, except with --edit-type reweight";
        return Err(CliError::Request(detail.to_owned()));
    }
    let mut body = args.body()?;
    let (model, device, dtype, threads) = (args.model.clone(), args.device, args.dtype, args.threads);
    let settings = Settings::new(Options { model, device, dtype, threads, ..Options::default() }, &Options::default())?;
    prepare();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::io("cannot start the runtime"))?;
    runtime.block_on(async {
        let (engine, loaded) = Engine::start(model_files(&settings), engine_config(&settings)?)
            .map_err(CliError::io("cannot start the worker"))?;
        loaded.await.map_err(|_| EngineError::Stalled)??;
        let (model, presets) = (engine.model()?, engine.presets()?);
        let source =
            source::take(&mut body).and_then(|object| source::parse(object, "source", model)).map_err(refused)?;
        let spec = EditSpec::parse(body).map_err(refused)?;
        let prompt = spec.prompt.clone().unwrap_or_else(|| source.prompt.clone());
        source::check_prompt(&prompt, "prompt").map_err(refused)?;
        let edit =
            PreparedEdit::new(model, presets, &source, &prompt, &spec.params).map_err(|error| refused(error.into()))?;
        let words = presets.vocabulary();
        warn(warnings::of_source(words, &source, "source").into_iter().chain(warnings::of_edit(words, &spec)));
        print_alignment(&source, &prompt, &edit);
        print_windows(edit.plan.windows());
        std::fs::create_dir_all(&args.output)
            .map_err(CliError::io(format!("--output: cannot make {}", args.output.display())))?;
        let texts = [recipe::of_source(model, &source), recipe::of_edit(model, &source, &edit, &spec.params)];
        let outcome = follow(&engine, Work::Edit { source: Arc::new(source), edit }).await?;
        let edited = outcome.edited_image.as_ref().unwrap_or(&outcome.source_image);
        println!("took {:.1} s", outcome.timings.total.as_secs_f64());
        for ((name, image), texts) in [("source", &outcome.source_image), ("edited", edited)].into_iter().zip(&texts) {
            let path = args.output.join(name).with_extension(spec.output.format.as_str());
            write(&path, image, spec.output, texts)?;
            println!("wrote {}", path.display());
        }
        Ok(())
    })
}

/// A problem in the words of the command line.
fn refused(problem: Problem) -> CliError {
    let field = problem.param().map(|param| format!("{}: ", flag(param)));
    CliError::Request(format!("{}{}", field.unwrap_or_default(), problem.detail()))
}

/// The flag that a field of a request comes from; the field, where that says as much.
fn flag(param: &str) -> &str {
    match param {
        "source.prompt" => "--prompt",
        "source.negative_prompt" => "--negative-prompt",
        "prompt" => "--to",
        other => other,
    }
}

fn warn(warnings: impl Iterator<Item = WarningBody>) {
    for WarningBody { param, detail, .. } in warnings {
        eprintln!("reprompt: warning: {}: {detail}", flag(&param));
    }
}

/// Runs the job and shows how far it is.
async fn follow(engine: &Engine, work: Work) -> Result<Outcome, CliError> {
    let mut handle = engine.submit(work, JobOptions::default())?;
    let mut progress = handle.progress();
    let bar = ProgressBar::new(0);
    // The template is a constant; a bar without it is still a bar.
    if let Ok(style) = ProgressStyle::with_template("denoising {bar:32} {pos}/{len} steps, {elapsed}") {
        bar.set_style(style);
    }
    let outcome = handle.outcome();
    tokio::pin!(outcome);
    loop {
        tokio::select! {
            result = &mut outcome => {
                bar.finish_and_clear();
                return Ok(result?);
            }
            Ok(()) = progress.changed() => {
                let now = progress.borrow_and_update().clone();
                bar.set_length(now.steps as u64);
                bar.set_position(now.step as u64);
            }
        }
    }
}

fn write(path: &Path, image: &Image, output: Output, texts: &[Text]) -> Result<(), CliError> {
    let file = image
        .encode(output.format, output.quality, texts)
        .map_err(|error| CliError::Request(format!("{} cannot be encoded: {error}", path.display())))?;
    std::fs::write(path, file).map_err(CliError::io(format!("cannot write {}", path.display())))
}

fn print_alignment(source: &Source, prompt: &str, edit: &PreparedEdit) {
    println!(
        "source: {} (seed {}, {}x{}, {} steps)",
        source.prompt, source.seed, source.width, source.height, source.steps
    );
    println!("target: {prompt} ({})", edit.plan.edit_type().as_str());
    for AlignedWords { target, source, relation, .. } in edit.plan.alignment() {
        let (target, source) = (target.as_deref().unwrap_or_default(), source.as_deref().unwrap_or_default());
        match relation {
            Relation::Kept => {}
            Relation::Replaced => println!("  replaced  {source} -> {target}"),
            Relation::Added => println!("  added     {target}"),
            Relation::Removed => println!("  removed   {source}"),
        }
    }
}

fn print_windows(windows: &Windows) {
    let from = |origin| match origin {
        Origin::Request => "as asked for".to_owned(),
        Origin::Preset => format!("preset of {}", windows.presets.join(", ")),
        Origin::Default => "as published".to_owned(),
    };
    let span =
        |window: &Window| if window.is_off() { "off".to_owned() } else { format!("{} to {}", window.lo, window.hi) };
    let of_words = windows.cross.words.iter().map(|(word, window)| match word {
        WordRef::Text(text) => format!(", {text} {}", span(window)),
        WordRef::Index(index) => format!(", word {index} {}", span(window)),
    });
    let cross = format!("{}{}", span(&windows.cross.default), of_words.collect::<String>());
    println!("  cross-attention  {cross} ({})", from(windows.cross_origin));
    println!("  self-attention   {} ({})", span(&windows.self_attention), from(windows.self_origin));
}
