//! Encoding prompts: all that a turn of the worker needs in one pass. Conditionings are cached by
//! [`ConditioningCache`](crate::engine::conditioning_cache::ConditioningCache).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diffusion::{Conditioning, ConditioningKey};
use crate::engine::job::{EngineError, PreparedEdit, PreparedSource};
use crate::engine::runs::forward::Failure;
use crate::engine::worker::Worker;
use crate::engine::worker::context::Context;
use crate::recordings::SourceContexts;

/// Conditionings that were made together.
#[derive(Debug, Default)]
pub(super) struct Encoded(BTreeMap<ConditioningKey, Conditioning>);

impl Worker<'_> {
    /// The prompts of the runs that can begin in this turn.
    pub(super) fn prompts_to_encode(&self) -> BTreeSet<ConditioningKey> {
        let mut prompts = BTreeSet::new();
        for active in self.sources.iter() {
            let source = active.state();
            if source.needs_prompts() {
                prompts.extend(source.source.conditioning_keys().map(Clone::clone));
            }
            if !source.trajectory.is_wanted() && source.trajectory.begun().is_none() {
                continue;
            }
            for job in active.jobs() {
                prompts.extend(job.edit().waiting_edit().map(PreparedEdit::conditioning_key));
                if job.edit().waits_for_own_log() {
                    prompts.extend(source.source.conditioning_keys().map(Clone::clone));
                }
            }
        }
        prompts
    }
}

impl Context<'_> {
    /// Encodes the prompts that are not cached, in one pass. If that fails, each is encoded when it is read, so that a
    /// prompt fails alone. The error is a failure of the device.
    pub(super) fn encode(&mut self, prompts: BTreeSet<ConditioningKey>) -> Result<Encoded, Failure> {
        let mut encoded = Encoded::default();
        let mut uncached = Vec::new();
        for key in prompts {
            match self.conditionings.get(&key) {
                Some(conditioning) => drop(encoded.0.insert(key, conditioning)),
                None => uncached.push(key),
            }
        }
        if uncached.is_empty() {
            return Ok(encoded);
        }
        if let Ok(conditionings) = self.catch_device_failure(|| self.model.condition(&uncached))? {
            for (key, conditioning) in uncached.into_iter().zip(conditionings) {
                self.conditionings.put(key.clone(), &conditioning);
                encoded.0.insert(key, conditioning);
            }
        }
        Ok(encoded)
    }

    /// The conditioning of a prompt: from `encoded` or the cache, or encoded now.
    pub(super) fn conditioning(
        &mut self,
        encoded: &Encoded,
        key: &ConditioningKey,
    ) -> Result<Conditioning, EngineError> {
        if let Some(conditioning) = encoded.0.get(key).cloned().or_else(|| self.conditionings.get(key)) {
            return Ok(conditioning);
        }
        let conditioning = self.try_for_job(|| {
            let made = self.model.condition(std::slice::from_ref(key))?.pop();
            Ok(made.ok_or_else(|| candle_core::Error::Msg("expected one conditioning, got none".to_owned()))?)
        })?;
        self.conditionings.put(key.clone(), &conditioning);
        Ok(conditioning)
    }

    /// The conditionings of a source's prompt and negative prompt.
    pub(super) fn source_conditionings(
        &mut self,
        encoded: &Encoded,
        source: &PreparedSource,
    ) -> Result<Arc<SourceContexts>, EngineError> {
        let [conditional, unconditional] = source.conditioning_keys();
        let conditional = self.conditioning(encoded, conditional)?;
        Ok(Arc::new(SourceContexts::new(conditional, self.conditioning(encoded, unconditional)?)))
    }
}
