//! The fields of a body that say how its answer is delivered.

use serde_json::{Map, Value};

use crate::api::fields::{Group, Object, fields};
use crate::api::problem::Problem;

/// Previews of a job at most.
pub(crate) const MAX_PREVIEWS: u64 = 16;

fields! {
    /// How an answer is waited for.
    struct WaitFields as "WaitOptions", enum WaitField, Default {
        /// Whether the response is a stream of events: `queued` (`QueueBody`), `started` (`StartedEvent`), `step`
        /// (`StepEvent`), and finally `completed` (the full response) or `error` (`ProblemBody`). If it is left out,
        /// the response is a stream only with `Accept: text/event-stream`.
        Stream = stream: Option<bool>;
        /// Number of previews while the job runs, for streams and asynchronous jobs.
        PartialImages = partial_images: u64 = 0 => {"maximum": MAX_PREVIEWS};
        /// A URL that the service's configuration allows. The finished job is sent to it by POST, signed as
        /// standardwebhooks.com specifies. Requires `Prefer: respond-async`.
        Webhook = webhook: Option<String> =>
            {"format": "uri", "maxLength": 2048, "example": "https://hooks.example.com/reprompt"};
    }
}

impl WaitFields {
    /// The fields of a body; its other fields are read by its call.
    ///
    /// # Errors
    /// The problem of a field that cannot be read.
    pub(crate) fn of_body(body: &Map<String, Value>) -> Result<Self, Problem> {
        Self::take(&Object::body(body))
    }
}
