"""Measures of an edit: attributes read right, background preserved, structure preserved."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .reader import READS, Reader
from .vae import to_pixels
from .world import Scene


@dataclass(frozen=True)
class Reading:
    """The reading of a picture: a value per head, and the masks of object and accessory, [16, 16] of bool."""

    said: dict[str, str | None]
    object: np.ndarray
    accessory: np.ndarray


@torch.no_grad()
def read(reader: Reader, pictures: list[np.ndarray]) -> list[Reading]:
    out = []
    for some in to_pixels(np.stack(pictures)).split(64):
        logits, where = reader(some)
        said = {name: values.argmax(-1).tolist() for name, values in logits.items()}
        for k in range(len(some)):
            values = {name: READS[name][said[name][k]] for name in READS}
            out.append(Reading(values, (where[k, 0] > 0).numpy(), (where[k, 1] > 0).numpy()))
    return out


def wrong(scene: Scene, reading: Reading) -> list[str]:
    """The attributes that were read differently from the scene. A colour that the caption does not name, or that a sketch does not
    show, cannot be wrong."""
    heads = [name for name in READS if name != "colour" or (scene.colour and scene.style != "sketch")]
    return [name for name in heads if reading.said[name] != getattr(scene, name)]


def outside(readings: list[Reading]) -> np.ndarray:
    """[128, 128] of bool: pixels that are neither object nor accessory in any of the readings, nor within 8 pixels of one."""
    covered = np.zeros((16, 16), bool)
    for reading in readings:
        covered |= reading.object | reading.accessory
    grown = F.max_pool2d(torch.from_numpy(covered).float()[None, None], 3, 1, 1)[0, 0].numpy() > 0
    return ~grown.repeat(8, 0).repeat(8, 1)


def psnr(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    """PSNR in decibels over the selected pixels; at most 60."""
    error = np.square(one[where].astype(np.float32) - other[where].astype(np.float32)).mean() if where.any() else 0.0
    return float(min(60.0, 10 * np.log10(255**2 / max(error, 1e-6))))


def ssim(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    """Structural similarity of the luma (Wang et al. 2004, uniform 7x7 windows), over the selected pixels."""
    luma = lambda x: torch.from_numpy(x.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))[None, None]  # noqa: E731
    mean = lambda x: F.avg_pool2d(x, 7, 1, 3, count_include_pad=False)  # noqa: E731
    a, b = luma(one), luma(other)
    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = ((2 * ma * mb + c1) * (2 * both + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))[0, 0].numpy()
    return float(value[where].mean()) if where.any() else 1.0


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def moved(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of two masks' centres, in pixels of 128."""
    if not one.any() or not other.any():
        return 128.0
    return float(8 * np.linalg.norm(np.argwhere(one).mean(0) - np.argwhere(other).mean(0)))


def chroma(picture: np.ndarray, where: np.ndarray) -> float:
    """Colourfulness of the cells of a [16, 16] mask: the mean of max - min over the channels, of 255."""
    pixels = picture[where.repeat(8, 0).repeat(8, 1)].astype(np.float32)
    return float((pixels.max(-1) - pixels.min(-1)).mean()) if len(pixels) else 0.0


def darkness(picture: np.ndarray) -> float:
    """255 minus the mean luma."""
    return float(255 - (picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).mean())
