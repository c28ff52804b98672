//! The fields of requests: one table gives a struct, its parser, its problems and its schema.
//!
//! Contract: a field is one entry of a [`fields!`] table; its name, aliases, type, default and schema are nowhere else.
//! A group of fields that several calls have is a table of its own, and each call flattens it. Problems name the field
//! by its path; no error text is parsed.
//!
//! | file | holds |
//! | --- | --- |
//! | `json` | JSON text as a value, in which no key may occur twice |
//! | `node` | a JSON value with its path in the request |
//! | `types` | what a type of a field knows: reading and schema; numbers, texts, lists |
//! | `choice` | types that are one of a few names |
//! | `table` | the [`fields!`] macro and what its tables share |
//! | `shape` | schemas of objects that are put together from groups |
//! | `invalid` | a value that a check found wrong, with its field |
//!
//! `deserr` was considered: it has neither aliases nor `flatten`, and no schema, so a field would still be in two or
//! three places.

pub(crate) mod choice;
pub(crate) mod invalid;
pub(crate) mod json;
pub(crate) mod node;
pub(crate) mod shape;
pub(crate) mod table;
pub(crate) mod types;

pub(crate) use choice::choices;
pub(crate) use invalid::Invalid;
pub(crate) use node::{Node, Object};
pub(crate) use shape::{Components, Shape, to_schema};
pub(crate) use table::{FieldName, Group, fields};
pub(crate) use types::{FieldType, read_value};
