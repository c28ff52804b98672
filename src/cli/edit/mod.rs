//! `reprompt edit`: edits without a server.
//!
//! The flags make the typed request that the HTTP call makes of its body, so that both have the same parameters, the
//! same defaults and the same checks. The source is run once; all edits of it run beside it.
//!
//! - `args`: the flags; `scopes`: which belongs to which edit; `request`: the typed requests of flags
//! - `plan`: the source and the edits, ready to run; `progress`: how far they are
//! - `write`, `files`: what is written, and under which names

mod args;
mod files;
mod plan;
mod progress;
mod request;
mod scopes;
mod write;

use clap::ArgMatches;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::Path;
use tokio::task::JoinSet;

use crate::api::operations::bodies::alignment;
use crate::api::operations::edits::request::EditField;
use crate::api::operations::sessions::response::SourceBody;
use crate::api::operations::windows;
pub use crate::cli::edit::args::EditArgs;
use crate::cli::edit::files::{Folder, NamedFile};
use crate::cli::edit::plan::Plan;
use crate::cli::edit::progress::{Lines, follow};
use crate::cli::edit::scopes::{Scope, scopes};
use crate::cli::edit::write::Written;
use crate::cli::settings;
use crate::cli::settings::{engine_config, engine_parts, model_files, prepare};
use crate::cli::{CliError, console, flags};
use crate::config::{LogFormat, Settings};
use crate::engine::{Engine, EngineError, JOB_FAILED, JobOptions, Outcome, Work};
use crate::telemetry;
use crate::telemetry::metrics::MetricsRegistry;

pub const RULES: &str = "\
Several edits of one source:
  Each --to starts an edit. Options after a --to apply to that edit; options before the first --to apply to all edits.
  An edit's own value overrides the common one. Words of --equalizer and of the --blend-... lists are added to the
  common ones.

Files:
  An existing file with different content is kept and the next free number is used, unless --overwrite is given.
  --grid always replaces an existing file.";

pub const EXAMPLES: &str = "\
Examples:
  reprompt edit --prompt \"a car in the city\" --to \"a bus in the city\" --seed 7
  reprompt edit --prompt \"a house in the forest\" --to \"a castle in the forest\" --seed 3 --local-blend
  reprompt edit --prompt \"a castle in the forest\" --seed 7 --edit-type reweight --equalizer forest=3
  reprompt edit --prompt \"a red car on the grass\" --seed 7 --to \"a blue car on the grass\" \\
    --to \"a red bus on the grass\" --cross-replace-steps 0.8 --cross-replace-steps bus=0.2 --grid cars.png
  reprompt edit --prompt \"a penguin in the snow\" --seed 3 --to \"a penguin in the snow at night\" \\
    --heatmap penguin --heatmap night --json
  reprompt edit --prompt \"a cat on the beach\" --to \"a dog on the beach\" -o - > dog.png";

pub const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   invalid settings, or the model, a file or the computation failed; the last line names the cause
  2   invalid command line: a flag or its value
  70  the worker ended unexpectedly
  71  the device failed";

/// The log filter: why a job failed is printed once, at the end.
fn logged() -> String {
    format!("warn,{JOB_FAILED}=off")
}

/// Makes the edits, shows how far they are, and writes the images.
pub fn run(args: EditArgs, matches: &ArgMatches) -> Result<(), CliError> {
    telemetry::start(LogFormat::Pretty, &logged());
    let scopes = scopes(&args.edits, matches);
    check(&args, &scopes)?;
    // One more job than edits: the source.
    let settings = settings::of_command(&args.model, Some(&args.computing), scopes.len() + 1)?;
    prepare();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::io("cannot start the runtime"))?;
    runtime.block_on(edit(&args, &scopes, &settings))
}

/// Checks what can be seen without the model.
fn check(args: &EditArgs, scopes: &[Scope]) -> Result<(), CliError> {
    let refused = |detail: &str| Err(CliError::Request(detail.to_owned()));
    let wants_target =
        |scope: &Scope| Ok::<_, CliError>(scope.to.is_none() && scope.single("edit_type")? != Some("reweight"));
    if scopes.iter().map(wants_target).collect::<Result<Vec<_>, _>>()?.contains(&true) {
        return refused("--to: expected a target prompt, except with --edit-type reweight");
    }
    if !is_stdout(&args.output.output) {
        return Ok(());
    }
    match &args.output {
        _ if scopes.len() > 1 => refused("--output: expected a single edit with -, got several"),
        output if output.json => refused("--json: standard output already takes the image of --output -"),
        output if !output.heatmap.is_empty() => {
            refused("--heatmap: heat maps are written beside the images, but --output - has no folder")
        }
        _ if std::io::stdout().is_terminal() => {
            refused("--output: a terminal cannot show an image; redirect it: -o - > edited.png")
        }
        _ => Ok(()),
    }
}

fn is_stdout(output: &Path) -> bool {
    output.as_os_str() == "-"
}

async fn edit(args: &EditArgs, scopes: &[Scope], settings: &Settings) -> Result<(), CliError> {
    let lines = Lines::default();
    let loading = lines.waiting("loading the model");
    let config = engine_config(settings)?;
    let parts = engine_parts(&MetricsRegistry::new(), &config)?;
    let (engine, loaded) =
        Engine::start(model_files(settings), config, parts).map_err(CliError::io("cannot start the worker"))?;
    loaded.await.map_err(|_| EngineError::Stalled)??;
    loading.finish_and_clear();
    let model = engine.model()?;
    let plan = Plan::new(args, scopes, model, engine.presets()?)?;
    let mut folder = match &args.output.output {
        stdout if is_stdout(stdout) => None,
        path => Some(Folder::open(path, plan.output, args.output.overwrite)?),
    };
    let grid = args.output.grid.as_deref().map(|path| NamedFile::grid(path, plan.output.quality)).transpose()?;
    let is_talking = !args.output.json && folder.is_some();
    if !args.output.json {
        plan.warnings.iter().for_each(|word| console::warn(&flags::of_source(word.field), &word.detail()));
        let own = plan.edits.iter().flat_map(|edit| &edit.warnings);
        own.for_each(|word| console::warn(&flags::of_edit(EditField::Prompt), &word.detail()));
    }
    if is_talking {
        console::print(&planned(&plan))?;
    }
    let (edits, failed) = compute(&engine, &plan, &lines).await?;
    lines.clear();
    let Some((_, first)) = edits.first() else {
        return failed.map_or(Ok(()), Err);
    };
    let grid = grid.map(|file| write::grid(&file, &plan, &first.source_image, &edits)).transpose()?;
    match &mut folder {
        None => {
            let texts = plan.edits.first().map_or(&[][..], |edit| &edit.texts);
            console::print_bytes(&files::encode(first.image(), plan.output, texts, "the image")?)?;
        }
        Some(folder) => {
            let source = write::source(folder, &plan, first)?;
            let mut answers = Vec::new();
            let mut all = source.clone();
            for (at, outcome) in &edits {
                let edit = write::edit(folder, &plan, *at, outcome)?;
                answers.push(answer(&model.name, &plan, (*at, outcome), source.iter().chain(&edit).chain(&grid))?);
                all.extend(edit);
            }
            all.extend(grid);
            if is_talking {
                let took = edits.iter().map(|(_, outcome)| outcome.timings.total).max().unwrap_or_default();
                let files: String = all.iter().map(|file| format!("wrote {}\n", file.path.display())).collect();
                console::print(&format!("took {:.1} s\n{files}", took.as_secs_f64()))?;
            } else {
                console::print_json(&whole(answers, plan.edits.len()))?;
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// What is about to be made, for people.
fn planned(plan: &Plan) -> String {
    let source = &plan.source;
    let (prompt, seed, steps) = (&source.prompt, source.seed(), source.steps);
    let mut text = format!("source: {prompt} (seed {seed}, {}x{}, {steps} steps)\n", source.width, source.height);
    for edit in &plan.edits {
        let (prompt, settled) = (edit.prepared.prompt.text(), &edit.prepared.plan);
        text.push_str(&format!("target: {prompt} ({})\n", settled.edit_type().as_str()));
        text.push_str(&console::alignment(&alignment(settled.alignment()), false));
        text.push_str(&console::windows(&windows::body(settled.windows())));
    }
    text
}

/// Runs the source and the edits. Returns the edits that succeeded, in order, and the error of the first that failed.
async fn compute(
    engine: &Engine,
    plan: &Plan,
    lines: &Lines,
) -> Result<(Vec<(usize, Outcome)>, Option<CliError>), CliError> {
    let (source, steps) = (&plan.source, plan.source.steps);
    let source_line = lines.steps("source".to_owned(), source.prompt.clone(), steps);
    let mut jobs = JoinSet::new();
    for (at, edit) in plan.edits.iter().enumerate() {
        let name = if plan.edits.len() > 1 { format!("edit {}", at + 1) } else { "edit".to_owned() };
        let line = lines.steps(name, edit.caption.clone(), steps);
        let work = Work::Edit { source: source.clone(), edit: edit.prepared.clone() };
        let handle = engine.submit(work, JobOptions { previews: 0, attention: !edit.heat.is_empty() })?;
        jobs.spawn(async move { (Some(at), follow(handle, line).await) });
        if at == 0 {
            // After the first edit, which says what of the source is to be recorded; it is there for its line.
            let handle = engine.submit(Work::Record { source: source.clone() }, JobOptions::default())?;
            let line = source_line.clone();
            jobs.spawn(async move { (None, follow(handle, line).await) });
        }
    }
    let mut ended: Vec<(usize, Result<Outcome, EngineError>)> = Vec::new();
    while let Some(job) = jobs.join_next().await {
        // A task that has ended counts as a worker that has ended.
        let (at, result) = job.map_err(|_| EngineError::Stalled)?;
        ended.extend(at.map(|at| (at, result)));
    }
    ended.sort_by_key(|(at, _)| *at);
    let (mut made, mut failed) = (Vec::new(), None);
    for (at, result) in ended {
        match result {
            Ok(outcome) => made.push((at, outcome)),
            Err(error) => {
                let which = plan.edits.get(at).map(|edit| edit.name.clone()).filter(|name| !name.is_empty());
                let error = match which {
                    Some(which) => CliError::Edit { which, source: error },
                    None => CliError::Engine(error),
                };
                // The first is printed at the end, and decides the exit code.
                if failed.is_some() {
                    console::complain(&error.to_string());
                } else {
                    failed = Some(error);
                }
            }
        }
    }
    Ok((made, failed))
}

/// The API's answer to an edit, with paths of files instead of images, and with the source and the prompt.
fn answer<'a>(
    model: &str,
    plan: &Plan,
    (at, outcome): (usize, &Outcome),
    files: impl Iterator<Item = &'a Written>,
) -> Result<Value, CliError> {
    let Some(edit) = plan.edits.get(at) else {
        return Ok(Value::Null);
    };
    let body = serde_json::to_value(edit.response(model, plan, outcome));
    let mut body = body.map_err(|error| CliError::io("cannot write JSON")(error.into()))?;
    body["source"] = json!(SourceBody::from(&**plan.source));
    body["prompt"] = json!(edit.prepared.prompt.text());
    body["data"] = files.map(Written::json).collect();
    Ok(body)
}

/// The answer if one edit was asked for, otherwise a list.
fn whole(mut answers: Vec<Value>, asked: usize) -> Value {
    match answers.pop() {
        Some(one) if asked == 1 => one,
        last => {
            answers.extend(last);
            json!({"object": "list", "data": answers})
        }
    }
}
