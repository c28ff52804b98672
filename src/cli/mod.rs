//! The command line: `serve` (also without a command), `edit`, `align`, `models`, and commands that describe the
//! program itself.
//!
//! - `edit`, `align`, `models`: the same as the calls of the HTTP API, without a server
//! - `serve`, `signals`: the service, until it is shut down
//! - `environment`: variables that are empty or invalid; `settings`, `device`: the model and the device; `flags`: names of flags; `console`: output; `error`: errors and
//!   exit codes
//! - `about`: completions and man pages, from the flags' own description

mod about;
mod align;
mod console;
mod device;
mod edit;
mod environment;
mod error;
mod flags;
mod models;
mod serve;
mod settings;
mod signals;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use crate::cli::error::CliError;
use crate::config::{Options, Settings, unknown_variables};

const EXAMPLES: &str = "\
Examples:
  reprompt --listen 127.0.0.1:8080
  reprompt edit --prompt \"a car in the city\" --to \"a bus in the city\" --seed 7";

const OPENAPI_EXAMPLES: &str = "\
Examples:
  reprompt openapi > openapi.yaml";

/// Image editing by editing the prompt: Prompt-to-Prompt on Stable Diffusion, as a service and on the command line.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", serve::EXIT_CODES))]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the HTTP API; the default command.
    #[command(after_help = format!("{}\n\n{}", serve::EXAMPLES, serve::EXIT_CODES))]
    Serve(Box<ServeArgs>),
    /// Edits a source once or several times without a server, and writes the images.
    #[command(after_help = format!("{}\n\n{}\n\n{}", edit::RULES, edit::EXAMPLES, edit::EXIT_CODES))]
    Edit(Box<edit::EditArgs>),
    /// Shows how two prompts align and which windows an edit would get, without running it.
    #[command(after_help = align::EXAMPLES)]
    Align(align::AlignArgs),
    /// Describes the model: vocabulary, presets, defaults and examples.
    #[command(after_help = models::EXAMPLES)]
    Models(models::ModelsArgs),
    /// Prints the contract of the HTTP API as an OpenAPI document.
    #[command(after_help = OPENAPI_EXAMPLES)]
    Openapi,
    /// Prints a completion script for a shell.
    #[command(after_help = about::COMPLETIONS_EXAMPLES)]
    Completions(about::CompletionsArgs),
    /// Prints a manual page.
    #[command(after_help = about::MAN_EXAMPLES)]
    Man(about::ManArgs),
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of serve")]
struct ServeArgs {
    /// A TOML file with any of these settings.
    #[arg(long, env = "REPROMPT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints every setting and where it came from, and exits.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    options: Options,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let command = environment::read_by(Cli::command(), std::env::args_os().skip(1));
    let matches = match command.clone().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => match environment::blame(&error, &command, std::env::args_os().skip(1)) {
            Some(message) => {
                console::complain(&message);
                return ExitCode::FAILURE;
            }
            None => error.exit(),
        },
    };
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let of_command = |name| matches.subcommand_matches(name).unwrap_or(&matches);
    let config = match &cli.command {
        None => cli.serve.config.clone(),
        Some(Command::Serve(args)) => args.config.clone(),
        Some(_) => None,
    };
    let result = match cli.command {
        None => serve_with(cli.serve, &matches),
        Some(Command::Serve(args)) => serve_with(*args, of_command("serve")),
        Some(Command::Edit(args)) => edit::run(*args, of_command("edit")),
        Some(Command::Align(args)) => align::run(args),
        Some(Command::Models(args)) => models::run(args),
        Some(Command::Openapi) => console::print(&crate::api::openapi::yaml()),
        Some(Command::Completions(args)) => about::completions(&args, Cli::command()),
        Some(Command::Man(args)) => about::man(&args, Cli::command()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let given = matches.subcommand().map_or(&matches, |(_, given)| given);
            let error = error.blame(given, config.as_deref());
            console::complain(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

fn serve_with(args: ServeArgs, matches: &ArgMatches) -> Result<(), CliError> {
    let file = args.config.as_deref().map(Options::from_file).transpose()?.unwrap_or_default();
    let settings = Settings::new(args.options.joined(matches), &file)?;
    if args.print_config {
        console::print(&settings.describe(matches, &file))?;
        unknown_variables().iter().for_each(|unknown| console::complain(&unknown.to_string()));
        return Ok(());
    }
    serve::run(&settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_of_the_flags_is_sound() {
        Cli::command().debug_assert();
    }
}
