//! The command line: invalid arguments, outputs that cannot be written, and what it says about itself.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::process::reprompt;

fn run(arguments: &[&str]) -> Output {
    reprompt(arguments).stdout(Stdio::piped()).output().unwrap()
}

/// A command that ends with this code and one line on standard error.
fn refused(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    stderr
}

#[test]
fn what_is_wrong_with_an_edit_is_one_line_that_names_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let car = ["edit", "-o", out.to_str().unwrap(), "--prompt", "a red car"];
    let cases: &[(&str, &[&str])] = &[
        ("--to: expected a target prompt", &[]),
        ("--to: the prompt has no words", &["--to", " "]),
        ("--to: replace needs prompts with the same number of words", &["--to", "a car", "--edit-type", "replace"]),
        ("--to: reweight needs the source's prompt", &["--to", "a car", "--edit-type", "reweight"]),
        ("--size: expected a size such as 128x128, got \"big\"", &["--to", "a bus", "--size", "big"]),
        ("--width: unsupported size 65x128; expected sides", &["--to", "a bus", "--width", "65"]),
        ("--steps: ", &["--to", "a bus", "--steps", "0"]),
        ("--guidance-scale: expected 0 to 100, got 900", &["--to", "a bus", "--guidance-scale", "900"]),
        (
            "--equalizer: the target prompt has no word \"bsu\"; its words are: a, bus",
            &["--to", "a bus", "--equalizer", "bsu=2"],
        ),
        (
            "--equalizer: expected a word and a strength, such as snow=2, got bus",
            &["--to", "a bus", "--equalizer", "bus"],
        ),
        (
            "--cross-replace-steps: expected a window such as 0.8 or 0.2..0.6, got soon",
            &["--to", "a bus", "--cross-replace-steps", "soon"],
        ),
        ("--self-replace-steps: expected a window [low, high]", &["--to", "a bus", "--self-replace-steps", "1.5"]),
        ("--blend-source: the source prompt has no word", &["--to", "a bus", "--blend-source", "bus"]),
        ("--blend-threshold: expected a threshold", &["--to", "a bus", "--blend-threshold", "2"]),
        ("--local-blend: expected a threshold", &["--to", "a bus", "--local-blend", "{\"threshold\": 2}"]),
        (
            "--local-blend: expected true, false or a JSON object, got maybe",
            &["--to", "a bus", "--local-blend", "maybe"],
        ),
        (
            "--output-compression: expected a quality from 1 to 100, got 0",
            &["--to", "a bus", "--output-compression", "0"],
        ),
        ("--heatmap: neither prompt has a word \"dgo\"", &["--to", "a bus", "--heatmap", "dgo"]),
        ("--grid: expected a file name that ends in .png", &["--to", "a bus", "--grid", "sheet.gif"]),
        ("--output: expected a folder, got bus.png", &["--to", "a bus", "-o", "bus.png"]),
        ("--output: expected a single edit with -", &["--to", "a bus", "--to", "a car", "-o", "-"]),
        ("--json: standard output already takes the image", &["--to", "a bus", "--json", "-o", "-"]),
        ("--heatmap: heat maps are written beside", &["--to", "a bus", "--heatmap", "a", "-o", "-"]),
        (
            "edit 2 (--to \"a bus\"): --equalizer: the target prompt",
            &["--to", "a car", "--to", "a bus", "--equalizer", "car=2"],
        ),
        (
            "edit 1 (--to \"a bus\"): --edit-type is given twice",
            &["--edit-type", "auto", "--edit-type", "refine", "--to", "a bus", "--to", "a car"],
        ),
    ];
    for (says, flags) in cases {
        let car = if flags.contains(&"-o") { [&car[..1], &car[3..]].concat() } else { car.to_vec() };
        let line = refused(&[&car, *flags].concat(), 2);
        assert!(line.starts_with(&format!("reprompt: {says}")), "{says}: {line}");
    }
    assert!(!out.exists() || std::fs::read_dir(&out).unwrap().next().is_none(), "nothing is written");
    let line = refused(&["edit", "--prompt", "", "--to", "a bus"], 2);
    assert!(line.starts_with("reprompt: --prompt: the prompt has no words"), "{line}");
    let line = refused(&["align", "a cat", ""], 2);
    assert!(line.starts_with("reprompt: TARGET: the prompt has no words"), "{line}");
    let line = refused(&["align", "a cat", "a", "--edit-type", "replace"], 2);
    assert!(line.starts_with("reprompt: TARGET: replace needs"), "{line}");
    let line = refused(&["man", "edits"], 2);
    assert!(line.contains("unknown command edits; expected one of serve, edit, align"), "{line}");
}

#[test]
fn an_edit_that_fails_fails_alone_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let flags = ["edit", "--prompt", "a red car", "--steps", "4", "--size", "64x64", "-o", out, "--to", "a red bus"];
    let output = run(&[&flags[..], &["--equalizer", "bus=1e38", "--to", "a blue car", "--json"]].concat());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.starts_with("reprompt: edit 1 (--to \"a red bus\"): the latents contain NaN"), "{stderr}");
    let printed: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((printed["object"].as_str(), printed["data"].as_array().map(Vec::len)), (Some("list"), Some(1)));
    assert_eq!(printed["data"][0]["prompt"], "a blue car");
    assert!(folder.path().join("edited-2.png").is_file() && !folder.path().join("edited.png").exists());
    let alone = refused(&[&flags[..], &["--equalizer", "bus=1e38", "--json"]].concat(), 1);
    assert!(alone.starts_with("reprompt: the latents contain NaN"), "{alone}");
}

#[test]
fn what_cannot_be_written_or_read_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("out");
    let below = below.to_str().unwrap();
    let bus = ["edit", "--prompt", "a car", "--to", "a bus", "--steps", "2", "--size", "64x64"];
    let line = refused(&[&bus[..], &["-o", below]].concat(), 1);
    assert!(line.starts_with("reprompt: --output: cannot make the folder ") && line.contains(below), "{line}");
    let grid = format!("{below}/sheet.png");
    let line = refused(&[&bus[..], &["-o", "-", "--grid", &grid]].concat(), 1);
    assert!(line.starts_with("reprompt: --grid: cannot make the folder "), "{line}");
    let line = refused(&[&bus[..], &["--model", below]].concat(), 1);
    assert!(line.starts_with("reprompt: --model: "), "{line}");
    let line = refused(&["align", "a", "b", "--model", folder.path().to_str().unwrap()], 1);
    assert!(line.starts_with("reprompt: model: ") && line.contains("text_encoder/config.json"), "{line}");
}

#[test]
fn a_reader_that_has_gone_is_one_line() {
    for arguments in [&["openapi"][..], &["align", "a cat", "a dog"], &["man"], &["completions", "bash"], &["models"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = reprompt(arguments).stdout(writer).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("reprompt: cannot write to standard output: Broken pipe"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    }
}

/// The commands that a help text gives as examples, lines that go on joined.
fn examples(command: &[&str]) -> Vec<String> {
    let output = run(&[command, &["--help"]].concat());
    let help = String::from_utf8(output.stdout).unwrap().replace(" \\\n    ", " ");
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    lines.take_while(|line| !line.is_empty()).map(|line| line.trim().to_owned()).collect()
}

/// Runs a command as it would be pasted into a shell.
fn paste(command: &str, folder: &Path) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_reprompt")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    Command::new("sh").args(["-c", command]).env("PATH", path).current_dir(folder).output().unwrap()
}

#[test]
fn every_command_has_examples_and_they_work_when_they_are_pasted() {
    let commands = ["serve", "edit", "align", "models", "openapi", "completions", "man"];
    for command in [&[][..]].into_iter().chain(commands.iter().map(std::slice::from_ref)) {
        let examples = examples(command);
        assert!(!examples.is_empty(), "{command:?}");
        for example in examples {
            let folder = tempfile::tempdir().unwrap();
            if example.contains("--listen") {
                // It serves until it is shut down; another test sees it do that.
                assert!(paste(&format!("{example} --print-config"), folder.path()).status.success(), "{example}");
                continue;
            }
            let output = paste(&example, folder.path());
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && stderr.is_empty(), "{example}: {stderr}");
            let files: Vec<_> = walk(folder.path());
            assert!(!output.stdout.is_empty() || files.iter().any(|bytes| bytes > &0), "{example}");
            for named in example.split(' ').filter(|word| word.ends_with(".png")) {
                let file = std::fs::read(folder.path().join(named)).unwrap();
                assert!(reprompt::media::decode(&file).is_ok(), "{example}: {named}");
            }
        }
    }
}

/// The sizes of all files of a folder.
fn walk(folder: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path.metadata().unwrap().len()] }).collect()
}

#[test]
fn the_examples_of_the_model_are_commands() {
    let text = String::from_utf8(run(&["models"]).stdout).unwrap();
    let commands: Vec<&str> = text.lines().skip_while(|line| *line != "examples:").skip(1).map(str::trim).collect();
    assert!(commands.len() >= 3, "{text}");
    for command in commands {
        let folder = tempfile::tempdir().unwrap();
        let output = paste(&format!("{command} --size 64x64"), folder.path());
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(folder.path().join("out/edited.png").is_file(), "{command}");
    }
}

#[test]
fn every_shell_has_completions_and_every_command_a_page() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        let text = String::from_utf8(script.stdout).unwrap();
        assert!(script.status.success() && text.contains("blend-threshold"), "{shell}");
        // These complete values as well.
        assert!(text.contains("reweight") || ["powershell", "elvish"].contains(&shell), "{shell}");
    }
    for (page, says) in [(&["man"][..], "reprompt"), (&["man", "edit"], "self\\-replace\\-steps")] {
        let text = String::from_utf8(run(page).stdout).unwrap();
        assert!(text.contains(".SH SYNOPSIS") && text.contains(says), "{page:?}: {text}");
    }
}

#[test]
fn the_help_of_edit_says_what_each_parameter_of_the_api_does_and_what_it_is_without_it() {
    let help = String::from_utf8(run(&["edit", "--help"]).stdout).unwrap();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "Source:",
        "Output:",
        "Model:",
        "Computing:",
        "--negative-prompt",
        "--guidance-scale",
        "--scheduler",
        "[default: the model's preset for this kind of edit, or 0.8]",
        "[default: 0.3]",
        "[default: out]",
        "[possible values: auto, replace, refine, reweight]",
        "Exit codes:",
        "Each --to starts an edit",
    ] {
        assert!(words.contains(part), "{part}: {help}");
    }
}
