"""The single operations of the comparison, and PyTorch's side of them.

Contract: a specification is a JSON object that both sides interpret in the same way. Tensors are drawn by a CPU
generator from seeds 1, 2, 3 in the order of the operation's inputs (data first), and weights are divided by the root of
their inputs, so both sides compute the same numbers. Always two rows, as in the pass of an edit of a recorded source.
"""

import math

import torch
import torch.nn.functional as F

ROWS = 2

# Channels and sides of the feature maps: of the demo model and its VAE, then of Stable Diffusion 1.5 at 256 and 512 px.
CONVOLUTIONS = [(32, 64), (64, 16), (64, 64), (128, 16), (128, 32), (320, 32), (320, 64), (640, 16), (640, 32)]
POINTWISE = [(64, 16), (320, 32), (640, 16)]
# Positions, inputs, outputs.
LINEAR = [(256, 64, 64), (1024, 320, 320), (1024, 320, 2560), (256, 640, 640)]
# Channels, side, groups.
GROUP_NORMS = [(64, 16, 16), (64, 64, 16), (320, 32, 32), (320, 64, 32), (640, 32, 32)]
# Positions, channels.
LAYER_NORMS = [(256, 64), (1024, 320), (4096, 320)]
# Positions, output channels; a gated layer has a quarter as many input channels.
GELUS = [(256, 256), (1024, 1280)]
# Heads, positions, channels of a head.
ATTENTIONS = [(4, 256, 16), (8, 256, 160), (8, 1024, 80), (8, 4096, 40)]
TOKENS = 77


def specifications(quick=False):
    """Name and specification of every operation; a few of them if `quick`."""
    found = {}

    def add(name, op, **numbers):
        found[name] = {"op": op, "rows": ROWS, **numbers}

    for channels, side in CONVOLUTIONS:
        add(f"conv 3x3, {channels} at {side}²", "conv", channels=channels, side=side, kernel=3)
    for channels, side in POINTWISE:
        add(f"conv 1x1, {channels} at {side}²", "conv", channels=channels, side=side, kernel=1)
    for positions, inputs, outputs in LINEAR:
        shape = {"positions": positions, "inputs": inputs, "outputs": outputs}
        add(f"linear {inputs} to {outputs}, {positions} positions", "linear", **shape)
    for channels, side, groups in GROUP_NORMS:
        shape = {"channels": channels, "side": side, "groups": groups}
        add(f"group norm and SiLU, {channels} at {side}²", "group_norm_silu", **shape)
    for positions, channels in LAYER_NORMS:
        add(f"layer norm, {positions} x {channels}", "layer_norm", positions=positions, channels=channels)
    for positions, channels in GELUS:
        add(f"GELU, {positions} x {channels}", "gelu", positions=positions, channels=channels)
        add(f"linear and GEGLU, {positions} x {channels}", "geglu", positions=positions, channels=channels)
    for heads, positions, head_dim in ATTENTIONS:
        for kind, tokens in (("self", positions), ("cross", TOKENS)):
            shape = {"heads": heads, "positions": positions, "tokens": tokens, "head_dim": head_dim}
            name = f"{kind}-attention, {heads} x {positions} x {head_dim}"
            add(f"{name}, probabilities", "attention", probabilities=True, **shape)
            add(f"{name}, fused", "attention", probabilities=False, **shape)
    if quick:
        # The first of each kind (the demo model's), and one or two of the larger ones.
        kept = ("64 at 16", "320 at 32", "320 to 320", "1024 x", "8 x 1024", "256 x 64", "64 to 64", "4 x 256")
        found = {name: each for name, each in found.items() if any(part in name for part in kept)}
    return found


def drawn(seed, *shape, dtype):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def build(spec, dtype=torch.float32):
    """A function without arguments that runs the operation once on prepared inputs."""
    rows = spec["rows"]
    draw = lambda seed, *shape: drawn(seed, *shape, dtype=dtype)
    kind = spec["op"]
    if kind == "conv":
        channels, side, kernel = spec["channels"], spec["side"], spec["kernel"]
        x = draw(1, rows, channels, side, side)
        weight = draw(2, channels, channels, kernel, kernel) / math.sqrt(channels * kernel * kernel)
        bias = draw(3, channels)
        return lambda: F.conv2d(x, weight, bias, padding=kernel // 2)
    if kind == "linear":
        x = draw(1, rows, spec["positions"], spec["inputs"])
        weight = draw(2, spec["outputs"], spec["inputs"]) / math.sqrt(spec["inputs"])
        bias = draw(3, spec["outputs"])
        return lambda: F.linear(x, weight, bias)
    if kind == "group_norm_silu":
        channels, side = spec["channels"], spec["side"]
        x, weight, bias = draw(1, rows, channels, side, side), draw(2, channels), draw(3, channels)
        return lambda: F.silu(F.group_norm(x, spec["groups"], weight, bias, 1e-5))
    if kind == "layer_norm":
        channels = spec["channels"]
        x, weight, bias = draw(1, rows, spec["positions"], channels), draw(2, channels), draw(3, channels)
        return lambda: F.layer_norm(x, (channels,), weight, bias, 1e-5)
    if kind == "gelu":
        x = draw(1, rows, spec["positions"], spec["channels"])
        return lambda: F.gelu(x)
    if kind == "geglu":
        inputs = spec["channels"] // 4
        x = draw(1, rows, spec["positions"], inputs)
        weight = draw(2, 2 * spec["channels"], inputs) / math.sqrt(inputs)
        bias = draw(3, 2 * spec["channels"])

        def geglu():
            value, gate = F.linear(x, weight, bias).chunk(2, dim=-1)
            return value * F.gelu(gate)

        return geglu
    if kind == "attention":
        heads, head_dim = rows * spec["heads"], spec["head_dim"]
        query = draw(1, heads, spec["positions"], head_dim)
        key, value = draw(2, heads, spec["tokens"], head_dim), draw(3, heads, spec["tokens"], head_dim)
        if not spec["probabilities"]:
            by_row = [each.view(rows, spec["heads"], -1, head_dim) for each in (query, key, value)]
            return lambda: F.scaled_dot_product_attention(*by_row)
        scale = head_dim**-0.5

        def attention():
            scores = torch.empty(heads, spec["positions"], spec["tokens"], dtype=dtype)
            maps = torch.baddbmm(scores, query, key.transpose(-1, -2), beta=0, alpha=scale).softmax(dim=-1)
            return torch.bmm(maps, value)

        return attention
    raise ValueError(f"no operation {kind!r}")
