"""Sprites: icons of fluent-emoji-flat (npm, MIT) as RGBA pictures, recoloured if the caption names a colour."""
from __future__ import annotations

import io
import json
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from .world import PAINTS

# Side of a sprite in pixels: its maximum size in a picture.
SIZE = 256
ICONS = Path(os.environ.get("REPROMPT_TRAINING_ICONS", "work/icons/package/icons.json"))


@lru_cache(maxsize=1)
def icon_set() -> dict:
    return json.loads(ICONS.read_text())


@lru_cache(maxsize=None)
def plain(icon: str) -> Image.Image:
    """An icon in its own colours, RGBA, `SIZE` pixels per side."""
    icons = icon_set()
    body = icons["icons"][icon]
    width = body.get("width", icons.get("width", 32))
    height = body.get("height", icons.get("height", 32))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{SIZE}" height="{SIZE}">{body["body"]}</svg>'
    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE)))).convert("RGBA")


def main_part(icon: str, pixels: np.ndarray) -> np.ndarray:
    """The pixels of an icon that take a colour: those of its dominant hue, or the light grey ones of a grey icon. [h, w] of bool"""
    opaque = pixels[..., 3] > 128
    rgb = pixels[..., :3] / 255
    brightest, darkest = rgb.max(-1), rgb.min(-1)
    saturation = (brightest - darkest) / (brightest + 1e-6)
    hue = np.asarray(Image.fromarray(pixels.astype(np.uint8), "RGBA").convert("RGB").convert("HSV")).astype(np.float32)[..., 0] * 360 / 255
    coloured = opaque & (saturation > 0.3) & (brightest > 0.25)
    if icon == "bus":  # its windows cover more than its yellow
        coloured &= (hue > 20) & (hue < 70)
    if coloured.sum() > 0.25 * opaque.sum():
        counts, edges = np.histogram(hue[coloured], 36, (0, 360))
        dominant = edges[counts.argmax()] + 5
        return coloured & (np.abs((hue - dominant + 180) % 360 - 180) < 38)
    return opaque & (saturation < 0.3) & (brightest > 0.35)


@lru_cache(maxsize=None)
def painted(icon: str, colour: str | None) -> Image.Image:
    """An icon with its main part in a colour, with its shades; its own colours for None."""
    picture = plain(icon)
    if not colour:
        return picture
    pixels = np.asarray(picture).astype(np.float32)
    part = main_part(icon, pixels)
    luminance = pixels[..., :3] / 255 @ np.array([0.3, 0.59, 0.11], np.float32)
    shade = (luminance[part] / np.percentile(luminance[part], 60))[:, None]
    paint = np.array(PAINTS[colour], np.float32)
    pixels[..., :3][part] = np.where(shade < 1, paint * shade**0.9, paint + (255 - paint) * np.clip((shade - 1) * 1.2, 0, 0.8))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGBA")


def sprite(icon: str, own: str | None, colour: str | None, strength: float = 1.0) -> Image.Image:
    """An icon in a colour (`own` if None), between its own colours (strength 0) and the colour (1), and more saturated above 1."""
    if strength == 1.0 or colour is None:
        return painted(icon, colour or own)
    base = np.asarray(painted(icon, own)).astype(np.float32)
    full = np.asarray(painted(icon, colour)).astype(np.float32)
    if strength < 1:
        mixed = base + (full - base) * strength
    else:
        grey = full[..., :3].mean(-1, keepdims=True)
        mixed = np.concatenate([grey + (full[..., :3] - grey) * (1 + 0.25 * (strength - 1)), full[..., 3:]], -1)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8), "RGBA")
