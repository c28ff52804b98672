//! Recordings as tensors by name, as a store keeps them: one set of tensors per part.
//!
//! | part | tensors |
//! | --- | --- |
//! | trajectory | `latents` `[steps, channels, h, w]`, `maps` `[steps, values]` (absent without maps), `image` `[height, width, 3]`, bytes |
//! | a group of cross-attention layers at a step | `queries.N` of each layer N |
//! | a group of self-attention layers at a step | `queries.N`, `keys.N` of each layer N |
//!
//! The initial latents are left out, because they follow from the seed. What is read is checked against the layout.

use std::collections::HashMap;

use candle_core::{Device, Result, Tensor};

use crate::diffusion::unet::AttentionKind;
use crate::media::Image;
use crate::recordings::attention_log::{GroupRecord, LayerRecord, StepAttention};
use crate::recordings::layout::RecordingLayout;
use crate::recordings::site_group::SiteGroup;
use crate::recordings::store::Tensors;
use crate::recordings::trajectory::{Trajectory, TrajectoryStep};

/// A complete trajectory's tensors.
pub fn of_trajectory(trajectory: &Trajectory) -> Result<Tensors> {
    let steps: Vec<_> = (0..trajectory.total_steps()).filter_map(|step| trajectory.step(step)).collect();
    let latents: Vec<_> = steps.iter().map(|step| step.latents.clone()).collect();
    let mut tensors = vec![("latents".to_owned(), Tensor::cat(&latents, 0)?.to_device(&Device::Cpu)?)];
    let values = trajectory.layout().map_values();
    if values > 0 {
        let maps: Vec<f32> = steps.iter().flat_map(|step| step.maps.iter().copied()).collect();
        tensors.push(("maps".to_owned(), Tensor::from_vec(maps, (steps.len(), values), &Device::Cpu)?));
    }
    if let Some(image) = trajectory.image() {
        let bytes = Tensor::from_slice(&image.rgb, (image.height, image.width, 3), &Device::Cpu)?;
        tensors.push(("image".to_owned(), bytes));
    }
    Ok(tensors)
}

/// The steps and the image of a trajectory from its tensors; an error if these do not match the layout and the shape of
/// the initial latents.
pub fn to_trajectory(
    layout: &RecordingLayout,
    start: &Tensor,
    steps: usize,
    tensors: Tensors,
) -> Result<(Vec<TrajectoryStep>, Image)> {
    let mut tensors: HashMap<_, _> = tensors.into_iter().collect();
    let mut take = |name: &str| match tensors.remove(name) {
        Some(tensor) => Ok(tensor),
        None => candle_core::bail!("there is no tensor {name}"),
    };
    let (latents, image) = (take("latents")?, take("image")?);
    let (_, channels, height, width) = start.dims4()?;
    expect(&latents, &[steps, channels, height, width])?;
    let values = layout.map_values();
    let maps = if values > 0 {
        let maps = take("maps")?;
        expect(&maps, &[steps, values])?;
        maps.to_vec2::<f32>()?
    } else {
        vec![Vec::new(); steps]
    };
    let (height, width, channels) = image.dims3()?;
    if channels != 3 || height * width != layout.pixels() {
        candle_core::bail!("expected an image of {} pixels, got {height} x {width}", layout.pixels());
    }
    let step = |(step, maps): (usize, Vec<f32>)| {
        // A copy of its own: a view would keep the latents of all steps.
        let latents = latents.narrow(0, step, 1)?.copy()?.to_device(start.device())?;
        Ok(TrajectoryStep { latents, maps: maps.into() })
    };
    let steps = maps.into_iter().enumerate().map(step).collect::<Result<_>>()?;
    Ok((steps, Image { width, height, rgb: image.flatten_all()?.to_vec1::<u8>()? }))
}

/// The tensors of a group of a step's attention; empty if the group is not present.
pub fn of_attention(group: SiteGroup, attention: &StepAttention) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    let mut add = |name: String, tensor: &Tensor| {
        tensors.push((name, tensor.to_device(&Device::Cpu)?.contiguous()?));
        Ok::<_, candle_core::Error>(())
    };
    for (layer, record) in attention.group(group).into_iter().flatten() {
        add(format!("queries.{layer}"), &record.queries)?;
        if let Some(keys) = &record.keys {
            add(format!("keys.{layer}"), keys)?;
        }
    }
    Ok(tensors)
}

/// A group of a step's attention from its tensors; an error if these do not match the layout.
pub fn to_attention(group: SiteGroup, layout: &RecordingLayout, tensors: Tensors) -> Result<StepAttention> {
    let mut tensors: HashMap<_, _> = tensors.into_iter().collect();
    let mut record = GroupRecord::new();
    for site in layout.sites_of(group) {
        let mut take = |what: &str| match tensors.remove(&format!("{what}.{}", site.index)) {
            Some(tensor) => expect(&tensor, &[site.positions(), site.heads * site.head_dim]).map(|()| tensor),
            None => candle_core::bail!("there are no {what} of layer {}", site.index),
        };
        let queries = take("queries")?;
        let keys = match site.kind {
            AttentionKind::CrossAttention => None,
            AttentionKind::SelfAttention => Some(take("keys")?),
        };
        record.insert(site.index, LayerRecord { queries, keys });
    }
    Ok(StepAttention::of(group, record))
}

fn expect(tensor: &Tensor, dims: &[usize]) -> Result<()> {
    if tensor.dims() == dims {
        return Ok(());
    }
    candle_core::bail!("expected a tensor of shape {dims:?}, got {:?}", tensor.dims())
}
