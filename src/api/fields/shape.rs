//! Schemas of objects that are put together from groups of fields.
//!
//! Contract: a shape is a closed object (`additionalProperties: false`) with all of its properties, because closed
//! objects cannot be joined by `allOf`. An alias is a property of its own.

use serde_json::{Map, Value, json};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use crate::api::fields::table::Group;

/// Named schemas, by name.
#[derive(Debug, Default)]
pub(crate) struct Components(Map<String, Value>);

/// A property of an object.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    /// The name.
    pub name: &'static str,
    /// Whether it must be given.
    pub is_required: bool,
    /// The schema, with its description.
    pub schema: Value,
}

/// A closed object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape(Vec<Property>);

impl Components {
    /// All schemas, by name.
    #[cfg(test)]
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// Adds a schema, unless there is one of this name.
    pub(crate) fn add(&mut self, name: &str, make: impl FnOnce() -> Value) {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), make());
        }
    }

    /// Adds an object that may be given in one of several ways, each a schema of its own: name, description, shape.
    pub(crate) fn add_ways(&mut self, name: &str, description: &str, ways: &[(&str, &str, Shape)]) {
        let references: Vec<_> = ways.iter().map(|(way, ..)| reference(way)).collect();
        self.add(name, || json!({"oneOf": references, "description": description}));
        for (way, description, shape) in ways {
            self.add(way, || shape.json(description));
        }
    }
}

impl Shape {
    /// The fields of a group.
    pub(crate) fn of<G: Group>() -> Self {
        Self(G::properties())
    }

    /// A single property.
    pub(crate) fn property(property: Property) -> Self {
        Self(vec![property])
    }

    /// With the fields of a group besides.
    pub(crate) fn and<G: Group>(mut self) -> Self {
        self.0.extend(G::properties());
        self
    }

    /// With the properties of another shape besides.
    pub(crate) fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Without a property.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.retain(|property| property.name != name);
        self
    }

    /// With a property by another name.
    pub(crate) fn renamed(self, from: &str, to: &'static str) -> Self {
        let rename =
            |property: Property| if property.name == from { Property { name: to, ..property } } else { property };
        Self(self.0.into_iter().map(rename).collect())
    }

    /// With a keyword of a property's schema set.
    pub(crate) fn set(mut self, name: &str, keyword: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        for property in self.0.iter_mut().filter(|property| property.name == name) {
            property.schema[keyword] = value.clone();
        }
        self
    }

    /// The properties.
    pub(crate) fn properties(&self) -> &[Property] {
        &self.0
    }

    /// The schema.
    pub(crate) fn json(&self, description: &str) -> Value {
        let required: Vec<_> = self.0.iter().filter(|property| property.is_required).map(|p| p.name).collect();
        let properties: Map<_, _> = self.0.iter().map(|p| (p.name.to_owned(), p.schema.clone())).collect();
        let mut schema = json!({
            "type": "object", "description": description, "properties": properties, "additionalProperties": false
        });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }
}

/// A reference to a named schema.
pub(crate) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The schema of a field: that of its type, with null where it is taken, a description, and further keywords.
pub(crate) fn describe(schema: Value, nullable: bool, description: &str, keywords: Value) -> Value {
    let is_plain = schema.get("type").is_some();
    let mut schema = match schema {
        mut plain if is_plain && nullable => {
            plain["type"] = json!([plain["type"].clone(), "null"]);
            plain
        }
        other if nullable => json!({"oneOf": [other, {"type": "null"}]}),
        required => required,
    };
    schema["description"] = description.into();
    if let (Value::Object(schema), Value::Object(keywords)) = (&mut schema, keywords) {
        schema.extend(keywords);
    }
    schema
}

/// The named schemas that `add` adds, for the document.
pub(crate) fn collect(add: fn(&mut Components), into: &mut Vec<(String, RefOr<Schema>)>) {
    let mut components = Components::default();
    add(&mut components);
    into.extend(components.0.into_iter().map(|(name, schema)| (name, document(schema))));
}

/// One of the named schemas that `add` adds.
pub(crate) fn named(add: fn(&mut Components), name: &str) -> RefOr<Schema> {
    let mut components = Components::default();
    add(&mut components);
    document(components.0.remove(name).unwrap_or_default())
}

/// JSON as a schema of the document. Tests check that nothing is lost; JSON that is no schema becomes a description
/// that says so.
pub(crate) fn document(schema: Value) -> RefOr<Schema> {
    let read = serde_json::from_value(schema);
    read.unwrap_or_else(|error| ObjectBuilder::new().description(Some(format!("not a schema: {error}"))).into())
}

/// Makes a type with `components` known to utoipa, by the name of its schema.
macro_rules! to_schema {
    ($type:ty as $name:literal) => {
        $crate::api::fields::to_schema!($type as $name, <$type as $crate::api::fields::FieldType>::components);
    };
    ($type:ty as $name:literal, $components:expr) => {
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::api::fields::shape::named($components, $name)
            }
        }

        impl utoipa::ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed($name)
            }

            fn schemas(into: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
                $crate::api::fields::shape::collect($components, into);
            }
        }
    };
}

pub(crate) use to_schema;
