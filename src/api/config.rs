//! Settings of the API, as the command line makes them from the configuration.

use crate::api::delivery::jobs::JobLimits;
use crate::api::delivery::webhooks::WebhookConfig;
use crate::api::guard::GuardConfig;

/// Settings of the API.
#[derive(Debug, Clone, Default)]
pub struct ApiConfig {
    /// Limits on jobs that have ended.
    pub jobs: JobLimits,
    /// Keys, rates and limits.
    pub guard: GuardConfig,
    /// Webhooks; `None`: webhooks are not sent.
    pub webhooks: Option<WebhookConfig>,
}
