//! What the API may keep, and where it may call.

use crate::api::delivery::jobs::JobLimits;
use crate::api::delivery::webhooks::WebhookConfig;
use crate::api::guard::GuardConfig;

/// Settings of the API.
#[derive(Debug, Clone, Default)]
pub struct ApiConfig {
    /// How long and how much of jobs is kept.
    pub jobs: JobLimits,
    /// Who may call, and how much.
    pub guard: GuardConfig,
    /// Where results may be sent; `None`: nowhere.
    pub webhooks: Option<WebhookConfig>,
}
