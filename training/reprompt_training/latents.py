"""Encodes the training scenes into latents, once: `python -m reprompt_training.latents WORK` writes WORK/latents.npy, [N, 8, 16, 16] f16."""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from .run import on_all_cores
from .vae import to_pixels


def encode(rank: int, world: int, work: Path) -> None:
    vae = AutoencoderKL.from_pretrained(work / "vae/model").eval()
    images = np.load(work / "data/train/images.npy", mmap_mode="r")
    count = len(images)
    start, end = rank * count // world, (rank + 1) * count // world
    done = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for at in range(start, end, 50):
            pixels = to_pixels(images[at : min(at + 50, end)].copy())
            done.append(vae.encode(pixels).latent_dist.mean.half().numpy())
    np.save(work / f"latents.{rank}.npy", np.concatenate(done))
    torch.distributed.barrier()
    if rank == 0:
        parts = [work / f"latents.{k}.npy" for k in range(world)]
        np.save(work / "latents.npy", np.concatenate([np.load(part) for part in parts]))
        for part in parts:
            part.unlink()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("work", type=Path)
    options.add_argument("--processes", type=int, default=2)
    given = options.parse_args()
    on_all_cores(encode, given.work, processes=given.processes, port=29512)


if __name__ == "__main__":
    main()
