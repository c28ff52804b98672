//! The [`fields!`] macro: a table of fields as a struct, its parser, its schema and an enum of the fields' names.
//!
//! An entry is
//!
//! ```text
//! /// Documentation, which is also the description of the schema.
//! Variant = name | "alias": Type = default => {"keyword": "of the schema"};
//! ```
//!
//! where aliases, the default and keywords may be left out. A field is required unless it has a default or its type is
//! an `Option`. A table without required fields may have `Default`, as the request that leaves all of them out.

use serde_json::Value;

use crate::api::fields::node::Object;
use crate::api::fields::shape::{Components, Property};
use crate::api::problem::Problem;

/// Fields of an object, which calls flatten into their bodies.
pub(crate) trait Group: Sized {
    /// All names and aliases.
    const NAMES: &'static [&'static str];

    /// Reads the fields, and ignores others.
    ///
    /// # Errors
    /// The problem of the first field that cannot be read.
    fn take(object: &Object<'_>) -> Result<Self, Problem>;

    /// The properties of the schema, aliases included.
    fn properties() -> Vec<Property>;

    /// Adds the named schemas that the properties refer to.
    fn group_components(into: &mut Components);
}

/// The name of a field.
pub(crate) trait FieldName: Copy + 'static {
    /// The name in requests.
    fn name(self) -> &'static str;
}

/// The documentation of an item as one text: lines are joined.
pub(crate) fn description(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// A default, for the end of a description. It is not the keyword `default`, because generators of clients take a field
/// with that keyword for one that must be given, or send its value in every request.
pub(crate) fn default_text(default: &Value) -> String {
    let shown = default.as_str().filter(|text| !text.is_empty());
    format!(" Default: `{}`.", shown.map_or_else(|| default.to_string(), str::to_owned))
}

macro_rules! fields {
    (
        $(#[doc = $doc:literal])+
        struct $name:ident as $schema:literal, enum $names:ident $(, $derived:ident)? {
            $(
                $(#[doc = $field_doc:literal])+
                $variant:ident = $field:ident $(| $alias:literal)* : $type:ty $(= $default:expr)? $(=> $keywords:tt)?;
            )*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $field_doc])+ pub $field: $type,)*
        }

        #[doc = concat!("The fields of [`", stringify!($name), "`].")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(dead_code, reason = "not every field has checks of its own")]
        pub enum $names {
            $($(#[doc = $field_doc])+ $variant,)*
        }

        impl $crate::api::fields::FieldName for $names {
            fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($field),)* }
            }
        }

        $crate::api::fields::fields!(@derive [$($derived)?] $name { $($field [$($default)?])* });

        impl $crate::api::fields::Group for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field), $($alias,)*)*];

            fn take(object: &$crate::api::fields::Object<'_>) -> Result<Self, $crate::api::problem::Problem> {
                use $crate::api::fields::FieldType;
                Ok(Self {$(
                    $field: {
                        let node = object.aliased(stringify!($field), &[$($alias),*])?;
                        $crate::api::fields::fields!(@read object, node, stringify!($field), $type $(, $default)?)
                    },
                )*})
            }

            fn properties() -> Vec<$crate::api::fields::shape::Property> {
                use $crate::api::fields::FieldType;
                use $crate::api::fields::shape::{Property, describe};
                let mut properties = Vec::new();
                $(
                    let keywords = $crate::api::fields::fields!(@keywords $($keywords)?);
                    let has_default = $crate::api::fields::fields!(@has $($default)?);
                    let nullable = has_default || <$type as FieldType>::NULLABLE;
                    $(
                        let alias = describe(
                            <$type as FieldType>::schema(),
                            nullable,
                            concat!("Alias of `", stringify!($field), "`; give only one of them."),
                            keywords.clone(),
                        );
                        properties.push(Property { name: $alias, is_required: false, schema: alias });
                    )*
                    #[allow(unused_mut)]
                    let mut description = $crate::api::fields::table::description(&[$($field_doc),+]);
                    $(
                        let default: $type = $default;
                        let default = $crate::api::fields::types::ToJson::to_json(&default);
                        description.push_str(&$crate::api::fields::table::default_text(&default));
                    )?
                    let schema = describe(<$type as FieldType>::schema(), nullable, &description, keywords);
                    properties.push(Property { name: stringify!($field), is_required: !nullable, schema });
                )*
                properties
            }

            fn group_components(into: &mut $crate::api::fields::Components) {
                $(<$type as $crate::api::fields::FieldType>::components(into);)*
            }
        }

        impl $crate::api::fields::FieldType for $name {
            fn read(node: $crate::api::fields::Node<'_>) -> Result<Self, $crate::api::problem::Problem> {
                use $crate::api::fields::Group;
                let object = node.object()?;
                object.expect_only(Self::NAMES)?;
                Self::take(&object)
            }

            fn schema() -> serde_json::Value {
                $crate::api::fields::shape::reference($schema)
            }

            fn components(into: &mut $crate::api::fields::Components) {
                use $crate::api::fields::{Group, Shape};
                let description = $crate::api::fields::table::description(&[$($doc),+]);
                into.add($schema, || Shape::of::<Self>().json(&description));
                Self::group_components(into);
            }
        }

        $crate::api::fields::to_schema!($name as $schema);
    };
    (@derive [] $name:ident { $($rest:tt)* }) => {};
    (@derive [Default] $name:ident { $($field:ident [$($default:expr)?])* }) => {
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::api::fields::fields!(@default $($default)?),)* }
            }
        }
    };
    (@default $default:expr) => { $default };
    (@default) => { Default::default() };
    (@has $default:expr) => { true };
    (@has) => { false };
    (@keywords $keywords:tt) => { serde_json::json!($keywords) };
    (@keywords) => { serde_json::json!({}) };
    (@read $object:ident, $node:ident, $name:expr, $type:ty, $default:expr) => {
        match $node {
            Some(node) => Option::<$type>::read(node)?.unwrap_or_else(|| $default),
            None => $default,
        }
    };
    (@read $object:ident, $node:ident, $name:expr, $type:ty) => {
        match $node {
            Some(node) => <$type as FieldType>::read(node)?,
            None => <$type as FieldType>::absent().ok_or_else(|| $object.missing($name))?,
        }
    };
}

pub(crate) use fields;
