//! Observability: the documentation, the dashboard and the alerts name metrics that exist, and a request can be
//! followed by its id, its trace and its log lines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use reprompt::api::metrics::HttpMetrics;
use reprompt::engine::EngineMetrics;
use reprompt::recordings::RecordingMetrics;
use reprompt::telemetry::metrics::MetricsRegistry;

use crate::support::metric_names;
use serde_json::Value;

use crate::process::Process;
use crate::support::Service;
use crate::waiting::swap;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A metric as it is exported.
#[derive(Debug, Default)]
struct Exported {
    kind: String,
    help: String,
    /// Labels and their values.
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// All that a service exports when it has just begun.
fn exported() -> BTreeMap<String, Exported> {
    let registry = MetricsRegistry::new().with_process_metrics().unwrap();
    EngineMetrics::register(&registry).unwrap();
    RecordingMetrics::register(&registry).unwrap();
    HttpMetrics::register(&registry).unwrap();
    let text = registry.text();
    let mut metrics: BTreeMap<String, Exported> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
            metrics.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            metrics.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((series, labels)) = line.split_once('{') {
            let metric = metrics.get_mut(metric_of(series, &|name| metrics.contains_key(name))).unwrap();
            let labels = labels.rsplit_once('}').unwrap().0;
            for (label, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
                metric.labels.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    metrics
}

/// The metric that a series belongs to: histograms have three.
fn metric_of<'a>(series: &'a str, is_metric: &dyn Fn(&str) -> bool) -> &'a str {
    let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| series.strip_suffix(part));
    parts.into_iter().find(|name| is_metric(name)).unwrap_or(series)
}

/// The names in an expression that can only be those of series, each with the content of its braces.
fn series_of(expression: &str) -> Vec<(String, String)> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    let mut found = Vec::new();
    for (at, _) in expression.match_indices(is_word) {
        let is_start = !expression[..at].ends_with(is_word);
        let name: &str = expression[at..].split(|character| !is_word(character)).next().unwrap();
        if is_start && (name.starts_with("reprompt_") || name.starts_with("process_") || name == "up") {
            let braces = expression[at + name.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next());
            found.push((name.to_owned(), braces.unwrap_or_default().to_owned()));
        }
    }
    found
}

/// Why an expression of a dashboard or an alert cannot be right; nothing where it may be.
fn wrong(expression: &str, metrics: &BTreeMap<String, Exported>) -> Option<String> {
    let series = series_of(expression);
    if series.is_empty() {
        return Some("it names no series".to_owned());
    }
    for (name, braces) in series {
        // Prometheus' own.
        if name == "up" {
            continue;
        }
        let Some(metric) = metrics.get(metric_of(&name, &|name| metrics.contains_key(name))) else {
            return Some(format!("there is no {name}"));
        };
        if (metric.kind == "histogram") != (metric_of(&name, &|name| metrics.contains_key(name)) != name) {
            return Some(format!("{name} is a {}", metric.kind));
        }
        if metric.kind == "counter" && !["rate(", "increase("].iter().any(|rate| expression.contains(rate)) {
            return Some(format!("{name} is a counter, of which a rate is wanted"));
        }
        for matcher in braces.split(',').map(str::trim).filter(|matcher| !matcher.is_empty()) {
            let (label, values) = matcher.split_once(['=', '!']).unwrap();
            let values = values.trim_start_matches(['=', '~']).trim_matches('"');
            // Prometheus' own.
            if ["instance", "job"].contains(&label) {
                continue;
            }
            let known = metric.labels.get(label);
            for value in values.split('|') {
                if !known.is_some_and(|known| known.contains(value)) {
                    return Some(format!("{name} has no {label}={value:?}"));
                }
            }
        }
    }
    None
}

#[test]
fn what_is_wrong_with_an_expression_is_found() {
    let metrics = exported();
    for (expression, says) in [
        ("sum(reprompt_redy)", Some("there is no reprompt_redy")),
        ("reprompt_queue_seconds > 1", Some("reprompt_queue_seconds is a histogram")),
        ("rate(reprompt_queue_jobs_sum[5m])", Some("is a gauge")),
        ("reprompt_jobs_total > 1", Some("is a counter")),
        ("rate(reprompt_jobs_total{outcome=\"fine\"}[5m])", Some("no outcome=\"fine\"")),
        ("rate(reprompt_jobs_total{end=\"failed\"}[5m])", Some("no end=\"failed\"")),
        ("vector(1)", Some("names no series")),
        ("rate(reprompt_jobs_total{outcome=~\"failed|canceled\", instance=~\"$i\"}[5m]) / reprompt_ready", None),
    ] {
        let wrong = wrong(expression, &metrics);
        assert_eq!(wrong.is_some(), says.is_some(), "{expression}: {wrong:?}");
        assert!(wrong.unwrap_or_default().contains(says.unwrap_or_default()), "{expression}");
    }
}

#[test]
fn the_dashboard_shows_series_that_exist() {
    fn expressions(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => object.iter().for_each(|(key, value)| match value.as_str() {
                Some(text) if key == "expr" => found.push(text.to_owned()),
                Some(text) if key == "query" && text.starts_with("label_values") => found.push(text.to_owned()),
                _ => expressions(value, found),
            }),
            Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
            _ => {}
        }
    }
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/reprompt.json")).unwrap();
    let (metrics, mut found) = (exported(), Vec::new());
    expressions(&dashboard, &mut found);
    assert!(found.len() > 40, "{}", found.len());
    for expression in &found {
        assert_eq!(wrong(expression, &metrics), None, "{expression}");
    }
    let ids: BTreeSet<u64> =
        dashboard["panels"].as_array().unwrap().iter().map(|p| p["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len());
    // Whoever adds a metric shows it, or knows why not.
    let shown: BTreeSet<String> = found.iter().flat_map(|found| series_of(found)).map(|(name, _)| name).collect();
    let not_shown =
        ["reprompt_async_jobs", "reprompt_job_seconds", "reprompt_jobs_taken_total", "reprompt_recordings_peak_bytes"];
    for name in metric_names().filter(|name| !not_shown.contains(name)) {
        assert!(shown.iter().any(|series| series.starts_with(name)), "{name} is not on the dashboard");
    }
}

#[test]
fn the_alerts_watch_series_that_exist() {
    let rules: Value = yaml_serde::from_str(&read("deploy/prometheus/alerts.yml")).unwrap();
    let (metrics, mut names) = (exported(), BTreeSet::new());
    for rule in rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let (name, expression) = (rule["alert"].as_str().unwrap(), rule["expr"].as_str().unwrap());
        assert_eq!(wrong(expression, &metrics), None, "{name}: {expression}");
        assert!(names.insert(name) && rule["annotations"]["summary"].is_string(), "{name}");
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("critical" | "warning")), "{name}");
    }
    assert!(names.len() >= 10);
}

#[test]
fn the_page_about_metrics_has_all_of_them() {
    let mut table = "| name | kind | labels | what |\n| --- | --- | --- | --- |\n".to_owned();
    for (name, metric) in exported().iter().filter(|(name, _)| name.starts_with("reprompt_")) {
        let values = |values: &BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>().join("`, `");
        let labels = metric.labels.iter().filter(|(label, _)| *label != "le");
        // Their values are those of this build.
        let is_open = |label: &str| ["version", "revision", "model"].contains(&label);
        let shown = |(label, of): (&String, _)| {
            if is_open(label) { label.clone() } else { format!("{label}: `{}`", values(of)) }
        };
        let labels: Vec<_> = labels.map(shown).collect();
        table += &format!("| `{name}` | {} | {} | {} |\n", metric.kind, labels.join("; "), metric.help);
    }
    assert!(read("docs/metrics.md").contains(&table), "the table of docs/metrics.md should be\n\n{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_on_in_the_trace_that_it_comes_from() {
    let service = Service::fake().await;
    let ask = async |headers: &[(&str, &str)]| {
        let request =
            headers.iter().fold(Request::get("/healthz"), |request, (name, value)| request.header(*name, *value));
        service.send(request.body(Body::empty()).unwrap()).await
    };
    let come = ask(&[("traceparent", TRACEPARENT), ("tracestate", "vendor=opaque")]).await;
    let gone = come.header("traceparent");
    assert_eq!((&gone[..36], &gone[52..]), (&TRACEPARENT[..36], "-01"), "the same trace, as much recorded");
    assert_ne!(gone, TRACEPARENT, "in a span of its own");
    assert_eq!(come.header("tracestate"), "vendor=opaque");
    for malformed in ["", "nonsense", &TRACEPARENT.to_uppercase(), &TRACEPARENT.replace("4bf9", "xxxx")] {
        let own = ask(&[("traceparent", malformed), ("tracestate", "vendor=opaque")]).await;
        assert_eq!((own.status.as_u16(), own.header("traceparent").len(), own.header("tracestate")), (200, 55, ""));
        assert!(!own.header("traceparent").contains("4bf92f3577b34da6a3ce929d0e0e4736"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_of_a_job_say_whose_request_it_was_and_what_it_took() {
    let mut process = Process::ready(&["--log-format", "json"]).await;
    let (status, _) =
        process.call_as("/v1/edits", &swap(1, 4), &[("x-request-id", "mine"), ("traceparent", TRACEPARENT)]);
    assert_eq!(status, 200);
    process.signal("TERM");
    let (_, log) = process.ended().await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    // The test has asked for it until it was ready.
    let routine = |line: &&Value| ["/healthz", "/readyz", "/metrics"].iter().any(|path| line["path"] == *path);
    assert_eq!(lines.iter().find(routine), None, "probes are below the level of the log");
    let mine: Vec<&Value> = lines.iter().filter(|line| line["request_id"] == "mine").collect();
    let line = |message: &str| mine.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{log}"));
    let (done, answered) = (line("job done"), line("answered"));
    for field in ["queue_ms", "encode_ms", "denoise_ms", "decode_ms", "total_ms"] {
        assert!(done[field].is_number(), "{field}: {done}");
    }
    assert!(done["denoise_ms"].as_f64() > Some(0.0) && done["session"].as_str().unwrap().starts_with("ses_"), "{done}");
    assert_eq!((&done["kind"], &done["steps"], &done["span"]), (&"edit".into(), &4.into(), &"job".into()));
    assert_eq!((&answered["status"], &answered["path"]), (&200.into(), &"/v1/edits".into()));
    for line in [done, answered] {
        assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736", "{line}");
        for field in ["timestamp", "level", "target", "method", "client"] {
            assert!(line[field].is_string(), "{field}: {line}");
        }
    }
}
