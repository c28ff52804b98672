"""The VAE: 128 px, eight times smaller, 8 latent channels: `python -m reprompt_training.vae WORK --images N [--warm-start VAE]`.

The loss is L1, half of the L1 of the gradients (edges), squared error, and a small divergence to a unit Gaussian. At
the end the means and standard deviations of the latents are folded into the two 1x1 quantisation convolutions, exactly,
so that the denoiser sees channels of mean 0 and deviation 1, and the scaling factor is 1. Writes WORK/vae/model and
resumes from WORK/vae/checkpoint.pt.

`--decoder-only` trains only the decoder of WORK/vae/model further and writes WORK/decoder/model. Latents, and
everything trained on them, stay valid. A little noise on the latents makes it draw clean edges even if a denoiser is
not exact.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image

from .run import Run, on_all_cores, warm_up_then_cosine

BATCH = 8
KL_WEIGHT = 2e-4
# Noise on the latents while the decoder is finished: at most this fraction of their deviation.
LATENT_NOISE = 0.15


def new(channels=(16, 32, 64, 64)) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=channels, down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        layers_per_block=1, norm_num_groups=8, latent_channels=8, sample_size=128,
    )


def to_pixels(images: np.ndarray) -> torch.Tensor:
    """[n, 128, 128, 3] of 0..255 to [n, 3, 128, 128] of -1..1"""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def reconstructed(vae: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    return torch.cat([vae.decode(vae.encode(some).latent_dist.mean).sample.clamp(-1, 1) for some in pixels.split(8)])


def psnr(vae: AutoencoderKL, pixels: torch.Tensor) -> float:
    """Mean over the images, in decibels."""
    vae.eval()
    error = (reconstructed(vae, pixels) - pixels).square().mean((1, 2, 3))
    vae.train()
    return (10 * torch.log10(4 / error)).mean().item()


def loss_of(vae: AutoencoderKL, pixels: torch.Tensor, decoder_only: bool = False):
    with torch.autocast("cpu", torch.bfloat16):
        if decoder_only:
            with torch.no_grad():
                mean = vae.encode(pixels).latent_dist.mean
                noisy = mean + LATENT_NOISE * torch.rand(len(mean), 1, 1, 1) * torch.randn_like(mean)
            kl, drawn = torch.zeros(()), vae.decode(noisy).sample
        else:
            latents = vae.encode(pixels).latent_dist
            kl = (latents.mean.float().square() + latents.var.float() - 1 - latents.logvar.float()).mean() / 2
            drawn = vae.decode(latents.sample()).sample
    wrong = drawn.float() - pixels
    edges = (wrong[..., 1:] - wrong[..., :-1]).abs().mean() + (wrong[..., 1:, :] - wrong[..., :-1, :]).abs().mean()
    loss = wrong.abs().mean() + 0.5 * edges + wrong.square().mean() + KL_WEIGHT * kl
    return loss, {"l1": wrong.abs().mean().item(), "mse": wrong.square().mean().item(), "kl": kl.item()}


@torch.no_grad()
def centred(vae: AutoencoderKL, pixels: torch.Tensor) -> None:
    """Folds the means and deviations of the latents into `quant_conv` and `post_quant_conv`."""
    latents = torch.cat([vae.encode(some).latent_dist.mean for some in pixels.split(8)])
    mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    to, back, channels = vae.quant_conv, vae.post_quant_conv, len(mean)
    to.weight[:channels] /= spread[:, None, None, None]
    to.bias[:channels] = (to.bias[:channels] - mean) / spread
    to.bias[channels:] -= 2 * spread.log()
    back.bias += back.weight[:, :, 0, 0] @ mean
    back.weight *= spread[None, :, None, None]


def train(rank: int, world: int, work: Path, images_in_all: int, warm_start: str | None, lr: float, decoder_only: bool) -> None:
    torch.manual_seed(0)
    start = work / "vae/model" if decoder_only else warm_start
    vae = AutoencoderKL.from_pretrained(start) if start else new()
    vae.train()
    if decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    run = Run(work / ("decoder" if decoder_only else "vae"), rank, world, [vae], BATCH, images_in_all, lr, ema=0.995)
    images = np.load(work / "data/train/images.npy", mmap_mode="r")
    held_out = to_pixels(np.load(work / "data/held_out/images.npy", mmap_mode="r")[:64].copy())
    if rank == 0:
        run.log({"step": run.steps, "psnr": round(psnr(vae, held_out), 2)})
    while run.progress < 1:
        run.optimizer.scale(warm_up_then_cosine(run.progress, run.steps))
        chosen = torch.randint(len(images), (BATCH,)).sort().values.numpy()
        pixels = to_pixels(images[chosen].copy())
        if run.steps % 2 and not decoder_only:
            pixels = pixels.flip(-1)
        loss, figures = loss_of(vae, pixels, decoder_only)
        run.step(loss, figures)
        if run.steps % 400 == 0 and rank == 0:
            with run.averaged():
                run.log({"step": run.steps, "psnr": round(psnr(vae, held_out), 2)})
    if rank == 0:
        run.save()
        with run.averaged():
            finish(run, vae, images, held_out, decoder_only)


def finish(run: Run, vae: AutoencoderKL, images: np.ndarray, held_out: torch.Tensor, decoder_only: bool) -> None:
    vae.eval()
    if not decoder_only:
        centred(vae, to_pixels(images[::12][:1600].copy()))
        vae.register_to_config(scaling_factor=1.0)
    vae.save_pretrained(run.folder / "model")
    run.log({"step": run.steps, "psnr_at_the_end": round(psnr(vae, held_out), 2)})
    vae.eval()
    shown = held_out[:16]
    both = torch.cat([torch.cat(list(shown), 2), torch.cat(list(reconstructed(vae, shown)), 2)], 1)
    Image.fromarray(((both + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()).save(run.folder / "reconstructed.png")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("work", type=Path)
    options.add_argument("--images", type=int, required=True, help="how many are drawn in all, over restarts")
    options.add_argument("--warm-start", help="a VAE's folder")
    options.add_argument("--decoder-only", action="store_true")
    options.add_argument("--lr", type=float, default=1.0, help="a part of the full learning rates")
    options.add_argument("--processes", type=int, default=2)
    given = options.parse_args()
    arguments = (given.work, given.images, given.warm_start, given.lr, given.decoder_only)
    on_all_cores(train, *arguments, processes=given.processes, port=29511)


if __name__ == "__main__":
    main()
