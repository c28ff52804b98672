//! The UNet's blocks: down (residual blocks, attention, a strided convolution), middle, and up (the same with the
//! skip connections of the way down, and an upsampling convolution).

use candle_core::{Result, Tensor};

use crate::diffusion::conditioning::KeyValue;
use crate::diffusion::error::ModelError;
use crate::diffusion::nn::{Conv2d, ConvInput, ResnetBlock, ResnetOptions, SAME, TimeProjections, concat_channels};
use crate::diffusion::unet::attention::AttentionControl;
use crate::diffusion::unet::config::{LevelConfig, UNetConfig};
use crate::diffusion::unet::transformer::Transformer;
use crate::diffusion::weights::Scope;
use crate::kernels::conv2d::Geometry;

/// Numbers that blocks are given while they are loaded.
#[derive(Debug, Default)]
pub struct Counters {
    /// The next attention layer's place among all of them.
    pub next_site: usize,
    /// The timestep's projections of the residual blocks so far.
    pub time: TimeProjections,
}

/// Each row's keys and values, by attention layer.
type Text<'a> = [&'a [Option<KeyValue>]];
type Loaded<T> = std::result::Result<T, ModelError>;

/// The residual blocks of a level, each followed by a transformer where the level has attention.
#[derive(Debug)]
struct Layers {
    resnets: Vec<ResnetBlock>,
    /// Empty, or one a residual block.
    transformers: Vec<Transformer>,
}

/// A level on the way down.
#[derive(Debug)]
pub struct DownBlock {
    layers: Layers,
    downsample: Option<Conv2d>,
}

/// The level between down and up.
#[derive(Debug)]
pub struct MidBlock {
    first: ResnetBlock,
    transformer: Option<Transformer>,
    second: ResnetBlock,
}

/// A level on the way up.
#[derive(Debug)]
pub struct UpBlock {
    layers: Layers,
    upsample: Option<Conv2d>,
}

fn load_transformers(
    scope: &Scope<'_>,
    config: &UNetConfig,
    level: &LevelConfig,
    count: usize,
    counters: &mut Counters,
) -> Loaded<Vec<Transformer>> {
    let (groups, linear) = (config.norm_num_groups, config.use_linear_projection);
    (0..count)
        .map(|i| Transformer::load(&scope.at("attentions").at(i), level, groups, linear, &mut counters.next_site))
        .collect()
}

impl Layers {
    /// Loads residual blocks that take these channels each.
    fn load(
        scope: &Scope<'_>,
        config: &UNetConfig,
        level: &LevelConfig,
        (inputs, has_attention): (impl Iterator<Item = usize>, bool),
        resnet: ResnetOptions,
        counters: &mut Counters,
    ) -> Loaded<Self> {
        let load = |(i, input): (usize, usize)| {
            ResnetBlock::load(&scope.at("resnets").at(i), input, level.channels, resnet, &mut counters.time)
        };
        let resnets = inputs.enumerate().map(load).collect::<Loaded<Vec<_>>>()?;
        let attentions = if has_attention { resnets.len() } else { 0 };
        Ok(Self { transformers: load_transformers(scope, config, level, attentions, counters)?, resnets })
    }

    /// Runs one residual block and its transformer.
    fn forward(
        &self,
        index: usize,
        x: &Tensor,
        time: &Tensor,
        text: &Text<'_>,
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        let h = self.resnets[index].forward(x, Some(time))?;
        match self.transformers.get(index) {
            Some(transformer) => transformer.forward(&h, text, control),
            None => Ok(h),
        }
    }
}

impl DownBlock {
    /// Loads a level that takes `input` channels.
    pub fn load(
        scope: &Scope<'_>,
        config: &UNetConfig,
        level: &LevelConfig,
        input: usize,
        downsample: bool,
        resnet: ResnetOptions,
        counters: &mut Counters,
    ) -> Loaded<Self> {
        let channels = level.channels;
        let inputs = (0..level.layers).map(|i| if i == 0 { input } else { channels });
        let load_downsample = || {
            let padding = config.downsample_padding;
            let halve = Geometry { kernel: 3, stride: 2, before: padding, after: padding };
            Conv2d::load(&scope.precise().at("downsamplers.0.conv"), channels, channels, halve, None)
        };
        Ok(Self {
            layers: Layers::load(scope, config, level, (inputs, level.down_attention), resnet, counters)?,
            downsample: downsample.then(load_downsample).transpose()?,
        })
    }

    /// Runs the level and pushes its outputs onto the stack of skip connections.
    pub fn forward(
        &self,
        x: &Tensor,
        time: &Tensor,
        text: &Text<'_>,
        control: &mut dyn AttentionControl,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        let mut h = x.clone();
        for index in 0..self.layers.resnets.len() {
            h = self.layers.forward(index, &h, time, text, control)?;
            skips.push(h.clone());
        }
        if let Some(downsample) = &self.downsample {
            h = downsample.forward(&h)?;
            skips.push(h.clone());
        }
        Ok(h)
    }

    /// The level's transformers.
    pub fn transformers(&self) -> std::slice::Iter<'_, Transformer> {
        self.layers.transformers.iter()
    }
}

impl MidBlock {
    /// Loads the middle block, at the coarsest level.
    pub fn load(
        scope: &Scope<'_>,
        config: &UNetConfig,
        resnet: ResnetOptions,
        counters: &mut Counters,
    ) -> Loaded<Self> {
        let level = &config.levels[config.levels.len() - 1];
        let channels = level.channels;
        let attentions = usize::from(config.mid_attention);
        Ok(Self {
            first: ResnetBlock::load(&scope.at("resnets.0"), channels, channels, resnet, &mut counters.time)?,
            transformer: load_transformers(scope, config, level, attentions, counters)?.pop(),
            second: ResnetBlock::load(&scope.at("resnets.1"), channels, channels, resnet, &mut counters.time)?,
        })
    }

    /// Runs the block.
    pub fn forward(
        &self,
        x: &Tensor,
        time: &Tensor,
        text: &Text<'_>,
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        let mut h = self.first.forward(x, Some(time))?;
        if let Some(transformer) = &self.transformer {
            h = transformer.forward(&h, text, control)?;
        }
        self.second.forward(&h, Some(time))
    }

    /// The block's transformer, if it has one.
    pub fn transformers(&self) -> std::option::Iter<'_, Transformer> {
        self.transformer.iter()
    }
}

impl UpBlock {
    /// Loads a level. `input` are the channels that come from below, `skip` those of the next finer level, whose
    /// output is the last skip connection that this level takes.
    pub fn load(
        scope: &Scope<'_>,
        config: &UNetConfig,
        level: &LevelConfig,
        (input, skip): (usize, usize),
        upsample: bool,
        resnet: ResnetOptions,
        counters: &mut Counters,
    ) -> Loaded<Self> {
        let channels = level.channels;
        let count = level.layers + 1;
        let inputs = (0..count).map(|i| {
            let from_below = if i == 0 { input } else { channels };
            let from_skip = if i == count - 1 { skip } else { channels };
            from_below + from_skip
        });
        let load_upsample = || {
            let positions = resnet.positions.map(|positions| 4 * positions);
            Conv2d::load(&scope.precise().at("upsamplers.0.conv"), channels, channels, SAME, positions)
        };
        Ok(Self {
            layers: Layers::load(scope, config, level, (inputs, level.up_attention), resnet, counters)?,
            upsample: upsample.then(load_upsample).transpose()?,
        })
    }

    /// Runs the level, popping its skip connections off the stack.
    pub fn forward(
        &self,
        x: &Tensor,
        time: &Tensor,
        text: &Text<'_>,
        control: &mut dyn AttentionControl,
        skips: &mut Vec<Tensor>,
    ) -> Result<Tensor> {
        let mut h = x.clone();
        for index in 0..self.layers.resnets.len() {
            let Some(skip) = skips.pop() else {
                candle_core::bail!("the way up has more residual blocks than the way down left skip connections");
            };
            h = self.layers.forward(index, &concat_channels(&h, &skip)?, time, text, control)?;
        }
        if let (Some(upsample), Some(next)) = (&self.upsample, skips.last()) {
            // To the size of the next skip connection: twice this one, or one less where the way down rounded up.
            let upsampled = Some((next.dim(1)?, next.dim(2)?));
            h = upsample.forward(ConvInput { upsampled, ..ConvInput::from(&h) })?;
        }
        Ok(h)
    }

    /// The level's transformers.
    pub fn transformers(&self) -> std::slice::Iter<'_, Transformer> {
        self.layers.transformers.iter()
    }
}
