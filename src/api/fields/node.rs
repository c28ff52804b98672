//! A JSON value with its path in the request.
//!
//! Contract: a problem that is made from a [`Node`] or an [`Object`] has the path of its field as `param`
//! (`equalizer[0].word`). Messages say what was expected and what was given, in the terms of JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::api::problem::{Code, Problem};
use crate::suggest::did_you_mean;

/// The path of a value: names of fields and indices of lists, the outermost first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'a> {
    /// The request body itself.
    Root,
    /// A field of an object.
    Field(&'a Path<'a>, &'a str),
    /// An entry of a list.
    Entry(&'a Path<'a>, usize),
}

/// A value in a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    /// The value.
    pub value: &'a Value,
    /// Its path.
    pub path: Path<'a>,
}

/// The fields of an object in a request.
#[derive(Debug, Clone)]
pub(crate) struct Object<'a> {
    fields: BTreeMap<&'a str, &'a Value>,
    path: Path<'a>,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Path::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Entry(parent, at) => write!(f, "{parent}[{at}]"),
        }
    }
}

impl Path<'_> {
    /// A problem of the value at this path.
    pub(crate) fn problem(&self, code: Code, detail: impl Into<String>) -> Problem {
        let problem = Problem::new(code, detail);
        if matches!(self, Path::Root) { problem } else { problem.at(self.to_string()) }
    }
}

impl<'a> Node<'a> {
    /// A problem of this value.
    pub(crate) fn problem(&self, code: Code, detail: impl Into<String>) -> Problem {
        self.path.problem(code, detail)
    }

    /// The problem of a value of the wrong kind; `expected` says what fits, with its article.
    pub(crate) fn unexpected(&self, expected: &str) -> Problem {
        self.problem(Code::InvalidValue, format!("expected {expected}, got {}", shown(self.value)))
    }

    /// The fields of an object.
    pub(crate) fn object(&self) -> Result<Object<'a>, Problem> {
        match self.value {
            Value::Object(fields) => Ok(Object::new(fields, self.path)),
            _ => Err(self.unexpected("an object")),
        }
    }
}

impl<'a> Object<'a> {
    fn new(fields: &'a Map<String, Value>, path: Path<'a>) -> Self {
        Self { fields: fields.iter().map(|(name, value)| (name.as_str(), value)).collect(), path }
    }

    /// The fields of a request body.
    pub(crate) fn body(fields: &'a Map<String, Value>) -> Self {
        Self::new(fields, Path::Root)
    }

    /// The object at another path: problems name its fields as if they were in an object of this name.
    pub(crate) fn at(&self, name: &'a str) -> Self {
        Self { fields: self.fields.clone(), path: Path::Field(&Path::Root, name) }
    }

    /// Only these fields.
    pub(crate) fn only(mut self, names: &[&str]) -> Self {
        self.fields.retain(|name, _| names.contains(name));
        self
    }

    /// Without a field.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.remove(name);
        self
    }

    /// With one more field, in place of one of the same name.
    pub(crate) fn with(mut self, name: &'static str, value: &'a Value) -> Self {
        self.fields.insert(name, value);
        self
    }

    /// Whether there is a field of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// The value of a field.
    pub(crate) fn get<'b>(&'b self, name: &'b str) -> Option<Node<'b>> {
        let value = self.fields.get(name)?;
        Some(Node { value, path: Path::Field(&self.path, name) })
    }

    /// All fields, by name in alphabetical order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, Node<'_>)> {
        self.fields.iter().map(|(name, value)| (*name, Node { value, path: Path::Field(&self.path, name) }))
    }

    /// The value of a field that may be given by one of several names.
    ///
    /// # Errors
    /// `invalid_value` if it is given by more than one.
    pub(crate) fn aliased<'b>(&'b self, name: &'b str, aliases: &[&'static str]) -> Result<Option<Node<'b>>, Problem> {
        let mut given = std::iter::once(name).chain(aliases.iter().copied()).filter(|name| self.has(name));
        match (given.next(), given.next()) {
            (Some(first), Some(second)) => {
                let detail = format!("`{first}` and `{second}` are the same field; give one of them");
                Err(self.problem(name, Code::InvalidValue, detail))
            }
            // Problems name the field by its own name, also if an alias was used.
            (Some(given), None) => Ok(self.get(given).map(|node| Node { path: Path::Field(&self.path, name), ..node })),
            (None, _) => Ok(None),
        }
    }

    /// A problem of one of the fields.
    pub(crate) fn problem(&self, name: &str, code: Code, detail: impl Into<String>) -> Problem {
        Path::Field(&self.path, name).problem(code, detail)
    }

    /// The problem of a required field that is not there.
    pub(crate) fn missing(&self, name: &str) -> Problem {
        self.problem(name, Code::MissingField, format!("missing field `{name}`"))
    }

    /// Checks that there are no other fields than these.
    ///
    /// # Errors
    /// `unknown_field`, with the allowed fields and the one that may have been meant.
    pub(crate) fn expect_only(&self, allowed: &[&str]) -> Result<(), Problem> {
        match self.fields.keys().find(|name| !allowed.contains(name)) {
            None => Ok(()),
            Some(unknown) => Err(self.problem(unknown, Code::UnknownField, unknown_field(unknown, allowed))),
        }
    }
}

/// The message about an unknown field.
pub(crate) fn unknown_field(name: &str, allowed: &[&str]) -> String {
    let expected = allowed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let meant = did_you_mean(name, allowed.iter().copied());
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    format!("unknown field `{name}`, expected one of {expected}{meant}")
}

/// A value as messages show it: a number as it is, anything else by its kind.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        other => kind(other).to_owned(),
    }
}

/// The kind of a JSON value, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
