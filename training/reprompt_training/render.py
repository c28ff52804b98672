"""Renders a scene as a picture, with the masks of its things at an eighth of its side."""
from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .backgrounds import SCALE, SIDE, Canvas, background, night
from .sprites import sprite
from .world import OBJECTS, Scene

# Positions per side of the latents, and so of the masks.
LATENT_SIDE = 16
FULL = SIDE * SCALE
# Icon of an accessory, and its width relative to the anchor's; a balloon is placed beside the object.
WORN = {"hat": ("top-hat", 1.2), "crown": ("crown", 1.2)}


@dataclass(frozen=True)
class Rendered:
    picture: Image.Image  # RGB, SIDE pixels per side
    masks: np.ndarray  # [4, 16, 16] of 0..1: the object, the second one, the accessory, the rest


def render(scene: Scene) -> Rendered:
    strength = {scene.faded: scene.strength} if scene.faded else {}
    if strength.get("time") == 0 or (scene.faded == "accessory" and scene.strength == 0):
        scene = replace(scene, **{scene.faded: None, "faded": None})
    r = random.Random(scene.layout)
    places = [r.random() for _ in range(8)]
    picture, horizon = background(scene.place, scene.time, random.Random(scene.layout + 1), strength.get("place", 1.0))
    if scene.time == "night":
        picture = night(picture, random.Random(scene.layout + 2), horizon, strength.get("time", 1.0))
    masks = draw_things(scene, picture, horizon, places, strength)
    picture = with_light(scene, picture, masks[:3].max(0)[..., None], random.Random(scene.layout + 3), strength)
    masks[3] = 1 - masks[:3].max(0)
    cell = FULL // LATENT_SIDE
    small = masks.reshape(4, LATENT_SIDE, cell, LATENT_SIDE, cell).mean((2, 4))
    return Rendered(with_style(scene.style, picture.reduce(SCALE)), small)


def draw_things(scene: Scene, picture: Image.Image, horizon: float, u: list[float], strength: dict) -> np.ndarray:
    """Draws object, second thing and accessory onto the background; returns their masks, [4, FULL, FULL].

    Things are never mirrored: a denoiser of this size draws things that may face either way with a head at both ends.
    """
    icon, own, kind, anchor = OBJECTS[scene.object]
    large = kind == "vehicle" or scene.object in ("house", "castle", "tree")
    size = SIDE * (0.58 + 0.10 * u[0]) * (1.1 if large else 1.0)
    x = SIDE * (0.42 + 0.16 * u[1])
    foot = max(horizon + 16, SIDE * (0.81 + 0.11 * u[2]))
    if scene.second:  # the thing named first is on the left
        size *= 0.80
        x = SIDE * (0.28 + 0.06 * u[1])
    masks = np.zeros((4, FULL, FULL), np.float32)
    if scene.second:
        second_icon, second_own, _, _ = OBJECTS[scene.second]
        second_size = size * (0.80 + 0.15 * u[5])
        masks[1] = paste(picture, sprite(second_icon, second_own, scene.second_colour), x + (size + second_size) * 0.47,
                         foot - 6 * u[6], second_size)
    fade = 0.55 + 0.45 * strength.get("accessory", 1.0)
    if scene.accessory == "balloon":
        masks[2] = paste(picture, sprite("balloon", None, scene.accessory_colour), x + size * 0.56,
                         foot - size * 0.52, size * 0.56 * fade, shadow=False)
    body = sprite(icon, own, scene.colour, strength.get("colour", 1.0))
    masks[0] = paste(picture, body, x, foot, size)
    masks[1:3] *= 1 - masks[0]
    if scene.accessory in WORN:
        worn_icon, wider = WORN[scene.accessory]
        ax, ay, width = anchor
        worn = size * width * wider * fade
        masks[2] = paste(picture, sprite(worn_icon, None, scene.accessory_colour), x - size / 2 + ax * size,
                         foot - size * 0.94 + ay * size + worn * 0.1, worn, shadow=False)
        masks[:2] *= 1 - masks[2]
    return masks


def paste(picture: Image.Image, thing: Image.Image, x: float, foot: float, size: float, shadow: bool = True) -> np.ndarray:
    """Draws a sprite of `size` pixels with the middle of its foot at (x, foot); returns its mask, [FULL, FULL] of 0..1."""
    side = max(8, round(size * SCALE))
    small = thing.resize((side, side), Image.LANCZOS)
    if shadow:
        shade = Image.new("L", picture.size)
        Canvas(shade).ellipse(x, foot, size * 0.38, size * 0.06, fill=70)
        picture.paste((20, 25, 40), (0, 0), shade)
    at = (round((x - size / 2) * SCALE), round((foot - size * 0.94) * SCALE))
    picture.paste(small, at, small)
    covered = Image.new("L", picture.size)
    covered.paste(small.getchannel("A"), at)
    return np.asarray(covered, np.float32) / 255


def with_light(scene: Scene, picture: Image.Image, things: np.ndarray, r: random.Random, strength: dict) -> Image.Image:
    """Applies place and time to the things: dimmed at night, blue under water, behind falling snow."""
    pixels = np.asarray(picture).astype(np.float32)
    if scene.time == "night":
        dim = 1 - min(strength.get("time", 1.0), 1.6) * (1 - np.array([0.62, 0.66, 0.84], np.float32))
        pixels = pixels * (1 - things) + things * pixels * dim
    if scene.place == "sea":
        pixels = pixels * 0.84 + np.array([30, 130, 190], np.float32) * 0.16
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if scene.place == "snow":
        canvas = Canvas(picture)
        for _ in range(round(9 * strength.get("place", 1.0))):
            canvas.ellipse(r.uniform(4, SIDE - 4), r.uniform(4, SIDE - 4), 1.8, 1.8, fill=(255, 255, 255))
    return picture


def with_style(style: str | None, picture: Image.Image) -> Image.Image:
    if style == "sketch":
        grey = picture.convert("L")
        soft = np.asarray(grey.filter(ImageFilter.GaussianBlur(3)), np.float32)
        lines = np.clip(soft - np.asarray(grey, np.float32), 0, 60) * 3.2
        paper = np.clip(250 - lines - (255 - soft) * 0.28, 20, 255)
        return Image.fromarray((paper[..., None] * np.array([1.0, 0.99, 0.95])).clip(0, 255).astype(np.uint8))
    if style == "pixel":
        # one block per position of the latents
        return picture.resize((LATENT_SIDE, LATENT_SIDE), Image.BOX).quantize(24).convert("RGB").resize((SIDE, SIDE), Image.NEAREST)
    return picture


def sheet(scenes: list[tuple[Image.Image, str]], columns: int = 8) -> Image.Image:
    """Pictures with a line of text below each."""
    rows = -(-len(scenes) // columns)
    out = Image.new("RGB", (columns * (SIDE + 6), rows * (SIDE + 28)), "white")
    pen = ImageDraw.Draw(out)
    for k, (picture, text) in enumerate(scenes):
        x, y = k % columns * (SIDE + 6), k // columns * (SIDE + 28)
        out.paste(picture, (x, y))
        pen.text((x, y + SIDE + 1), text[:23], fill="black")
        pen.text((x, y + SIDE + 12), text[23:46], fill="black")
    return out
