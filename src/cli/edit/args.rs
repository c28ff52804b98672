//! The flags of `reprompt edit`, in the groups in which `--help` shows them.
//!
//! Values that have a range, or words of a prompt, are checked where the HTTP API checks them too.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::cli::flags;
use crate::cli::settings::{ComputingArgs, ModelArgs};
use crate::diffusion::samplers::SamplerName;
use crate::media::OutputFormat;
use crate::p2p::EditType;

/// A source, any number of edits of it, and where the images go.
#[derive(Debug, Args)]
pub struct EditArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub edits: EditOptions,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub computing: ComputingArgs,
}

/// What the source is made from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Source")]
pub struct SourceArgs {
    /// The source's prompt.
    #[arg(long, value_name = "TEXT")]
    pub prompt: String,
    /// What guidance leads away from [default: nothing].
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,
    /// Seed of the noise; the same seed is the same image [default: a random one, which is printed].
    #[arg(long)]
    pub seed: Option<u64>,
    /// Denoising steps [default: the model's; 20 of the embedded one].
    #[arg(long, visible_alias = "num-inference-steps")]
    pub steps: Option<usize>,
    /// How strictly the prompt is followed, 0 to 100 [default: the model's; 5 of the embedded one].
    ///
    /// The scale of classifier-free guidance.
    #[arg(long, visible_alias = "cfg-scale", value_name = "SCALE")]
    pub guidance_scale: Option<f64>,
    /// Width and height in pixels, such as 128x96 [default: the model's; 128x128 of the embedded one].
    #[arg(long, value_name = "WxH", conflicts_with_all = ["width", "height"])]
    pub size: Option<String>,
    /// Width in pixels.
    #[arg(long, value_name = "PIXELS")]
    pub width: Option<usize>,
    /// Height in pixels.
    #[arg(long, value_name = "PIXELS")]
    pub height: Option<usize>,
    /// The sampler [default: the model's; ddim of the embedded one].
    #[arg(
        long, visible_alias = "sampler-name", value_name = "NAME", value_parser = flags::named::<SamplerName>(),
        ignore_case = true
    )]
    pub scheduler: Option<SamplerName>,
}

/// What is done to it. Each may be given once for an edit, or as often as there are words; see [`crate::cli::edit::scopes`].
#[derive(Debug, Args)]
#[command(next_help_heading = "Edits (before the first --to: of all edits; after a --to: of that edit)")]
pub struct EditOptions {
    /// A target prompt; repeated, each is one more edit of the same source.
    ///
    /// May be left out with --edit-type reweight, which keeps the source's.
    #[arg(long, value_name = "TEXT", action = ArgAction::Append)]
    pub to: Vec<String>,
    /// How words are matched [default: auto].
    ///
    /// auto takes the rule that fits each word, replace and refine are the published ones for substituted and for added
    /// words, reweight keeps the prompt.
    #[arg(long, value_name = "TYPE", action = ArgAction::Append, value_parser = flags::names::<EditType>())]
    pub edit_type: Vec<String>,
    /// How long each word goes where the source has it: longer keeps more of the source [default: the model's preset for
    /// this kind of edit, or 0.8].
    ///
    /// The part of the steps in which cross-attention is the source's: 0.8 from the start, 0.2..0.6, 0 for never; for one
    /// word WORD=0.2, repeatable; or the JSON of the API. Words without a window have the whole run, unless a plain
    /// window is given too.
    #[arg(long, value_name = "WINDOW", action = ArgAction::Append, allow_hyphen_values = true)]
    pub cross_replace_steps: Vec<String>,
    /// How long shapes and places stay the source's: shorter lets something new appear [default: the model's preset for
    /// this kind of edit, or 0.4].
    ///
    /// The part of the steps in which self-attention is the source's: 0.4 from the start, 0.1..0.4, 0 for never.
    #[arg(long, value_name = "WINDOW", action = ArgAction::Append, allow_hyphen_values = true)]
    pub self_replace_steps: Vec<String>,
    /// Strength of a word of the target prompt: above 1 more of it, below 1 less, negative against it [default: 1].
    ///
    /// A word, a phrase or a word's index from 0; repeatable.
    #[arg(long, value_name = "WORD=STRENGTH", action = ArgAction::Append, allow_hyphen_values = true)]
    pub equalizer: Vec<String>,
    /// Keeps the source outside the parts of the image of the words that differ [default: off].
    ///
    /// The --blend-... options say more, each of which turns it on, or the JSON of the API does in their place; false
    /// turns it off for one edit.
    #[arg(long, value_name = "JSON", action = ArgAction::Append, num_args = 0..=1, default_missing_value = "true")]
    pub local_blend: Vec<String>,
    /// Local blend: a word of the source prompt whose part may change; repeatable [default: those that differ].
    #[arg(long, value_name = "WORD", action = ArgAction::Append)]
    pub blend_source: Vec<String>,
    /// Local blend: a word of the target prompt whose part may change; repeatable [default: those that differ].
    #[arg(long, value_name = "WORD", action = ArgAction::Append)]
    pub blend_target: Vec<String>,
    /// Local blend: a word of either prompt whose part stays as it is; repeatable [default: none].
    #[arg(long, value_name = "WORD", action = ArgAction::Append)]
    pub blend_exclude: Vec<String>,
    /// Local blend: the part of a word's highest attention from which a place is the word's; higher changes less
    /// [default: 0.3].
    #[arg(long, value_name = "PART", action = ArgAction::Append, allow_negative_numbers = true)]
    pub blend_threshold: Vec<f64>,
    /// Local blend: the part of the steps after which it begins [default: 0.2].
    #[arg(long, value_name = "PART", action = ArgAction::Append, allow_negative_numbers = true)]
    pub blend_start: Vec<f64>,
}

/// What is written, and what is printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Folder for source.png, edited.png, edited-2.png and so on; it is made if need be.
    ///
    /// A - writes the image of one edit to standard output, and nothing else.
    #[arg(short, long, default_value = "out", value_name = "FOLDER", allow_hyphen_values = true)]
    pub output: PathBuf,
    /// Replaces files that are there, in place of taking the next free number.
    #[arg(long)]
    pub overwrite: bool,
    /// Also writes all images side by side, the source first, with their prompts below.
    ///
    /// The name's end says the format; what was there is replaced.
    #[arg(long, value_name = "FILE")]
    pub grid: Option<PathBuf>,
    /// Also writes where each image attends to a word of its prompt, beside the images; repeatable.
    ///
    /// A word, a phrase or a word's index from 0; of images whose prompts have it.
    #[arg(long, value_name = "WORD")]
    pub heatmap: Vec<String>,
    /// Prints nothing but what was done, as one line of JSON.
    ///
    /// Of one edit what POST /v1/edits answers, of several {"object": "list", "data": [...]} of these; with paths in
    /// place of the images, and with the source and the prompt.
    #[arg(long)]
    pub json: bool,
    /// Format of the images [default: png].
    #[arg(long, value_name = "FORMAT", value_parser = flags::named::<OutputFormat>())]
    pub output_format: Option<OutputFormat>,
    /// Quality of a JPEG, 1 to 100 [default: 90].
    #[arg(long, value_name = "QUALITY")]
    pub output_compression: Option<u64>,
}
