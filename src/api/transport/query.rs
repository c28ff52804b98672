//! Reading the parameters of a query, with the same problems as a body's fields.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde_json::{Map, Value};

use crate::api::problem::{Code, Problem};

/// The parameters of a query as an object of texts, for [`crate::api::fields`].
#[derive(Debug)]
pub struct QueryObject(pub Map<String, Value>);

impl<S: Send + Sync> FromRequestParts<S> for QueryObject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::new(Code::InvalidValue, "expected name=value pairs in the query"))?;
        let mut object = Map::new();
        for (name, value) in pairs {
            if object.contains_key(&name) {
                return Err(Problem::new(Code::InvalidValue, format!("`{name}` is given twice")).at(name));
            }
            object.insert(name, value.into());
        }
        Ok(Self(object))
    }
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
}
