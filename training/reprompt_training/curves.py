"""Plots the logs of the two trainings: `python -m reprompt_training.curves WORK OUT.png`."""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


def lines(folder: Path, name: str) -> tuple[list[float], list[float]]:
    """Hours and values of a figure in a log; a line without hours uses those of the last line before it."""
    hours, values, at = [], [], 0.0
    for line in (json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()):
        at = line.get("seconds", at * 3600) / 3600
        if name in line:
            hours.append(at)
            values.append(line[name])
    return hours, values


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("work", type=Path)
    options.add_argument("out", type=Path)
    given = options.parse_args()
    figure, axes = plt.subplots(1, 4, figsize=(13, 2.8))
    for axis, (part, name, title) in zip(axes, (
        ("vae", "psnr", "VAE: PSNR of held-out scenes, dB"), ("decoder", "psnr", "its decoder alone, dB"),
        ("denoiser", "error", "denoiser: v-prediction error"), ("denoiser", "missed", "denoiser: maps outside their masks"),
    )):
        axis.plot(*lines(given.work / part, name), linewidth=1)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("hours", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(given.out, dpi=90)


if __name__ == "__main__":
    main()
