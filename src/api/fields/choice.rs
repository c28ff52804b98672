//! Types whose values are a few names.

use serde_json::{Value, json};

use crate::api::fields::node::Node;
use crate::api::problem::{Code, Problem};

/// One of a few values, by name.
pub(crate) trait Choice: Copy + 'static {
    /// What it is, for messages: `edit type`.
    const WHAT: &'static str;

    /// All values.
    fn all() -> &'static [Self];

    /// The name.
    fn name(self) -> &'static str;

    /// Other names of the same value.
    fn aliases(self) -> &'static [&'static str] {
        &[]
    }

    /// The value of a name.
    fn named(name: &str) -> Option<Self> {
        Self::all().iter().copied().find(|choice| choice.name() == name)
    }
}

/// Reads a name.
pub(crate) fn read<T: Choice>(node: Node<'_>) -> Result<T, Problem> {
    let Value::String(name) = node.value else {
        return Err(node.unexpected("a string"));
    };
    T::named(name).ok_or_else(|| node.problem(Code::InvalidValue, unsupported::<T>(name)))
}

/// The message about a name that is not one of them.
pub(crate) fn unsupported<T: Choice>(name: &str) -> String {
    let names: Vec<_> = T::all().iter().map(|choice| format!("{:?}", choice.name())).collect();
    let one_of = if names.len() > 1 { "one of " } else { "" };
    format!("unsupported {} {name:?}; expected {one_of}{}", T::WHAT, names.join(", "))
}

/// The schema of the names.
pub(crate) fn schema<T: Choice>(description: &str) -> Value {
    let names: Vec<_> = T::all().iter().map(|choice| choice.name()).collect();
    json!({"type": "string", "enum": names, "description": description})
}

/// Makes enums of names types of fields, with a named schema each. Those with `{}` are made here; others are domain
/// enums that have `ALL` and `as_str`.
macro_rules! choices {
    (@values $type:ident { $($(#[doc = $doc:literal])+ $variant:ident = $value:literal),* }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum $type { $($(#[doc = $doc])+ $variant),* }

        impl $type {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in requests.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $value),* }
            }
        }
    };
    (@values $type:ident) => {};
    ($($type:ident $({ $($values:tt)* })? as $schema:literal, $what:literal: $($text:literal)+;)*) => {
        $(
            $crate::api::fields::choice::choices!(@values $type $({ $($values)* })?);

            impl $crate::api::fields::choice::Choice for $type {
                const WHAT: &'static str = $what;

                fn all() -> &'static [Self] {
                    &Self::ALL
                }

                fn name(self) -> &'static str {
                    self.as_str()
                }
            }

            impl $crate::api::fields::FieldType for $type {
                fn read(node: $crate::api::fields::Node<'_>) -> Result<Self, $crate::api::problem::Problem> {
                    $crate::api::fields::choice::read(node)
                }

                fn schema() -> serde_json::Value {
                    $crate::api::fields::shape::reference($schema)
                }

                fn components(into: &mut $crate::api::fields::Components) {
                    into.add($schema, || $crate::api::fields::choice::schema::<Self>(concat!($($text),+)));
                }
            }

            impl $crate::api::fields::types::ToJson for $type {
                fn to_json(&self) -> serde_json::Value {
                    self.as_str().into()
                }
            }

            $crate::api::fields::to_schema!($type as $schema);
        )*
    };
}

pub(crate) use choices;
