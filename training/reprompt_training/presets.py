"""Finds the windows that suit each kind of edit: `python -m reprompt_training.presets WORK --model models/demo`.

Tries every pair of ends of the two windows on edits of each kind (different from the evaluation's), and takes the pair
with the most edits right and in place. If several are within two per cent of the best, it takes the one that keeps most
of the source: the highest background PSNR, or, if the background is meant to change, the highest overlap of the
objects. Writes WORK/presets.json and WORK/presets.md.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

from .cases import Case, cases
from .evaluate import judged, mean
from .measures import read
from .reader import load
from .service import Service, side_by_side

CROSS, SELF = (0.2, 0.4, 0.6, 0.8, 1.0), (0.0, 0.2, 0.4, 0.6, 0.8)
SEED = 1999
KINDS = ("object", "colour", "place", "time", "accessory", "style", "reweight")
CLOSE = 0.02


def tried(service: Service, reader, some: list[Case], cross: float, self_: float) -> dict:
    body = {"cross_replace_steps": cross, "self_replace_steps": self_}
    pictures = side_by_side(lambda c: service.edit(c.source_prompt, c.seed, c.target_prompt, {**c.body, **body})[:2], some)
    before, after = read(reader, [p[0] for p in pictures]), read(reader, [p[1] for p in pictures])
    each = [judged(c, *p, b, a) for c, p, b, a in zip(some, pictures, before, after)]
    figures = {key: mean([e[key] for e in each if key in e]) for key in ("right", "in_place", "iou", "psnr")}
    return {"cross_replace_steps": cross, "self_replace_steps": self_} | figures


def best(rows: list[dict]) -> dict:
    top = max(row["in_place"] for row in rows)
    close = [row for row in rows if row["in_place"] >= top - CLOSE]
    return max(close, key=lambda row: row["psnr"] if row["psnr"] is not None else row["iou"])


def tables(found: dict) -> str:
    """All results, as Markdown."""
    lines = []
    for kind, of_kind in found.items():
        lines += [f"\n{kind}: edits right and in place, by the ends of the windows (cross down, self across)\n",
                  "| | " + " | ".join(f"{s}" for s in SELF) + " |", "| --- |" + " --: |" * len(SELF)]
        for cross in CROSS:
            cells = [f"{100 * r['in_place']:.0f} %" for r in of_kind["tried"] if r["cross_replace_steps"] == cross]
            lines.append(f"| **{cross}** | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("work", type=Path)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--binary", type=Path, default=Path("target/release/reprompt"))
    options.add_argument("--each", type=int, default=24)
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="these anew, the others as they were found")
    given = options.parse_args()
    reader, written = load(given.work), given.work / "presets.json"
    found = json.loads(written.read_text()) if written.exists() else {}
    with Service(given.binary, given.model) as service:
        for kind in given.kinds:
            some = cases(given.each, SEED, (kind,))
            rows = [tried(service, reader, some, cross, self_) for cross in CROSS for self_ in SELF if cross or self_]
            found[kind] = {"best": best(rows), "tried": rows}
            print(kind, json.dumps(found[kind]["best"]), flush=True)
            written.write_text(json.dumps(found, indent=1) + "\n")
    (given.work / "presets.md").write_text(tables(found))


if __name__ == "__main__":
    main()
