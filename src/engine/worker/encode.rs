//! Encoding prompts: all that a turn needs in one pass, and none twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diffusion::unet::TextContext;
use crate::engine::job::EngineError;
use crate::engine::runs::forward::Failure;
use crate::engine::worker::Worker;
use crate::engine::worker::context::Context;
use crate::recordings::{Source, SourceContexts};

/// Prompts that were encoded together, by their texts.
#[derive(Debug, Default)]
pub(super) struct Encoded(BTreeMap<String, TextContext>);

impl Worker<'_> {
    /// The prompts that runs read which begin in this turn.
    pub(super) fn prompts_to_encode(&self) -> BTreeSet<String> {
        let mut prompts = BTreeSet::new();
        for active in self.sources.iter() {
            let source = active.state();
            if source.needs_prompts() {
                prompts.extend(prompts_of(&source.source));
            }
            if !source.trajectory.is_wanted() && source.trajectory.begun().is_none() {
                continue;
            }
            for job in active.jobs() {
                prompts.extend(job.edit().waiting_edit().map(|edit| edit.prompt.text().to_owned()));
                if job.edit().waits_for_own_log() {
                    prompts.extend(prompts_of(&source.source));
                }
            }
        }
        prompts
    }
}

impl Context<'_> {
    /// Encodes the prompts that are not cached, in one pass. Where that fails, each is encoded when it is read, so that
    /// a prompt fails alone. The error is the device's.
    pub(super) fn encode(&mut self, prompts: BTreeSet<String>) -> Result<Encoded, Failure> {
        let mut encoded = Encoded::default();
        let mut unknown = Vec::new();
        for prompt in prompts {
            match self.conditionings.find(&prompt) {
                Some(context) => drop(encoded.0.insert(prompt, context)),
                None => unknown.push(prompt),
            }
        }
        if unknown.is_empty() {
            return Ok(encoded);
        }
        let texts: Vec<&str> = unknown.iter().map(String::as_str).collect();
        if let Ok(contexts) = self.catch_device_failure(|| self.model.encode_prompts(&texts))? {
            for (prompt, context) in unknown.into_iter().zip(contexts) {
                self.conditionings.keep(&prompt, &context);
                encoded.0.insert(prompt, context);
            }
        }
        Ok(encoded)
    }

    /// A prompt as the UNet reads it: from those that were encoded together, or encoded alone.
    pub(super) fn conditioning(&mut self, encoded: &Encoded, prompt: &str) -> Result<TextContext, EngineError> {
        if let Some(context) = encoded.0.get(prompt).cloned().or_else(|| self.conditionings.find(prompt)) {
            return Ok(context);
        }
        let context = self.try_for_job(|| {
            let mut contexts = self.model.encode_prompts(&[prompt])?.into_iter();
            Ok(contexts
                .next()
                .ok_or_else(|| candle_core::Error::Msg("expected one encoded prompt, got none".to_owned()))?)
        })?;
        self.conditionings.keep(prompt, &context);
        Ok(context)
    }

    /// Both prompts of a source as the UNet reads them.
    pub(super) fn source_conditionings(
        &mut self,
        encoded: &Encoded,
        source: &Source,
    ) -> Result<Arc<SourceContexts>, EngineError> {
        Ok(Arc::new(SourceContexts {
            conditional: self.conditioning(encoded, &source.prompt)?,
            unconditional: self.conditioning(encoded, &source.negative_prompt)?,
        }))
    }
}

fn prompts_of(source: &Source) -> [String; 2] {
    [source.prompt.clone(), source.negative_prompt.clone()]
}
