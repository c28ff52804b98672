//! The calls: the request, the handler and the response of each.
//!
//! - `edits`, `sessions`, `images`: calls that run a job; `operation`: what their requests are prepared into
//! - `align`, `attention`, `jobs`, `models`, `health`, `metrics`: the other calls
//! - `source`, `values`, `output`, `waiting`: fields that several requests have
//! - `bodies`, `windows`, `warnings`: parts that several answers have

pub(crate) mod align;
pub(crate) mod attention;
pub(crate) mod bodies;
pub(crate) mod edits;
pub(crate) mod health;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod metrics;
pub mod models;
pub(crate) mod operation;
pub(crate) mod output;
pub(crate) mod sessions;
pub(crate) mod source;
pub(crate) mod values;
pub(crate) mod waiting;
pub(crate) mod warnings;
pub(crate) mod windows;

pub use crate::api::operations::edits::request::EditRequest;

#[cfg(test)]
mod tests {
    use crate::api::fields::shape::{Components, document};
    use crate::api::fields::{FieldType, Shape};
    use crate::api::operations::align::request::AlignRequest;
    use crate::api::operations::attention::request::AttentionQuery;
    use crate::api::operations::edits::request::EditFields;
    use crate::api::operations::images::request::ImagesFields;
    use crate::api::operations::output::{FileFields, ResponseFields};
    use crate::api::operations::source::SourceFields;
    use crate::api::operations::waiting::WaitFields;

    #[test]
    fn schemas_of_fields_lose_nothing_on_their_way_into_the_document() {
        let mut components = Components::default();
        SourceFields::components(&mut components);
        EditFields::components(&mut components);
        ImagesFields::components(&mut components);
        AlignRequest::components(&mut components);
        FileFields::components(&mut components);
        ResponseFields::components(&mut components);
        WaitFields::components(&mut components);
        AttentionQuery::components(&mut components);
        assert!(components.schemas().count() > 15);
        for (name, schema) in components.schemas() {
            assert_eq!(serde_json::to_value(document(schema.clone())).unwrap(), *schema, "{name}");
        }
        assert_eq!(Shape::of::<AttentionQuery>().properties().len(), 2);
    }
}
