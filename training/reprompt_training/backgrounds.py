"""Backgrounds: one flat, calm picture per place and time of day. Shapes are few and large, so that eight channels at an
eighth of the resolution can represent them and a small denoiser can learn them. Drawn at twice the size, so that
edges are smooth."""
from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw

# Side of the finished picture in pixels, and of the canvas that it is downscaled from. Coordinates below use the
# former.
SIDE = 128
SCALE = 2

# Sky and ground as gradients from top to bottom.
SKY = {
    None: ((214, 228, 240), (238, 242, 246)), "grass": ((105, 185, 245), (200, 232, 250)), "snow": ((165, 192, 222), (222, 234, 246)),
    "beach": ((80, 185, 250), (185, 235, 250)), "desert": ((250, 205, 125), (255, 232, 185)), "city": ((145, 188, 226), (215, 226, 236)),
    "forest": ((150, 208, 190), (205, 234, 204)), "sea": ((40, 150, 212), (14, 78, 150)), "moon": ((14, 14, 34), (40, 38, 68)),
}
GROUND = {
    None: ((224, 218, 206), (204, 196, 182)), "grass": ((120, 200, 80), (72, 158, 56)), "snow": ((248, 250, 255), (222, 232, 246)),
    "beach": ((246, 224, 164), (232, 202, 132)), "desert": ((236, 176, 92), (216, 146, 66)), "city": ((150, 150, 156), (108, 108, 115)),
    "forest": ((88, 148, 66), (52, 104, 46)), "sea": ((222, 202, 142), (192, 167, 112)), "moon": ((188, 188, 194), (138, 138, 146)),
}
SUNSET_SKY = ((248, 118, 92), (255, 216, 132))


class Canvas:
    """A canvas, in the coordinates of the finished picture."""

    def __init__(self, picture: Image.Image):
        self.picture = picture
        self.pen = ImageDraw.Draw(picture)

    def ellipse(self, x: float, y: float, rx: float, ry: float, **how) -> None:
        how = {**how, **({"width": round(how["width"] * SCALE)} if "width" in how else {})}
        self.pen.ellipse([(x - rx) * SCALE, (y - ry) * SCALE, (x + rx) * SCALE, (y + ry) * SCALE], **how)

    def polygon(self, points: list[tuple[float, float]], fill) -> None:
        self.pen.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=fill)

    def rectangle(self, left: float, top: float, right: float, bottom: float, fill) -> None:
        self.pen.rectangle([left * SCALE, top * SCALE, right * SCALE - 1, bottom * SCALE - 1], fill=fill)

    def line(self, points: list[tuple[float, float]], fill, width: float) -> None:
        self.pen.line([(x * SCALE, y * SCALE) for x, y in points], fill=fill, width=round(width * SCALE), joint="curve")


def gradient(top, bottom, rows: int) -> np.ndarray:
    t = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None]
    return np.broadcast_to(np.array(top, np.float32) * (1 - t) + np.array(bottom, np.float32) * t, (rows, SIDE * SCALE, 3))


def shifted(colour, r: random.Random, most: int = 8):
    by = r.randint(-most, most)
    return tuple(max(0, min(255, value + by)) for value in colour)


def background(place: str | None, time: str | None, r: random.Random, strength: float = 1.0) -> tuple[Image.Image, float]:
    """The place at this time of day (`night` adds the night afterwards), and the horizon in pixels from the top.
    `strength` is the amount of the features of the place: flakes and hills of snow, trees, houses."""
    horizon = SIDE * (r.uniform(0.78, 0.86) if place == "sea" else r.uniform(0.52, 0.62))
    sky, ground = SKY[place], GROUND[place]
    if time == "sunset":
        sky = SUNSET_SKY
    shift = r.randint(-8, 8)
    tone = lambda colour: tuple(max(0, min(255, value + shift)) for value in colour)  # noqa: E731
    rows = round(horizon * SCALE)
    pixels = np.concatenate([gradient(tone(sky[0]), tone(sky[1]), rows), gradient(ground[0], ground[1], SIDE * SCALE - rows)])
    canvas = Canvas(Image.fromarray(pixels.astype(np.uint8)))
    # the same random numbers for every place, so that two places of one layout have their things in the same positions
    # if possible
    u = [r.random() for _ in range(24)]
    if time == "sunset" and place not in ("sea", "moon", None):
        x = 20 + 88 * u[0]
        canvas.ellipse(x, horizon - 5, 13, 13, fill=(255, 242, 176))
        canvas.rectangle(0, horizon, SIDE, horizon + 10, ground[0])
    elif place in ("grass", "beach") and time is None:
        x = 14 + 100 * u[0]
        if place == "beach":
            canvas.ellipse(x, 16, 9, 9, fill=(255, 226, 90))
            x = (x + 56) % SIDE
        for k, y in ((0, 0), (8, -4), (16, 0)):
            canvas.ellipse(x - 8 + k, 20 + 10 * u[1] + y, 8, 6, fill=(255, 255, 255))
    draw = PLACE_DRAWERS.get(place)
    if draw:
        draw(canvas, horizon, time, u, strength)
    return canvas.picture, horizon


def grass(c: Canvas, horizon, time, u, strength):
    c.ellipse(-10 + 100 * u[2], horizon + 12, 62, 22, fill=(120, 200, 80))
    c.rectangle(0, horizon + 12, SIDE, horizon + 16, (112, 194, 76))
    for k in range(5):
        x, y = 8 + 24 * k + 12 * u[3 + k], horizon + 20 + 36 * u[8 + k]
        c.polygon([(x - 3, y), (x - 4, y - 6), (x, y - 1), (x + 4, y - 6), (x + 3, y)], (52, 132, 46))


def snow(c: Canvas, horizon, time, u, strength):
    for k in range(round(3 * min(strength, 1.7))):
        x, s = (16 + 46 * k + 24 * u[2 + k]) % SIDE, 18 + 10 * u[5 + k]
        c.polygon([(x - s * 0.4, horizon + 2), (x + s * 0.4, horizon + 2), (x, horizon - s)], (92, 142, 132))
        c.polygon([(x - s * 0.2, horizon - s * 0.5), (x + s * 0.2, horizon - s * 0.5), (x, horizon - s)], (245, 250, 255))


def beach(c: Canvas, horizon, time, u, strength):
    c.rectangle(0, horizon - 14, SIDE, horizon + 1, (40, 142, 212) if time is None else (54, 112, 176))
    c.rectangle(0, horizon + 1, SIDE, horizon + 3.5, (242, 250, 255))


def desert(c: Canvas, horizon, time, u, strength):
    c.ellipse(-10 + 60 * u[2], horizon + 8, 62, 20, fill=(226, 164, 82))
    c.ellipse(80 + 50 * u[3], horizon + 10, 56, 18, fill=(240, 184, 102))


def city(c: Canvas, horizon, time, u, strength):
    x, k = -6 * u[2], 0
    while x < SIDE:
        width, height = 18 + 8 * u[3 + k], (16 + (horizon * 0.8 - 16) * u[10 + k]) * min(1.3, 0.4 + 0.6 * strength)
        shade = int(40 * u[16 + k] - 20)
        c.rectangle(x, horizon - height, x + width, horizon, (118 + shade, 128 + shade, 150 + shade))
        lit = (255, 232, 140) if time else (205, 222, 236)
        y = horizon - height + 4
        while y < horizon - 7:
            for column in range(2):
                left = x + width * (0.2 + 0.36 * column)
                c.rectangle(left, y, left + width * 0.22, y + 4.5, lit)
            y += 9
        x, k = x + width + 1.5, k + 1
    for k in range(5):
        c.rectangle(-10 + 28 * k + 8 * u[22], 112, 4 + 28 * k + 8 * u[22], 114.5, (236, 236, 226))


def forest(c: Canvas, horizon, time, u, strength):
    for k in range(round(7 * min(strength, 1.8))):
        x, s, shade = (4 + 20 * k + 10 * u[2 + k % 7]) % (SIDE + 8), (32 + 20 * u[9 + k % 7]) * (0.7 + 0.3 * min(strength, 2)), int(30 * u[16 + k % 7] - 15)
        c.rectangle(x - 2.5, horizon - 6, x + 2.5, horizon + 4, (96, 72, 52))
        c.polygon([(x - s * 0.34, horizon - 4), (x + s * 0.34, horizon - 4), (x, horizon - s)], (50 + shade, 115 + shade, 70 + shade))


def sea(c: Canvas, horizon, time, u, strength):
    for k in range(4):
        x, y, s = 8 + 30 * k + 20 * u[2 + k], 12 + 70 * u[6 + k], 2.5 + 2.5 * u[10 + k]
        c.ellipse(x, y, s, s, outline=(190, 230, 250), width=1.2)
    for k in range(3):
        x, h = (10 + 44 * k + 24 * u[14 + k]) % SIDE, 20 + 22 * u[17 + k]
        c.line([(x, SIDE - 8), (x - 4, SIDE - 8 - h / 2), (x + 3, SIDE - 8 - h)], (42, 145, 92), 5)


def moon(c: Canvas, horizon, time, u, strength):
    stars(c, u, horizon, (255, 255, 255))
    x, y = 18 + 92 * u[20], 16 + 14 * u[21]
    c.ellipse(x, y, 12, 12, fill=(60, 132, 222))
    c.ellipse(x - 3, y - 2, 6, 5, fill=(92, 182, 92))
    for k in range(3):
        x, y, s = 6 + 40 * k + 34 * u[14 + k], horizon + 10 + 30 * u[17 + k], 6 + 5 * u[5 + k]
        c.ellipse(x, y, s, s * 0.38, fill=(154, 154, 162))


def stars(c: Canvas, u, horizon, colour):
    for k in range(7):
        x, y = 6 + 18 * k + 10 * u[k], 5 + (horizon - 24) * ((u[k + 7] + 0.37 * k) % 1)
        c.ellipse(x, y, 1.3, 1.3, fill=colour)


def night(picture: Image.Image, r: random.Random, horizon: float, strength: float = 1.0) -> Image.Image:
    """Applies night to a background: dark and blue, with stars and a moon; `strength` 0 is day."""
    pixels = np.asarray(picture).astype(np.float32)
    grey = pixels.mean(-1, keepdims=True)
    dark = (pixels * 0.6 + grey * 0.4) * np.array([0.30, 0.36, 0.58], np.float32)
    if strength < 1:
        dark = pixels + (dark - pixels) * strength
    elif strength > 1:
        dark = dark * (1 - 0.3 * (strength - 1))
    canvas = Canvas(Image.fromarray(dark.clip(0, 255).astype(np.uint8)))
    u = [r.random() for _ in range(16)]
    if strength > 0.5:
        stars(canvas, u, horizon, (235, 235, 250))
        canvas.ellipse(16 + 96 * u[14], 14 + 10 * u[15], 9, 9, fill=(250, 245, 200))
    return canvas.picture


PLACE_DRAWERS = {
    "grass": grass, "snow": snow, "beach": beach, "desert": desert, "city": city, "forest": forest, "sea": sea, "moon": moon,
}
