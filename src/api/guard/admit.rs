//! Admission of requests: by their API key, if there are keys, and by the rate of their caller.
//!
//! | endpoint | needs a key | is counted |
//! | --- | --- | --- |
//! | [`Access::Open`]: probes, the contract and its pages, the playground; unknown addresses | no | no |
//! | [`Access::Key`]: all others | yes | yes |
//!
//! Requests without a valid key are counted by address, so that keys cannot be guessed quickly. A header that holds a
//! key may not be given twice. Such headers are removed from the request.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::guard::rate::Standing;
use crate::api::guard::{Access, Caller, Guard, RequestRefusal};
use crate::api::problem::{Code, Problem};
use crate::api::transport::headers::{at_most_once, single};

/// The header of a key, for clients whose proxy uses `Authorization` itself.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The headers that can hold a key.
const KEY_HEADERS: [&str; 2] = ["authorization", "x-api-key"];

/// Admits a request, or refuses it.
pub async fn admit(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let address = peer.map(|peer| guard.config.proxies.client(peer, request.headers()));
    let are_single = KEY_HEADERS.into_iter().try_for_each(|name| at_most_once(request.headers(), name));
    let presented = presented(request.headers());
    // No layer or handler behind this one needs the key.
    request.headers_mut().remove(header::AUTHORIZATION);
    request.headers_mut().remove(X_API_KEY);
    // A request that was not identified is treated as one that needs a key.
    if request.extensions().get::<Access>() == Some(&Access::Open) {
        request.extensions_mut().insert(Caller::at(address));
        return next.run(request).await;
    }
    let caller = guard.caller(presented.as_ref(), Caller::at(address));
    let counted = caller.as_ref().unwrap_or_else(|unknown| &unknown.0);
    tracing::Span::current().record("client", tracing::field::display(counted));
    let standing = guard.rate.count(counted);
    let admitted = match (caller, standing, are_single) {
        (_, Some(standing), _) if !standing.is_within => Err((Some(RequestRefusal::RateLimited), limited(&standing))),
        (_, _, Err(problem)) => Err((None, problem.into_response())),
        (Err(NoKey(_, why)), _, Ok(())) => Err((Some(why), unauthorized(why))),
        (Ok(caller), _, Ok(())) => Ok(caller),
    };
    let mut response = match admitted {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err((reason, response)) => {
            reason.into_iter().for_each(|reason| guard.metrics.refused.with(reason).inc());
            response
        }
    };
    standing.iter().for_each(|standing| standing.put(response.headers_mut()));
    response
}

/// The key that a request presents: `Authorization: Bearer`, or else `x-api-key`.
fn presented(headers: &HeaderMap) -> Option<HeaderValue> {
    let bearer = |text: &str| {
        let (scheme, key) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().to_owned())
    };
    // A request with such a header twice is refused.
    let authorization = single(headers, "authorization").ok().flatten().and_then(bearer);
    let key = authorization.or_else(|| single(headers, "x-api-key").ok().flatten().map(str::to_owned))?;
    let mut value = HeaderValue::from_str(&key).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A caller without a valid key, and the reason for the refusal. It is counted by its address.
struct NoKey(Caller, RequestRefusal);

impl Guard {
    /// The caller: by the name of its key if there are keys, otherwise by its address.
    fn caller(&self, presented: Option<&HeaderValue>, address: Caller) -> Result<Caller, NoKey> {
        let Some(keys) = &self.config.keys else {
            return Ok(address);
        };
        let Some(presented) = presented else {
            return Err(NoKey(address, RequestRefusal::NoKey));
        };
        match keys.ring().find(presented.as_bytes()) {
            Some(name) => Ok(Caller::Key(Arc::clone(name))),
            None => Err(NoKey(address, RequestRefusal::UnknownKey)),
        }
    }
}

fn unauthorized(reason: RequestRefusal) -> Response {
    let (challenge, detail) = match reason {
        RequestRefusal::UnknownKey => {
            ("Bearer realm=\"reprompt\", error=\"invalid_token\"", "the request's API key is unknown")
        }
        _ => ("Bearer realm=\"reprompt\"", "expected an API key, as Authorization: Bearer KEY or as x-api-key: KEY"),
    };
    let mut response = Problem::new(Code::Unauthorized, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

fn limited(standing: &Standing) -> Response {
    let detail = format!("the limit of requests per minute and client is {}", standing.limit);
    Problem::new(Code::RateLimited, detail).with_retry_after(standing.reset).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        presented(&map).map(|key| key.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_key_is_a_bearer_token_or_a_header_of_its_own() {
        assert_eq!(key(&[("authorization", "Bearer abc")]).as_deref(), Some("abc"));
        assert_eq!(key(&[("authorization", "bearer  abc ")]).as_deref(), Some("abc"));
        assert_eq!(key(&[("x-api-key", "abc")]).as_deref(), Some("abc"));
        assert_eq!(key(&[("authorization", "Basic dXNlcg=="), ("x-api-key", "abc")]).as_deref(), Some("abc"));
        assert_eq!(key(&[("authorization", "Bearer abc"), ("x-api-key", "def")]).as_deref(), Some("abc"));
        assert_eq!(key(&[("authorization", "Bearer abc"), ("authorization", "Bearer def")]), None);
        assert_eq!(key(&[("authorization", "Bearerabc")]), None);
        assert_eq!(key(&[]), None);
    }

    #[test]
    fn a_key_shows_nothing_of_itself() {
        let headers = HeaderMap::from_iter([(X_API_KEY, HeaderValue::from_static("abc"))]);
        assert_eq!(format!("{:?}", presented(&headers)), "Some(Sensitive)");
    }
}
