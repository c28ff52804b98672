//! CLIP's text encoder: token and position embeddings, a causal pre-norm transformer, a final layer norm.
//!
//! The output is the last hidden state after the final norm, which is what Stable Diffusion 1 and 2 condition on
//! (2.x ships the encoder with its last layer already cut off).

use candle_core::{D, Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::diffusion::error::ModelError;
use crate::diffusion::nn::{Activation, Compute, LayerNorm, Linear};
use crate::diffusion::weights::files::ModelFiles;
use crate::diffusion::weights::{Scope, Weights, json, options};
use crate::kernels::attention::{Heads, Keys, Row, Term, Values, attend};
use crate::kernels::buffer::as_slice;

const CONFIG: &str = "text_encoder/config.json";
const WEIGHTS: &[&str] = &["text_encoder/model.safetensors", "text_encoder/model.fp16.safetensors"];

/// The keys of `text_encoder/config.json` that shape the network; what is left out is as in transformers'
/// `CLIPTextConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct TextEncoderConfig {
    vocab_size: usize,
    /// Width of the embeddings that the UNet attends to.
    pub hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    /// Tokens of a prompt, its two markers and the padding included: 77.
    pub max_position_embeddings: usize,
    hidden_act: String,
    layer_norm_eps: f64,
}

impl Default for TextEncoderConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
        }
    }
}

/// What would change the embeddings and is not supported: attention that leaves out the padding.
const UNSUPPORTED_UNLESS: &options::Required = &[("use_attention_mask", "false"), ("quantization_config", "null")];

impl TextEncoderConfig {
    fn load(model: &ModelFiles) -> std::result::Result<Self, ModelError> {
        Self::from_value(model.json(CONFIG)?)
    }

    fn from_value(mut config: Map<String, Value>) -> std::result::Result<Self, ModelError> {
        options::check(CONFIG, &config, UNSUPPORTED_UNLESS)?;
        let class = config.get("architectures").and_then(|classes| classes[0].as_str());
        if let Some(class) = class.filter(|class| !class.starts_with("CLIP")) {
            let detail = format!("unsupported `architectures` [{class:?}]; expected [\"CLIPTextModel\"]");
            return Err(ModelError::config(CONFIG, detail));
        }
        // The configuration of a whole CLIP model, as transformers takes the text model's out of it.
        let text = config.remove("text_config").filter(Value::is_object);
        json::typed(CONFIG, text.unwrap_or(Value::Object(config)))
    }
}

/// The loaded encoder.
#[derive(Debug)]
pub struct TextEncoder {
    token_embedding: Tensor,
    position_embedding: Tensor,
    layers: Vec<Layer>,
    final_layer_norm: LayerNorm,
    /// `None` on the CPU, whose kernel needs none.
    causal_mask: Option<Tensor>,
    vocab_size: usize,
}

#[derive(Debug)]
struct Layer {
    layer_norm1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
    heads: usize,
}

/// Tokens that a prompt of `model` may have; its weights are not read.
pub fn max_tokens(model: &ModelFiles) -> std::result::Result<usize, ModelError> {
    Ok(TextEncoderConfig::load(model)?.max_position_embeddings)
}

impl TextEncoder {
    /// Loads the encoder of `model` and returns it with its configuration.
    pub fn load(model: &ModelFiles, compute: &Compute) -> std::result::Result<(Self, TextEncoderConfig), ModelError> {
        let config = TextEncoderConfig::load(model)?;
        let activation = Activation::parse(&config.hidden_act)
            .ok_or_else(|| ModelError::config(CONFIG, format!("unsupported `hidden_act` {:?}", config.hidden_act)))?;
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        if heads == 0 || !width.is_multiple_of(heads) {
            let detail = format!("`hidden_size` {width} cannot be split into {heads} heads");
            return Err(ModelError::config(CONFIG, detail));
        }
        let weights = Weights::open(model, model.first_of(WEIGHTS)?, compute)?;
        // Stable Diffusion's files carry the prefix, the newest transformers' do not.
        let root = match weights.root().at("text_model") {
            scope if scope.has("embeddings.token_embedding.weight") => scope,
            _ => weights.root(),
        };
        let root = root.precise();
        let embeddings = root.at("embeddings");
        let positions = config.max_position_embeddings;
        let layers = (0..config.num_hidden_layers)
            .map(|i| Layer::load(&root.at("encoder.layers").at(i), &config, activation))
            .collect::<std::result::Result<_, _>>()?;
        let encoder = Self {
            token_embedding: embeddings.at("token_embedding").tensor("weight", &[config.vocab_size, width])?,
            position_embedding: embeddings.at("position_embedding").tensor("weight", &[positions, width])?,
            layers,
            final_layer_norm: LayerNorm::load(&root.at("final_layer_norm"), width, config.layer_norm_eps)?,
            causal_mask: (!compute.device.is_cpu()).then(|| causal_mask(positions, compute)).transpose()?,
            vocab_size: config.vocab_size,
        };
        Ok((encoder, config))
    }

    /// Tokens that have an embedding.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Padded token ids of each prompt (as many as there are positions) -> `[prompts, positions, width]`.
    pub fn forward(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        let embed = |ids: &Vec<u32>| {
            let ids = Tensor::new(ids.as_slice(), self.token_embedding.device())?;
            self.token_embedding.index_select(&ids, 0)? + &self.position_embedding
        };
        let mut x = Tensor::stack(&ids.iter().map(embed).collect::<Result<Vec<_>>>()?, 0)?;
        for layer in &self.layers {
            x = layer.forward(&x, self.causal_mask.as_ref())?;
        }
        self.final_layer_norm.forward(&x)
    }
}

impl Layer {
    fn load(
        scope: &Scope<'_>,
        config: &TextEncoderConfig,
        activation: Activation,
    ) -> std::result::Result<Self, ModelError> {
        let (width, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let attention = scope.at("self_attn");
        Ok(Self {
            layer_norm1: LayerNorm::load(&scope.at("layer_norm1"), width, eps)?,
            q_proj: Linear::load(&attention.at("q_proj"), width, width)?,
            k_proj: Linear::load(&attention.at("k_proj"), width, width)?,
            v_proj: Linear::load(&attention.at("v_proj"), width, width)?,
            out_proj: Linear::load(&attention.at("out_proj"), width, width)?,
            layer_norm2: LayerNorm::load(&scope.at("layer_norm2"), width, eps)?,
            fc1: Linear::load(&scope.at("mlp.fc1"), width, inner)?,
            fc2: Linear::load(&scope.at("mlp.fc2"), inner, width)?,
            activation,
            heads: config.num_attention_heads,
        })
    }

    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let x = self.out_proj.forward_added(&self.attend(&self.layer_norm1.forward(x)?, mask)?, x)?;
        let h = self.fc1.forward(&self.layer_norm2.forward(&x)?)?;
        self.fc2.forward_added(&self.activation.forward(&h)?, &x)
    }

    fn attend(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let (q, k, v) = (self.q_proj.forward(x)?, self.k_proj.forward(x)?, self.v_proj.forward(x)?);
        match mask {
            None => self.attend_on_cpu(&q, &k, &v),
            Some(mask) => {
                let (rows, positions, width) = x.dims3()?;
                let split = |y: Tensor| {
                    y.reshape((rows, positions, self.heads, width / self.heads))?.transpose(1, 2)?.contiguous()
                };
                let scale = 1.0 / ((width / self.heads) as f64).sqrt();
                let scores = split((q * scale)?)?.matmul(&split(k)?.transpose(D::Minus2, D::Minus1)?)?;
                let attended = softmax_last_dim(&scores.broadcast_add(mask)?)?.matmul(&split(v)?)?;
                attended.transpose(1, 2)?.reshape((rows, positions, width))
            }
        }
    }

    fn attend_on_cpu(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let (rows, positions, width) = q.dims3()?;
        let (queries, keys, values) = (as_slice(q)?, as_slice(k)?, as_slice(v)?);
        let row = positions * width;
        let keys: Vec<_> = keys.chunks_exact(row).map(|keys| Keys::new(keys, positions, self.heads)).collect();
        let values: Vec<_> =
            values.chunks_exact(row).map(|values| Values::new(values, positions, self.heads)).collect();
        let terms = queries.chunks_exact(row).zip(keys.iter().zip(&values));
        let rows_of = terms
            .map(|(queries, (keys, values))| Row { terms: vec![Term { queries, keys, values }], map: None })
            .collect();
        let heads = Heads { count: self.heads, channels: width, positions, is_causal: true };
        Tensor::from_vec(attend(rows_of, heads), (rows, positions, width), q.device())
    }
}

/// `[positions, positions]`, minus infinity where a token would see a later one.
fn causal_mask(positions: usize, compute: &Compute) -> Result<Tensor> {
    let mask: Vec<f32> = (0..positions)
        .flat_map(|query| (0..positions).map(move |key| if key > query { f32::NEG_INFINITY } else { 0.0 }))
        .collect();
    Tensor::from_vec(mask, (positions, positions), &compute.device)?.to_dtype(compute.dtype)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(value: &Value) -> std::result::Result<TextEncoderConfig, ModelError> {
        TextEncoderConfig::from_value(value.as_object().unwrap().clone())
    }

    /// The defaults are those of `CLIPTextConfig()` in transformers 5.24.
    #[test]
    fn what_is_left_out_or_nested_is_as_in_transformers() {
        let nested = config(&json!({"model_type": "clip", "text_config": {"hidden_size": 768}})).unwrap();
        let plain = config(&json!({"model_type": "clip_text_model", "hidden_size": 768})).unwrap();
        for config in [nested, plain] {
            assert_eq!((config.hidden_size, config.intermediate_size, config.vocab_size), (768, 2048, 49408));
            assert_eq!((config.num_hidden_layers, config.num_attention_heads), (12, 8));
        }
    }

    #[test]
    fn options_that_would_change_the_embeddings_are_refused_by_name() {
        for (given, key) in [
            (json!({"use_attention_mask": true}), "`use_attention_mask`"),
            (json!({"architectures": ["RobertaSeriesModelWithTransformation"]}), "`architectures`"),
            (json!({"quantization_config": {"bits": 8}}), "`quantization_config`"),
        ] {
            let error = config(&given).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        config(&json!({"use_attention_mask": false, "attention_dropout": 0.1, "projection_dim": 1})).unwrap();
    }
}
