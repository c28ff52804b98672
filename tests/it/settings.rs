//! Settings of the real binary: where a value comes from, and who is named if it cannot be used.

use std::process::{Command, Stdio};

use crate::process::reprompt;

/// The exit code, the standard output and the standard error of a command that ends by itself.
fn end(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.stdout(Stdio::piped()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The line on standard error of a service that cannot start with this variable.
fn refused(variable: &str, value: &str) -> String {
    let mut command = reprompt(&["serve", "--print-config"]);
    command.env(variable, value);
    let (code, _, said) = end(command);
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{variable}={value}: {said}");
    said
}

/// All variables that set a key.
fn variables() -> Vec<String> {
    let (_, shown, _) = end(reprompt(&["serve", "--print-config"]));
    let key = |line: &str| line.trim_start_matches("# ").split(' ').next().unwrap().to_uppercase();
    let variables: Vec<_> = shown.lines().map(|line| format!("REPROMPT_{}", key(line))).collect();
    assert!(variables.len() > 30 && variables.contains(&"REPROMPT_QUEUE_LIMIT".to_owned()), "{variables:?}");
    variables
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let defaults = end(reprompt(&["serve", "--print-config"]));
    assert_eq!((defaults.0, defaults.2.as_str()), (Some(0), ""));
    for arguments in [&["serve", "--print-config"][..], &["--print-config"]] {
        let mut command = reprompt(arguments);
        command.envs(variables().iter().map(|variable| (variable, ""))).env("REPROMPT_CONFIG", "").env("RUST_LOG", "");
        assert_eq!(end(command), defaults);
    }
    let mut command = reprompt(&["align", "a cat", "a dog"]);
    command.env("REPROMPT_MODEL", "");
    assert_eq!(end(command).0, Some(0));
    // It does not hide what the file says.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "queue_limit = 7\ncors_origin = [\"https://a.example\"]").unwrap();
    let mut command = reprompt(&["serve", "--print-config", "--config", file.path().to_str().unwrap()]);
    command.env("REPROMPT_QUEUE_LIMIT", "").env("REPROMPT_CORS_ORIGIN", "");
    let (_, shown, _) = end(command);
    assert!(shown.contains("queue_limit = 7 ") && shown.contains("https://a.example"), "{shown}");
}

#[test]
fn a_value_of_a_variable_blames_the_variable() {
    // Texts and paths can have any value; what is wrong with them is found later.
    let any = [
        "OTLP_ENDPOINT",
        "API_KEYS_FILE",
        "RECORDINGS_DIR",
        "WEBHOOK_SECRET_FILE",
        "WEBHOOK_HOSTS",
        "MODEL",
        "MODEL_NAME",
    ];
    for variable in variables() {
        if any.iter().any(|name| variable.ends_with(name)) {
            continue;
        }
        let said = refused(&variable, "no ☃ value");
        assert!(said.starts_with(&format!("reprompt: {variable}: ")), "{said}");
        assert!(said.contains("expected ") && said.contains("no ☃ value"), "{said}");
        for word in ["usize", "--", "invalid digit"] {
            assert!(!said.contains(word), "{said}");
        }
    }
    for (variable, value, says) in [
        ("REPROMPT_QUEUE_LIMIT", "abc", "expected a whole number from 0, got abc"),
        ("REPROMPT_QUEUE_LIMIT", "0", "unsupported value 0; expected at least 1 job"),
        ("REPROMPT_THREADS", "10000", "unsupported value 10000; expected at most "),
        ("REPROMPT_INSECURE", "maybe", "expected true or false, got maybe"),
        ("REPROMPT_LOG_FORMAT", "xml", "expected one of pretty, json, got xml"),
        ("REPROMPT_LISTEN", "0.0.0.0:80", "unsupported value 0.0.0.0:80; without api_keys_file"),
        ("REPROMPT_API_KEYS_FILE", "/there/is/no/file", "unsupported value /there/is/no/file; "),
        ("REPROMPT_MAX_BATCH_ROWS", "1", "unsupported value 1; expected at least 2"),
    ] {
        let said = refused(variable, value);
        assert!(said.starts_with(&format!("reprompt: {variable}: {says}")), "{said}");
    }
    // A command without a server, and a flag that overrides the variable.
    let mut command = reprompt(&["edit", "--prompt", "a cat", "--to", "a dog", "--steps", "1"]);
    command.env("REPROMPT_THREADS", "many");
    let (code, _, said) = end(command);
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with("reprompt: REPROMPT_THREADS: expected a whole number from 0, got many"), "{said}");
    let mut command = reprompt(&["serve", "--print-config", "--queue-limit", "7"]);
    command.env("REPROMPT_QUEUE_LIMIT", "abc");
    assert_eq!(end(command).0, Some(0));
}

#[test]
fn a_value_of_a_flag_blames_the_flag_and_one_of_the_file_its_line() {
    let (code, _, said) = end(reprompt(&["serve", "--print-config", "--queue-limit", "0"]));
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "reprompt: --queue-limit: unsupported value 0; expected at least 1 job\n")
    );
    let (code, _, said) = end(reprompt(&["serve", "--print-config", "--queue-limit", "abc"]));
    assert_eq!(code, Some(2));
    assert!(said.contains("'--queue-limit <JOBS>': expected a whole number from 0, got abc"), "{said}");
    let (code, _, said) = end(reprompt(&["serve", "--print-config", "--listen", "localhost"]));
    assert_eq!(code, Some(2));
    assert!(said.contains("--listen") && said.contains("such as 127.0.0.1:8080, "), "{said}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for (text, line, says) in [
        ("max_jobs = 5\n\nqueue_limit = 0\n", 3, "queue_limit: unsupported value 0; expected at least 1 job"),
        ("queue_limit = \"abc\"\n", 1, "queue_limit: expected a whole number from 0, got string \"abc\""),
    ] {
        std::fs::write(file.path(), text).unwrap();
        let (code, _, said) = end(reprompt(&["serve", "--print-config", "--config", path]));
        assert_eq!((code, said), (Some(1), format!("reprompt: config: {path}, line {line}: {says}\n")));
    }
}

#[test]
fn budgets_that_are_too_small_for_the_model_end_the_start() {
    for (flag, value) in [
        ("--recordings-memory-bytes", "0"),
        ("--recordings-memory-bytes", "2MiB"),
        ("--recordings-trajectory-bytes", "0"),
    ] {
        let (code, _, said) = end(reprompt(&["serve", "--listen", "127.0.0.1:0", flag, value]));
        let last = said.lines().last().unwrap();
        assert_eq!(code, Some(1), "{said}");
        let value = if value == "0" { "0B" } else { value };
        assert!(
            last.starts_with(&format!("reprompt: {flag}: unsupported value {value}; expected at least ")),
            "{last}"
        );
    }
}
