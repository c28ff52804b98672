"""Writes the scenes for training and measuring: `python -m reprompt_training.dataset OUT [--train N]`.

    OUT/train/, OUT/held_out/    images.npy  [N, 128, 128, 3] uint8
                                 masks.npy   [N, 4, 16, 16]   uint8, 255 where a thing covers its position completely
                                 scenes.json a list of {scene, caption, marks, faded}

A fifth of the training scenes are an edit of the preceding scene; an eighth have a word turned up or down. The held-out
scenes have combinations of object, colour and place that no training scene has; every second one is an edit of the one
before. Seeded: the same N gives the same bytes.
"""
from __future__ import annotations

import argparse
import json
import random
from dataclasses import asdict
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from .backgrounds import SIDE
from .render import LATENT_SIDE, render
from .world import KINDS, Scene, caption, draw, edit, held_out, with_fader

CHUNK = 500


def chunk_of_scenes(apart: bool, seed: int) -> list[Scene]:
    """`CHUNK` scenes, either only held-out combinations or none of them."""
    r = random.Random(seed)
    scenes: list[Scene] = []
    while len(scenes) < CHUNK:
        scene = draw(r)
        if held_out(scene) != apart:
            continue
        paired = r.random() < (1.0 if apart else 0.2)
        if not paired and not apart and r.random() < 0.125:
            scene = with_fader(scene, r)
        edited = None
        if paired:
            edited = edit(scene, r.choice(KINDS), r)
            if edited is None or held_out(edited) != apart:
                if apart:
                    continue
                edited = None
        scenes += [scene, edited] if edited else [scene]
    return scenes[:CHUNK]


def rendered_chunk(arguments: tuple[bool, int]):
    scenes = chunk_of_scenes(*arguments)
    pictures = [render(scene) for scene in scenes]
    images = np.stack([np.asarray(p.picture) for p in pictures])
    masks = np.stack([(p.masks * 255).astype(np.uint8) for p in pictures])
    records = []
    for scene in scenes:
        text, marks, faded = caption(scene)
        records.append({"scene": asdict(scene), "caption": text, "marks": marks, "faded": faded})
    return images, masks, records


def write(folder: Path, apart: bool, count: int, processes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "scenes.json").exists() and len(json.loads((folder / "scenes.json").read_text())) == count:
        return
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (count, SIDE, SIDE, 3))
    masks = np.lib.format.open_memmap(folder / "masks.npy", "w+", np.uint8, (count, 4, LATENT_SIDE, LATENT_SIDE))
    records: list[dict] = []
    jobs = [(apart, (7_000_000 if apart else 1_000_000) + k) for k in range(-(-count // CHUNK))]
    with Pool(processes) as pool:
        for some, covered, said in pool.imap(rendered_chunk, jobs):
            start, room = len(records), count - len(records)
            images[start : start + len(some[:room])] = some[:room]
            masks[start : start + len(some[:room])] = covered[:room]
            records += said[:room]
            print(f"{folder.name}: {len(records)} of {count}", flush=True)
    images.flush(), masks.flush()
    # written last: if it exists, the rest is complete
    (folder / "scenes.json").write_text(json.dumps(records))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("--train", type=int, default=20_000)
    options.add_argument("--held-out", type=int, default=1_000)
    options.add_argument("--processes", type=int, default=2)
    given = options.parse_args()
    write(given.out / "held_out", True, given.held_out, given.processes)
    write(given.out / "train", False, given.train, given.processes)


if __name__ == "__main__":
    main()
