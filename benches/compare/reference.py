"""The published Prompt-to-Prompt scheme (Hertz et al., arXiv 2208.01626), reimplemented on diffusers.

Contract: an edit runs source and targets together, conditional and unconditional: `2 (1 + targets)` rows per step, in
the order of the published code. All attention is explicit (`baddbmm`, softmax, `bmm`); the maps of the conditional half
with at most 32x32 positions are stored and summed over the steps, as in AttentionStore, and those of the targets are
replaced in place. Requests are bodies of `POST /v1/edits`, with every word of a local blend given.
"""

import torch
import torch.nn.functional as F

from alignment import Prompt, equalizer, gates, refine_map, replace_map, window

STORED_POSITIONS = 32**2
SELF_POSITIONS = 16**2


class Controller:
    """Records and replaces the conditional half's attention maps: source first, then the targets."""

    def __init__(self, source, targets, requests, steps, dtype):
        """`targets` and `requests` correspond; all requests have the same edit type and the same self-attention window."""
        self.count = 1 + len(targets)
        self.step, self.layer = 0, 0
        self.step_maps, self.summed = [], []
        self.edit_type = requests[0]["edit_type"]
        for shared in ("edit_type", "self_replace_steps"):
            if any(request[shared] != requests[0][shared] for request in requests):
                raise ValueError(f"all edits of a run have one {shared}")
        over_targets = lambda rows: torch.stack(rows)[:, None, None]
        if self.edit_type == "replace":
            self.mapper = torch.stack([replace_map(source, target) for target in targets]).to(dtype)
        elif self.edit_type == "refine":
            taken, has_source = zip(*(refine_map(source, target) for target in targets))
            self.taken, self.has_source = torch.stack(taken), over_targets(has_source)
        # [steps + 1, targets, 1, 1, tokens]
        table = [gates(target, request["cross_replace_steps"], steps) for target, request in zip(targets, requests)]
        self.gates = torch.stack(table, dim=1)[:, :, None, None]
        self.factors = None
        if any(request.get("equalizer") for request in requests):
            each = [equalizer(target, request.get("equalizer")) for target, request in zip(targets, requests)]
            self.factors = over_targets(each)
        low, high = window(requests[0]["self_replace_steps"])
        self.self_steps = range(int(steps * low), int(steps * high))

    def __call__(self, maps, is_cross):
        """`maps` `[rows * heads, positions, tokens or positions]`, changed in place."""
        conditional = maps[maps.shape[0] // 2 :]
        if conditional.shape[1] <= STORED_POSITIONS:
            self.step_maps.append((is_cross, conditional))
        if is_cross or self.step in self.self_steps:
            by_prompt = conditional.view(self.count, -1, *conditional.shape[1:])
            source, targets = by_prompt[0], by_prompt[1:]
            if is_cross:
                gate = self.gates[self.step]
                by_prompt[1:] = self.replaced(source, targets) * gate + (1 - gate) * targets
            elif conditional.shape[1] <= SELF_POSITIONS:
                by_prompt[1:] = source

    def replaced(self, source, targets):
        """The targets' cross-attention where the gate is open."""
        if self.edit_type == "replace":
            taken = torch.einsum("hps,nst->nhpt", source, self.mapper)
        elif self.edit_type == "refine":
            taken = source[:, :, self.taken].permute(2, 0, 1, 3)
            taken = taken * self.has_source + targets * (1 - self.has_source)
        else:
            taken = source[None]
        return taken if self.factors is None else taken * self.factors

    def end_step(self):
        """Adds the step's maps to the sum of the previous steps."""
        if self.summed:
            for (_, total), (_, maps) in zip(self.summed, self.step_maps):
                total += maps
        else:
            self.summed = self.step_maps
        self.step_maps = []
        self.step += 1


class Processor:
    """Attention with explicit probabilities, passed to the controller; replaces diffusers' own."""

    def __init__(self, controller):
        self.controller = controller

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        is_cross = encoder_hidden_states is not None
        context = encoder_hidden_states if is_cross else hidden_states
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(context))
        value = attn.head_to_batch_dim(attn.to_v(context))
        scores = torch.empty(query.shape[0], query.shape[1], key.shape[1], dtype=query.dtype)
        maps = torch.baddbmm(scores, query, key.transpose(-1, -2), beta=0, alpha=attn.scale).softmax(dim=-1)
        self.controller(maps, is_cross)
        return attn.to_out[0](attn.batch_to_head_dim(torch.bmm(maps, value)))


class LocalBlend:
    """Preserves the source outside the regions of the blend's words."""

    def __init__(self, source, targets, requests, steps, latent_size, levels):
        blends = [request["local_blend"] for request in requests]
        self.threshold = blends[0].get("threshold", 0.3)
        self.start = int(blends[0].get("start", 0.2) * steps)
        self.done = 0
        self.latent_size, self.levels = latent_size, levels
        self.select = self.layers(source, targets, [(b["source_words"], b["target_words"]) for b in blends])
        excluded = [b.get("exclude_words") or [] for b in blends]
        present = lambda prompt, words: [word for word in words if word in prompt.words]
        pairs = [(present(source, words), present(target, words)) for target, words in zip(targets, excluded)]
        self.exclude = self.layers(source, targets, pairs) if any(excluded) else None

    @staticmethod
    def layers(source, targets, pairs):
        """`[prompts, 1, 1, tokens]`: 1 at the tokens of the words, of the source and of each target."""
        rows = torch.zeros(1 + len(targets), 1, 1, len(source.padded))
        for at, (target, (source_words, target_words)) in enumerate(zip(targets, pairs), start=1):
            for row, prompt, words in ((0, source, source_words), (at, target, target_words)):
                for word in words:
                    rows[row, ..., prompt.find(word)] = 1
        return rows

    def mask(self, maps, words, pool):
        mask = (maps * words).sum(-1).mean(1, keepdim=True)
        mask = mask.view(mask.shape[0], 1, *self.map_size)
        if pool:
            mask = F.max_pool2d(mask, 3, stride=1, padding=1)
        mask = F.interpolate(mask, size=self.latent_size)
        mask = mask / mask.amax(dim=(2, 3), keepdim=True) > self.threshold
        return mask[:1] | mask

    def __call__(self, latents, controller):
        self.done += 1
        if self.done <= self.start:
            return latents
        cross = [maps for is_cross, maps in controller.summed if is_cross]
        seen = {maps.shape[1] for maps in cross}
        sizes = [size for size in self.levels if size[0] * size[1] in seen]
        self.map_size = min(sizes, key=lambda size: (abs(size[0] * size[1] - 256), -size[0] * size[1]))
        positions = self.map_size[0] * self.map_size[1]
        maps = [each for each in cross if each.shape[1] == positions]
        maps = torch.cat([each.view(controller.count, -1, *each.shape[1:]) for each in maps], dim=1)
        mask = self.mask(maps, self.select, True)
        if self.exclude is not None:
            mask = mask & ~self.mask(maps, self.exclude, False)
        return latents[:1] + mask.to(latents.dtype) * (latents - latents[:1])


def map_sizes(latent_size, count):
    """The size of the feature maps at each of `count` levels."""
    sizes = [tuple(latent_size)]
    while len(sizes) < count:
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    return sizes


def edit(parts, source, requests):
    """Images `[1 + targets, height, width, 3]`, the source's first, by the published scheme."""
    steps = source["num_inference_steps"]
    prompts = [Prompt(parts.tokenizer, text) for text in [source["prompt"]] + [each["prompt"] for each in requests]]
    controller = Controller(prompts[0], prompts[1:], requests, steps, parts.dtype)
    blend = None
    latents = parts.noise(source)
    if all(request.get("local_blend") for request in requests):
        levels = map_sizes(latents.shape[2:], len(parts.unet.config.block_out_channels))
        blend = LocalBlend(prompts[0], prompts[1:], requests, steps, latents.shape[2:], levels)
    parts.unet.set_attn_processor(Processor(controller))

    def after_step(latents):
        controller.end_step()
        return blend(latents, controller) if blend else latents

    texts = torch.stack([prompt.padded for prompt in prompts])
    return parts.denoise(source, texts, latents.expand(len(prompts), -1, -1, -1), after_step)
