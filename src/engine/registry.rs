//! Which engine serves which model.
//!
//! Contract: a registry is never empty. Its default engine serves the calls whose requests cannot name a model, and
//! requests that name none; [`ModelRegistry::resolve`] finds the engine of a named model.

use std::sync::Arc;

use crate::engine::Engine;

/// The engines of a process, by the names of their models.
#[derive(Debug)]
pub struct ModelRegistry {
    default: Arc<Engine>,
    others: Vec<Arc<Engine>>,
}

/// Why a model cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No loaded model has this name, and a model is still being loaded, which may have it.
    #[error("the model is loading")]
    Loading,
    /// No engine serves a model of this name.
    #[error("unknown model {name:?}; expected {}", names(served))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names of the models that are served.
        served: Vec<String>,
    },
}

impl ModelRegistry {
    /// A registry whose default is `engine`.
    pub fn new(engine: Engine) -> Self {
        Self { default: Arc::new(engine), others: Vec::new() }
    }

    /// Adds an engine for requests that name its model.
    #[must_use]
    pub fn with(mut self, engine: Engine) -> Self {
        self.others.push(Arc::new(engine));
        self
    }

    /// The default engine.
    pub fn default_engine(&self) -> &Arc<Engine> {
        &self.default
    }

    /// The engine whose model has this name; the default engine without a name.
    ///
    /// # Errors
    /// [`ResolveError::Unknown`] if no model has the name, [`ResolveError::Loading`] if a model that is still being
    /// loaded may have it.
    pub fn resolve(&self, name: Option<&str>) -> Result<&Arc<Engine>, ResolveError> {
        let Some(name) = name else {
            return Ok(&self.default);
        };
        let (mut served, mut is_loading) = (Vec::new(), false);
        for engine in self.iter() {
            match engine.model() {
                Ok(model) if model.name == name => return Ok(engine),
                Ok(model) => served.push(model.name.clone()),
                Err(_) => is_loading = true,
            }
        }
        match is_loading {
            true => Err(ResolveError::Loading),
            false => Err(ResolveError::Unknown { name: name.to_owned(), served }),
        }
    }

    /// All engines, the default first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Engine>> {
        std::iter::once(&self.default).chain(&self.others)
    }
}

fn names(served: &[String]) -> String {
    served.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or ")
}
