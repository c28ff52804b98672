"""Measures a model folder: `python -m reprompt_training.evaluate WORK --model models/demo --binary target/release/reprompt`.

The Rust binary makes every picture over HTTP; the reader reads them. Each edit is compared with two baselines: the
target prompt from the same seed, so that only the noise is shared and attention is not controlled; and the target
prompt from another seed, so that nothing is shared. An edit succeeds if the reader finds everything that its target
says, changed or not. A reweighting succeeds if the word that was turned off is gone, or if the object is more
colourful, or the night darker, by a twentieth. `kept` also requires that the rest is preserved: the object is where the
source's is (IoU of at least 0.5), and if the edit leaves the background alone, the background matches with a PSNR of at
least 27 dB.

Writes WORK/evaluation.json and WORK/evaluation.md.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from .cases import ALL_KINDS, MORE, UP, Case, cases
from .measures import Reading, chroma, darkness, moved, outside, overlap, psnr, read, ssim, wrong
from .reader import Reader, load
from .service import Service, side_by_side

SEED = 2026
IN_PLACE, KEPT = 0.5, 27.0
# Kinds of edits that leave the background alone.
LOCAL = ("object", "colour", "accessory", "blend")


def made(service: Service, case: Case, body: dict | None = None) -> dict[str, np.ndarray]:
    """The source, the edit, and the baselines for the same target."""
    source, edited, _ = service.edit(case.source_prompt, case.seed, case.target_prompt, {**case.body, **(body or {})})
    target = case.target_prompt
    return {
        "source": source, "edit": edited,
        "same seed": service.generate(target, case.seed)[0], "another seed": service.generate(target, case.seed + 100_000)[0],
    }


def judged(case: Case, source: np.ndarray, edited: np.ndarray, before: Reading, after: Reading) -> dict:
    missing = wrong(case.target, after)
    right = not missing
    if case.turned_up:
        right = right and more(case, source, edited, before) >= MORE
    figures = {"right": right, "missing": missing, "iou": overlap(before.object, after.object), "moved": moved(before.object, after.object)}
    figures["in_place"] = right and figures["iou"] >= IN_PLACE
    figures["kept"] = figures["in_place"]
    if case.kind in LOCAL:
        where = outside([before, after])
        figures |= {"psnr": psnr(source, edited, where), "ssim": ssim(source, edited, where)}
        figures["kept"] = figures["in_place"] and figures["psnr"] >= KEPT
    return figures


def more(case: Case, source: np.ndarray, edited: np.ndarray, before: Reading) -> float:
    """The increase of the feature that was turned up."""
    if case.body["equalizer"][0]["word"] == "night":
        return darkness(edited) / darkness(source)
    return chroma(edited, before.object) / max(1.0, chroma(source, before.object))


def of_cases(service: Service, reader: Reader, some: list[Case], body: dict | None = None) -> list[dict]:
    pictures = side_by_side(lambda case: made(service, case, body), some)
    readings = {name: read(reader, [p[name] for p in pictures]) for name in pictures[0]}
    out = []
    for k, case in enumerate(some):
        before = readings["source"][k]
        record = {"kind": case.kind, "source": case.source_prompt, "target": case.target_prompt, "seed": case.seed, "body": case.body,
                  "source_missing": wrong(case.source, before)}
        for name in ("edit", "same seed", "another seed"):
            record[name] = judged(case, pictures[k]["source"], pictures[k][name], before, readings[name][k])
        out.append(record)
    return out


def heat(service: Service, reader: Reader, some: list[Case]) -> list[float]:
    """The share of the object word's attention inside the object, as segmented by the reader."""
    def one(case: Case):
        image, session = service.generate(case.source_prompt, case.seed)
        return image, service.heat_map(session["id"], case.source.object)
    found = side_by_side(one, some)
    readings = read(reader, [image for image, _ in found])
    return [float(heat[r.object].sum() / heat.sum()) for (_, heat), r in zip(found, readings) if r.object.any()]


def mean(values: list) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


def summary(records: list[dict], heats: list[float]) -> dict:
    def of(some: list[dict], name: str) -> dict:
        figures = {key: mean([r[name][key] for r in some if key in r[name]]) for key in ("right", "kept", "in_place", "iou", "moved", "psnr", "ssim")}
        return {key: value for key, value in figures.items() if value is not None}
    rows = {}
    for kind in [*ALL_KINDS, "all"]:
        some = [r for r in records if kind in (r["kind"], "all")]
        if not some:
            continue
        good = [r for r in some if not r["source_missing"]]
        rows[kind] = {"edits": len(some), "source_right": mean([not r["source_missing"] for r in some])}
        rows[kind] |= {name: of(some, name) for name in ("edit", "same seed", "another seed")}
        rows[kind]["edit_of_right_sources"] = of(good, "edit").get("right")
    return {"kinds": rows, "heat_mass": {"mean": mean(heats), "images": len(heats)}}


def table(figures: dict) -> str:
    """The summary as Markdown."""
    percent = lambda v: "–" if v is None else f"{100 * v:.0f} %"  # noqa: E731
    number = lambda v, digits=1: "–" if v is None else f"{v:.{digits}f}"  # noqa: E731
    lines = [
        "| kind | edits | source right | edit right, kept | same seed: right, kept | another seed: right, kept | IoU (same seed) | background PSNR, dB (same seed) | SSIM |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for kind, row in figures["kinds"].items():
        e, s, a = row["edit"], row["same seed"], row["another seed"]
        lines.append(
            f"| {kind} | {row['edits']} | {percent(row['source_right'])} | {percent(e['right'])}, {percent(e['kept'])} "
            f"| {percent(s['right'])}, {percent(s['kept'])} | {percent(a['right'])}, {percent(a['kept'])} "
            f"| {number(e['iou'], 2)} ({number(s['iou'], 2)}) | {number(e.get('psnr'))} ({number(s.get('psnr'))}) | {number(e.get('ssim'), 2)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("work", type=Path)
    options.add_argument("--model", type=Path, required=True)
    options.add_argument("--binary", type=Path, default=Path("target/release/reprompt"))
    options.add_argument("--each", type=int, default=45, help="edits of every kind")
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--out", default="evaluation")
    given = options.parse_args()
    reader, some = load(given.work), cases(given.each, given.seed)
    with Service(given.binary, given.model) as service:
        records = of_cases(service, reader, some)
        heats = heat(service, reader, some[:: max(1, len(some) // 120)])
    figures = summary(records, heats)
    (given.work / f"{given.out}.json").write_text(json.dumps({"summary": figures, "edits": records, "turned_up_to": UP}, indent=1) + "\n")
    (given.work / f"{given.out}.md").write_text(table(figures))
    print(table(figures), json.dumps(figures["heat_mass"]))


if __name__ == "__main__":
    main()
