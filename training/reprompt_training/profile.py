"""Writes the model profile: `python -m reprompt_training.profile WORK MODEL` writes MODEL/reprompt.json (see
docs/profile.md): sampling settings, vocabulary, the windows that WORK/presets.json found, examples."""
from __future__ import annotations

import argparse
import json
from pathlib import Path

from .world import all_words

SETTINGS = {"num_inference_steps": 20, "guidance_scale": 5.0}
# The kinds of the sweep, and the presets of the profile that they set.
PRESETS = {
    "object": ("objects", "replaced"), "colour": ("colours",), "place": ("places",), "time": ("times",),
    "accessory": ("accessories", "added"), "style": ("styles",), "reweight": ("reweighted",),
}
EXAMPLES = [
    {"prompt": "a red car on the grass", "seed": 7, "edit": "a blue car on the grass"},
    {"prompt": "a car in the city", "seed": 7, "edit": "a bus in the city"},
    {"prompt": "a penguin in the snow", "seed": 3, "edit": "a penguin in the snow at night"},
    {"prompt": "a cat on the beach", "seed": 2, "edit": "a cat with a crown on the beach"},
    {"prompt": "a boat in the sea", "seed": 5, "edit": "a boat in the desert"},
    {"prompt": "a house in the forest", "seed": 3, "edit": "a castle in the forest", "local_blend": True},
    {"prompt": "a tiger in the forest", "seed": 2, "edit": "pixel art of a tiger in the forest"},
    {"prompt": "a penguin with a balloon in the snow", "seed": 3, "edit": "a penguin with a balloon in the snow",
     "equalizer": [{"word": "balloon", "strength": -0.3}]},
]


def profile(found: dict) -> dict:
    presets = {}
    for kind, names in PRESETS.items():
        best = found[kind]["best"]
        presets |= {name: {key: best[key] for key in ("cross_replace_steps", "self_replace_steps")} for name in names}
    return SETTINGS | {"vocabulary": all_words(), "presets": presets, "examples": EXAMPLES}


def written(value: dict) -> str:
    """JSON with one line per list of words, preset and example."""
    lines = []
    for key, content in value.items():
        if isinstance(content, dict):
            inner = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in content.items())
            lines.append(f"  {json.dumps(key)}: {{\n{inner}\n  }}")
        elif isinstance(content, list):
            inner = ",\n".join(f"    {json.dumps(v)}" for v in content)
            lines.append(f"  {json.dumps(key)}: [\n{inner}\n  ]")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(content)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("work", type=Path)
    options.add_argument("model", type=Path)
    given = options.parse_args()
    found = json.loads((given.work / "presets.json").read_text())
    (given.model / "reprompt.json").write_text(written(profile(found)))


if __name__ == "__main__":
    main()
