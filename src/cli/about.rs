//! `reprompt completions` and `reprompt man`: shell completions and manual pages, made from the definition of the
//! flags.

use clap::{Args, Command};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::cli::{CliError, console};

pub const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  reprompt completions bash > reprompt.bash
  reprompt completions zsh > _reprompt
  reprompt completions fish > reprompt.fish

Where to put it: bash: ~/.local/share/bash-completion/completions/reprompt; zsh: a folder in fpath;
fish: ~/.config/fish/completions/reprompt.fish.";

pub const MAN_EXAMPLES: &str = "\
Examples:
  reprompt man > reprompt.1
  reprompt man edit > reprompt-edit.1";

/// What is completed where.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Which page.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command to describe [default: reprompt itself].
    command: Option<String>,
}

/// Prints the script for a shell.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<(), CliError> {
    let mut script = Vec::new();
    generate(args.shell, &mut command, "reprompt", &mut script);
    console::print_bytes(&script)
}

/// Prints a manual page.
pub fn man(args: &ManArgs, mut command: Command) -> Result<(), CliError> {
    // Names of commands with the program's before them.
    command.build();
    let page = match &args.command {
        None => command,
        Some(name) => {
            let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            command.find_subcommand(name).cloned().ok_or_else(|| {
                CliError::Request(format!("COMMAND: unknown command {name}; expected one of {}", names.join(", ")))
            })?
        }
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text).map_err(CliError::io("cannot write the page"))?;
    console::print_bytes(&text)
}
