//! `GET /docs`: the contract as a page, by Swagger UI.
//!
//! Contract: the page loads only files of this binary, so it works without the internet. It has no inline scripts and
//! styles, so its content security policy is strict. Its theme is the playground's: the one chosen there, or the system's.

use std::io::{Cursor, Read};
use std::sync::OnceLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

use crate::api::problem::{Code, Problem};

const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>reprompt: API reference</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"#;

/// The key in `localStorage` is that of `web/js/theme.js`.
const START: &str = r##"const system = matchMedia("(prefers-color-scheme: dark)");
const dress = () => {
  let chosen = null;
  try { chosen = localStorage.getItem("reprompt-theme"); } catch { /* storage is disabled */ }
  const isDark = chosen === "light" || chosen === "dark" ? chosen === "dark" : system.matches;
  const root = document.documentElement;
  root.classList.toggle("dark-mode", isDark);
  root.style.colorScheme = isDark ? "dark" : "light";
};
system.addEventListener("change", dress);
dress();
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  presets: [SwaggerUIBundle.presets.apis],
});
"##;

/// Pictures in Swagger UI's style sheet are `data:`, images in responses are `blob:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// Files of the archive that the page is made of, with their media types.
const FILES: [(&str, &str); 3] = [
    ("swagger-ui-bundle.js", JAVASCRIPT),
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("favicon-32x32.png", "image/png"),
];

/// The page.
pub async fn page() -> Response {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE)).into_response()
}

/// The files of the page.
pub async fn file(name: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    if name == "start.js" {
        return Ok(served(JAVASCRIPT, Bytes::from_static(START.as_bytes())));
    }
    let position = FILES.iter().position(|(file, _)| *file == name);
    let at = position.ok_or_else(|| Problem::new(Code::NotFound, "the page at /docs has no such file"))?;
    // The first request unpacks them, which blocks for some milliseconds.
    let files = tokio::task::spawn_blocking(files).await.unwrap_or_default();
    let file = files.get(at).ok_or_else(|| Problem::new(Code::Internal, "the page's files cannot be unpacked"))?;
    Ok(served(FILES[at].1, file.clone()))
}

fn served(media_type: &'static str, file: Bytes) -> Response {
    let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, file).into_response()
}

/// The contents of [`FILES`]; empty if the archive lacks one of them.
fn files() -> Vec<Bytes> {
    static UNPACKED: OnceLock<Vec<Bytes>> = OnceLock::new();
    let unpacked = || unpack().inspect_err(|error| tracing::error!(%error, "the page's files cannot be unpacked"));
    UNPACKED.get_or_init(|| unpacked().unwrap_or_default()).clone()
}

fn unpack() -> Result<Vec<Bytes>, zip::result::ZipError> {
    let mut archive = zip::ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    let names: Vec<String> = archive.file_names().filter_map(|name| name.ok().map(|n| n.to_string())).collect();
    let unpack = |(name, _): &(&str, &str)| {
        // The folder at the top is named by the version.
        let path = names
            .iter()
            .find(|path| path.split_once('/').is_some_and(|(_, path)| path.strip_prefix("dist/") == Some(*name)))
            .ok_or(zip::result::ZipError::FileNotFound)?;
        let mut file = Vec::new();
        archive.by_name(path)?.read_to_end(&mut file)?;
        Ok(Bytes::from(file))
    };
    FILES.iter().map(unpack).collect()
}
