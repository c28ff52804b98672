//! Recordings as files hold them: tensors by name, one file a part.
//!
//! | part | tensors |
//! | --- | --- |
//! | trajectory | `latents` `[steps, channels, h, w]`, `maps` `[steps, values]` (absent where there are none), `image` `[height, width, 3]`, bytes |
//! | cross-attention of a step | `queries.N` of layer N |
//! | self-attention of a step | `queries.N`, `keys.N` |
//!
//! Noise is not there: it follows from the seed. What is read is checked against the layout before it is taken.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use crate::diffusion::unet::AttentionKind;
use crate::media::Image;
use crate::recordings::attention_log::{CrossRecord, SelfRecord, StepAttention};
use crate::recordings::coverage::Coverage;
use crate::recordings::disk::Part;
use crate::recordings::disk_queue::Tensors;
use crate::recordings::layout::RecordingLayout;
use crate::recordings::trajectory::{Trajectory, TrajectoryStep};

/// The parts that hold a step's attention.
pub fn parts_of(step: usize, attention: &StepAttention) -> impl Iterator<Item = Part> {
    let cross = attention.cross.is_some().then_some(Part::Cross(step));
    cross.into_iter().chain(attention.self_attention.is_some().then_some(Part::SelfAttention(step)))
}

/// The step that a part is of; `None` of a trajectory.
pub fn step_of(part: Part) -> Option<usize> {
    match part {
        Part::Cross(step) | Part::SelfAttention(step) => Some(step),
        Part::Trajectory => None,
    }
}

/// Adds to a coverage what a part holds.
pub fn insert(coverage: &mut Coverage, part: Part) {
    match part {
        Part::Cross(step) => coverage.cross.insert(step),
        Part::SelfAttention(step) => coverage.self_attention.insert(step),
        Part::Trajectory => {}
    }
}

/// Takes out of a coverage what a part holds.
pub fn remove(coverage: &mut Coverage, part: Part) {
    match part {
        Part::Cross(step) => coverage.cross.remove(step),
        Part::SelfAttention(step) => coverage.self_attention.remove(step),
        Part::Trajectory => {}
    }
}

/// Whether a coverage holds what a part holds.
pub fn contains(coverage: &Coverage, part: Part) -> bool {
    match part {
        Part::Cross(step) => coverage.cross.contains(step),
        Part::SelfAttention(step) => coverage.self_attention.contains(step),
        Part::Trajectory => false,
    }
}

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

/// The steps and the image of a trajectory from its tensors; an error where they are not what the layout and the
/// shape of the noise say.
pub fn to_trajectory(
    layout: &RecordingLayout,
    noise: &Tensor,
    steps: usize,
    tensors: Tensors,
) -> Result<(Vec<TrajectoryStep>, Image)> {
    let mut tensors: HashMap<_, _> = tensors.into_iter().collect();
    let mut take = |name: &str| match tensors.remove(name) {
        Some(tensor) => Ok(tensor),
        None => candle_core::bail!("there is no tensor {name}"),
    };
    let (latents, image) = (take("latents")?, take("image")?);
    let (_, channels, height, width) = noise.dims4()?;
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
        candle_core::bail!("the image is of {height} x {width} pixels");
    }
    let step = |(step, maps): (usize, Vec<f32>)| {
        // A copy of its own: a view would keep the latents of all steps.
        let latents = latents.narrow(0, step, 1)?.copy()?.to_device(noise.device())?;
        Ok(TrajectoryStep { latents, maps: maps.into() })
    };
    let steps = maps.into_iter().enumerate().map(step).collect::<Result<_>>()?;
    Ok((steps, Image { width, height, rgb: image.flatten_all()?.to_vec1::<u8>()? }))
}

/// The tensors of a part of a step's attention.
pub fn of_attention(part: Part, attention: &StepAttention) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    let mut add = |name: String, tensor: &Tensor| {
        tensors.push((name, tensor.to_device(&Device::Cpu)?.contiguous()?));
        Ok::<_, candle_core::Error>(())
    };
    match part {
        Part::Cross(_) => {
            for (layer, queries) in attention.cross.iter().flat_map(|record| record.iter().enumerate()) {
                if let Some(queries) = queries {
                    add(format!("queries.{layer}"), queries)?;
                }
            }
        }
        Part::SelfAttention(_) => {
            for (layer, pair) in attention.self_attention.iter().flat_map(|record| record.iter().enumerate()) {
                if let Some((queries, keys)) = pair {
                    add(format!("queries.{layer}"), queries)?;
                    add(format!("keys.{layer}"), keys)?;
                }
            }
        }
        Part::Trajectory => {}
    }
    Ok(tensors)
}

/// A step and a part of its attention from its tensors; an error where they are not what the layout says.
pub fn to_attention(part: Part, layout: &RecordingLayout, tensors: Tensors) -> Result<(usize, StepAttention)> {
    let mut tensors: HashMap<_, _> = tensors.into_iter().collect();
    let (kind, step) = match part {
        Part::Cross(step) => (AttentionKind::CrossAttention, step),
        Part::SelfAttention(step) => (AttentionKind::SelfAttention, step),
        Part::Trajectory => candle_core::bail!("a trajectory is no attention"),
    };
    let (mut cross, mut own) = (CrossRecord::new(), SelfRecord::new());
    cross.resize(layout.layers(), None);
    own.resize(layout.layers(), None);
    for site in layout.recorded_sites(kind) {
        let mut take = |what: &str| match tensors.remove(&format!("{what}.{}", site.index)) {
            Some(tensor) => expect(&tensor, &[site.positions(), site.heads * site.head_dim]).map(|()| tensor),
            None => candle_core::bail!("there are no {what} of layer {}", site.index),
        };
        match kind {
            AttentionKind::CrossAttention => cross[site.index] = Some(take("queries")?),
            AttentionKind::SelfAttention => own[site.index] = Some((take("queries")?, take("keys")?)),
        }
    }
    let attention = match kind {
        AttentionKind::CrossAttention => StepAttention { cross: Some(Arc::new(cross)), self_attention: None },
        AttentionKind::SelfAttention => StepAttention { cross: None, self_attention: Some(Arc::new(own)) },
    };
    Ok((step, attention))
}

fn expect(tensor: &Tensor, dims: &[usize]) -> Result<()> {
    if tensor.dims() == dims {
        return Ok(());
    }
    candle_core::bail!("a tensor of shape {:?} is there, {dims:?} is wanted", tensor.dims())
}
