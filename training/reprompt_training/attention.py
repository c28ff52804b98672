"""The UNet's attention during training: cross-attention's probabilities are kept, and modified per caption.

They are used to teach two things. A word's map is pulled into the mask of the thing that it names, so words have
locations. And a word's strength gets a meaning: its probabilities are scaled after the softmax, as in a reweighting
edit (AttentionReweight of the published code), while the picture has more or less of it.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F

# Maps below 8x8 are too coarse to locate a thing.
SMALLEST_MAP = 64


class Attention:
    """A diffusers attention processor; one for all layers. `maps` are [b, positions, tokens], means over the heads."""

    def __init__(self):
        self.maps: list[torch.Tensor] = []
        self.bias: torch.Tensor | None = None  # [b, 1, 1, tokens], added before the softmax
        self.strength: torch.Tensor | None = None  # [b, 1, 1, tokens], multiplied after it

    def __call__(self, layer, hidden, encoder_hidden_states=None, attention_mask=None, temb=None, **_):
        batch, positions, _ = hidden.shape
        crossed = encoder_hidden_states is not None
        context = encoder_hidden_states if crossed else hidden
        # [b * heads, positions or tokens, channels]: plain products are twice as fast as the fused op at these sizes
        q, k, v = (split(x, layer.heads) for x in (layer.to_q(hidden), layer.to_k(context), layer.to_v(context)))
        scores = torch.bmm(q * layer.scale, k.transpose(1, 2))
        if crossed:
            scores = scores.float().view(batch, layer.heads, positions, -1)
            probabilities = (scores if self.bias is None else scores + self.bias).softmax(-1)
            if positions >= SMALLEST_MAP:
                self.maps.append(probabilities.mean(1))
            if self.strength is not None:
                probabilities = probabilities * self.strength
            probabilities = probabilities.to(v.dtype).flatten(0, 1)
        else:
            probabilities = scores.softmax(-1).to(v.dtype)
        mixed = torch.bmm(probabilities, v).view(batch, layer.heads, positions, -1)
        return layer.to_out[0](mixed.transpose(1, 2).reshape(batch, positions, -1))


def split(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[b, n, heads * c] to [b * heads, n, c]"""
    batch, n, channels = x.shape
    return x.view(batch, n, heads, channels // heads).transpose(1, 2).reshape(batch * heads, n, channels // heads)


def missed(maps: list[torch.Tensor], rows: list[int], tokens: list[int], masks: torch.Tensor) -> torch.Tensor:
    """The share of the words' maps outside their masks: the mean over words and maps of (1 - share inside)^2.
    `masks` [words, 16, 16]; word k is token `tokens[k]` of row `rows[k]`."""
    total = masks.new_zeros(())
    for probabilities in maps:
        side = int(probabilities.shape[1] ** 0.5)
        wanted = F.adaptive_avg_pool2d(masks[:, None], side).flatten(1)
        word = probabilities[rows, :, tokens]
        total = total + (1 - (word * wanted).sum(1) / (word.sum(1) + 1e-6)).square().mean()
    return total / len(maps)
