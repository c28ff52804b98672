//! The revision of the sources, for logs and metrics: `REPROMPT_REVISION` if it is set, else what git says, else
//! `unknown`. It runs again when the sources change, so that it causes no compilation of its own.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-env-changed=REPROMPT_REVISION");
    let given = std::env::var("REPROMPT_REVISION").ok().filter(|given| !given.is_empty());
    let revision = given.or_else(of_git).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_REVISION={revision}");
}

/// The commit that is checked out, with `-dirty` if files differ from it.
fn of_git() -> Option<String> {
    let arguments = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
