//! The router: the handler of each endpoint of the [`table`], and the layers around them.
//!
//! A request passes these layers, from the outside in:
//!
//! 1. [`identify`]: which endpoint it is for
//! 2. [`header_budget`]: the size of its response's headers
//! 3. [`request_id`]: its id, its trace, and the rendering of problems
//! 4. [`guard::security_headers`]: headers for browsers
//! 5. [`guard::cors`], if origins are configured
//! 6. [`metrics::count`]: request metrics
//! 7. [`panicked`]: a handler's panic becomes a problem
//! 8. [`guard::hosts`], [`guard::timeouts`], [`guard::admit`]: the host, time limits, API keys and the rate limit
//! 9. [`of_known_parameters`]: a call's query has no parameter that the call does not have

pub(crate) mod table;

use std::any::Any;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::Uri;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, post};
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::assets::{docs, playground};
use crate::api::fields::Group;
use crate::api::guard::Access;
use crate::api::metrics::Call;
use crate::api::operations::attention::request::AttentionQuery;
use crate::api::operations::{align, attention, edits, health, images, jobs, metrics, models, sessions};
use crate::api::problem::{Code, Dialect, Problem};
use crate::api::routes::table::{Endpoint, UNKNOWN};
use crate::api::state::AppState;
use crate::api::transport::request_id::Routine;
use crate::api::transport::{header_budget, query, request_id};
use crate::api::{guard, openapi};
use crate::sync::panic_message;

/// The service: a router that can be served, or called in a test.
pub fn router(state: Arc<AppState>) -> Router {
    // The service does not start without its contract.
    openapi::check();
    let endpoints = Endpoint::ALL.iter().copied();
    let served = endpoints.filter(|endpoint| *endpoint != Endpoint::Metrics || !state.guard.metrics_apart());
    let unknown = UNKNOWN.iter().fold(Router::new(), |router, (path, _)| router.route(path, any(not_found)));
    let router = mount(unknown, served).fallback(not_found).method_not_allowed_fallback(|| async {
        Problem::new(Code::MethodNotAllowed, "this path does not allow this method; see the allow header")
    });
    let router = guard::protect(router.with_state(Arc::clone(&state)), &state.guard)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(&state.metrics), metrics::count));
    // Outside the guard: a browser's preflight request has no key.
    let router = if let Some(cors) = state.guard.cors() { router.layer(cors) } else { router };
    outermost(router)
}

/// Metrics and probes at an address of their own, for operators; no key is needed.
pub fn metrics_router(state: Arc<AppState>) -> Router {
    let endpoints = [Endpoint::Healthz, Endpoint::Readyz, Endpoint::Metrics];
    let router = mount(Router::new(), endpoints.into_iter())
        .fallback(|| async { Problem::new(Code::NotFound, "only /metrics, /healthz and /readyz are served here") });
    outermost(router.with_state(state))
}

fn mount(router: Router<Arc<AppState>>, endpoints: impl Iterator<Item = Endpoint>) -> Router<Arc<AppState>> {
    endpoints.fold(router, |router, endpoint| {
        router.route(endpoint.route().path, of_known_parameters(endpoint, handler(endpoint)))
    })
}

/// Refuses requests with a query parameter that the call does not have. Pages ignore theirs: links to them carry
/// parameters of other sites.
fn of_known_parameters(endpoint: Endpoint, handler: MethodRouter<Arc<AppState>>) -> MethodRouter<Arc<AppState>> {
    if endpoint.route().operation_id.is_none() {
        return handler;
    }
    handler.route_layer(middleware::from_fn(move |request: Request, next: Next| async move {
        match query::expect_only(request.method(), request.uri(), parameters(endpoint)) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    }))
}

/// The query parameters of an endpoint.
fn parameters(endpoint: Endpoint) -> &'static [&'static str] {
    match endpoint {
        Endpoint::GetSessionAttention => AttentionQuery::NAMES,
        _ => &[],
    }
}

/// The handler of an endpoint. A test checks that each takes the method that the table has.
fn handler(endpoint: Endpoint) -> MethodRouter<Arc<AppState>> {
    match endpoint {
        Endpoint::CreateEdit => post(edits::create),
        Endpoint::CreateSessionEdit => post(edits::create_in_session),
        Endpoint::Align => post(align::align),
        Endpoint::CreateImages => post(images::create),
        Endpoint::CreateSession => post(sessions::create),
        Endpoint::ListSessions => get(sessions::list),
        Endpoint::GetSession => get(sessions::show),
        Endpoint::DeleteSession => delete(sessions::forget),
        Endpoint::GetSessionImage => get(sessions::image),
        Endpoint::GetSessionAttention => get(attention::show),
        Endpoint::ListJobs => get(jobs::list),
        Endpoint::GetJob => get(jobs::show),
        Endpoint::DeleteJob => delete(jobs::cancel),
        Endpoint::ListModels => get(models::list),
        Endpoint::GetModel => get(models::show),
        Endpoint::Healthz => get(health::healthz),
        Endpoint::Readyz => get(health::readyz),
        Endpoint::Metrics => get(metrics::show),
        Endpoint::OpenApi => get(openapi::show),
        Endpoint::Playground => get(playground::page),
        Endpoint::PlaygroundFile => get(playground::asset),
        Endpoint::Docs => get(docs::page),
        Endpoint::DocsFile => get(docs::file),
    }
}

/// The layers around every response, problems included.
fn outermost(router: Router) -> Router {
    router
        .layer(middleware::from_fn(guard::security_headers::put))
        .layer(middleware::from_fn(request_id::request_id))
        .layer(middleware::from_fn(header_budget::limit))
        .layer(middleware::from_fn(identify))
}

/// Looks up the endpoint of a request. Its dialect, access and metric become extensions of the request, so that every
/// layer has them, also if the request fails before its handler.
async fn identify(mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let endpoint = Endpoint::of(request.method(), path);
    let call = endpoint.map_or(Call::Other, |endpoint| endpoint.route().call);
    let unknown = || UNKNOWN.iter().find(|(below, _)| *below == path).map_or(Dialect::Own, |(_, dialect)| *dialect);
    // A method that is not allowed has the access and the dialect of the path's other methods.
    let (access, dialect) = match Endpoint::at(path).next().map(Endpoint::route) {
        Some(route) => (route.access, route.dialect),
        None => (Access::Open, unknown()),
    };
    let extensions = request.extensions_mut();
    extensions.insert(call);
    extensions.insert(access);
    extensions.insert(dialect);
    if let Some(Endpoint::Healthz | Endpoint::Readyz | Endpoint::Metrics) = endpoint {
        extensions.insert(Routine);
    }
    next.run(request).await
}

async fn not_found(uri: Uri) -> Problem {
    let path = uri.path();
    let detail = match path.ends_with('/') || path.contains("//") {
        true => format!("unknown path {path}; expected a path without a slash at its end and without double slashes"),
        false => "unknown path; /openapi.json lists the paths of the API".to_owned(),
    };
    Problem::new(Code::NotFound, detail)
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!(panic = panic_message(&*panic), "a handler panicked");
    Problem::new(Code::Internal, "the request failed; the service's log has the cause under this request's id")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_take_the_methods_of_the_table() {
        for endpoint in Endpoint::ALL {
            let (handler, method) = (format!("{:?}", handler(*endpoint)), endpoint.route().method);
            let taken = format!("{}: ", method.as_str().to_lowercase());
            assert!(handler.contains(&format!("{taken}BoxedHandler")), "{endpoint:?}: {handler}");
        }
    }
}
