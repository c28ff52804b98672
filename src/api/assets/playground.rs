//! The playground: the page at `/`, and its files at `/assets/…`.
//!
//! Contract: the files of `web/` are compiled in as they are; a test checks that none is missing. Clients revalidate
//! them by their `ETag` each time, so that a page never mixes files of two binaries. The page may only load these files
//! and call its own service.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api::problem::{Code, Problem};

/// No script, style or call to other origins, no inline ones, and no frames. Images of responses are `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page.
struct Asset {
    /// Below `web/`.
    path: &'static str,
    content: &'static [u8],
    /// Of the content, in quotes.
    tag: String,
}

/// The files by their paths below `web/`.
macro_rules! assets {
    ($($path:literal),* $(,)?) => {
        [$({
            const CONTENT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/", $path));
            Asset { path: $path, content: CONTENT, tag: tag(CONTENT) }
        }),*].into()
    };
}

const PAGE: &str = "index.html";

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    assets![
        "index.html",
        "icon.svg",
        "js/align.js",
        "js/api.js",
        "js/body.js",
        "js/carry.js",
        "js/dom.js",
        "js/events.js",
        "js/heat.js",
        "js/key.js",
        "js/link.js",
        "js/main.js",
        "js/run.js",
        "js/store.js",
        "js/theme.js",
        "js/types.js",
        "js/view/blend.js",
        "js/view/board.js",
        "js/view/drag.js",
        "js/view/examples.js",
        "js/view/film.js",
        "js/view/history.js",
        "js/view/ideas.js",
        "js/view/key.js",
        "js/view/marked.js",
        "js/view/problems.js",
        "js/view/progress.js",
        "js/view/prompts.js",
        "js/view/range.js",
        "js/view/share.js",
        "js/view/source.js",
        "js/view/stage.js",
        "js/view/strength.js",
        "js/view/summary.js",
        "js/view/vocabulary.js",
        "js/view/warnings.js",
        "js/view/windows.js",
        "js/windows.js",
        "js/words.js",
        "style/base.css",
        "style/board.css",
        "style/picture.css",
        "style/steps.css",
        "style/words.css",
    ]
});

/// `GET /`.
pub async fn page(headers: HeaderMap) -> Result<Response, Problem> {
    answer(PAGE, &headers)
}

/// `GET /assets/{*path}`.
pub async fn asset(path: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Result<Response, Problem> {
    // A path that is not UTF-8 names no file.
    answer(path.as_ref().map_or("", |Path(path)| path), &headers)
}

fn answer(path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let found = ASSETS.iter().find(|asset| asset.path == path);
    let found = found.ok_or_else(|| Problem::new(Code::NotFound, "the playground has no such file"))?;
    Ok(found.answer(headers))
}

impl Asset {
    fn answer(&self, request: &HeaderMap) -> Response {
        let tag = self.tag.as_str();
        // Also with a 304, which updates the cached response.
        let headers = [
            (ETAG, tag),
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        if is_cached(request, tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(CONTENT_TYPE, content_type(self.path))], self.content).into_response()
    }
}

fn tag(content: &[u8]) -> String {
    format!("\"{}\"", &blake3::hash(content).to_hex()[..32])
}

/// Whether `If-None-Match` lists the tag or `*`; a proxy that compresses makes tags weak.
fn is_cached(request: &HeaderMap, tag: &str) -> bool {
    let values = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|listed| listed == "*" || listed.strip_prefix("W/").unwrap_or(listed) == tag)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path as FilePath;

    fn files_below(folder: &FilePath, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                files_below(&entry.path(), &format!("{path}/"), found);
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_compiled_in_and_has_a_type() {
        let mut wanted = BTreeSet::new();
        files_below(&FilePath::new(env!("CARGO_MANIFEST_DIR")).join("web"), "", &mut wanted);
        let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        assert_eq!(served, wanted);
        for path in served {
            assert_ne!(content_type(&path), "application/octet-stream", "{path}");
        }
    }

    #[test]
    fn files_that_differ_have_tags_that_differ() {
        let tags: BTreeSet<&str> = ASSETS.iter().map(|asset| asset.tag.as_str()).collect();
        assert_eq!(tags.len(), ASSETS.len());
    }

    #[test]
    fn tags_match_among_several_and_if_weak() {
        let is_match = |value: &'static str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, axum::http::HeaderValue::from_static(value))]);
            is_cached(&headers, "\"mine\"")
        };
        for yes in ["\"mine\"", "W/\"mine\"", "\"other\", \"mine\"", "*"] {
            assert!(is_match(yes), "{yes}");
        }
        for no in ["\"other\"", "mine", ""] {
            assert!(!is_match(no), "{no}");
        }
    }
}
