//! The flags of `reprompt edit`, in the groups in which `--help` shows them.
//!
//! Values that have a range, or words of a prompt, are checked where the HTTP API checks them too.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::api::operations::values::seed::Seed;
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
    /// What classifier-free guidance steers away from [default: nothing].
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,
    /// Seed of the noise; the same seed gives the same image [default: random; it is printed].
    ///
    /// From 0 to 18446744073709551615.
    #[arg(long, allow_negative_numbers = true, value_parser = Seed::of_text)]
    pub seed: Option<Seed>,
    /// Denoising steps [default: the model's; 20 for the embedded model].
    #[arg(
        long, visible_alias = "num-inference-steps", allow_negative_numbers = true,
        value_parser = flags::integer::<usize>
    )]
    pub steps: Option<usize>,
    /// How closely images follow their prompts, 0 to 100 [default: the model's; 5 for the embedded model].
    ///
    /// The scale of classifier-free guidance.
    #[arg(long, visible_alias = "cfg-scale", value_name = "SCALE", allow_negative_numbers = true)]
    pub guidance_scale: Option<f64>,
    /// Width and height in pixels, such as 128x96 [default: the model's; 128x128 for the embedded model].
    #[arg(long, value_name = "WxH", conflicts_with_all = ["width", "height"])]
    pub size: Option<String>,
    /// Width in pixels.
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, value_parser = flags::integer::<usize>)]
    pub width: Option<usize>,
    /// Height in pixels.
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, value_parser = flags::integer::<usize>)]
    pub height: Option<usize>,
    /// The sampler [default: the model's; ddim for the embedded model].
    #[arg(
        long, visible_alias = "sampler-name", value_name = "NAME", value_parser = flags::named::<SamplerName>(),
        ignore_case = true
    )]
    pub scheduler: Option<SamplerName>,
}

/// What is done to it. Each may be given once for an edit, or as often as there are words; see [`crate::cli::edit::scopes`].
#[derive(Debug, Args)]
#[command(next_help_heading = "Edits (before the first --to: for all edits; after a --to: for that edit)")]
pub struct EditOptions {
    /// A target prompt; repeat it for more edits of the same source.
    ///
    /// Optional with --edit-type reweight, which keeps the source's prompt.
    #[arg(long, value_name = "TEXT", action = ArgAction::Append)]
    pub to: Vec<String>,
    /// How words are aligned [default: auto].
    ///
    /// auto chooses the rule that fits each word; replace and refine are the published rules for substituted and for
    /// added words; reweight keeps the prompt.
    #[arg(long, value_name = "TYPE", action = ArgAction::Append, value_parser = flags::names::<EditType>())]
    pub edit_type: Vec<String>,
    /// When cross-attention is the source's: a longer window keeps more of the layout [default: the model's preset for
    /// this kind of edit, or 0.8].
    ///
    /// A fraction of the steps: 0.8 is the first 0.8 of them, 0.2..0.6 a window, 0 turns it off. WORD=0.2 is the window
    /// of one word; repeatable. If only words have windows, all other words use the whole run. The JSON of the API
    /// works too.
    #[arg(long, value_name = "WINDOW", action = ArgAction::Append, allow_hyphen_values = true)]
    pub cross_replace_steps: Vec<String>,
    /// When self-attention is the source's: a longer window keeps more of the shapes, a shorter one lets something new
    /// appear [default: the model's preset for this kind of edit, or 0.4].
    ///
    /// A fraction of the steps: 0.4 is the first 0.4 of them, 0.1..0.4 a window, 0 turns it off.
    #[arg(long, value_name = "WINDOW", action = ArgAction::Append, allow_hyphen_values = true)]
    pub self_replace_steps: Vec<String>,
    /// Strength of a word of the target prompt: above 1 strengthens it, below 1 weakens it, negative suppresses it
    /// [default: 1].
    ///
    /// A word, a phrase or a 0-based word index; repeatable. It acts only inside the word's cross-attention window.
    #[arg(long, value_name = "WORD=STRENGTH", action = ArgAction::Append, allow_hyphen_values = true)]
    pub equalizer: Vec<String>,
    /// Keeps the source outside the regions of the words that differ [default: off].
    ///
    /// Each --blend-... option changes a default and turns it on. The JSON of the API works instead of these options;
    /// false turns it off for one edit.
    #[arg(long, value_name = "JSON", action = ArgAction::Append, num_args = 0..=1, default_missing_value = "true")]
    pub local_blend: Vec<String>,
    /// Local blend: a word of the source prompt whose region may change; repeatable [default: the words that differ].
    #[arg(long, value_name = "WORD", action = ArgAction::Append)]
    pub blend_source: Vec<String>,
    /// Local blend: a word of the target prompt whose region may change; repeatable [default: the words that differ].
    #[arg(long, value_name = "WORD", action = ArgAction::Append)]
    pub blend_target: Vec<String>,
    /// Local blend: a word of either prompt whose region stays as it is; repeatable [default: none].
    #[arg(long, value_name = "WORD", action = ArgAction::Append)]
    pub blend_exclude: Vec<String>,
    /// Local blend: a region is where the attention to a word exceeds this fraction of its maximum; higher changes less
    /// [default: 0.3].
    #[arg(long, value_name = "FRACTION", action = ArgAction::Append, allow_negative_numbers = true)]
    pub blend_threshold: Vec<f64>,
    /// Local blend: the fraction of the steps after which it starts [default: 0.2].
    #[arg(long, value_name = "FRACTION", action = ArgAction::Append, allow_negative_numbers = true)]
    pub blend_start: Vec<f64>,
}

/// What is written, and what is printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Folder for source.png, edited.png, edited-2.png and so on; created if missing.
    ///
    /// With - the image of a single edit is written to standard output, and nothing else.
    #[arg(short, long, default_value = "out", value_name = "FOLDER", allow_hyphen_values = true)]
    pub output: PathBuf,
    /// Replaces existing files instead of using the next free number.
    #[arg(long)]
    pub overwrite: bool,
    /// Also writes a contact sheet: all images side by side, the source first, with their prompts below.
    ///
    /// The extension sets the format: .png, .jpg, .jpeg or .webp. An existing file is replaced.
    #[arg(long, value_name = "FILE")]
    pub grid: Option<PathBuf>,
    /// Also writes a heat map of each image's attention to a word, beside the image; repeatable.
    ///
    /// A word, a phrase or a 0-based word index. An image whose prompt lacks the word gets no heat map.
    #[arg(long, value_name = "WORD")]
    pub heatmap: Vec<String>,
    /// Prints only the result, as one line of JSON.
    ///
    /// For one edit it is the response of POST /v1/edits, for several {"object": "list", "data": [...]} of such
    /// responses. Paths take the place of images; the source and the prompt are added.
    #[arg(long)]
    pub json: bool,
    /// Format of the images [default: png].
    #[arg(long, value_name = "FORMAT", value_parser = flags::named::<OutputFormat>())]
    pub output_format: Option<OutputFormat>,
    /// Quality of a JPEG, 1 to 100 [default: 90].
    #[arg(long, value_name = "QUALITY", allow_negative_numbers = true, value_parser = flags::integer::<u64>)]
    pub output_compression: Option<u64>,
}
