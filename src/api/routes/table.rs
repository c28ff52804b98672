//! The table of endpoints: the method, path, operation id, access, dialect, metric and problems of each.
//!
//! Contract: everything that depends on which endpoint a request is for is read from here: the router, the guard, the
//! renderers of problems, the request metrics and the OpenAPI document. A row without its problems does not compile,
//! nor does an endpoint without a handler ([`super::handler`]).

use axum::http::Method;

use crate::api::guard::Access;
use crate::api::metrics::Call;
use crate::api::problem::{Code, Dialect};

/// A row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The method; a `GET` answers `HEAD` too.
    pub method: Method,
    /// The path, as axum and OpenAPI write it.
    pub path: &'static str,
    /// The name in the contract; `None` for pages, which are not part of it.
    pub operation_id: Option<&'static str>,
    /// Whether a request needs an API key, where there are keys.
    pub access: Access,
    /// Whose shapes its errors and events have.
    pub dialect: Dialect,
    /// The label of its request metrics.
    pub call: Call,
    /// The problems of a request for it, besides `internal_error`, those of the guard and an unknown query parameter.
    problems: &'static [&'static [Code]],
    /// The `x-reprompt-` headers of its images, without that prefix.
    pub image_headers: &'static [&'static str],
}

impl Route {
    /// All problems of a request for it, each once.
    pub(crate) fn codes(&self) -> Vec<Code> {
        let of_query = self.operation_id.map(|_| Code::UnknownField);
        let of_caller = CALLER.iter().filter(|_| self.access == Access::Key).copied();
        let mut codes: Vec<Code> = Vec::new();
        for code in self
            .problems
            .concat()
            .into_iter()
            .chain(of_query)
            .chain(of_caller)
            .chain([Code::HostNotAllowed, Code::Internal])
        {
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        codes
    }

    /// Whether its response names a session that it made.
    pub(crate) fn makes_a_session(&self) -> bool {
        self.call == Call::CreateSession
    }

    /// Whether it runs something and can be answered by events or by a job.
    pub(crate) fn runs_a_job(&self) -> bool {
        self.problems.contains(&WAITING)
    }
}

macro_rules! endpoints {
    ($(
        $name:ident: $method:ident $path:literal $id:expr, $access:ident, $dialect:ident, $call:ident,
        [$($problems:expr),*] $(, images $headers:expr)?;
    )*) => {
        /// An endpoint of the service.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Endpoint { $(#[doc = concat!("`", stringify!($method), " ", $path, "`.")] $name,)* }

        impl Endpoint {
            /// All endpoints.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// Its row of the table.
            pub(crate) const fn route(self) -> Route {
                match self {
                    $(Self::$name => Route {
                        method: Method::$method,
                        path: $path,
                        operation_id: $id,
                        access: Access::$access,
                        dialect: Dialect::$dialect,
                        call: Call::$call,
                        problems: &[$($problems),*],
                        image_headers: endpoints!(@headers $($headers)?),
                    },)*
                }
            }
        }
    };
    (@headers) => { &[] };
    (@headers $headers:expr) => { $headers };
}

endpoints! {
    CreateEdit: POST "/v1/edits" Some("create_edit"), Key, Own, CreateEdit,
        [BODY, WAITING, EDIT, WORK, &[Code::UnsupportedSize]], images EDIT_HEADERS;
    CreateSessionEdit: POST "/v1/sessions/{id}/edits" Some("create_session_edit"), Key, Own, CreateSessionEdit,
        [BODY, WAITING, EDIT, WORK, &[Code::SessionNotFound]], images EDIT_HEADERS;
    Align: POST "/v1/align" Some("align"), Key, Own, Align,
        [BODY, &[Code::ReplaceWordCount, Code::ReweightChangesPrompt, Code::Loading]];
    CreateImages: POST "/v1/images/generations" Some("create_images"), Key, OpenAi, CreateImages,
        [BODY, WAITING, WORK, &[Code::UnsupportedSize, Code::ModelNotFound]], images IMAGES_HEADERS;
    CreateSession: POST "/v1/sessions" Some("create_session"), Key, Own, CreateSession,
        [BODY, WAITING, WORK, &[Code::UnsupportedSize]], images SESSION_HEADERS;
    ListSessions: GET "/v1/sessions" Some("list_sessions"), Key, Own, ReadSession, [&[Code::Loading]];
    GetSession: GET "/v1/sessions/{id}" Some("get_session"), Key, Own, ReadSession,
        [&[Code::SessionNotFound, Code::Loading]];
    DeleteSession: DELETE "/v1/sessions/{id}" Some("delete_session"), Key, Own, DeleteSession,
        [&[Code::SessionNotFound]];
    GetSessionImage: GET "/v1/sessions/{id}/image" Some("get_session_image"), Key, Own, ReadSession,
        [WORK, &[Code::SessionNotFound, Code::NotAcceptable]];
    GetSessionAttention: GET "/v1/sessions/{id}/attention" Some("get_session_attention"), Key, Own, ReadSession,
        [WORK, ATTENTION], images ATTENTION_HEADERS;
    ListJobs: GET "/v1/jobs" Some("list_jobs"), Key, Own, Jobs, [];
    GetJob: GET "/v1/jobs/{id}" Some("get_job"), Key, Own, Jobs, [&[Code::JobNotFound, Code::NotAcceptable]];
    DeleteJob: DELETE "/v1/jobs/{id}" Some("delete_job"), Key, Own, Jobs, [&[Code::JobNotFound]];
    ListModels: GET "/v1/models" Some("list_models"), Key, Own, Other, [&[Code::Loading]];
    GetModel: GET "/v1/models/{id}" Some("get_model"), Key, Own, Other, [&[Code::ModelNotFound, Code::Loading]];
    Healthz: GET "/healthz" Some("healthz"), Open, Own, Other, [];
    Readyz: GET "/readyz" Some("readyz"), Open, Own, Other,
        [&[Code::Loading, Code::Draining, Code::WorkerStalled, Code::DeviceLost]];
    Metrics: GET "/metrics" Some("metrics"), Key, Own, Other, [];
    OpenApi: GET "/openapi.json" Some("openapi"), Open, Own, Other, [];
    Playground: GET "/" None, Open, Own, Other, [];
    PlaygroundFile: GET "/assets/{*path}" None, Open, Own, Other, [];
    Docs: GET "/docs" None, Open, Own, Other, [];
    DocsFile: GET "/docs/{file}" None, Open, Own, Other, [];
}

impl Endpoint {
    /// The endpoint of a request whose path was matched by this route.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        Self::at(path).find(|endpoint| endpoint.route().method == *method)
    }

    /// The endpoints at a path, one for each method.
    pub(crate) fn at(path: &str) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |endpoint| endpoint.route().path == path)
    }
}

/// Unknown addresses below these paths are answered in this dialect: clients of the OpenAI API also call what is not
/// served.
pub(super) const UNKNOWN: [(&str, Dialect); 1] = [("/v1/images/{*path}", Dialect::OpenAi)];

/// Problems of a request's body.
const BODY: &[Code] = &[
    Code::InvalidJson,
    Code::UnknownField,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::MissingField,
    Code::InvalidValue,
    Code::EmptyPrompt,
    Code::PromptTooLong,
];
/// Problems of the ways to wait for an answer.
const WAITING: &[Code] = &[
    Code::InvalidHeader,
    Code::NotAcceptable,
    Code::JobCanceled,
    Code::IdempotencyKeyReused,
    Code::WebhookNotAllowed,
    Code::DeadlineExceeded,
];
/// Problems of an edit.
const EDIT: &[Code] = &[
    Code::WordNotFound,
    Code::ReplaceWordCount,
    Code::ReweightChangesPrompt,
    Code::InvalidWindow,
    Code::WindowSelectsNoStep,
    Code::InvalidStrength,
    Code::EqualizerNoEffect,
    Code::LocalBlendNoWords,
    Code::InvalidThreshold,
    Code::InvalidStart,
];
/// Problems of running a job.
const WORK: &[Code] = &[
    Code::SourceTooLarge,
    Code::Diverged,
    Code::ModelNotFinite,
    Code::QueueFull,
    Code::TooManyConcurrent,
    Code::Loading,
    Code::Draining,
    Code::WorkerStalled,
    Code::DeviceLost,
    Code::AnswerTimeout,
];
/// Problems of a request for attention.
const ATTENTION: &[Code] = &[
    Code::SessionNotFound,
    Code::NotAcceptable,
    Code::MissingField,
    Code::InvalidValue,
    Code::WordNotFound,
    Code::NoAttentionMaps,
];
/// Problems of every request that needs a key, on a server with keys or limits. A header that holds a key may not be
/// given twice.
const CALLER: [Code; 3] = [Code::InvalidHeader, Code::Unauthorized, Code::RateLimited];

const EDIT_HEADERS: &[&str] = &[
    "id",
    "created",
    "model",
    "session",
    "recording",
    "seed",
    "size",
    "edit-type",
    "alignment",
    "windows",
    "warnings",
    "timings-ms",
    "omitted",
];
const SESSION_HEADERS: &[&str] =
    &["model", "session", "recording", "seed", "size", "warnings", "timings-ms", "omitted"];
const IMAGES_HEADERS: &[&str] =
    &["id", "model", "session", "recording", "seed", "size", "warnings", "timings-ms", "omitted"];
const ATTENTION_HEADERS: &[&str] = &["session", "word", "tokens", "step", "steps", "max", "omitted"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_found_by_method_and_path() {
        for (method, path, call) in [
            (Method::POST, "/v1/edits", Some(Call::CreateEdit)),
            (Method::POST, "/v1/sessions/{id}/edits", Some(Call::CreateSessionEdit)),
            (Method::POST, "/v1/sessions", Some(Call::CreateSession)),
            (Method::GET, "/v1/sessions", Some(Call::ReadSession)),
            (Method::GET, "/v1/sessions/{id}", Some(Call::ReadSession)),
            (Method::HEAD, "/v1/sessions/{id}/image", Some(Call::ReadSession)),
            (Method::GET, "/v1/sessions/{id}/attention", Some(Call::ReadSession)),
            (Method::DELETE, "/v1/sessions/{id}", Some(Call::DeleteSession)),
            (Method::POST, "/v1/images/generations", Some(Call::CreateImages)),
            (Method::POST, "/v1/align", Some(Call::Align)),
            (Method::GET, "/v1/jobs/{id}", Some(Call::Jobs)),
            (Method::DELETE, "/v1/jobs/{id}", Some(Call::Jobs)),
            (Method::GET, "/readyz", Some(Call::Other)),
            (Method::GET, "/v1/edits", None),
            (Method::POST, "", None),
        ] {
            let found = Endpoint::of(&method, path).map(|endpoint| endpoint.route().call);
            assert_eq!(found, call, "{method} {path}");
        }
    }

    #[test]
    fn endpoints_of_one_path_differ_by_method_alone() {
        for endpoint in Endpoint::ALL {
            let route = endpoint.route();
            for other in Endpoint::at(route.path).filter(|other| other != endpoint) {
                let other = other.route();
                assert_ne!(route.method, other.method, "{route:?}");
                assert_eq!((route.access, route.dialect), (other.access, other.dialect), "{route:?}");
            }
        }
    }

    #[test]
    fn only_probes_pages_and_the_contract_need_no_key() {
        let open = Endpoint::ALL.iter().map(|endpoint| endpoint.route()).filter(|route| route.access == Access::Open);
        let paths: Vec<_> = open.map(|route| route.path).collect();
        assert_eq!(paths, ["/healthz", "/readyz", "/openapi.json", "/", "/assets/{*path}", "/docs", "/docs/{file}"]);
    }

    #[test]
    fn every_code_but_those_of_addresses_belongs_to_an_endpoint() {
        let listed: Vec<_> = Endpoint::ALL.iter().flat_map(|endpoint| endpoint.route().codes()).collect();
        let unlisted: Vec<_> = Code::ALL.iter().filter(|code| !listed.contains(code)).collect();
        assert_eq!(unlisted, [&Code::NotFound, &Code::MethodNotAllowed]);
    }
}
