//! `sample_size` of `unet/config.json`: the size of the latents that a model was trained on.

use serde::Deserialize;

use crate::diffusion::error::ModelError;
use crate::diffusion::unet::config::FILE;

/// Sides of the latents of Stable Diffusion 1, where the file does not say.
const DEFAULT_SAMPLE_SIZE: usize = 64;

/// Sides of the latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a whole number, or a list of height and width")]
pub(super) enum SampleSize {
    /// One number for both.
    Square(usize),
    /// Height and width.
    Sides([usize; 2]),
}

impl SampleSize {
    /// Height and width of the latents, as `StableDiffusionPipeline` of diffusers takes them: files from before 0.9.0 say
    /// 32 of models that were trained on 64. A list is taken as it is.
    ///
    /// # Errors
    /// [`ModelError::Config`] for a size of 0.
    pub(super) fn sides(given: Option<Self>, version: Option<&str>) -> Result<(usize, usize), ModelError> {
        let is_old = version.is_some_and(is_before_0_9);
        let (height, width) = match given {
            None => (DEFAULT_SAMPLE_SIZE, DEFAULT_SAMPLE_SIZE),
            Some(Self::Square(1..DEFAULT_SAMPLE_SIZE)) if is_old => (DEFAULT_SAMPLE_SIZE, DEFAULT_SAMPLE_SIZE),
            Some(Self::Square(side)) => (side, side),
            Some(Self::Sides([height, width])) => (height, width),
        };
        match height.min(width) {
            0 => Err(ModelError::config(FILE, "expected `sample_size` of at least 1, got 0")),
            _ => Ok((height, width)),
        }
    }
}

/// Whether a version of diffusers is below 0.9.0. Versions of development count as the release that they lead to.
fn is_before_0_9(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (major, minor) = (numbers.next(), numbers.next());
    matches!((major, minor), (Some(Ok(0)), Some(Ok(0..9)) | None | Some(Err(_))))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sides(given: &Value, version: Option<&str>) -> Result<(usize, usize), String> {
        let given = serde_json::from_value(given.clone()).map_err(|error| error.to_string())?;
        SampleSize::sides(given, version).map_err(|error| error.to_string())
    }

    /// `unet.config.sample_size` of diffusers 0.42.1 once a `StableDiffusionPipeline` was made with such a UNet.
    #[test]
    fn sizes_are_those_of_diffusers() {
        for (given, version, wanted) in [
            (json!(32), "0.6.0", (64, 64)),
            (json!(8), "0.6.0", (64, 64)),
            (json!(32), "0.8.1", (64, 64)),
            (json!(32), "0.9.0.dev0", (32, 32)),
            (json!(32), "0.9.0", (32, 32)),
            (json!(32), "0.10.0", (32, 32)),
            (json!(32), "0.42.1", (32, 32)),
            (json!(32), "1.0.0", (32, 32)),
            (json!(64), "0.6.0", (64, 64)),
            (json!(96), "0.6.0", (96, 96)),
            (json!([32, 48]), "0.6.0", (32, 48)),
            (json!([48, 32]), "0.42.1", (48, 32)),
        ] {
            assert_eq!(sides(&given, Some(version)), Ok(wanted), "{given} {version}");
        }
        assert_eq!(sides(&json!(32), None), Ok((32, 32)));
        assert_eq!(sides(&Value::Null, None), Ok((64, 64)));
    }

    #[test]
    fn other_sizes_are_refused() {
        for given in [json!([32]), json!([1, 2, 3]), json!("big"), json!(-1)] {
            assert_eq!(sides(&given, None).unwrap_err(), "expected a whole number, or a list of height and width");
        }
        for given in [json!(0), json!([0, 4])] {
            assert!(sides(&given, Some("0.6.0")).unwrap_err().contains("`sample_size` of at least 1"));
        }
    }
}
