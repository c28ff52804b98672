"""Captions as the denoiser sees them: token ids, and for each caption the tokens of each mask and the faded tokens."""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from .world import OPENINGS, opened

LENGTH = 77


@dataclass
class Captions:
    """`ids` [N, 77]; `ends` [N], the position of the end token; `empty` [77]; `marks` and `faders` per caption."""

    ids: torch.Tensor
    ends: torch.Tensor
    empty: torch.Tensor
    marks: list[list[tuple[int, int]]]  # (token position, mask)
    faders: list[tuple[list[int], float]]  # token positions, strength

    @classmethod
    def load(cls, scenes: Path, tokenizer: CLIPTokenizer) -> Captions:
        texts, marks, faders = [], [], []
        for k, record in enumerate(json.loads(scenes.read_text())):
            text, places, faded = record["caption"], record["marks"], record["faded"]
            styled = record["scene"]["style"] is not None
            if k % 10 == 0 and not styled:
                text, places, faded = opened(OPENINGS[k // 10 % len(OPENINGS)], text, places, faded)
            words = text.split()
            if k % 12 == 5:  # people write commas before "on", "in" and "at"
                words = [w + "," if k + 1 < len(words) and words[k + 1] in ("on", "in", "at") else w for k, w in enumerate(words)]
            # each word is one token, a comma is another; position 0 is the start token
            position, at = [], 1
            for word in words:
                position.append(at)
                at += 2 if word.endswith(",") else 1
            texts.append(" ".join(words))
            marks.append([(position[word], mask) for word, mask in places])
            faders.append(([position[word] for word in faded], record["scene"]["strength"]))
        ids = tokenizer(texts, padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids
        empty = tokenizer("", padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids[0]
        ends = (ids != tokenizer.eos_token_id).sum(1)
        return cls(ids, ends, empty, marks, faders)
