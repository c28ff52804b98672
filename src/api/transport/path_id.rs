//! Ids in paths: of sessions, jobs and models.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::api::problem::{Code, Problem};

/// An id that a path may name.
pub(crate) trait PathId: Sized {
    /// The problem of an id that names nothing.
    const NOT_FOUND: Code;

    /// The id as a client sent it; whether anything has this id is not checked here.
    fn from_client(text: &str) -> Self;
}

/// The id that a path names.
#[derive(Debug)]
pub(crate) struct IdPath<T>(pub T);

impl<T: PathId, S: Send + Sync> FromRequestParts<S> for IdPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(T::from_client(&id)))
            .map_err(|_| Problem::new(T::NOT_FOUND, "the id in the path is not UTF-8").at("id"))
    }
}
