//! The kind of model that a folder says it is, by the class in `model_index.json`.
//!
//! Contract: a pipeline of another kind is refused by its class, before its parts are read. A folder without the file,
//! or with a class that is not known, is judged by its parts. A class that runs on the parts of a plain Stable Diffusion
//! model as well (inpainting with 4 channels) is refused only if its UNet is another one.

use serde_json::Value;

use crate::diffusion::error::ModelError;
use crate::diffusion::weights::files::ModelFiles;

const FILE: &str = "model_index.json";
const UNET: &str = "unet/config.json";

/// Starts of class names, and what such models are; the first that matches counts.
const OTHERS: &[(&str, &str)] = &[
    ("StableDiffusionXL", "an SDXL model, which has two text encoders"),
    ("KolorsPipeline", "a model like SDXL with another text encoder"),
    ("StableDiffusion3", "a Stable Diffusion 3 model, which has a transformer in place of the UNet"),
    ("StableDiffusionInpaint", "an inpainting model, whose UNet also reads a mask and an image"),
    ("StableDiffusionDepth2Img", "a depth model, whose UNet also reads a depth map"),
    ("StableDiffusionInstructPix2Pix", "an InstructPix2Pix model, whose UNet also reads an image"),
    ("StableDiffusionUpscale", "an upscaler, whose UNet also reads an image"),
    ("StableDiffusionLatentUpscale", "an upscaler, whose UNet also reads an image"),
    ("StableDiffusionImageVariation", "an image variation model, which reads an image in place of a prompt"),
    ("StableDiffusionLDM3D", "an LDM3D model, which also makes depth maps"),
    ("StableDiffusionGLIGEN", "a GLIGEN model, whose UNet also reads boxes"),
    ("StableUnCLIP", "an unCLIP model, whose UNet also reads an image embedding"),
    ("UnCLIP", "an unCLIP model"),
    ("LatentConsistencyModel", "a latent consistency model, whose UNet also reads the guidance scale"),
    ("StableVideoDiffusion", "a video model"),
    ("AnimateDiff", "a video model"),
    ("TextToVideo", "a video model"),
    ("StableCascade", "a Stable Cascade model"),
    ("Wuerstchen", "a Wuerstchen model"),
    ("Flux", "a Flux model, which has a transformer in place of the UNet"),
    ("PixArt", "a PixArt model, which has a transformer in place of the UNet"),
    ("Kandinsky", "a Kandinsky model"),
    ("AltDiffusion", "an AltDiffusion model, which has another text encoder"),
    ("PaintByExample", "an inpainting model, which reads an image in place of a prompt"),
    ("VersatileDiffusion", "a Versatile Diffusion model"),
    ("LDM", "a latent diffusion model from before Stable Diffusion"),
    ("IF", "a DeepFloyd IF model, which works on pixels"),
];

/// Refuses a folder that says it holds a model of another kind.
///
/// # Errors
/// [`ModelError::Pipeline`], naming the class; [`ModelError::Config`] where the file is not JSON.
pub(crate) fn check(files: &ModelFiles) -> Result<(), ModelError> {
    let index = files.value(FILE)?;
    let Some(class) = index["_class_name"].as_str() else {
        return Ok(());
    };
    let what = match OTHERS.iter().find(|(start, _)| class.starts_with(start)) {
        Some(_) if is_plain(&files.value(UNET)?, &index) => return Ok(()),
        Some((_, what)) => (*what).to_owned(),
        None => match parts_of_another_kind(&index) {
            Some(part) => format!("a model with {part}"),
            None => return Ok(()),
        },
    };
    Err(ModelError::Pipeline { model: files.name(), class: class.to_owned(), what })
}

/// Whether the parts are those of a Stable Diffusion model that makes images of prompts.
fn is_plain(unet: &Value, index: &Value) -> bool {
    let switches = ["addition_embed_type", "class_embed_type", "encoder_hid_dim", "time_cond_proj_dim"];
    unet["_class_name"] == "UNet2DConditionModel"
        && unet["in_channels"] == unet["out_channels"]
        && switches.iter().all(|key| unet[*key].is_null())
        && matches!(unet["attention_type"].as_str(), None | Some("default"))
        && index["text_encoder"][1].as_str().is_some_and(|class| class.starts_with("CLIP"))
        && parts_of_another_kind(index).is_none()
}

/// A part that Stable Diffusion 1 and 2 do not have.
fn parts_of_another_kind(index: &Value) -> Option<&'static str> {
    let parts = [
        "transformer",
        "text_encoder_2",
        "prior",
        "motion_adapter",
        "movq",
        "vqvae",
        "image_unet",
        "depth_estimator",
        "image_normalizer",
    ];
    parts.into_iter().find(|part| index[*part][1].is_string())
}
