//! An invalid value and its field.
//!
//! Contract: checks that need a model, or that compare fields, name the field by the enum of its table. The HTTP API
//! renders it as a path, the command line as a flag.

use crate::api::fields::table::FieldName;
use crate::api::problem::{Code, Problem};

/// A value of the right type that is invalid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Invalid<F> {
    /// The kind of problem.
    pub code: Code,
    /// The field at fault.
    pub field: F,
    /// Where inside the field, as a path such as `[1].word`; empty for the whole of it.
    pub inside: String,
    /// What is wrong.
    pub detail: String,
}

impl<F: FieldName> Invalid<F> {
    /// A value that its field cannot have.
    pub(crate) fn value(field: F, detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidValue, field, detail)
    }

    /// Any other problem of a field.
    pub(crate) fn new(code: Code, field: F, detail: impl Into<String>) -> Self {
        Self { code, field, inside: String::new(), detail: detail.into() }
    }

    /// The same, of a part of the field.
    #[must_use]
    pub(crate) fn inside(self, path: impl Into<String>) -> Self {
        Self { inside: path.into(), ..self }
    }
}

/// The problem of a field at the top of the body.
impl<F: FieldName> From<Invalid<F>> for Problem {
    fn from(Invalid { code, field, inside, detail }: Invalid<F>) -> Self {
        Self::new(code, detail).at(format!("{}{inside}", field.name()))
    }
}
