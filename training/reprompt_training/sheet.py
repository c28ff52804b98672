"""A contact sheet of 24 edits, the first three of every kind of the evaluation, not selected:
`python -m reprompt_training.sheet OUT.png --model models/demo [--bare]`. Source on the left, edit on the right.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from .cases import ALL_KINDS, Case, cases
from .evaluate import SEED
from .service import Service, side_by_side

EACH, COLUMNS = 3, 3
PICTURE, GAP, TEXT = 128, 4, 44


def said(case: Case) -> list[str]:
    """The request, in three lines."""
    lines = [case.source_prompt, "-> " + case.target_prompt, ""]
    if "equalizer" in case.body:
        word = case.body["equalizer"][0]
        lines[1:] = [f"-> \"{word['word']}\" x {word['strength']:g}", ""]
    if case.body.get("local_blend"):
        lines[2] = "with a local blend"
    return [f"{case.seed}: {lines[0]}", *lines[1:]]


def drawn(pairs: list, some: list[Case], bare: bool) -> Image.Image:
    width, height = 2 * PICTURE + GAP + 16, PICTURE + (22 if bare else TEXT) + 10
    rows = -(-len(some) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for k, ((source, edited), case) in enumerate(zip(pairs, some)):
        x, y = k % COLUMNS * width, k // COLUMNS * height
        sheet.paste(Image.fromarray(source), (x, y))
        sheet.paste(Image.fromarray(edited), (x + PICTURE + GAP, y))
        for row, line in enumerate([f"pair {k + 1}"] if bare else said(case)):
            pen.text((x, y + PICTURE + 1 + 14 * row), line, fill="black", font=font)
    return sheet


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--binary", type=Path, default=Path("target/release/reprompt"))
    options.add_argument("--bare", action="store_true", help="numbers in place of prompts, for who is asked what was edited")
    given = options.parse_args()
    some = [case for k in range(EACH) for case in cases(EACH, SEED)[k::EACH]]
    assert len(some) == EACH * len(ALL_KINDS)
    with Service(given.binary, given.model) as service:
        pairs = side_by_side(lambda c: service.edit(c.source_prompt, c.seed, c.target_prompt, c.body)[:2], some)
    drawn(pairs, some, given.bare).save(given.out)


if __name__ == "__main__":
    main()
