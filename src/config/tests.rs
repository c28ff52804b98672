//! The specification of the configuration: origins of values, their order, and errors.

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::given::{Size, Whole};
use super::*;

fn file(text: &str) -> Result<Options, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    Options::from_file(&path).map_err(|error| error.to_string())
}

fn checked_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/default.toml")
}

#[test]
fn the_checked_in_defaults_are_the_defaults() {
    let settings = Settings::new(Options::default(), &Options::from_file(&checked_in()).unwrap()).unwrap();
    assert_eq!(settings, Settings::default());
}

#[test]
fn what_is_given_comes_before_the_file_and_the_file_before_the_defaults() {
    let file = file("queue_limit = 3\nmax_batch_rows = 4\nrecordings_memory_bytes = \"512MiB\"").unwrap();
    let given = Options { queue_limit: Some(Whole(5)), ..Options::default() };
    let settings = Settings::new(given, &file).unwrap();
    assert_eq!((settings.queue_limit, settings.max_batch_rows), (5, 4));
    assert_eq!(settings.recordings_memory_bytes, ByteSize::mib(512));
    assert_eq!(settings.max_sessions, Settings::default().max_sessions);
}

#[test]
fn every_key_has_a_variable_of_its_name_and_a_line_in_the_defaults() {
    let defaults = std::fs::read_to_string(checked_in()).unwrap();
    for (key, variable) in keys::VARIABLES {
        assert_eq!(*variable, format!("REPROMPT_{}", key.to_uppercase()));
        let is_explained = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} = "));
        assert!(defaults.lines().any(is_explained), "config/default.toml does not have {key}");
    }
}

#[test]
fn durations_lists_and_sizes_are_read_from_the_file() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let text = format!(
        "session_ttl = \"1h 30m\"\njob_ttl = \"45s\"\nwebhook_hosts = [\"a.example\", \"*.b.example\"]\n\
         webhook_secret_file = {:?}\nrecordings_disk_bytes = \"1TiB\"",
        secret.path()
    );
    let settings = Settings::new(Options::default(), &file(&text).unwrap()).unwrap();
    assert_eq!(settings.session_ttl, Some(Duration::from_secs(5400)));
    assert_eq!(settings.job_ttl, Duration::from_secs(45));
    assert_eq!(settings.webhook_hosts, ["a.example", "*.b.example"]);
    assert_eq!(settings.recordings_disk_bytes, ByteSize::tib(1));
}

#[test]
fn a_time_to_live_of_nothing_is_none() {
    for text in ["session_ttl = 0", "session_ttl = \"0\"", "session_ttl = \"0s\"", ""] {
        assert_eq!(Settings::new(Options::default(), &file(text).unwrap()).unwrap().session_ttl, None, "{text}");
    }
}

/// The settings of these flags.
fn flags(flags: &[&str]) -> (ArgMatches, Settings) {
    let matches =
        Options::augment_args(clap::Command::new("reprompt")).get_matches_from([&["reprompt"], flags].concat());
    let options = <Options as clap::FromArgMatches>::from_arg_matches(&matches).unwrap().joined(&matches);
    (matches, Settings::new(options, &Options::default()).unwrap())
}

#[test]
fn lists_have_commas_between_their_entries_or_come_one_by_one() {
    let one = flags(&["--trusted-proxies", "10.0.0.0/8, ::1,", "--cors-origin", "https://a.example"]).1;
    assert_eq!(one.trusted_proxies, ["10.0.0.0/8", "::1"]);
    let two = flags(&["--cors-origin", "https://a.example", "--cors-origin", "https://b.example"]).1;
    assert_eq!(two.cors_origin, ["https://a.example", "https://b.example"]);
    assert_eq!(flags(&["--cors-origin", ""]).1.cors_origin, [""; 0]);
}

#[test]
fn a_switch_needs_no_value() {
    let all = ["--listen", "0.0.0.0:80", "--insecure"];
    assert!(flags(&all).1.insecure);
    assert!(flags(&["--insecure", "--listen", "[::]:80"]).1.insecure);
    assert!(!flags(&["--insecure=false"]).1.insecure);
}

#[test]
fn without_keys_only_this_machine_is_listened_to_unless_that_is_wanted() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "a-long-random-string").unwrap();
    let listen = |address: &str, keys: Option<&Path>, insecure| {
        let (listen, api_keys_file) = (Some(address.parse().unwrap()), keys.map(Path::to_owned));
        let given = Options { listen, api_keys_file, insecure, ..Options::default() };
        Settings::new(given, &Options::default()).map_err(|error| error.to_string())
    };
    for loopback in ["127.0.0.1:80", "127.8.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        assert!(listen(loopback, None, None).is_ok(), "{loopback}");
    }
    for open in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80"] {
        let error = listen(open, None, None).unwrap_err();
        assert!(
            error.starts_with(&format!("listen: unsupported value {open}; without api_keys_file, expected ")),
            "{error}"
        );
        assert!(error.contains("insecure") && !error.contains('\n'), "{error}");
        assert!(listen(open, Some(keys.path()), None).is_ok() && listen(open, None, Some(true)).is_ok());
    }
}

#[test]
fn hosts_are_checked_without_keys_on_this_machine_or_where_they_are_listed() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "a-long-random-string").unwrap();
    let hosts = |listen: &str, keys: Option<&Path>, allowed: &str| {
        let (listen, api_keys_file) = (Some(listen.parse().unwrap()), keys.map(Path::to_owned));
        let allowed_hosts = Some(allowed.parse().unwrap());
        let given = Options { listen, api_keys_file, allowed_hosts, insecure: Some(true), ..Options::default() };
        let hosts = Settings::new(given, &Options::default()).unwrap().guard().unwrap().hosts;
        hosts.map(|hosts| (hosts.patterns.len(), hosts.allows_addresses))
    };
    for loopback in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        assert_eq!(hosts(loopback, None, ""), Some((0, false)), "{loopback}");
        assert_eq!(hosts(loopback, None, "a.example,*.b.example"), Some((2, false)), "{loopback}");
        assert_eq!(hosts(loopback, Some(keys.path()), ""), None, "{loopback}");
        assert_eq!(hosts(loopback, Some(keys.path()), "a.example"), Some((1, true)), "{loopback}");
    }
    assert_eq!(hosts("0.0.0.0:80", None, ""), None);
    assert_eq!(hosts("0.0.0.0:80", None, "a.example"), Some((1, true)));
}

#[test]
fn an_origin_with_a_slash_is_refused_with_the_one_to_write() {
    let given = Options { cors_origin: Some("https://app.example.com/".parse().unwrap()), ..Options::default() };
    let error = Settings::new(given, &Options::default()).unwrap_err().to_string();
    let expected = "cors_origin: unsupported value https://app.example.com/; \
                    expected it as browsers send it, without a slash at its end: https://app.example.com";
    assert_eq!(error, expected);
}

#[test]
fn the_production_configuration_is_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/production.toml");
    let options = Options::from_file(&path).unwrap();
    // Paths on the machine that the file is for are replaced by paths that exist here.
    let folder = tempfile::tempdir().unwrap();
    let here = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Some(path)
    };
    let files = Options {
        model: options.model.as_ref().map(|_| folder.path().to_owned()),
        api_keys_file: here("api-keys", "a-long-random-string"),
        webhook_secret_file: here("webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ..Options::default()
    };
    let settings = Settings::new(files, &options).unwrap();
    assert!(options.api_keys_file.is_some() && !settings.insecure && !settings.listen.ip().is_loopback());
    assert!(settings.client_requests_per_minute > 0 && settings.client_jobs > 0);
    assert_eq!(settings.log_format, LogFormat::Json);
}

#[test]
fn shown_settings_can_be_read_again_and_say_where_they_come_from() {
    let file = file("max_jobs = 7\njob_ttl = \"2h 5m\"\njob_result_bytes = 1000000001").unwrap();
    let given = ["reprompt", "--session-ttl", "36h", "--recordings-dir", "/a \"quoted\" folder", "--insecure"];
    let matches = Options::augment_args(clap::Command::new("reprompt")).get_matches_from(given);
    let options = <Options as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
    let settings = Settings::new(options, &file).unwrap();
    let shown = settings.describe(&matches, &file);
    for (key, origin) in [("max_jobs", "file"), ("session_ttl", "flag"), ("recordings_memory_bytes", "default")] {
        let line = shown.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        assert!(line.ends_with(&format!("# {origin}")), "{line}");
    }
    assert!(shown.contains("recordings_memory_bytes = \"8GiB\""), "{shown}");
    let read = Settings::new(Options::default(), &self::file(&shown).unwrap()).unwrap();
    assert_eq!(read, settings, "{shown}");
}

#[test]
fn errors_name_the_key_the_value_and_what_is_allowed_in_one_line() {
    let unknown = file("listen = \"127.0.0.1:1\"\nquue_limit = 3").unwrap_err();
    assert!(unknown.ends_with("config.toml, line 2: unknown key quue_limit; did you mean queue_limit?"), "{unknown}");
    assert!(!unknown.contains('\n'));
    let dtype = file("dtype = \"f8\"").unwrap_err();
    assert!(dtype.contains("dtype") && dtype.contains("f8") && dtype.contains("bf16"), "{dtype}");
    let device = file("device = \"tpu\"").unwrap_err();
    assert!(device.contains("tpu") && device.contains("cuda:N"), "{device}");
    let rows = Options { max_batch_rows: Some(Whole(1)), ..Options::default() };
    let error = Settings::new(rows, &Options::default()).unwrap_err().to_string();
    assert_eq!(error, "max_batch_rows: unsupported value 1; expected at least 2, the rows of one image");
}

#[test]
fn a_device_and_what_it_computes_in_have_to_fit_the_build_and_each_other() {
    let settings = |device: &str, dtype: &str| {
        let options = file(&format!("device = \"{device}\"\ndtype = \"{dtype}\"")).unwrap();
        Settings::new(Options::default(), &options).map(drop).map_err(|error| error.to_string())
    };
    for possible in [("auto", "auto"), ("cpu", "auto"), ("cpu", "f32"), ("cpu", "bf16"), ("auto", "bf16")] {
        assert_eq!(settings(possible.0, possible.1), Ok(()), "{possible:?}");
    }
    assert_eq!(settings("cpu", "f16").unwrap_err(), format!("dtype: unsupported value f16; {CPU_DTYPES}"));
    for on_a_gpu in [("cuda", "auto"), ("cuda:1", "f16"), ("auto", "f16")] {
        let found = settings(on_a_gpu.0, on_a_gpu.1);
        assert_eq!(found.is_ok(), cfg!(feature = "cuda"), "{on_a_gpu:?}: {found:?}");
    }
}

#[test]
fn values_that_cannot_be_are_refused_by_key_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, empty) = (folder.path().join("file"), folder.path().join("empty"));
    std::fs::write(&plain, "something").unwrap();
    let good = folder.path().join("secret");
    std::fs::write(&good, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    std::fs::write(&empty, "\n").unwrap();
    let missing = folder.path().join("missing");
    let hosts = |hosts: &str| Some(hosts.parse().unwrap());
    #[rustfmt::skip]
    let cases = [
        ("recordings_dir", Options { recordings_dir: Some(plain.clone()), ..Options::default() }),
        ("max_jobs", Options { max_jobs: Some(Whole(0)), ..Options::default() }),
        ("job_ttl", Options { job_ttl: Some("0".parse().unwrap()), ..Options::default() }),
        ("job_result_bytes", Options { job_result_bytes: Some(Size(ByteSize::b(0))), ..Options::default() }),
        ("webhook_hosts", Options { webhook_hosts: hosts("hooks.example.com"), ..Options::default() }),
        ("webhook_secret_file", Options { webhook_secret_file: Some(missing.clone()), ..Options::default() }),
        ("webhook_secret_file", Options { webhook_secret_file: Some(empty.clone()), ..Options::default() }),
        ("webhook_secret_file", Options { webhook_secret_file: Some(plain), ..Options::default() }),
        ("api_keys_file", Options { api_keys_file: Some(missing.clone()), ..Options::default() }),
        ("api_keys_file", Options { api_keys_file: Some(empty.clone()), ..Options::default() }),
        ("trusted_proxies", Options { trusted_proxies: hosts("proxy.example.com"), ..Options::default() }),
        ("cors_origin", Options { cors_origin: hosts("app.example.com"), ..Options::default() }),
        ("allowed_hosts", Options { allowed_hosts: hosts("https://app.example.com"), ..Options::default() }),
        ("threads", Options { threads: Some(Whole(10_000)), ..Options::default() }),
        ("threads", Options { threads: Some(Whole(0)), ..Options::default() }),
        ("max_connections", Options { max_connections: Some(Whole(0)), ..Options::default() }),
        ("header_timeout", Options { header_timeout: Some("0".parse().unwrap()), ..Options::default() }),
        ("body_timeout", Options { body_timeout: Some("0".parse().unwrap()), ..Options::default() }),
    ];
    for (key, options) in cases {
        let error = Settings::new(options, &Options::default()).expect_err(key).to_string();
        assert!(error.starts_with(&format!("{key}: ")) && !error.contains('\n'), "{error}");
        assert!(!error.contains("something"), "{error}");
    }
    let secret = Options { webhook_secret_file: Some(good), ..Options::default() };
    for wrong in
        ["*", "*.", "a b", "ftp://a.example", "a.example/path", "user@a.example", "a.example:99999", "a.*.example"]
    {
        let given = Options { webhook_hosts: hosts(wrong), ..secret.clone() };
        let error = Settings::new(given, &Options::default()).expect_err(wrong).to_string();
        assert!(error.starts_with(&format!("webhook_hosts: unsupported value {wrong};")), "{error}");
    }
    for right in ["hooks.example.com", "*.example.com", "http://127.0.0.1:9000", "https://[::1]:8443", "localhost:80"] {
        let given = Options { webhook_hosts: hosts(right), ..secret.clone() };
        assert_eq!(Settings::new(given, &Options::default()).unwrap().webhook_hosts, [right]);
    }
}

#[test]
fn values_of_a_wrong_type_name_what_is_expected_and_no_type_of_this_program() {
    for (text, says) in [
        ("queue_limit = \"abc\"", "queue_limit: expected a whole number from 0, got string \"abc\""),
        ("queue_limit = -1", "queue_limit: expected a whole number from 0, got -1"),
        ("queue_limit = 1.5", "queue_limit: expected a whole number from 0, got floating point `1.5`"),
        ("client_requests_per_minute = 4294967296", "expected at most 4294967295, got 4294967296"),
        ("threads = true", "threads: expected a whole number from 0, got boolean `true`"),
        ("recordings_memory_bytes = \"much\"", "expected a size such as 512MiB, 8GiB or 0, got much"),
        ("recordings_memory_bytes = false", "expected a size such as \"512MiB\", got boolean `false`"),
        ("listen = \"localhost\"", "listen: expected an address and a port such as 127.0.0.1:8080"),
        ("listen = [1]", "listen: expected an address and a port such as \"127.0.0.1:8080\", got sequence"),
        ("insecure = \"yes\"", "insecure: expected true or false, got string \"yes\""),
        ("model = 1", "model: expected a path, got integer `1`"),
        ("cors_origin = 1", "cors_origin: expected an array of texts, got integer `1`"),
        ("otlp_endpoint = 1", "otlp_endpoint: expected a text, got integer `1`"),
        ("device = 1", "device: expected a text, got integer `1`"),
        ("log_format = \"xml\"", "log_format: expected `pretty` or `json`, got `xml`"),
    ] {
        let error = file(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
        for word in ["usize", "u32", "invalid type", "invalid value", "variant"] {
            assert!(!error.contains(word), "{text}: {error}");
        }
    }
    let listen = Settings::new(Options::default(), &file("listen = 8123").unwrap()).unwrap().listen;
    assert_eq!(listen.to_string(), "127.0.0.1:8123");
}

#[test]
fn durations_need_their_units() {
    for (wrong, says) in
        [("\"90\"", "90"), ("90", "90"), ("\"soon\"", "soon"), ("\"200years\"", "200years"), ("true", "boolean")]
    {
        let error = file(&format!("session_ttl = {wrong}")).unwrap_err();
        assert!(error.contains("session_ttl: ") && error.contains(says) && !error.contains('\n'), "{error}");
    }
}
