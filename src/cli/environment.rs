//! Variables of the environment that give flags their values.
//!
//! Contract: an empty variable is one that is not set, as in `${NAME:-}` of a compose file. An error of a value that a
//! variable gave names the variable, in one line; clap would name the flag.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

/// The command for these arguments: a command below it takes the variables for itself. They would otherwise be values of
/// the default command's flags too, and a flag could not override an invalid variable.
pub fn read_by(command: Command, mut arguments: impl Iterator<Item = OsString>) -> Command {
    let is_below = arguments.next().is_some_and(|first| command.find_subcommand(first).is_some());
    let command = if is_below { command.mut_args(|arg| arg.env(Resettable::Reset)) } else { command };
    without_empty_variables(command)
}

/// The command, without the variables that are set and empty.
fn without_empty_variables(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { arg.env(Resettable::Reset) } else { arg }
    });
    command.mut_subcommands(without_empty_variables)
}

/// What to say of an error if a variable is to blame; `None` if it is the command line.
pub fn blame(error: &Error, command: &Command, arguments: impl Iterator<Item = OsString>) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return None;
    }
    let flag = text(error, ContextKind::InvalidArg)?.split_whitespace().next()?.to_owned();
    let is_given = |argument: OsString| {
        let argument = argument.to_string_lossy();
        argument.strip_prefix(flag.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if arguments.into_iter().any(is_given) {
        return None;
    }
    let is_flag = |arg: &&Arg| arg.get_long().is_some_and(|long| format!("--{long}") == flag);
    let variable = args(command).filter(is_flag).find_map(Arg::get_env)?;
    Some(format!("{}: {}", variable.to_string_lossy(), detail(error)))
}

/// All flags of a command and of those below it.
fn args(command: &Command) -> Box<dyn Iterator<Item = &Arg> + '_> {
    Box::new(command.get_arguments().chain(command.get_subcommands().flat_map(args)))
}

fn text(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// What was expected, and what was given.
fn detail(error: &Error) -> String {
    let got = text(error, ContextKind::InvalidValue).unwrap_or_default();
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
        && !values.is_empty()
    {
        return format!("expected one of {}, got {got}", values.join(", "));
    }
    match std::error::Error::source(error).map(ToString::to_string) {
        // clap's own message about booleans.
        Some(message) if message == "value was not a boolean" => format!("expected true or false, got {got}"),
        Some(message) if message.contains("got ") => message,
        Some(message) => format!("{message}, got {got}"),
        None => format!("unsupported value {got}"),
    }
}
