"""The alignment of two prompts, and the steps of attention injection, as in the published Prompt-to-Prompt code.

Contract: token positions count from 0 (the start marker) in prompts padded to the text encoder's length. The gate table
has `steps + 1` rows. Words are separated by spaces; a word's tokens are found by their text.
"""

import numpy as np
import torch


class Prompt:
    """A tokenized prompt: `ids` from start to end marker, `padded` ids, and the token positions of every word."""

    def __init__(self, tokenizer, text):
        self.text = text
        self.padded = tokenizer(
            text, padding="max_length", max_length=tokenizer.model_max_length, return_tensors="pt"
        ).input_ids[0]
        self.ids = tokenizer(text).input_ids
        if len(self.padded) != tokenizer.model_max_length:
            raise ValueError(f"{text!r} has more tokens than the text encoder takes")
        self.words = text.split()
        self.tokens = [[] for _ in self.words]
        word, seen = 0, 0
        for position, token in enumerate(self.ids[1:-1], start=1):
            self.tokens[word].append(position)
            seen += len(tokenizer.decode([token]).strip())
            if seen >= len(self.words[word]):
                word, seen = word + 1, 0

    def find(self, word):
        """Token positions of a word: as written, else without surrounding punctuation."""
        for same in (lambda other: other == word, lambda other: other.strip(".,;:!?") == word):
            found = [token for at, other in enumerate(self.words) if same(other) for token in self.tokens[at]]
            if found:
                return found
        raise ValueError(f"{self.text!r} has no word {word!r}")


def replace_map(source, target):
    """AttentionReplace: `[source tokens, target tokens]`, words replaced position by position."""
    if len(source.words) != len(target.words):
        raise ValueError("replace wants as many words in both prompts")
    size = len(source.padded)
    matrix = np.zeros((size, size), dtype=np.float64)
    exchanged = [
        (source.tokens[at], target.tokens[at])
        for at in range(len(source.words))
        if source.words[at] != target.words[at]
    ]
    row = column = 0
    while row < size and column < size:
        if exchanged and exchanged[0][0][0] == row:
            from_source, to_target = exchanged.pop(0)
            if len(from_source) == len(to_target):
                matrix[from_source, to_target] = 1
            else:
                matrix[np.ix_(from_source, to_target)] = 1 / len(to_target)
            row, column = row + len(from_source), column + len(to_target)
        else:
            # After the last replaced word a target token takes the map at its own position.
            matrix[row if exchanged else column, column] = 1
            row, column = row + 1, column + 1
    return torch.from_numpy(matrix).float()


def refine_map(source, target):
    """AttentionRefine: for every target token the source token whose map it takes, and 1 if it has one, else 0.

    Token ids are aligned globally: gap 0, match 1, mismatch -1; ties prefer left, then up.
    """
    x, y = source.ids, target.ids
    score = np.zeros((len(x) + 1, len(y) + 1), dtype=int)
    for i in range(1, len(x) + 1):
        for j in range(1, len(y) + 1):
            diagonal = score[i - 1, j - 1] + (1 if x[i - 1] == y[j - 1] else -1)
            score[i, j] = max(score[i, j - 1], score[i - 1, j], diagonal)
    size = len(source.padded)
    taken = torch.arange(size)
    has_source = torch.ones(size)
    has_source[: len(y)] = 0
    i, j = len(x), len(y)
    while i > 0 and j > 0:
        if score[i, j] == score[i, j - 1]:
            j -= 1
        elif score[i, j] == score[i - 1, j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            taken[j], has_source[j] = i, 1
    return taken, has_source


def window(given):
    """A fraction or a pair, as a pair."""
    return (0.0, float(given)) if isinstance(given, (int, float)) else (float(given[0]), float(given[1]))


def gates(target, cross_replace_steps, steps):
    """`[steps + 1, tokens]`: 1 where cross-attention is the source's; a word's own window overrides the default."""
    if not isinstance(cross_replace_steps, dict):
        cross_replace_steps = {"default_": cross_replace_steps}
    table = torch.zeros(steps + 1, len(target.padded))

    def open_window(tokens, given):
        low, high = (int(bound * (steps + 1)) for bound in window(given))
        table[:, tokens] = 0
        table[low:high, tokens] = 1

    open_window(list(range(table.shape[1])), cross_replace_steps.get("default_", 1.0))
    for word, given in cross_replace_steps.items():
        if word != "default_":
            open_window(target.find(word), given)
    return table


def equalizer(target, entries):
    """The factor of every target token."""
    factors = torch.ones(len(target.padded))
    for entry in entries or []:
        factors[target.find(entry["word"])] = entry["strength"]
    return factors
