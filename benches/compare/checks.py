"""Both sides must agree before anything is timed.

Contract: images may differ by 3 of 255 and 0.1 on average, numbers by a thousandth of the largest. Results in less than
f32 are reported, not judged. A failed check ends the comparison.
"""

import json
import sys

import numpy as np
from PIL import Image

MOST, MEAN = 3, 0.1
RELATIVE = 1e-3


class Disagreement(Exception):
    """The two sides disagree."""


class Checks:
    """All checks, for the report."""

    def __init__(self):
        self.found = []

    def keep(self, what, judged, passed, quiet, **numbers):
        self.found.append({"what": what, "judged": judged, **numbers})
        said = ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())
        if not quiet:
            print(f"check: {what}: {said}", file=sys.stderr, flush=True)
        if judged and not passed:
            raise Disagreement(f"{what}: {said}")

    def images(self, what, found, wanted, judged=True, quiet=False):
        """Compares two images, as arrays or raw bytes; a quiet check is printed only if it fails."""
        found, wanted = (np.frombuffer(np.ascontiguousarray(each), np.uint8).astype(int) for each in (found, wanted))
        if len(found) != len(wanted):
            raise Disagreement(f"{what}: images of different sizes")
        difference = np.abs(found - wanted)
        most, mean = int(difference.max()), float(difference.mean())
        self.keep(what, judged, most <= MOST and mean <= MEAN, quiet, most=most, mean=mean)

    def numbers(self, what, found, wanted, judged=True):
        """Compares two samples of a tensor."""
        found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
        if found.shape != wanted.shape:
            raise Disagreement(f"{what}: tensors of different sizes")
        off, largest = float(np.abs(found - wanted).max()), float(np.abs(wanted).max())
        # Written so that a NaN fails.
        self.keep(what, judged, off <= RELATIVE * largest, False, off=off, largest=largest)


def golden(checks, worker, models, folder, quick):
    """The reference against images of the published algorithm that were made without this project's code."""
    cases = sorted(path.parent for path in folder.glob("*/request.json"))
    loaded = None
    for case in sorted(cases, key=lambda case: (case / "model").read_text()):
        model = (case / "model").read_text().strip()
        # These take most of the time; one unusual case of their model is enough for a first look.
        if quick and model == "tiny-sd1" and case.name != "wide":
            continue
        if loaded != model:
            worker.ask("load", model=str(models.folder(model)))
            loaded = model
        body = json.loads((case / "request.json").read_text())
        images = worker.ask("edit", source=body.pop("source"), edits=[body])["images"]
        for name, found in zip(("source.png", "edited.png"), images):
            if (case / name).is_file():
                wanted = np.asarray(Image.open(case / name).convert("RGB"))
                checks.images(f"reference, {case.name}, {name}", found, wanted)
