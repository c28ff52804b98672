//! Reading the parameters of a query, with the same problems as a body's fields.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use serde_json::{Map, Value};

use crate::api::problem::{Code, Problem};
use crate::suggest::did_you_mean;

/// The parameters of a query as an object of texts, for [`crate::api::fields`].
#[derive(Debug)]
pub struct QueryObject(pub Map<String, Value>);

impl<S: Send + Sync> FromRequestParts<S> for QueryObject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut object = Map::new();
        for (name, value) in pairs(&parts.uri)? {
            if object.contains_key(&name) {
                let detail = format!("`{name}` is given twice; give it once");
                return Err(Problem::new(Code::InvalidValue, detail).at(name));
            }
            object.insert(name, value.into());
        }
        Ok(Self(object))
    }
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    let query = Query::try_from_uri(uri).map(|Query(pairs)| pairs);
    query.map_err(|_| Problem::new(Code::InvalidValue, "expected name=value pairs in the query"))
}

/// Checks that the query of a request has no other parameters than `known`.
///
/// # Errors
/// `unknown_field`, with the known parameters and the one that may have been meant.
pub(crate) fn expect_only(method: &Method, uri: &Uri, known: &[&str]) -> Result<(), Problem> {
    let Some((name, _)) = pairs(uri)?.into_iter().find(|(name, _)| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let expected: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    let meant = did_you_mean(&name, known.iter().copied()).map(|meant| format!("; did you mean `{meant}`?"));
    let expected = match expected.as_slice() {
        [] if *method == Method::POST => "expected none: the fields of this call belong in its JSON body".to_owned(),
        [] => "expected none".to_owned(),
        names => format!("expected one of {}{}", names.join(", "), meant.unwrap_or_default()),
    };
    let detail = format!("unknown query parameter `{name}`, {expected}");
    Err(Problem::new(Code::UnknownField, detail).at(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use serde_json::json;

    async fn query(query: &str) -> Result<Value, (Code, Option<String>)> {
        let (mut parts, ()) = Request::get(format!("/attention?{query}")).body(()).unwrap().into_parts();
        let object = QueryObject::from_request_parts(&mut parts, &()).await;
        object.map(|object| Value::Object(object.0)).map_err(|p| (p.code(), p.param().map(str::to_owned)))
    }

    #[tokio::test]
    async fn parameters_are_decoded_texts_each_given_once() {
        assert_eq!(query("word=red+c%C3%A4t&step=3").await, Ok(json!({"word": "red cät", "step": "3"})));
        assert_eq!(query("").await, Ok(json!({})));
        assert_eq!(query("word=a&word=b").await, Err((Code::InvalidValue, Some("word".to_owned()))));
    }

    #[test]
    fn a_parameter_that_a_call_does_not_have_is_named_with_those_that_it_has() {
        let refused = |method: Method, query: &str, known: &[&str]| {
            let uri: Uri = format!("/v1/jobs{query}").parse().unwrap();
            expect_only(&method, &uri, known).map_err(|problem| {
                assert_eq!(problem.code(), Code::UnknownField);
                (problem.param().unwrap_or_default().to_owned(), problem.detail().to_owned())
            })
        };
        let error = |name: &str, detail: &str| Err((name.to_owned(), detail.to_owned()));
        for query in ["", "?", "?&", "?word=cat&step=-1"] {
            assert_eq!(refused(Method::GET, query, &["word", "step"]), Ok(()), "{query}");
        }
        let of_get = "unknown query parameter `limit`, expected none";
        for query in ["?limit=-1", "?limit", "?lim%69t=", "?&limit=1&limit=2"] {
            assert_eq!(refused(Method::GET, query, &[]), error("limit", of_get), "{query}");
        }
        let of_post = "unknown query parameter `seed`, expected none: the fields of this call belong in its JSON body";
        assert_eq!(refused(Method::POST, "?seed=3", &[]), error("seed", of_post));
        let near = "unknown query parameter `stpe`, expected one of `word`, `step`; did you mean `step`?";
        assert_eq!(refused(Method::GET, "?word=cat&stpe=1", &["word", "step"]), error("stpe", near));
    }
}
