"""Reads a picture of the world: object, colour, place, time, accessory, style, and where object and accessory are.

`python -m reprompt_training.reader WORK` trains it on the rendered scenes, and on the VAE's reconstructions of them,
blurred, noisy and tinted, but never on the denoiser's output. It writes WORK/reader.pt, and its accuracy on held-out
scenes to WORK/reader.json. If WORK/reader.pt exists, training continues from it. The reader is a small convolutional
network, because what it judges is meant to be obvious.
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .vae import to_pixels
from .world import ACCESSORIES, COLOURS, OBJECTS, PLACES, STYLES, TIMES

# The values of each head; None if a picture may have none.
READS: dict[str, list[str | None]] = {
    "object": list(OBJECTS), "colour": list(COLOURS), "place": [None, *PLACES], "time": [None, *TIMES],
    "accessory": [None, *ACCESSORIES], "style": [None, *STYLES],
}
BATCH = 64


class Reader(nn.Module):
    """[n, 3, 128, 128] of -1..1 to the logits of each head, and [n, 2, 16, 16] logits of object and accessory."""

    def __init__(self):
        super().__init__()
        widths = (24, 48, 96, 128, 160)
        blocks, before = [], 3
        for width in widths:
            blocks.append(nn.Sequential(
                nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            ))
            before = width
        self.blocks = nn.ModuleList(blocks)
        self.masks = nn.Sequential(nn.Conv2d(widths[2] + widths[4], 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 2, 1))
        pooled = 2 * (widths[2] + widths[3] + widths[4])
        self.hidden = nn.Sequential(nn.Linear(pooled, 192), nn.ReLU(), nn.Dropout(0.1))
        self.heads = nn.ModuleDict({name: nn.Linear(192, len(values)) for name, values in READS.items()})

    def forward(self, pixels: torch.Tensor):
        levels, x = [], pixels
        for block in self.blocks:
            x = block(x)
            levels.append(x)
        where = self.masks(torch.cat([levels[2], F.interpolate(levels[4], scale_factor=4)], 1))
        pooled = torch.cat([pool(level) for level in levels[2:] for pool in (lambda v: v.mean((2, 3)), lambda v: v.amax((2, 3)))], 1)
        hidden = self.hidden(pooled)
        return {name: head(hidden) for name, head in self.heads.items()}, where


def targets(scenes: list[dict]) -> dict[str, torch.Tensor]:
    """Target index of each head; -100, which the loss ignores, for a colour that is not visible or not named."""
    out = {}
    for name, values in READS.items():
        wanted = []
        for scene in scenes:
            unseen = name == "colour" and (scene["colour"] is None or scene["style"] == "sketch")
            wanted.append(-100 if unseen else values.index(scene[name]))
        out[name] = torch.tensor(wanted)
    return out


def worn(pixels: torch.Tensor) -> torch.Tensor:
    """Augments a batch to look like denoiser output: slightly blurred, noisy and tinted."""
    if torch.rand(()) < 0.4:
        size = int(torch.randint(56, 112, ()))
        pixels = F.interpolate(F.interpolate(pixels, size, mode="bilinear", antialias=True), 128, mode="bilinear")
    tint = 1 + 0.08 * torch.randn(len(pixels), 3, 1, 1)
    pixels = pixels * tint + 0.04 * torch.randn(len(pixels), 3, 1, 1)
    if torch.rand(()) < 0.5:
        pixels = pixels + 0.08 * torch.rand(()) * torch.randn_like(pixels)
    return pixels.clamp(-1, 1)


def as_the_vae_draws(work: Path, pixels: torch.Tensor, latents_noise: float) -> torch.Tensor:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(work / "vae/model").eval()
    out = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for some in pixels.split(16):
            latents = vae.encode(some).latent_dist.mean
            out.append(vae.decode(latents + latents_noise * torch.rand(()) * torch.randn_like(latents)).sample.float().clamp(-1, 1))
    return torch.cat(out)


@torch.no_grad()
def accuracy(reader: Reader, pixels: torch.Tensor, scenes: list[dict], masks: torch.Tensor) -> dict[str, float]:
    """Accuracy per head and of all heads together, and the overlap (IoU) of the object's mask."""
    reader.eval()
    parts = [reader(some) for some in pixels.split(BATCH)]
    wanted, right = targets(scenes), {}
    whole = torch.ones(len(scenes), dtype=torch.bool)
    for name in READS:
        said = torch.cat([logits[name] for logits, _ in parts]).argmax(-1)
        counts = wanted[name] >= 0
        good = (said == wanted[name]) | ~counts
        whole &= good
        right[name] = round(good[counts].float().mean().item(), 4)
    where = torch.cat([where for _, where in parts])[:, 0] > 0
    true = masks[:, 0] > 0.5
    overlap = (where & true).sum((1, 2)) / (where | true).sum((1, 2)).clamp(min=1)
    reader.train()
    return right | {"all": round(whole.float().mean().item(), 4), "object_iou": round(overlap.mean().item(), 4)}


def plain(records: list[dict]) -> list[int]:
    """Scenes of one thing with nothing turned up or down, as in the evaluation."""
    return [k for k, record in enumerate(records) if not record["scene"]["faded"] and not record["scene"]["second"]]


def train(work: Path, minutes: float, threads: int) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    reader = Reader()
    if (work / "reader.pt").exists():
        reader.load_state_dict(torch.load(work / "reader.pt", weights_only=True))
    optimizer = torch.optim.AdamW(reader.parameters(), 2e-3, weight_decay=0.01)
    records = json.loads((work / "data/train/scenes.json").read_text())
    images = np.load(work / "data/train/images.npy", mmap_mode="r")
    masks = torch.from_numpy(np.load(work / "data/train/masks.npy")[:, (0, 2)])
    kept = torch.tensor(plain(records))
    # another tenth of the scenes, as the VAE draws them
    redrawn = kept[:: max(1, len(kept) // 2400)]
    if not (work / "redrawn.npy").exists():
        print(f"{len(redrawn)} scenes through the VAE", flush=True)
        drawn = as_the_vae_draws(work, to_pixels(images[redrawn.numpy()].copy()), 0.35)
        np.save(work / "redrawn.npy", drawn.half().numpy())
    drawn = torch.from_numpy(np.load(work / "redrawn.npy"))
    started, step = time.monotonic(), 0
    while (progress := (time.monotonic() - started) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 100) * (1 - progress) + 1e-5
        fresh = kept[torch.randint(len(kept), (BATCH * 3 // 4,))].sort().values
        again = torch.randint(len(redrawn), (BATCH // 4,))
        chosen = torch.cat([fresh, redrawn[again]])
        pixels = torch.cat([worn(to_pixels(images[fresh.numpy()].copy())), drawn[again].float()])
        scenes = [records[k]["scene"] for k in chosen.tolist()]
        with torch.autocast("cpu", torch.bfloat16):
            logits, where = reader(pixels)
        loss = sum(F.cross_entropy(logits[name].float(), wanted) for name, wanted in targets(scenes).items() if (wanted >= 0).any())
        loss = loss + 2 * F.binary_cross_entropy_with_logits(where.float(), masks[chosen].float() / 255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 50 == 0:
            print(f"{step} {progress:.2f} loss {loss.item():.3f}", flush=True)
    torch.save(reader.state_dict(), work / "reader.pt")
    report(work, reader)


def report(work: Path, reader: Reader) -> None:
    records = json.loads((work / "data/held_out/scenes.json").read_text())
    chosen = plain(records)
    pixels = to_pixels(np.load(work / "data/held_out/images.npy")[chosen])
    masks = torch.from_numpy(np.load(work / "data/held_out/masks.npy")[chosen][:, (0, 2)]).float() / 255
    scenes = [records[k]["scene"] for k in chosen]
    figures = {
        "held_out_scenes": len(chosen), "rendered": accuracy(reader, pixels, scenes, masks),
        "through_the_vae": accuracy(reader, as_the_vae_draws(work, pixels, 0.0), scenes, masks),
    }
    (work / "reader.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def load(work: Path) -> Reader:
    reader = Reader()
    reader.load_state_dict(torch.load(work / "reader.pt", weights_only=True))
    return reader.eval()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("work", type=Path)
    options.add_argument("--minutes", type=float, default=8)
    options.add_argument("--threads", type=int, default=2)
    given = options.parse_args()
    train(given.work, given.minutes, given.threads)


if __name__ == "__main__":
    main()
