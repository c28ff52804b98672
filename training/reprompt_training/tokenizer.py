"""The tokenizer: CLIP's byte-level BPE, with only the merges that make each of the world's words one token.

`python -m reprompt_training.tokenizer OUT` writes vocab.json, merges.txt and the two configurations that transformers
reads. Other words split into bytes, which the model never learns.
"""
from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from .world import all_words

START, END = "<|startoftext|>", "<|endoftext|>"


def byte_letters() -> list[str]:
    """The 256 characters that represent bytes, in CLIP's order: printable ones represent themselves (`bytes_to_unicode`)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + k) for k in range(len(moved))]


def merges_for(words: list[str]) -> list[tuple[str, str]]:
    """BPE until every word is one token; ties are broken by the pair, so that the order is deterministic."""
    pieces = {w: [*w[:-1], w[-1] + "</w>"] for w in words}
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for p in pieces.values() for pair in zip(p, p[1:]))
        if not pairs:
            return merges
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((left, right))
        for word, p in pieces.items():
            joined, k = [], 0
            while k < len(p):
                together = k + 1 < len(p) and (p[k], p[k + 1]) == (left, right)
                joined.append(left + right if together else p[k])
                k += 2 if together else 1
            pieces[word] = joined


def write(folder: Path) -> int:
    """Writes the tokenizer's files; returns the number of tokens."""
    words = sorted({w for phrases in all_words().values() for phrase in phrases for w in phrase.split()})
    letters, merges = byte_letters(), merges_for(words)
    tokens = letters + [letter + "</w>" for letter in letters] + [a + b for a, b in merges] + [START, END]
    tokens = list(dict.fromkeys(tokens))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: k for k, token in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "add_prefix_space": False} | special
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    return len(tokens)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    print(write(options.parse_args().out), "tokens")


if __name__ == "__main__":
    main()
