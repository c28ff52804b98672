"""The edits of the evaluation: prompts with combinations of object, colour and place that the model was never trained on.

Kinds: `object`, `colour`, `place`, `time`, `accessory`, `style` change or add one attribute; `reweight` turns a word
off, or up; `blend` changes an object or a colour with a local blend. Seeds count up from 1; nothing is
selected.
"""
from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from .world import ACCESSORIES, COLOURS, KINDS, OBJECTS, PLACES, TIMELESS, Scene, caption, edit, held_out, may_wear

ALL_KINDS = (*KINDS, "reweight", "blend")
# The strength of a word that is turned up, and the required increase: of the colour of the object, or of the darkness.
UP, MORE = 2.5, 1.05
# The strength of a word that is turned off. Found on other edits than the measured ones: of 30 things, 0 removed 67 %
# and left a faint remainder of the others, -0.3 removed 90 %, -1 removed 77 %.
OFF = -0.3


@dataclass(frozen=True)
class Case:
    """A source and the expected edit. `body` has the fields of the request besides prompts and seed."""

    kind: str
    source: Scene
    target: Scene
    seed: int
    body: dict = field(default_factory=dict)
    prompt: str | None = None  # if it is not the target's caption

    @property
    def source_prompt(self) -> str:
        return caption(self.source)[0]

    @property
    def target_prompt(self) -> str:
        return self.prompt or caption(self.target)[0]

    @property
    def turned_up(self) -> bool:
        """Whether a word of an unchanged prompt is turned up."""
        return self.kind == "reweight" and self.source == self.target


def scene(r: random.Random, place: bool = True, worn: float = 0.15) -> Scene:
    """A scene of one thing in a place, as people phrase it, with a held-out combination."""
    while True:
        object_ = r.choice(list(OBJECTS))
        where = r.choice(list(PLACES))
        time = r.choice(("night", "sunset")) if r.random() < 0.2 and where not in TIMELESS else None
        fitting = [a for a in ACCESSORIES if may_wear(object_, a)]
        accessory = r.choice(fitting) if fitting and r.random() < worn else None
        drawn = Scene(object_, r.choice(list(COLOURS)) if r.random() < 0.5 else None, where, time, accessory)
        if held_out(drawn):
            return drawn


def reweighted(r: random.Random, seed: int) -> Case:
    """Half of them turn a hat, a crown, a balloon or the night off; half turn a colour or the night up."""
    while True:
        source = scene(r, worn=0.15 if seed % 2 else 1.0)
        if seed % 2:
            word = "night" if source.time == "night" else source.colour
            # black and white have no more colour to gain
            if word and word not in ("black", "white"):
                return Case("reweight", source, source, seed, {"equalizer": [{"word": word, "strength": UP}]}, caption(source)[0])
        else:
            attribute = "time" if source.time == "night" else "accessory"
            word = getattr(source, attribute)
            if word:
                return Case("reweight", source, replace(source, **{attribute: None}), seed,
                            {"equalizer": [{"word": word, "strength": OFF}]}, caption(source)[0])


def case(kind: str, r: random.Random, seed: int) -> Case:
    if kind == "reweight":
        return reweighted(r, seed)
    changes = ("object", "colour")[seed % 2] if kind == "blend" else kind
    while True:
        source = scene(r)
        # a sketch shows no colour, so there is none to keep
        if kind == "style" and source.colour:
            source = replace(source, colour=None)
        target = edit(source, changes, r)
        if target and held_out(source) and held_out(target):
            return Case(kind, source, target, seed, {"local_blend": True} if kind == "blend" else {})


def cases(each: int, seed: int, kinds: tuple[str, ...] = ALL_KINDS) -> list[Case]:
    """`each` cases of every kind; for a seed, a smaller number gives the first of the same cases."""
    out = []
    for kind in kinds:
        r = random.Random(f"{seed} {kind}")
        out += [case(kind, r, k + 1) for k in range(each)]
    return out
