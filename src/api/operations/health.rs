//! `/healthz` and `/readyz`: whether the process is alive, and whether it accepts jobs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::problem::Problem;
use crate::api::state::AppState;

/// The state of the service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, or `ready`.
    pub status: &'static str,
}

/// Liveness: the process is running.
#[utoipa::path(get, path = "/healthz", tag = "operations",
    responses((status = 200, description = "The process is running", body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Readiness: the service accepts jobs. The model is loaded and warm, and its worker responds.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses(
        (status = 200, description = "Jobs are accepted", body = Health),
    ))]
pub async fn readyz(State(state): State<Arc<AppState>>) -> Result<Json<Health>, Problem> {
    state.models.iter().try_for_each(|engine| engine.readiness())?;
    Ok(Json(Health { status: "ready" }))
}
