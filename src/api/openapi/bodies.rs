//! Request bodies that may be written in several ways: older names of fields, and a source in an object of its own or
//! with its fields beside the others. utoipa knows the parts; here they are put together.
//!
//! Every way is a schema of its own with all of its fields, because closed objects cannot be joined by `allOf`.

use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// Fields of a schema, and those of them that are required.
#[derive(Clone)]
struct Fields {
    properties: Object,
    required: Vec<Value>,
}

/// Completes the schemas of all request bodies.
pub(crate) fn complete(schemas: &mut Object) {
    for (schema, field) in [("SourceRequest", "seed"), ("SourceBody", "seed"), ("GeneratedImage", "seed")] {
        // 64 bits without a sign, which no format of the specification is.
        let seed = &mut schemas[schema]["properties"][field];
        seed["maximum"] = u64::MAX.into();
        seed["format"] = "uint64".into();
    }
    alias(schemas, "SourceRequest", "num_inference_steps", "steps");
    alias(schemas, "SourceRequest", "guidance_scale", "cfg_scale");
    alias(schemas, "SourceRequest", "scheduler", "sampler_name");
    alias(schemas, "EditBody", "prompt", "target_prompt");

    let source = Fields::of(schemas, "SourceRequest");
    let flat = source.clone().renamed("prompt", "source_prompt");
    let nested = Fields {
        properties: Object::from_iter([("source".to_owned(), json!({"$ref": "#/components/schemas/SourceRequest"}))]),
        required: vec!["source".into()],
    };
    let edit = Fields::of(schemas, "EditBody");
    let ways = [
        ("EditOfSource", "A source, and an edit of it.", nested.clone().and(&edit)),
        ("EditOfPrompts", "The same with the source's fields beside those of the edit.", flat.clone().and(&edit)),
    ];
    one_of(schemas, "EditRequest", "A source and an edit of it, in one of two ways.", ways);

    let output = Fields::of(schemas, "OutputBody");
    let ways = [
        ("SessionOfSource", "A source, and how its image is answered.", nested.and(&output)),
        ("SessionOfFields", "The same with the source's fields beside the others.", source.clone().and(&output)),
        ("SessionOfPrompt", "The same with the prompt by its name in an edit.", flat.and(&output)),
    ];
    one_of(schemas, "SessionRequest", "A source to be run and recorded, in one of three ways.", ways);

    let align = Fields::of(schemas, "AlignRequest");
    let older = align.clone().renamed("prompt", "target_prompt");
    let ways = [
        ("AlignPrompts", "Two prompts.", align),
        ("AlignTargetPrompt", "The same with the target prompt by its name in other services.", older),
    ];
    one_of(schemas, "AlignRequest", "Two prompts, in one of two ways.", ways);

    let mut images = source.and(&Fields::of(schemas, "ImagesBody"));
    images.properties.remove("width");
    images.properties.remove("height");
    images.properties["size"]["pattern"] = r"^(auto|[0-9]+[xX*][0-9]+)$".into();
    let description = "What images are made from, and how they are answered.";
    schemas.insert("ImagesRequest".to_owned(), images.schema(description));
    schemas.remove("ImagesBody");
}

/// Gives a field another name beside its own.
fn alias(schemas: &mut Object, schema: &str, field: &str, alias: &str) {
    let properties = &mut schemas[schema]["properties"];
    let mut copy = properties[field].clone();
    copy["description"] = format!("The same as `{field}`; one of the two.").into();
    if let Some(fields) = copy.as_object_mut() {
        fields.remove("default");
    }
    properties[alias] = copy;
}

/// Makes a schema one of several, each with its name and its description.
fn one_of<const N: usize>(schemas: &mut Object, name: &str, description: &str, ways: [(&str, &str, Fields); N]) {
    let reference = |(way, ..): &(&str, &str, Fields)| json!({"$ref": format!("#/components/schemas/{way}")});
    let references: Vec<_> = ways.iter().map(reference).collect();
    schemas.insert(name.to_owned(), json!({"oneOf": references, "description": description}));
    for (way, description, fields) in ways {
        schemas.insert(way.to_owned(), fields.schema(description));
    }
}

impl Fields {
    fn of(schemas: &Object, name: &str) -> Self {
        let schema = &schemas[name];
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        Self { properties, required: schema["required"].as_array().cloned().unwrap_or_default() }
    }

    fn and(mut self, other: &Self) -> Self {
        self.properties.extend(other.properties.clone());
        self.required.extend(other.required.clone());
        self
    }

    fn renamed(mut self, from: &str, to: &str) -> Self {
        let property = self.properties.remove(from);
        self.properties.extend(property.map(|property| (to.to_owned(), property)));
        self.required.iter_mut().filter(|field| *field == from).for_each(|field| *field = to.into());
        self
    }

    fn schema(self, description: &str) -> Value {
        let Self { properties, required } = self;
        json!({
            "type": "object", "description": description, "required": required, "properties": properties,
            "additionalProperties": false
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::api::openapi::json;

    #[test]
    fn ways_are_closed_and_told_apart_by_what_they_require() {
        let schemas = &json()["components"]["schemas"];
        for (schema, required) in [
            ("EditOfSource", "source"),
            ("EditOfPrompts", "source_prompt"),
            ("SessionOfSource", "source"),
            ("SessionOfFields", "prompt"),
            ("SessionOfPrompt", "source_prompt"),
            ("ImagesRequest", "prompt"),
        ] {
            let schema = &schemas[schema];
            assert_eq!(schema["additionalProperties"], false, "{schema}");
            assert_eq!(schema["required"], serde_json::json!([required]), "{schema}");
        }
        for (schema, fields) in [
            ("EditOfPrompts", &["target_prompt", "steps", "cfg_scale", "sampler_name", "seed", "equalizer"] as &[_]),
            ("EditOfSource", &["source", "prompt", "local_blend_words", "equalizer_strengths", "webhook"]),
            ("ImagesRequest", &["n", "size", "steps", "user", "stream"]),
        ] {
            for field in fields {
                assert!(schemas[schema]["properties"].get(field).is_some(), "{field} is not in {schema}");
            }
        }
    }
}
